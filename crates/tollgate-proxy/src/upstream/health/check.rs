//! One check of one host, again and again.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::{
    probe::{Finding, Probe},
    schedule::{Record, Transition, interval},
    state::{ClusterHealth, HostHealth},
    supervisor::Reporter,
};
use crate::stats::ClusterMetric;

/// Checks a host until the task is aborted.
pub(super) async fn run(
    mut probe: Probe,
    check: usize,
    host: Arc<HostHealth>,
    cluster: Arc<ClusterHealth>,
    reporter: Arc<Reporter>,
) {
    let Some(settings) = cluster.policy.health_checks.get(check) else { return };
    let mut record = Record::new();
    sleep(settings.initial_jitter.mul_f64(fastrand::f64())).await;
    loop {
        reporter.count(ClusterMetric::HealthCheckAttempt);
        let finding = timeout(settings.timeout, probe.ask()).await.unwrap_or(Finding::TimedOut);
        let success = matches!(finding, Finding::Well { .. });
        if !success || !settings.reuse_connection {
            probe.disconnect();
        }
        let transition = take(&mut record, &finding, check, &host, &cluster);
        reporter.count(if success {
            ClusterMetric::HealthCheckSuccess
        } else {
            ClusterMetric::HealthCheckFailure
        });
        if matches!(finding, Finding::Unreachable(_) | Finding::TimedOut) {
            reporter.count(ClusterMetric::HealthCheckNetworkFailure);
        }
        if transition == Transition::Changed {
            reporter.changed(&probe, &host, &finding);
        }
        let pause = interval(settings, success, transition, reporter.has_traffic(), fastrand::f64);
        wait(pause, &mut probe).await;
    }
}

/// Nothing is expected from the host meanwhile; a connection that it closes is not used again.
async fn wait(pause: Duration, probe: &mut Probe) {
    let due = Instant::now() + pause;
    tokio::select! {
        () = sleep_until(due) => {}
        () = probe.until_closed() => {
            probe.disconnect();
            sleep_until(due).await;
        }
    }
}

/// What a finding changes.
pub(super) fn take(
    record: &mut Record,
    finding: &Finding,
    check: usize,
    host: &HostHealth,
    cluster: &ClusterHealth,
) -> Transition {
    let Some(settings) = cluster.policy.health_checks.get(check) else { return Transition::Unchanged };
    let failing = host.is_failing(Some(check));
    let mut transition = match finding {
        Finding::Well { .. } => record.success(failing, settings),
        Finding::Unwell { .. } => record.failure(failing, true, settings),
        Finding::Busy(_) | Finding::Unreachable(_) | Finding::TimedOut => {
            record.failure(failing, false, settings)
        }
    };
    if transition == Transition::Changed {
        host.set_failing(check, !matches!(finding, Finding::Well { .. }));
    }
    host.set_timed_out(*finding == Finding::TimedOut && host.is_failing(Some(check)));
    let mut news = host.asked(check) || transition == Transition::Changed;
    if let Finding::Well { degraded } = finding
        && host.set_degraded(check, *degraded)
    {
        news = true;
        if transition == Transition::Unchanged {
            transition = Transition::Changed;
        }
    }
    if let Some(settings) = &cluster.policy.outlier_detection
        && settings.successful_active_health_check_uneject_host
        && matches!(finding, Finding::Well { .. })
        && host.is_ejected()
        && !host.is_failing(None)
    {
        cluster.ejections.lock().unwrap_or_else(PoisonError::into_inner).let_in(host);
        news = true;
    }
    if news {
        cluster.has_changed();
    }
    transition
}
