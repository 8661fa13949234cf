//! What goes into a DATA frame, and the count of what has not gone yet.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    io::IoSlice,
    rc::Rc,
    task::{Context, Waker},
};

use bytes::{Buf, Bytes};

/// At this many queued bytes a call is no longer writable (N-9).
const HIGH_WATERMARK: usize = 128 * 1024;
/// A call that was not writable becomes so when no more than this is queued.
const LOW_WATERMARK: usize = HIGH_WATERMARK / 2;

/// Bytes of one call that were queued and have not been taken by its connection, which takes them only when windows
/// and the socket allow.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    queued: Cell<usize>,
    paused: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Backlog {
    /// Bytes not taken yet.
    pub(crate) fn queued(&self) -> usize {
        self.queued.get()
    }

    /// Whether more may be queued. Not again before the low watermark is reached.
    pub(crate) fn is_writable(&self) -> bool {
        if self.queued.get() >= HIGH_WATERMARK {
            self.paused.set(true);
        }
        !self.paused.get()
    }

    /// Has the task woken when the call becomes writable, if it is not.
    pub(crate) fn register(&self, cx: &Context<'_>) {
        if !self.is_writable() {
            let mut waker = self.waker.borrow_mut();
            match waker.as_mut() {
                Some(waker) => waker.clone_from(cx.waker()),
                None => *waker = Some(cx.waker().clone()),
            }
        }
    }

    fn add(&self, bytes: usize) {
        self.queued.set(self.queued.get() + bytes);
    }

    fn forget(&self, bytes: usize) {
        let queued = self.queued.get() - bytes;
        self.queued.set(queued);
        if queued <= LOW_WATERMARK && self.paused.replace(false) {
            let waker = self.waker.borrow_mut().take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

/// Pieces that are sent in one go, without being copied together.
#[derive(Debug)]
pub(crate) struct Payload {
    front: Bytes,
    next: Bytes,
    rest: VecDeque<Bytes>,
    remaining: usize,
    backlog: Rc<Backlog>,
}

impl Payload {
    /// Nothing yet.
    pub(crate) fn new(backlog: Rc<Backlog>) -> Self {
        Self { front: Bytes::new(), next: Bytes::new(), rest: VecDeque::new(), remaining: 0, backlog }
    }

    pub(crate) fn push(&mut self, piece: Bytes) {
        if piece.is_empty() {
            return;
        }
        self.remaining += piece.len();
        self.backlog.add(piece.len());
        if self.front.is_empty() {
            self.front = piece;
        } else if self.next.is_empty() {
            self.next = piece;
        } else {
            self.rest.push_back(piece);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.remaining == 0
    }

    /// Whether the call has nothing queued anywhere.
    pub(crate) fn is_backlog_empty(&self) -> bool {
        self.backlog.queued() == 0
    }

    /// Takes everything out, for sending, and leaves nothing.
    pub(crate) fn split(&mut self) -> Self {
        let empty = Self::new(self.backlog.clone());
        std::mem::replace(self, empty)
    }
}

impl Buf for Payload {
    fn remaining(&self) -> usize {
        self.remaining
    }

    fn chunk(&self) -> &[u8] {
        &self.front
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let pieces =
            [&self.front, &self.next].into_iter().chain(&self.rest).filter(|piece| !piece.is_empty());
        let mut used = 0;
        for (slice, piece) in slices.iter_mut().zip(pieces) {
            *slice = IoSlice::new(piece);
            used += 1;
        }
        used
    }

    fn advance(&mut self, mut count: usize) {
        assert!(count <= self.remaining, "advanced beyond the payload");
        self.remaining -= count;
        self.backlog.forget(count);
        while count > 0 {
            let step = count.min(self.front.len());
            self.front.advance(step);
            count -= step;
            if self.front.is_empty() {
                self.front = std::mem::take(&mut self.next);
                self.next = self.rest.pop_front().unwrap_or_default();
            }
        }
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        self.backlog.forget(self.remaining);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(pieces: &[&'static str]) -> Payload {
        let mut payload = Payload::new(Rc::default());
        for piece in pieces {
            payload.push(Bytes::from_static(piece.as_bytes()));
        }
        payload
    }

    #[test]
    fn pieces_come_out_in_order_however_they_are_read() {
        let pieces = ["one", "", "two", "three", "four", "five"];
        let whole = "onetwothreefourfive";
        for step in 1..=whole.len() {
            let mut payload = payload(&pieces);
            let mut read = Vec::new();
            while payload.has_remaining() {
                let count = step.min(payload.chunk().len());
                read.extend_from_slice(&payload.chunk()[..count]);
                payload.advance(count);
            }
            assert_eq!(read, whole.as_bytes());
        }
        let mut payload = payload(&pieces);
        payload.advance(4);
        let mut slices = [IoSlice::new(&[]); 8];
        let used = payload.chunks_vectored(&mut slices);
        let read: Vec<u8> = slices[..used].iter().flat_map(|slice| slice.to_vec()).collect();
        assert_eq!(read, b"wothreefourfive");
    }

    /// N-9: the source pauses at the high watermark and goes on at the low one.
    #[test]
    fn a_backlog_pauses_and_resumes() {
        let backlog = Rc::new(Backlog::default());
        let mut payload = Payload::new(backlog.clone());
        payload.push(Bytes::from(vec![0; HIGH_WATERMARK - 1]));
        assert!(backlog.is_writable());
        payload.push(Bytes::from_static(b"x"));
        assert!(!backlog.is_writable());
        payload.advance(HIGH_WATERMARK - LOW_WATERMARK - 1);
        assert!(!backlog.is_writable());
        payload.advance(1);
        assert!(backlog.is_writable());
        assert_eq!(backlog.queued(), LOW_WATERMARK);
        drop(payload);
        assert_eq!(backlog.queued(), 0);
    }
}
