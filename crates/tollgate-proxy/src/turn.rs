//! A fair share of the thread for each task.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll},
};

/// What a turn may cost. A turn that moves much costs a copy of so many bytes; one that moves little in many pieces, about
/// as much time.
const BUDGET: usize = 512 * 1024;
/// What a piece costs at least.
const LEAST: usize = 8 * 1024;

/// What one turn of a task has cost so far. Peers decide how much there is to do; others on the same thread do not wait
/// until it is done.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    spent: usize,
}

impl Turn {
    /// A piece of so many bytes was moved.
    pub(crate) fn spend(&mut self, bytes: usize) {
        self.spent = self.spent.saturating_add(bytes.max(LEAST));
    }

    /// Whether others should have their turn now.
    pub(crate) fn is_over(&self) -> bool {
        self.spent >= BUDGET
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
        let pieces = |bytes| {
            let mut turn = Turn::default();
            (1..1000).find(|_| {
                turn.spend(bytes);
                turn.is_over()
            })
        };
        assert_eq!([pieces(1), pieces(128 * 1024), pieces(usize::MAX)], [Some(64), Some(4), Some(1)]);
    }
}
