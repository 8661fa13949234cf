//! Pauses between connection attempts that fail.

use std::time::Duration;

use tokio::time::Instant;

use crate::reset::ResetReason;

/// The pause after a first failure.
const BASE: Duration = Duration::from_millis(25);
/// The longest pause. Exchanges fail without a new attempt meanwhile, so this is also how long a processor that comes
/// back may go unnoticed.
const MAX: Duration = Duration::from_secs(1);

/// Remembers how attempts ended.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    blocked: Option<(Instant, ResetReason)>,
}

impl Backoff {
    /// An attempt succeeded.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    /// An attempt failed: none follows before a while, which is twice as long each time and partly random.
    pub(super) fn failed(&mut self, now: Instant, reason: ResetReason) {
        let pause = BASE.saturating_mul(1 << self.failures.min(10)).min(MAX);
        self.failures += 1;
        self.blocked = Some((now + pause.mul_f64(0.5 + fastrand::f64() / 2.0), reason));
    }

    /// How the last attempt failed, if it is too early for the next.
    pub(super) fn blocked(&self, now: Instant) -> Option<&ResetReason> {
        self.blocked.as_ref().filter(|(until, _)| now < *until).map(|(_, reason)| reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_end_with_success() {
        let now = Instant::now();
        let mut backoff = Backoff::default();
        assert_eq!(backoff.blocked(now), None);
        backoff.failed(now, ResetReason::ConnectionTimeout);
        assert_eq!(backoff.blocked(now), Some(&ResetReason::ConnectionTimeout));
        assert_eq!(backoff.blocked(now + BASE), None);
        for _ in 0..100 {
            backoff.failed(now, ResetReason::ConnectionTimeout);
        }
        assert!(backoff.blocked(now + MAX / 2 - Duration::from_millis(1)).is_some());
        assert_eq!(backoff.blocked(now + MAX), None);
        backoff.reset();
        assert_eq!(backoff.blocked(now), None);
    }
}
