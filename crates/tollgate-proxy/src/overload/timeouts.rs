//! Times for which clients are waited for, which an overload action makes shorter.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use tokio::time::Instant;
use tollgate_model::overload::{ClientTimeout, OverloadActionKind, OverloadManager, TimeoutMinimum};

use super::{LEAST_PAUSE, Overload};

/// What is configured, for all workers.
#[derive(Debug)]
pub(super) struct Timeouts {
    /// Milliseconds between looks at the resources; 0 = no timeout is ever reduced.
    look: AtomicU64,
    /// Of each timeout: [`KEPT`], milliseconds, or [`SHARE`] and the bits of an `f32`.
    minima: [AtomicU64; ClientTimeout::ALL.len()],
}

/// The timeout is never reduced.
const KEPT: u64 = u64::MAX;
/// The minimum is a share of the timeout.
const SHARE: u64 = 1 << 63;
/// Longest minimum: a thousand years.
const LONGEST: u64 = 1_000 * 365 * 24 * 3600 * 1_000;

impl Default for Timeouts {
    fn default() -> Self {
        Self { look: AtomicU64::new(0), minima: [const { AtomicU64::new(KEPT) }; ClientTimeout::ALL.len()] }
    }
}

impl Timeouts {
    pub(super) fn configure(&self, manager: &OverloadManager) {
        let reduces = manager.actions.iter().any(|action| action.kind == OverloadActionKind::ReduceTimeouts);
        for timeout in ClientTimeout::ALL {
            let reduced = manager.reduced_timeouts.iter().find(|reduced| reduced.timeout == timeout);
            let minimum = match reduced.map(|reduced| reduced.minimum) {
                None => KEPT,
                Some(TimeoutMinimum::Absolute(minimum)) => millis(minimum).min(LONGEST),
                Some(TimeoutMinimum::Share(share)) => SHARE | u64::from(share.to_bits()),
            };
            self.minima[timeout as usize].store(minimum, Relaxed);
        }
        let look = millis(manager.refresh_interval.max(LEAST_PAUSE)).max(1);
        self.look.store(if reduces { look } else { 0 }, Relaxed);
    }

    /// What is left of a limit under full pressure. `None`: it is never reduced.
    fn minimum(&self, timeout: ClientTimeout, limit: Duration) -> Option<Duration> {
        match self.minima[timeout as usize].load(Relaxed) {
            KEPT => None,
            share if share & SHARE != 0 => {
                // The lower half holds the number.
                Some(limit.mul_f32(f32::from_bits(share as u32).clamp(0.0, 1.0)).min(limit))
            }
            millis => Some(Duration::from_millis(millis).min(limit)),
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Overload {
    /// How long clients are waited for at this moment where so long is configured.
    pub(crate) fn limit(&self, timeout: ClientTimeout, limit: Duration) -> Duration {
        if self.timeouts.look.load(Relaxed) == 0 {
            return limit;
        }
        let pressure = self.value(OverloadActionKind::ReduceTimeouts).clamp(0.0, 1.0);
        match self.timeouts.minimum(timeout, limit) {
            Some(minimum) if pressure > 0.0 => minimum + (limit - minimum).mul_f32(1.0 - pressure),
            _ => limit,
        }
    }

    /// When a wait for a client is over that began at `since`. Where the limit may become shorter in the meantime it is a
    /// moment before that, and has to be asked for again then.
    pub(crate) fn deadline(
        &self,
        timeout: ClientTimeout,
        since: Instant,
        limit: Duration,
    ) -> Option<Instant> {
        let end = since.checked_add(self.limit(timeout, limit));
        let look = self.timeouts.look.load(Relaxed);
        let minimum = (look > 0).then(|| self.timeouts.minimum(timeout, limit)).flatten();
        let Some(minimum) = minimum else { return end };
        let earliest = since.checked_add(minimum);
        let look = Instant::now() + Duration::from_millis(look);
        let again = earliest.map_or(look, |earliest| earliest.max(look));
        Some(end.map_or(again, |end| end.min(again)))
    }
}

/// The same of a connection that overload actions concern, or do not (`None`).
pub(crate) fn deadline(
    overload: Option<&Overload>,
    timeout: ClientTimeout,
    since: Instant,
    limit: Option<Duration>,
) -> Option<Instant> {
    match overload {
        Some(overload) => overload.deadline(timeout, since, limit?),
        None => since.checked_add(limit?),
    }
}

/// How long clients are waited for at this moment.
pub(crate) fn limit(overload: Option<&Overload>, timeout: ClientTimeout, limit: Duration) -> Duration {
    overload.map_or(limit, |overload| overload.limit(timeout, limit))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tollgate_model::{
        Snapshot,
        overload::{OverloadAction, ReducedTimeout},
    };

    use super::*;

    fn overload(reduced_timeouts: Vec<ReducedTimeout>) -> Arc<Overload> {
        let action = OverloadAction { kind: OverloadActionKind::ReduceTimeouts, triggers: Vec::new() };
        let overload =
            OverloadManager { actions: vec![action], reduced_timeouts, ..OverloadManager::default() };
        Overload::new(Arc::new(Snapshot { overload, ..Snapshot::default() }), None)
    }

    #[tokio::test(start_paused = true)]
    async fn limits_follow_the_pressure() {
        let second = Duration::from_secs(1);
        let overload = overload(vec![
            ReducedTimeout {
                timeout: ClientTimeout::ConnectionIdle,
                minimum: TimeoutMinimum::Absolute(2 * second),
            },
            ReducedTimeout { timeout: ClientTimeout::StreamIdle, minimum: TimeoutMinimum::Share(0.5) },
        ]);
        let limit = |timeout, seconds: u32| overload.limit(timeout, seconds * second).as_secs_f32();
        assert!((limit(ClientTimeout::ConnectionIdle, 602) - 602.0).abs() < 0.1);
        // Nothing is over yet, but the pressure may rise: the limit is looked at again.
        let now = Instant::now();
        let again =
            |since, seconds: u32| overload.deadline(ClientTimeout::ConnectionIdle, since, seconds * second);
        assert_eq!(again(now, 602), Some(now + 2 * second));
        assert_eq!(again(now - 10 * second, 602), Some(now + second));
        assert_eq!(again(now - 10 * second, 10), Some(now));
        assert_eq!(overload.deadline(ClientTimeout::StreamFlush, now, 9 * second), Some(now + 9 * second));
        for (pressure, idle, stream) in [(0.25, 452.0, 8.75), (1.0, 2.0, 5.0)] {
            overload.set(OverloadActionKind::ReduceTimeouts, pressure);
            assert!((limit(ClientTimeout::ConnectionIdle, 602) - idle).abs() < 0.1);
            assert!((limit(ClientTimeout::StreamIdle, 10) - stream).abs() < 0.1);
            assert!((limit(ClientTimeout::ConnectionIdle, 1) - 1.0).abs() < 0.1);
            assert!((limit(ClientTimeout::StreamFlush, 9) - 9.0).abs() < 0.1);
        }
        assert_eq!(again(now - 10 * second, 602), Some(now - 8 * second));
        overload.configure(Arc::default());
        assert!((limit(ClientTimeout::ConnectionIdle, 602) - 602.0).abs() < 0.1);
    }
}
