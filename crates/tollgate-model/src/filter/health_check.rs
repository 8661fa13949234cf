//! The `health_check` filter: it answers health checks of this gateway, or passes them on.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use http::StatusCode;
use serde::Serialize;

use crate::matching::HeaderMatcher;

/// Settings of the filter.
#[derive(Debug, PartialEq, Serialize)]
pub struct HealthCheck {
    /// A request is a health check if all of these hold; without any, every request is one.
    pub headers: Vec<HeaderMatcher>,
    /// Who answers health checks.
    pub answer: HealthCheckAnswer,
}

/// Who answers health checks.
#[derive(Debug, PartialEq, Serialize)]
pub enum HealthCheckAnswer {
    /// The upstream (`pass_through_mode`). With a cache its last answer is repeated for a time.
    Upstream(Option<HealthCheckCache>),
    /// The gateway: 200 if so many percent of the hosts of each of these clusters are healthy, else 503. A cluster without
    /// hosts is healthy when 0 percent are enough, one that does not exist never is.
    Gateway(BTreeMap<String, f64>),
}

/// The last answer to a health check, for all workers.
///
/// As in Envoy it is no answer's own age that counts: the cache is emptied once in every period of its time.
#[derive(Debug, Serialize)]
pub struct HealthCheckCache {
    /// How often the cache is emptied; not zero.
    #[serde(rename = "cache_time")]
    period: Duration,
    #[serde(skip)]
    began: Instant,
    /// The number of the period of the answer, from 1, then its status in 16 bits and whether the upstream is degraded in one.
    #[serde(skip)]
    answer: AtomicU64,
}

/// Caches with the same settings are equal: what they hold is no setting.
impl PartialEq for HealthCheckCache {
    fn eq(&self, other: &Self) -> bool {
        self.period == other.period
    }
}

/// Bits of an answer below the number of its period.
const ANSWER_BITS: u32 = 17;

impl HealthCheckCache {
    /// An empty cache that is emptied once in each `period`, which is not zero.
    #[must_use]
    pub fn new(period: Duration) -> Self {
        Self { period, began: Instant::now(), answer: AtomicU64::new(0) }
    }

    /// How often it is emptied.
    #[must_use]
    pub fn period(&self) -> Duration {
        self.period
    }

    /// The answer of this period, and whether its upstream was degraded.
    #[must_use]
    pub fn get(&self, now: Instant) -> Option<(StatusCode, bool)> {
        let answer = self.answer.load(Ordering::Relaxed);
        if answer >> ANSWER_BITS != self.number(now) {
            return None;
        }
        let status = StatusCode::from_u16(u16::try_from((answer >> 1) & 0xffff).ok()?).ok()?;
        Some((status, answer & 1 == 1))
    }

    /// Keeps an answer until this period is over.
    pub fn set(&self, status: StatusCode, degraded: bool, now: Instant) {
        let answer = (u64::from(status.as_u16()) << 1) | u64::from(degraded);
        self.answer.store((self.number(now) << ANSWER_BITS) | answer, Ordering::Relaxed);
    }

    /// The number of the period, from 1.
    fn number(&self, now: Instant) -> u64 {
        let period = self.period.as_nanos().max(1);
        let over = now.saturating_duration_since(self.began).as_nanos() / period;
        u64::try_from(over).unwrap_or(u64::MAX >> ANSWER_BITS) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_kept_until_its_period_is_over() {
        let cache = HealthCheckCache::new(Duration::from_secs(10));
        let at = |seconds| cache.began + Duration::from_secs(seconds);
        assert_eq!(cache.get(at(0)), None);
        cache.set(StatusCode::SERVICE_UNAVAILABLE, true, at(7));
        assert_eq!(cache.get(at(9)), Some((StatusCode::SERVICE_UNAVAILABLE, true)));
        assert_eq!(cache.get(at(10)), None);
        cache.set(StatusCode::OK, false, at(30));
        assert_eq!(cache.get(at(39)), Some((StatusCode::OK, false)));
        assert_eq!(cache.get(at(45)), None);
    }

    #[test]
    fn what_a_cache_holds_is_no_setting() {
        let (one, other) =
            (HealthCheckCache::new(Duration::from_secs(1)), HealthCheckCache::new(Duration::from_secs(1)));
        one.set(StatusCode::OK, false, Instant::now());
        assert_eq!(one, other);
        assert_ne!(one, HealthCheckCache::new(Duration::from_secs(2)));
    }
}
