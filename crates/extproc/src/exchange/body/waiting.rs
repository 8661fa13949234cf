//! Bytes of a body that wait for a reply, and stop their source when they are too many.

use super::Held;
use crate::slices::Slices;

/// Held bytes with a limit.
#[derive(Debug, Default)]
pub(in crate::exchange) struct Waiting {
    held: Held,
    full: bool,
}

impl Waiting {
    pub(in crate::exchange) fn push(&mut self, data: Slices) {
        self.held.push(data);
    }

    /// Applies the limit to these bytes and `others` (B-4.2).
    pub(in crate::exchange) fn update(&mut self, limit: usize, others: usize) {
        let queued = self.held.len() + others;
        self.full = queued > limit || (self.full && queued > limit / 2);
    }

    pub(in crate::exchange) fn is_full(&self) -> bool {
        self.full
    }

    pub(in crate::exchange) fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether there is nothing to pass on.
    pub(in crate::exchange) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    pub(in crate::exchange) fn into_held(self) -> Held {
        self.held
    }
}
