//! What checks make of their outcomes, and when the next one is due.

use std::time::Duration;

use tollgate_model::cluster::HealthCheck;

/// What a check has seen of a host lately.
#[derive(Debug)]
pub(super) struct Record {
    first: bool,
    successes: u32,
    failures: u32,
}

/// What an outcome changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transition {
    Unchanged,
    /// The next one could change it.
    Pending,
    Changed,
}

impl Record {
    pub(super) fn new() -> Self {
        Self { first: true, successes: 0, failures: 0 }
    }

    /// A check succeeded. `failing`: the host has not been well so far.
    pub(super) fn success(&mut self, failing: bool, check: &HealthCheck) -> Transition {
        self.failures = 0;
        let first = std::mem::replace(&mut self.first, false);
        if !failing {
            return Transition::Unchanged;
        }
        self.successes += u32::from(!first);
        if first || self.successes == check.healthy_threshold {
            Transition::Changed
        } else {
            Transition::Pending
        }
    }

    /// A check failed. `at_once`: one such failure is enough.
    pub(super) fn failure(&mut self, failing: bool, at_once: bool, check: &HealthCheck) -> Transition {
        self.successes = 0;
        // The first outcome is news even if the host was taken to be unwell.
        let first = std::mem::replace(&mut self.first, false);
        if failing {
            return if first { Transition::Changed } else { Transition::Unchanged };
        }
        self.failures += u32::from(!at_once);
        if at_once || self.failures == check.unhealthy_threshold {
            Transition::Changed
        } else {
            Transition::Pending
        }
    }
}

/// Time to the next check after a success or failure. While the cluster has had no request, hosts are looked at less often.
pub(super) fn interval(
    check: &HealthCheck,
    success: bool,
    transition: Transition,
    has_traffic: bool,
    random: impl Fn() -> f64,
) -> Duration {
    let pending = transition == Transition::Pending;
    let unhealthy = check.unhealthy_interval.unwrap_or(check.interval);
    let base = match (has_traffic, success, pending) {
        (true, true, false) => check.interval,
        (true, true, true) => check.healthy_edge_interval.unwrap_or(check.interval),
        (true, false, false) => unhealthy,
        (true, false, true) => check.unhealthy_edge_interval.unwrap_or(unhealthy),
        (false, true, false) => check.no_traffic_healthy_interval.unwrap_or(check.no_traffic_interval),
        (false, ..) => check.no_traffic_interval,
    };
    let percent = base.mul_f64(f64::from(check.interval_jitter_percent) / 100.0);
    let jitter = percent.mul_f64(random()) + check.interval_jitter.mul_f64(random());
    (base + jitter).max(Duration::from_millis(1))
}

#[cfg(test)]
mod tests {
    use tollgate_model::cluster::{HealthChecker, TcpHealthCheck};

    use super::*;

    fn check() -> HealthCheck {
        let seconds = Duration::from_secs;
        HealthCheck {
            unhealthy_interval: Some(seconds(2)),
            unhealthy_edge_interval: Some(seconds(3)),
            healthy_edge_interval: Some(seconds(4)),
            no_traffic_interval: seconds(60),
            no_traffic_healthy_interval: Some(seconds(70)),
            ..HealthCheck::new(HealthChecker::Tcp(TcpHealthCheck::default()), seconds(1), seconds(1), 3, 2)
        }
    }

    #[test]
    fn the_first_check_decides_alone() {
        assert_eq!(Record::new().success(true, &check()), Transition::Changed);
        assert_eq!(Record::new().failure(true, false, &check()), Transition::Changed);
    }

    #[test]
    fn it_takes_some_failures_in_a_row() {
        let mut record = Record::new();
        record.success(true, &check());
        let failures = |record: &mut Record| record.failure(false, false, &check());
        assert_eq!(failures(&mut record), Transition::Pending);
        assert_eq!(failures(&mut record), Transition::Pending);
        assert_eq!(record.success(false, &check()), Transition::Unchanged);
        assert_eq!(failures(&mut record), Transition::Pending, "a success between them begins anew");
        assert_eq!(failures(&mut record), Transition::Pending);
        assert_eq!(failures(&mut record), Transition::Changed);
        assert_eq!(record.failure(true, false, &check()), Transition::Unchanged);
        assert_eq!(record.success(true, &check()), Transition::Pending);
        assert_eq!(record.failure(true, false, &check()), Transition::Unchanged);
        assert_eq!(record.success(true, &check()), Transition::Pending, "a failure between them begins anew");
        assert_eq!(record.success(true, &check()), Transition::Changed);
    }

    #[test]
    fn a_bad_status_is_enough() {
        let mut record = Record::new();
        record.success(true, &check());
        assert_eq!(record.failure(false, true, &check()), Transition::Changed);
    }

    #[test]
    fn intervals_depend_on_what_was_found() {
        let seconds =
            |success, transition, traffic| interval(&check(), success, transition, traffic, || 0.0).as_secs();
        use Transition::{Changed, Pending, Unchanged};
        assert_eq!(seconds(true, Unchanged, true), 1);
        assert_eq!(seconds(true, Changed, true), 1);
        assert_eq!(seconds(true, Pending, true), 4);
        assert_eq!(seconds(false, Unchanged, true), 2);
        assert_eq!(seconds(false, Pending, true), 3);
        assert_eq!(seconds(true, Unchanged, false), 70);
        assert_eq!(seconds(true, Pending, false), 60);
        assert_eq!(seconds(false, Unchanged, false), 60);
    }

    #[test]
    fn jitter_is_added() {
        let check = HealthCheck {
            interval_jitter: Duration::from_secs(10),
            interval_jitter_percent: 50,
            ..HealthCheck::new(
                HealthChecker::Tcp(TcpHealthCheck::default()),
                Duration::from_secs(1),
                Duration::from_secs(4),
                1,
                1,
            )
        };
        let of = |random| interval(&check, true, Transition::Unchanged, true, || random);
        assert_eq!(of(0.0), Duration::from_secs(4));
        assert_eq!(of(0.5), Duration::from_secs(4 + 1 + 5));
    }
}
