//! Warnings that a peer can provoke, at most one a second.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

/// Time between two warnings.
const PAUSE: Duration = Duration::from_secs(1);

/// Lets a warning pass now and then and counts the others.
#[derive(Debug)]
pub(crate) struct Throttle {
    start: Instant,
    /// Milliseconds after the start from which on the next one passes.
    next: AtomicU64,
    suppressed: AtomicU64,
}

impl Default for Throttle {
    fn default() -> Self {
        Self { start: Instant::now(), next: AtomicU64::new(0), suppressed: AtomicU64::new(0) }
    }
}

impl Throttle {
    /// Whether a warning may be written: with it the number of those that were not written since the last.
    pub(crate) fn pass(&self) -> Option<u64> {
        self.pass_at(Instant::now().duration_since(self.start))
    }

    fn pass_at(&self, now: Duration) -> Option<u64> {
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let (now, then) = (milliseconds(now), milliseconds(now + PAUSE));
        let due = |next| (now >= next).then_some(then);
        if self.next.fetch_update(Relaxed, Relaxed, due).is_ok() {
            Some(self.suppressed.swap(0, Relaxed))
        } else {
            self.suppressed.fetch_add(1, Relaxed);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_passes_in_a_while_and_says_how_many_did_not() {
        let throttle = Throttle::default();
        let at = |milliseconds| throttle.pass_at(Duration::from_millis(milliseconds));
        assert_eq!(
            [at(0), at(1), at(999), at(1000), at(1001), at(2500)],
            [Some(0), None, None, Some(2), None, Some(1)]
        );
    }
}
