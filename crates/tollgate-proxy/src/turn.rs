//! A fair share of the thread for each task.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll},
};

/// What a turn may cost. A turn that moves much costs a copy of so many bytes; one that moves little in many pieces, about
/// as much time.
const MOST: usize = 512 * 1024;
/// What each may have however many there are: with less, the change from one to the next would cost too much.
const LEAST: usize = 64 * 1024;
/// What the turns of all streams that move much may cost together: a small request waits about so long for its turn.
const ROUND: usize = 16 * 1024 * 1024;
/// What a piece costs at least.
const LEAST_OF_PIECE: usize = 8 * 1024;

/// What one turn of a task has cost so far. Peers decide how much there is to do; others on the same thread do not wait
/// until it is done.
#[derive(Debug)]
pub(crate) struct Turn {
    budget: usize,
    spent: usize,
}

impl Turn {
    /// A turn of one of so many streams of this thread that move much.
    pub(crate) fn among(streams: usize) -> Self {
        Self { budget: (ROUND / streams.max(1)).clamp(LEAST, MOST), spent: 0 }
    }

    /// A piece of so many bytes was moved.
    pub(crate) fn spend(&mut self, bytes: usize) {
        self.spent = self.spent.saturating_add(bytes.max(LEAST_OF_PIECE));
    }

    /// Whether others should have their turn now.
    pub(crate) fn is_over(&self) -> bool {
        self.spent >= self.budget
    }

    /// Ends the turn: the task is woken when everything else that is ready had its turn, sockets included.
    pub(crate) fn end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.spent = 0;
        let _ = pin!(tokio::task::yield_now()).poll(cx);
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_ends_after_much_or_after_many() {
        let pieces = |streams, bytes| {
            let mut turn = Turn::among(streams);
            (1..1000).find(|_| {
                turn.spend(bytes);
                turn.is_over()
            })
        };
        assert_eq!([1, 128 * 1024, usize::MAX].map(|bytes| pieces(0, bytes)), [Some(64), Some(4), Some(1)]);
        assert_eq!([32, 64, 1000].map(|streams| pieces(streams, 1)), [Some(64), Some(32), Some(8)]);
    }
}
