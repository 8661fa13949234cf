//! Circuit breakers: counts that all workers share.

use std::{
    rc::Rc,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use tollgate_model::cluster::{CircuitBreakers, RetryBudget};

/// The counts of one cluster. Limits hold for the gateway, not for a worker, as Envoy's do.
#[derive(Debug, Clone)]
pub(in crate::upstream) struct CircuitBreakerCounts {
    /// Connections, connecting ones included.
    pub(in crate::upstream) connections: Counter,
    /// Requests that wait for a connection.
    pub(in crate::upstream) pending_requests: Counter,
    /// Requests under way.
    pub(in crate::upstream) requests: Arc<SpreadCounter>,
    /// Retries under way.
    retries: Counter,
    retry_budget: Option<RetryBudget>,
}

impl CircuitBreakerCounts {
    /// Counts that so many workers share.
    pub(in crate::upstream) fn new(limits: &CircuitBreakers, workers: usize) -> Self {
        Self {
            connections: Counter::new(limits.max_connections),
            pending_requests: Counter::new(limits.max_pending_requests),
            requests: Arc::new(SpreadCounter::new(limits.max_requests, workers)),
            retries: Counter::new(limits.max_retries),
            retry_budget: limits.retry_budget,
        }
    }

    /// Counts one more retry; `None` when there are as many as may be.
    pub(in crate::upstream) fn try_retry(&self) -> Option<Permit> {
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
pub(in crate::upstream) struct Counter {
    count: Arc<AtomicU32>,
    limit: u32,
}

impl Counter {
    fn new(limit: u32) -> Self {
        Self { count: Arc::default(), limit }
    }

    /// Counts one more; `None` when the limit is reached.
    pub(in crate::upstream) fn try_acquire(&self) -> Option<Permit> {
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
    pub(in crate::upstream) fn count(&self) -> u32 {
        self.count.load(Ordering::Relaxed)
    }

    /// Counts one more although the limit may be reached.
    pub(in crate::upstream) fn acquire(&self) -> Permit {
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

/// A count with a limit that changes with every request: each worker has a part of it that nobody else writes, on a cache
/// line of its own.
///
/// Each worker has an equal share of the limit. While no worker has more than its share, none needs to look at the others.
/// Workers that look at the same moment may together go beyond the limit by as many as they are, as in Envoy.
#[derive(Debug)]
pub(in crate::upstream) struct SpreadCounter {
    /// One for each worker; made for the first request.
    parts: OnceLock<Box<[Part]>>,
    workers: usize,
    /// How many workers have more than their share.
    above_share: AtomicU32,
    share: u32,
    limit: u32,
}

/// Cache lines are fetched in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Part(AtomicU32);

impl SpreadCounter {
    fn new(limit: u32, workers: usize) -> Self {
        let share = limit / u32::try_from(workers.max(1)).unwrap_or(u32::MAX);
        Self { parts: OnceLock::new(), workers, above_share: AtomicU32::new(0), share, limit }
    }

    fn parts(&self) -> &[Part] {
        self.parts.get_or_init(|| (0..self.workers).map(|_| Part::default()).collect())
    }

    /// How many there are.
    pub(in crate::upstream) fn count(&self) -> u32 {
        let parts = self.parts.get().map_or(&[][..], |parts| parts);
        parts.iter().map(|part| part.0.load(Ordering::Relaxed)).fold(0, u32::saturating_add)
    }
}

/// A worker's part of a count.
#[derive(Debug)]
pub(in crate::upstream) struct WorkerCounter {
    shared: Arc<SpreadCounter>,
    worker: usize,
}

impl WorkerCounter {
    /// The part of the worker with this number, which is below the number of workers.
    pub(in crate::upstream) fn new(shared: &Arc<SpreadCounter>, worker: usize) -> Rc<Self> {
        Rc::new(Self { shared: shared.clone(), worker })
    }

    /// Counts one more; `None` when the limit is reached.
    pub(in crate::upstream) fn try_acquire(self: &Rc<Self>) -> Option<RequestPermit> {
        let shared = &*self.shared;
        let part = shared.parts().get(self.worker)?;
        let own = part.0.load(Ordering::Relaxed);
        let may_be_many = own >= shared.share || shared.above_share.load(Ordering::Relaxed) > 0;
        if may_be_many && shared.count() >= shared.limit {
            return None;
        }
        // This worker is the only writer.
        part.0.store(own + 1, Ordering::Relaxed);
        if own == shared.share {
            shared.above_share.fetch_add(1, Ordering::Relaxed);
        }
        Some(RequestPermit { counter: self.clone() })
    }

    fn release(&self) {
        let Some(part) = self.shared.parts().get(self.worker) else { return };
        let left = part.0.load(Ordering::Relaxed) - 1;
        part.0.store(left, Ordering::Relaxed);
        if left == self.shared.share {
            self.shared.above_share.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// One request, until dropped.
#[derive(Debug)]
pub(in crate::upstream) struct RequestPermit {
    counter: Rc<WorkerCounter>,
}

impl Drop for RequestPermit {
    fn drop(&mut self) {
        self.counter.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_may_have_more_than_its_share_while_others_have_less() {
        let shared = Arc::new(SpreadCounter::new(5, 2));
        let workers = [WorkerCounter::new(&shared, 0), WorkerCounter::new(&shared, 1)];
        let mut permits: Vec<_> = (0..5).map(|_| workers[0].try_acquire()).collect();
        assert!(permits.iter().all(Option::is_some));
        assert!(workers[0].try_acquire().is_none() && workers[1].try_acquire().is_none());
        permits.pop();
        let other = workers[1].try_acquire();
        assert!(other.is_some() && workers[0].try_acquire().is_none());
        assert_eq!(shared.count(), 5);
        drop((permits, other));
        assert_eq!((shared.count(), shared.above_share.load(Ordering::Relaxed)), (0, 0));
    }

    #[test]
    fn a_limit_below_the_number_of_workers_holds_for_all_of_them() {
        let shared = Arc::new(SpreadCounter::new(1, 4));
        let workers: Vec<_> = (0..4).map(|worker| WorkerCounter::new(&shared, worker)).collect();
        for worker in &workers {
            let permit = worker.try_acquire();
            assert!(permit.is_some());
            assert!(workers.iter().all(|worker| worker.try_acquire().is_none()));
        }
        let nothing = Arc::new(SpreadCounter::new(0, 4));
        assert!(WorkerCounter::new(&nothing, 0).try_acquire().is_none());
    }

    #[test]
    fn whatever_workers_do_one_after_the_other_the_limit_is_exact() {
        for (limit, count) in [(1, 1), (3, 2), (7, 3), (4, 4), (9, 2)] {
            let shared = Arc::new(SpreadCounter::new(limit, count));
            let workers: Vec<_> = (0..count).map(|worker| WorkerCounter::new(&shared, worker)).collect();
            let mut random = fastrand::Rng::with_seed(u64::from(limit));
            let mut permits = Vec::new();
            for _ in 0..2000 {
                if random.bool() {
                    let permit = workers[random.usize(..count)].try_acquire();
                    assert_eq!(permit.is_some(), permits.len() < limit as usize);
                    permits.extend(permit);
                } else if !permits.is_empty() {
                    permits.swap_remove(random.usize(..permits.len()));
                }
                assert_eq!(shared.count() as usize, permits.len());
            }
        }
    }

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
        let counts = CircuitBreakerCounts::new(&limits, 1);
        let requests = WorkerCounter::new(&counts.requests, 0);
        let least = counts.try_retry();
        assert!(least.is_some() && counts.try_retry().is_none());
        let under_way: Vec<_> = (0..8).map(|_| requests.try_acquire()).collect();
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
