//! Decisions about hosts, without a network.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tollgate_model::cluster::{
    Cluster, Discovery, FailurePercentage, HealthCheck, HealthChecker, OutlierDetection, SuccessRate,
    TcpHealthCheck,
};

use super::{
    Condition, Outcome, Window,
    check::take,
    outlier::{Ejections, Series},
    probe::Finding,
    schedule::Record,
    state::{ClusterHealth, HostHealth},
};
use crate::stats::ClusterMetric;

const SECOND: Duration = Duration::from_secs(1);

fn cluster(change: impl FnOnce(&mut Cluster)) -> Arc<ClusterHealth> {
    let mut cluster = Cluster::new("app".into(), Discovery::Static, Vec::new());
    change(&mut cluster);
    ClusterHealth::of(&cluster).unwrap()
}

fn tcp(unhealthy: u32, healthy: u32) -> HealthCheck {
    HealthCheck::new(HealthChecker::Tcp(TcpHealthCheck::default()), SECOND, SECOND, unhealthy, healthy)
}

fn unreachable() -> Finding {
    Finding::Unreachable("refused".into())
}

const WELL: Finding = Finding::Well { degraded: false };

#[test]
fn a_host_is_unhealthy_until_every_check_says_otherwise() {
    let health = cluster(|cluster| cluster.health.health_checks = vec![tcp(1, 1), tcp(1, 1)]);
    let host = health.host("10.0.0.1:80", true);
    assert_eq!(host.condition(), Condition::Unhealthy);
    let mut records = [Record::new(), Record::new()];
    take(&mut records[0], &WELL, 0, &host, &health);
    assert_eq!(host.condition(), Condition::Unhealthy, "the other one has not said anything");
    let version = health.version();
    take(&mut records[1], &WELL, 1, &host, &health);
    assert_eq!(host.condition(), Condition::Healthy);
    assert_ne!(health.version(), version, "workers see that something is different");
    take(&mut records[0], &unreachable(), 0, &host, &health);
    assert_eq!(host.condition(), Condition::Unhealthy);
    let version = health.version();
    take(&mut records[0], &unreachable(), 0, &host, &health);
    assert_eq!(health.version(), version, "nothing new");
}

#[test]
fn a_host_that_is_not_checked_is_healthy() {
    let health = cluster(|cluster| cluster.health.health_checks = vec![tcp(1, 1)]);
    assert_eq!(health.host("10.0.0.1:80", false).condition(), Condition::Healthy);
}

#[test]
fn new_hosts_may_count_for_nothing_before_their_first_check() {
    let health = cluster(|cluster| {
        cluster.health.health_checks = vec![tcp(1, 1)];
        cluster.health.ignore_new_hosts_until_first_check = true;
    });
    let host = health.host("10.0.0.1:80", true);
    assert_eq!(host.condition(), Condition::Excluded);
    take(&mut Record::new(), &unreachable(), 0, &host, &health);
    assert_eq!(host.condition(), Condition::Unhealthy);
}

#[test]
fn a_degraded_host_is_no_unhealthy_one() {
    let health = cluster(|cluster| cluster.health.health_checks = vec![tcp(1, 1)]);
    let host = health.host("10.0.0.1:80", true);
    let mut record = Record::new();
    take(&mut record, &Finding::Well { degraded: true }, 0, &host, &health);
    assert_eq!(host.condition(), Condition::Degraded);
    take(&mut record, &WELL, 0, &host, &health);
    assert_eq!(host.condition(), Condition::Healthy);
}

#[test]
fn what_a_response_says_excludes_a_host_until_its_next_good_check() {
    let health = cluster(|cluster| cluster.health.health_checks = vec![tcp(3, 1)]);
    let host = health.host("10.0.0.1:80", true);
    let mut record = Record::new();
    take(&mut record, &WELL, 0, &host, &health);
    health.says_unwell(&host);
    assert_eq!(host.condition(), Condition::Excluded);
    host.fail_all(1);
    take(&mut record, &WELL, 0, &host, &health);
    assert_eq!(host.condition(), Condition::Healthy);
}

/// Hosts that requests fail at, and who judges them.
struct Scene {
    settings: OutlierDetection,
    health: Arc<ClusterHealth>,
    hosts: Vec<(Arc<HostHealth>, Arc<Window>)>,
    ejections: Ejections,
    now: Instant,
}

impl Scene {
    fn new(hosts: usize, settings: OutlierDetection) -> Self {
        let health = cluster(|cluster| cluster.health.outlier_detection = Some(settings.clone()));
        let hosts = (0..hosts).map(|index| {
            let host = health.host(&format!("10.0.0.{index}:80"), true);
            let window = host.window().unwrap();
            (host, window)
        });
        let hosts = hosts.collect();
        Self { settings, health, hosts, ejections: Ejections::default(), now: Instant::now() }
    }

    /// A request to a host ends; what its series lead to.
    fn end(&mut self, host: usize, outcome: Outcome) -> Vec<ClusterMetric> {
        let (health, window) = &self.hosts[host];
        let series: Vec<Series> = health.monitor.as_ref().unwrap().note(window, outcome).collect();
        let all = self.health.all();
        let judged = series.into_iter().flat_map(|series| {
            self.ejections.consecutive(&self.settings, &all, health, series, self.now, 0).metrics
        });
        judged.collect()
    }

    fn pass(&mut self, time: Duration) -> Vec<ClusterMetric> {
        self.now += time;
        self.ejections.look_around(&self.settings, &self.health.all(), self.now, || 0).metrics
    }

    fn ejected(&self) -> Vec<usize> {
        let hosts = self.hosts.iter().enumerate();
        hosts
            .filter(|(_, (host, _))| host.condition() == Condition::Unhealthy)
            .map(|(index, _)| index)
            .collect()
    }
}

fn all_may_go() -> OutlierDetection {
    OutlierDetection { max_ejection_percent: 100, ..OutlierDetection::default() }
}

#[test]
fn failures_in_a_row_eject() {
    let mut scene = Scene::new(2, OutlierDetection { consecutive_5xx: 3, ..all_may_go() });
    for _ in 0..2 {
        assert_eq!(scene.end(0, Outcome::Status(500)), []);
        assert_eq!(scene.end(0, Outcome::Failed), []);
        assert_eq!(scene.end(0, Outcome::Status(404)), [], "a success, as far as this goes");
    }
    scene.end(0, Outcome::Failed);
    scene.end(0, Outcome::TimedOut);
    use ClusterMetric::{
        EjectionsDetectedConsecutive5xx, EjectionsEnforcedConsecutive5xx, EjectionsEnforcedTotal,
    };
    assert_eq!(
        scene.end(0, Outcome::Status(599)),
        [EjectionsDetectedConsecutive5xx, EjectionsEnforcedTotal, EjectionsEnforcedConsecutive5xx]
    );
    assert_eq!(scene.ejected(), [0]);
}

#[test]
fn gateway_errors_are_502_503_and_504() {
    let settings = OutlierDetection {
        consecutive_5xx: 99,
        consecutive_gateway_failure: 2,
        enforcing_consecutive_gateway_failure: 100,
        ..all_may_go()
    };
    let mut scene = Scene::new(2, settings);
    scene.end(0, Outcome::Status(502));
    scene.end(0, Outcome::Status(500));
    scene.end(0, Outcome::Status(503));
    assert_eq!(scene.ejected(), [0_usize; 0], "500 is none");
    scene.end(0, Outcome::TimedOut);
    assert_eq!(scene.ejected(), [0]);
}

#[test]
fn failures_on_our_side_count_for_themselves_if_they_are_split() {
    let settings = OutlierDetection {
        consecutive_5xx: 1,
        split_external_local_origin_errors: true,
        consecutive_local_origin_failure: 2,
        ..all_may_go()
    };
    let mut scene = Scene::new(3, settings);
    scene.end(0, Outcome::Failed);
    scene.end(0, Outcome::Connected);
    scene.end(0, Outcome::Failed);
    assert_eq!(scene.ejected(), [0_usize; 0]);
    scene.end(0, Outcome::TimedOut);
    scene.end(1, Outcome::Status(500));
    assert_eq!(scene.ejected(), [0, 1]);
}

#[test]
fn no_more_hosts_are_ejected_than_may_be() {
    let half =
        OutlierDetection { consecutive_5xx: 1, max_ejection_percent: 50, ..OutlierDetection::default() };
    let mut scene = Scene::new(4, half.clone());
    for host in 0..3 {
        scene.end(host, Outcome::Failed);
    }
    assert_eq!(scene.ejected(), [0, 1]);
    let none = OutlierDetection { max_ejection_percent: 10, ..half };
    let mut scene = Scene::new(2, none.clone());
    assert!(scene.end(0, Outcome::Failed).contains(&ClusterMetric::EjectionsOverflow));
    assert_eq!(scene.ejected(), [0_usize; 0]);
    let mut scene = Scene::new(2, OutlierDetection { always_eject_one_host: true, ..none });
    scene.end(0, Outcome::Failed);
    scene.end(1, Outcome::Failed);
    assert_eq!(scene.ejected(), [0]);
}

#[test]
fn ejections_last_longer_each_time_up_to_a_limit() {
    let settings = OutlierDetection {
        consecutive_5xx: 1,
        base_ejection_time: SECOND * 10,
        max_ejection_time: SECOND * 15,
        ..all_may_go()
    };
    let mut scene = Scene::new(2, settings);
    for length in [10, 15, 15] {
        scene.end(0, Outcome::Failed);
        scene.pass(SECOND * (length - 1));
        assert_eq!(scene.ejected(), [0], "{length}");
        scene.pass(SECOND);
        assert_eq!(scene.ejected(), [0_usize; 0], "{length}");
    }
}

#[test]
fn a_success_rate_far_below_the_others_ejects() {
    let settings = OutlierDetection {
        consecutive_5xx: 1000,
        success_rate: SuccessRate { minimum_hosts: 5, request_volume: 10, ..SuccessRate::default() },
        ..all_may_go()
    };
    let mut scene = Scene::new(5, settings);
    let requests = |scene: &mut Scene, failures: usize| {
        for host in 0..5 {
            for request in 0..10 {
                let fails = host == 3 && request < failures;
                scene.end(host, Outcome::Status(if fails { 500 } else { 200 }));
            }
        }
    };
    requests(&mut scene, 0);
    assert_eq!(scene.pass(SECOND), []);
    requests(&mut scene, 5);
    scene.pass(SECOND);
    assert_eq!(scene.ejected(), [3]);
    assert_eq!(scene.pass(SECOND), [], "what was counted before counts no more");
}

#[test]
fn a_percentage_of_failures_ejects_if_that_is_enforced() {
    let percentage = FailurePercentage {
        enforcing: 100,
        threshold: 50,
        minimum_hosts: 1,
        request_volume: 4,
        ..FailurePercentage::default()
    };
    let settings = OutlierDetection { consecutive_5xx: 1000, failure_percentage: percentage, ..all_may_go() };
    let mut scene = Scene::new(2, settings.clone());
    for status in [500, 200, 500, 200] {
        scene.end(1, Outcome::Status(status));
    }
    scene.pass(SECOND);
    assert_eq!(scene.ejected(), [1]);
    let mut scene = Scene::new(2, settings);
    for status in [500, 200, 500] {
        scene.end(1, Outcome::Status(status));
    }
    scene.pass(SECOND);
    assert_eq!(scene.ejected(), [0_usize; 0], "too few requests");
}
