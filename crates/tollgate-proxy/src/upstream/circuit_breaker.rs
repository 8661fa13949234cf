//! Circuit breakers: counts that all workers share.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use tollgate_model::cluster::CircuitBreakers;

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
    pub(super) retries: Counter,
}

impl CircuitBreakerCounts {
    pub(super) fn new(limits: &CircuitBreakers) -> Self {
        Self {
            connections: Counter::new(limits.max_connections),
            pending_requests: Counter::new(limits.max_pending_requests),
            requests: Counter::new(limits.max_requests),
            retries: Counter::new(limits.max_retries),
        }
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
        // Nothing else is ordered by the count, and a limit that is overstepped is given back at once.
        if self.count.fetch_add(1, Ordering::Relaxed) >= self.limit {
            self.count.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Permit { count: self.count.clone() })
    }

    /// How many there are.
    #[cfg(test)]
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
