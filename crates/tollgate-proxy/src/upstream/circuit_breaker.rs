//! Circuit breakers: counts that all workers share.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use tollgate_model::cluster::{CircuitBreakers, RetryBudget};

/// The counts of one cluster. Limits hold for the gateway, not for a worker, as Envoy's do.
#[derive(Debug, Clone)]
pub(super) struct CircuitBreakerCounts {
    /// Connections, connecting ones included.
    pub(super) connections: Counter,
    /// Requests that wait for a connection.
    pub(super) pending_requests: Counter,
    /// Requests under way.
    pub(super) requests: Counter,
    /// Retries under way.
    retries: Counter,
    retry_budget: Option<RetryBudget>,
}

impl CircuitBreakerCounts {
    pub(super) fn new(limits: &CircuitBreakers) -> Self {
        Self {
            connections: Counter::new(limits.max_connections),
            pending_requests: Counter::new(limits.max_pending_requests),
            requests: Counter::new(limits.max_requests),
            retries: Counter::new(limits.max_retries),
            retry_budget: limits.retry_budget,
        }
    }

    /// Counts one more retry; `None` when there are as many as may be.
    pub(super) fn try_retry(&self) -> Option<Permit> {
        let Some(RetryBudget { percent, min_retry_concurrency }) = self.retry_budget else {
            return self.retries.try_acquire();
        };
        let requests = u64::from(self.requests.count()) + u64::from(self.pending_requests.count());
        #[expect(clippy::cast_precision_loss, reason = "two counts of 32 bits")]
        let share = percent / 100.0 * requests as f64;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a count")]
        let limit = (share as u64).max(u64::from(min_retry_concurrency));
        self.retries.try_acquire_of(u32::try_from(limit).unwrap_or(u32::MAX))
    }
}

/// A count with a limit.
#[derive(Debug, Clone)]
pub(super) struct Counter {
    count: Arc<AtomicU32>,
    limit: u32,
}

impl Counter {
    fn new(limit: u32) -> Self {
        Self { count: Arc::default(), limit }
    }

    /// Counts one more; `None` when the limit is reached.
    pub(super) fn try_acquire(&self) -> Option<Permit> {
        self.try_acquire_of(self.limit)
    }

    fn try_acquire_of(&self, limit: u32) -> Option<Permit> {
        // Nothing else is ordered by the count, and a limit that is overstepped is given back at once.
        if self.count.fetch_add(1, Ordering::Relaxed) >= limit {
            self.count.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Permit { count: self.count.clone() })
    }

    /// How many there are.
    pub(super) fn count(&self) -> u32 {
        self.count.load(Ordering::Relaxed)
    }

    /// Counts one more although the limit may be reached.
    pub(super) fn acquire(&self) -> Permit {
        self.count.fetch_add(1, Ordering::Relaxed);
        Permit { count: self.count.clone() }
    }
}

/// One of a count, until dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    count: Arc<AtomicU32>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_holds_until_a_permit_is_dropped() {
        let counter = Counter::new(1);
        let permit = counter.try_acquire();
        assert!(permit.is_some());
        assert!(counter.try_acquire().is_none());
        drop(permit);
        assert!(counter.try_acquire().is_some());
    }

    #[test]
    fn a_budget_of_retries_follows_the_requests() {
        let budget = RetryBudget { percent: 20.0, min_retry_concurrency: 1 };
        let limits =
            CircuitBreakers { retry_budget: Some(budget), max_retries: 0, ..CircuitBreakers::default() };
        let counts = CircuitBreakerCounts::new(&limits);
        let least = counts.try_retry();
        assert!(least.is_some() && counts.try_retry().is_none());
        let under_way: Vec<_> = (0..8).map(|_| counts.requests.acquire()).collect();
        let waiting: Vec<_> = (0..7).map(|_| counts.pending_requests.acquire()).collect();
        let more = [counts.try_retry(), counts.try_retry()];
        assert!(more.iter().all(Option::is_some) && counts.try_retry().is_none(), "20 % of 15 are 3");
        drop((least, under_way, waiting));
        assert!(counts.try_retry().is_none(), "two are more than one");
    }

    #[test]
    fn a_forced_permit_counts() {
        let counter = Counter::new(1);
        let _permit = counter.acquire();
        assert!(counter.try_acquire().is_none());
    }

    #[test]
    fn zero_allows_nothing() {
        assert!(Counter::new(0).try_acquire().is_none());
    }
}
