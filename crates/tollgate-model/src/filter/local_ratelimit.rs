//! The `local_ratelimit` filter: a bucket of tokens, one for each request.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use http::StatusCode;
use serde::{Serialize, Serializer};

use crate::{header::HeaderAddition, route::Fraction};

/// Settings of the filter.
#[derive(Debug, PartialEq, Serialize)]
pub struct LocalRateLimit {
    /// Counters are kept under `<stat_prefix>.http_local_rate_limit.`.
    pub stat_prefix: String,
    /// The answer beyond the limit. Default 429.
    #[serde(serialize_with = "status")]
    pub status: StatusCode,
    /// The limit; without it there is none.
    pub token_bucket: Option<TokenBucket>,
    /// For which share of the requests tokens are taken. Default none.
    pub filter_enabled: Fraction,
    /// For which share of the requests beyond the limit it counts. Default none.
    pub filter_enforced: Fraction,
    /// Added to requests that go on although they are beyond the limit.
    pub request_headers_to_add_when_not_enforced: Vec<HeaderAddition>,
    /// Added to answers beyond the limit.
    pub response_headers_to_add: Vec<HeaderAddition>,
    /// Add `x-ratelimit-limit`, `-remaining` and `-reset` to responses. Default false.
    pub x_ratelimit_headers: bool,
    /// gRPC clients get RESOURCE_EXHAUSTED instead of UNAVAILABLE. Default false.
    pub rate_limited_as_resource_exhausted: bool,
    /// Add `retry-after` to answers beyond the limit. Default false.
    pub retry_after_header: bool,
}

/// A bucket of tokens for all workers. It is full at first and is filled steadily.
#[derive(Debug, Serialize)]
pub struct TokenBucket {
    /// Most tokens.
    pub max_tokens: u32,
    /// So many come in each interval.
    pub tokens_per_fill: u32,
    /// The interval.
    pub fill_interval: Duration,
    #[serde(skip)]
    began: Instant,
    /// When the bucket, filled steadily, was empty: nanoseconds from a time before `began`.
    #[serde(skip)]
    empty_at: AtomicU64,
}

/// Buckets with the same settings are equal: what they hold is no setting.
impl PartialEq for TokenBucket {
    fn eq(&self, other: &Self) -> bool {
        (self.max_tokens, self.tokens_per_fill, self.fill_interval)
            == (other.max_tokens, other.tokens_per_fill, other.fill_interval)
    }
}

/// What is left in a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// Whole tokens.
    pub tokens: u32,
    /// When there is one; zero where there is.
    pub next: Duration,
}

impl TokenBucket {
    /// A full bucket.
    #[must_use]
    pub fn new(max_tokens: u32, tokens_per_fill: u32, fill_interval: Duration) -> Self {
        Self {
            max_tokens,
            tokens_per_fill,
            fill_interval,
            began: Instant::now(),
            empty_at: AtomicU64::new(0),
        }
    }

    /// Nanoseconds until a token comes.
    fn period(&self) -> u64 {
        let period = self.fill_interval.as_nanos() / u128::from(self.tokens_per_fill.max(1));
        u64::try_from(period).unwrap_or(u64::MAX >> 32).max(1)
    }

    /// How long it takes to fill the bucket, nanoseconds.
    fn capacity(&self) -> u64 {
        self.period().saturating_mul(self.max_tokens.into())
    }

    /// The bucket was empty `capacity` before it began, so it was full then.
    fn now(&self, now: Instant) -> u64 {
        let since = u64::try_from(now.saturating_duration_since(self.began).as_nanos()).unwrap_or(u64::MAX);
        since.saturating_add(self.capacity())
    }

    /// Takes a token; false: there is none.
    pub fn take(&self, now: Instant) -> bool {
        let (now, period, capacity) = (self.now(now), self.period(), self.capacity());
        let taken = self.empty_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |empty_at| {
            let empty_at = empty_at.max(now - capacity) + period;
            (empty_at <= now).then_some(empty_at)
        });
        taken.is_ok()
    }

    /// What is left.
    #[must_use]
    pub fn left(&self, now: Instant) -> Left {
        let (now, period, capacity) = (self.now(now), self.period(), self.capacity());
        let filled = now - self.empty_at.load(Ordering::Relaxed).clamp(now - capacity, now);
        let tokens = u32::try_from(filled / period).unwrap_or(u32::MAX);
        let next = if tokens > 0 { Duration::ZERO } else { Duration::from_nanos(period - filled % period) };
        Left { tokens, next }
    }
}

fn status<S: Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_full_at_first_and_filled_steadily() {
        let bucket = TokenBucket::new(2, 4, Duration::from_secs(4));
        let at = |milliseconds| bucket.began + Duration::from_millis(milliseconds);
        assert_eq!(bucket.left(at(0)), Left { tokens: 2, next: Duration::ZERO });
        assert!(bucket.take(at(0)) && bucket.take(at(0)) && !bucket.take(at(0)));
        assert_eq!(bucket.left(at(250)), Left { tokens: 0, next: Duration::from_millis(750) });
        assert!(!bucket.take(at(999)) && bucket.take(at(1000)) && !bucket.take(at(1001)));
        // It holds no more than it can.
        assert!(bucket.take(at(60_000)) && bucket.take(at(60_000)) && !bucket.take(at(60_000)));
    }

    #[test]
    fn a_bucket_without_room_gives_nothing() {
        let bucket = TokenBucket::new(0, 1, Duration::from_secs(1));
        assert!(!bucket.take(bucket.began + Duration::from_secs(10)));
    }
}
