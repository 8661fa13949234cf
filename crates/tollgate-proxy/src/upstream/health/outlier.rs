//! Hosts that are ejected because of what requests to them met.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tollgate_model::cluster::OutlierDetection;

use super::state::HostHealth;
use crate::stats::ClusterMetric;

/// How a request to a host ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::upstream) enum Outcome {
    /// A connection was there.
    Connected,
    /// A response of this status. For gRPC, what its status is in HTTP.
    Status(u16),
    /// No connection could be made, or the response did not come to its end.
    Failed,
    /// The response did not come in time.
    TimedOut,
}

/// What is counted in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Series {
    /// Failures of any kind.
    ServerErrors,
    /// 502, 503 and 504.
    GatewayErrors,
    /// Failures on our side of the host.
    LocalOrigin,
}

/// What one worker has counted of a host: who made a mistake, the host or the way to it. Only that worker writes.
#[derive(Debug, Default)]
pub(in crate::upstream) struct Window {
    external: Rate,
    local: Rate,
}

/// Requests, and those that succeeded, since the beginning.
#[derive(Debug, Default)]
struct Rate {
    total: AtomicU64,
    succeeded: AtomicU64,
}

impl Rate {
    fn count(&self, success: bool) {
        let add = |count: &AtomicU64| count.store(count.load(Relaxed) + 1, Relaxed);
        add(&self.total);
        if success {
            add(&self.succeeded);
        }
    }

    fn read(&self) -> (u64, u64) {
        (self.total.load(Relaxed), self.succeeded.load(Relaxed))
    }
}

/// What requests to a host meet.
#[derive(Debug)]
pub(super) struct Monitor {
    limits: Limits,
    server_errors: AtomicU32,
    gateway_errors: AtomicU32,
    local_errors: AtomicU32,
    windows: Mutex<Vec<Arc<Window>>>,
    ejection: Mutex<Ejection>,
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    server_errors: u32,
    gateway_errors: u32,
    local_errors: u32,
    split: bool,
}

/// What has become of a host so far.
#[derive(Debug, Default)]
struct Ejection {
    at: Option<Instant>,
    /// How many times the base an ejection takes.
    factor: u32,
    jitter: Duration,
    /// The sums of external and of local rates when they were last looked at.
    seen: [(u64, u64); 2],
}

impl Monitor {
    pub(super) fn new(settings: &OutlierDetection) -> Self {
        Self {
            limits: Limits {
                server_errors: settings.consecutive_5xx,
                gateway_errors: settings.consecutive_gateway_failure,
                local_errors: settings.consecutive_local_origin_failure,
                split: settings.split_external_local_origin_errors,
            },
            server_errors: AtomicU32::new(0),
            gateway_errors: AtomicU32::new(0),
            local_errors: AtomicU32::new(0),
            windows: Mutex::default(),
            ejection: Mutex::default(),
        }
    }

    /// A worker counts on a window of its own.
    pub(super) fn window(&self) -> Arc<Window> {
        let window = Arc::new(Window::default());
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        windows.push(window.clone());
        window
    }

    /// A request ended. Gives the series that are too long by that.
    pub(super) fn note(&self, window: &Window, outcome: Outcome) -> impl Iterator<Item = Series> {
        let (first, second) = match (outcome, self.limits.split) {
            (Outcome::Status(status), _) => self.status(window, status),
            (Outcome::Connected, false) => (None, None),
            (Outcome::Failed, false) => self.status(window, 503),
            (Outcome::TimedOut, false) => self.status(window, 504),
            (Outcome::Connected, true) => {
                window.local.count(true);
                clear(&self.local_errors);
                (None, None)
            }
            (Outcome::Failed | Outcome::TimedOut, true) => {
                window.local.count(false);
                (reaches(&self.local_errors, self.limits.local_errors).then_some(Series::LocalOrigin), None)
            }
        };
        first.into_iter().chain(second)
    }

    fn status(&self, window: &Window, status: u16) -> (Option<Series>, Option<Series>) {
        let failed = (500..600).contains(&status);
        window.external.count(!failed);
        if !failed {
            clear(&self.server_errors);
            clear(&self.gateway_errors);
            return (None, None);
        }
        let of_gateway = if (502..=504).contains(&status) {
            reaches(&self.gateway_errors, self.limits.gateway_errors)
        } else {
            clear(&self.gateway_errors);
            false
        };
        let enough = reaches(&self.server_errors, self.limits.server_errors);
        (of_gateway.then_some(Series::GatewayErrors), enough.then_some(Series::ServerErrors))
    }

    /// Nobody could be told of a series: its next failure tells again.
    pub(super) fn again(&self, series: Series) {
        self.series(series).fetch_sub(1, Relaxed);
    }

    fn series(&self, series: Series) -> &AtomicU32 {
        match series {
            Series::ServerErrors => &self.server_errors,
            Series::GatewayErrors => &self.gateway_errors,
            Series::LocalOrigin => &self.local_errors,
        }
    }

    /// What was counted since the last time: external and local.
    fn counted(&self, ejection: &mut Ejection) -> [(u64, u64); 2] {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sums = [(0, 0); 2];
        for window in windows.iter() {
            for (sum, rate) in sums.iter_mut().zip([&window.external, &window.local]) {
                let (total, succeeded) = rate.read();
                *sum = (sum.0 + total, sum.1 + succeeded);
            }
        }
        // What the windows of workers that are gone have counted goes with them.
        let lost = windows.iter().any(|window| Arc::strong_count(window) == 1);
        let seen = std::mem::replace(&mut ejection.seen, sums);
        if lost {
            windows.retain(|window| Arc::strong_count(window) > 1);
            ejection.seen = [(0, 0); 2];
            for window in windows.iter() {
                for (sum, rate) in ejection.seen.iter_mut().zip([&window.external, &window.local]) {
                    let (total, succeeded) = rate.read();
                    *sum = (sum.0 + total, sum.1 + succeeded);
                }
            }
        }
        [0, 1].map(|which: usize| {
            (sums[which].0.saturating_sub(seen[which].0), sums[which].1.saturating_sub(seen[which].1))
        })
    }
}

/// Writes only where that changes something: hosts that are well cost their workers a look.
fn clear(count: &AtomicU32) {
    if count.load(Relaxed) != 0 {
        count.store(0, Relaxed);
    }
}

fn reaches(count: &AtomicU32, limit: u32) -> bool {
    count.fetch_add(1, Relaxed) + 1 == limit
}

/// Why a host is ejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    Series(Series),
    SuccessRate,
    LocalSuccessRate,
    FailurePercentage,
    LocalFailurePercentage,
}

impl Reason {
    fn name(self) -> &'static str {
        match self {
            Self::Series(Series::ServerErrors) => "consecutive_5xx",
            Self::Series(Series::GatewayErrors) => "consecutive_gateway_failure",
            Self::Series(Series::LocalOrigin) => "consecutive_local_origin_failure",
            Self::SuccessRate => "success_rate",
            Self::LocalSuccessRate => "success_rate_local_origin",
            Self::FailurePercentage => "failure_percentage",
            Self::LocalFailurePercentage => "failure_percentage_local_origin",
        }
    }

    fn enforcing(self, settings: &OutlierDetection) -> u32 {
        match self {
            Self::Series(Series::ServerErrors) => settings.enforcing_consecutive_5xx,
            Self::Series(Series::GatewayErrors) => settings.enforcing_consecutive_gateway_failure,
            Self::Series(Series::LocalOrigin) => settings.enforcing_consecutive_local_origin_failure,
            Self::SuccessRate => settings.success_rate.enforcing,
            Self::LocalSuccessRate => settings.success_rate.enforcing_local_origin,
            Self::FailurePercentage => settings.failure_percentage.enforcing,
            Self::LocalFailurePercentage => settings.failure_percentage.enforcing_local_origin,
        }
    }

    /// The metrics of what was detected, and of what was enforced.
    fn metrics(self) -> [ClusterMetric; 2] {
        use ClusterMetric as Metric;
        match self {
            Self::Series(Series::ServerErrors) => {
                [Metric::EjectionsDetectedConsecutive5xx, Metric::EjectionsEnforcedConsecutive5xx]
            }
            Self::Series(Series::GatewayErrors) => [
                Metric::EjectionsDetectedConsecutiveGatewayFailure,
                Metric::EjectionsEnforcedConsecutiveGatewayFailure,
            ],
            Self::Series(Series::LocalOrigin) => [
                Metric::EjectionsDetectedConsecutiveLocalOriginFailure,
                Metric::EjectionsEnforcedConsecutiveLocalOriginFailure,
            ],
            Self::SuccessRate => [Metric::EjectionsDetectedSuccessRate, Metric::EjectionsEnforcedSuccessRate],
            Self::LocalSuccessRate => [
                Metric::EjectionsDetectedLocalOriginSuccessRate,
                Metric::EjectionsEnforcedLocalOriginSuccessRate,
            ],
            Self::FailurePercentage => {
                [Metric::EjectionsDetectedFailurePercentage, Metric::EjectionsEnforcedFailurePercentage]
            }
            Self::LocalFailurePercentage => [
                Metric::EjectionsDetectedLocalOriginFailurePercentage,
                Metric::EjectionsEnforcedLocalOriginFailurePercentage,
            ],
        }
    }
}

/// Who is ejected.
#[derive(Debug, Default)]
pub(super) struct Ejections {
    active: u64,
}

/// What was decided, for numbers and log.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Judgement {
    pub(super) metrics: Vec<ClusterMetric>,
    pub(super) ejected: Vec<(String, &'static str)>,
    pub(super) let_in: Vec<String>,
    pub(super) active: u64,
}

type Hosts<'a> = &'a [(String, Arc<HostHealth>)];

impl Ejections {
    /// A host has failed often enough in a row. `drawn` of 0 to 99 decides whether that is enforced.
    pub(super) fn consecutive(
        &mut self,
        settings: &OutlierDetection,
        all: Hosts<'_>,
        host: &Arc<HostHealth>,
        series: Series,
        now: Instant,
        drawn: u32,
    ) -> Judgement {
        let mut judgement = Judgement::default();
        self.recount(all);
        if let Some((address, host)) = all.iter().find(|(_, known)| known.id == host.id)
            && !host.is_ejected()
            && let Some(monitor) = &host.monitor
        {
            self.eject(settings, all, (address, host), Reason::Series(series), now, drawn, &mut judgement);
            monitor.series(series).store(0, Relaxed);
        }
        judgement.active = self.active;
        judgement
    }

    /// Lets those in again whose time is over, and compares rates.
    pub(super) fn look_around(
        &mut self,
        settings: &OutlierDetection,
        all: Hosts<'_>,
        now: Instant,
        draw: impl Fn() -> u32,
    ) -> Judgement {
        let mut judgement = Judgement::default();
        self.recount(all);
        for (address, host) in all {
            let Some(monitor) = &host.monitor else { continue };
            let is_over = {
                let ejection = monitor.ejection.lock().unwrap_or_else(PoisonError::into_inner);
                ejection.at.is_none_or(|at| {
                    let time =
                        (settings.base_ejection_time * ejection.factor).min(settings.max_ejection_time);
                    now.saturating_duration_since(at) >= time + ejection.jitter
                })
            };
            if host.is_ejected() && is_over {
                self.let_in(host);
                judgement.let_in.push(address.clone());
            }
        }
        let rates = all.iter().filter_map(|(address, host)| {
            let monitor = host.monitor.as_ref()?;
            let mut ejection = monitor.ejection.lock().unwrap_or_else(PoisonError::into_inner);
            let counted = monitor.counted(&mut ejection);
            (!host.is_ejected()).then_some(((address, host), counted))
        });
        let rates = rates.collect::<Vec<_>>();
        let kinds = [
            (0, Reason::SuccessRate, Reason::FailurePercentage),
            (1, Reason::LocalSuccessRate, Reason::LocalFailurePercentage),
        ];
        for (which, success_rate, failure_percentage) in kinds {
            let of_hosts = |volume: u32| {
                let enough = rates.iter().map(move |(host, counted)| (*host, counted[which]));
                let enough = enough.filter(move |(_, (total, _))| *total > 0 && *total >= u64::from(volume));
                #[expect(clippy::cast_precision_loss, reason = "rates")]
                enough.map(|(host, (total, succeeded))| (host, succeeded as f64 * 100.0 / total as f64))
            };
            let outliers =
                below_the_others(settings, of_hosts(settings.success_rate.request_volume).collect());
            for host in outliers {
                self.eject(settings, all, host, success_rate, now, draw(), &mut judgement);
            }
            let comparable: Vec<_> = of_hosts(settings.failure_percentage.request_volume).collect();
            if comparable.len() >= settings.failure_percentage.minimum_hosts as usize {
                let threshold = f64::from(settings.failure_percentage.threshold);
                for (host, _) in comparable.into_iter().filter(|(_, rate)| 100.0 - rate >= threshold) {
                    self.eject(settings, all, host, failure_percentage, now, draw(), &mut judgement);
                }
            }
        }
        judgement.active = self.active;
        judgement
    }

    /// An active check says that the host is well.
    pub(super) fn let_in(&mut self, host: &HostHealth) {
        let Some(monitor) = &host.monitor else { return };
        host.set_ejected(false);
        self.active = self.active.saturating_sub(1);
        for series in [Series::ServerErrors, Series::GatewayErrors, Series::LocalOrigin] {
            monitor.series(series).store(0, Relaxed);
        }
    }

    /// Hosts may have come and gone.
    fn recount(&mut self, all: Hosts<'_>) {
        self.active = all.iter().filter(|(_, host)| host.is_ejected()).count() as u64;
    }

    #[expect(clippy::too_many_arguments, reason = "one decision, and what it depends on")]
    fn eject(
        &mut self,
        settings: &OutlierDetection,
        all: Hosts<'_>,
        (address, host): (&String, &Arc<HostHealth>),
        reason: Reason,
        now: Instant,
        drawn: u32,
        judgement: &mut Judgement,
    ) {
        let Some(monitor) = &host.monitor else { return };
        let [detected, enforced] = reason.metrics();
        judgement.metrics.push(detected);
        #[expect(clippy::cast_precision_loss, reason = "percentages of hosts")]
        let percent = 100.0 * (self.active + 1) as f64 / all.len() as f64;
        let allowed = percent <= f64::from(settings.max_ejection_percent.min(100))
            || (settings.always_eject_one_host && self.active == 0);
        if !allowed {
            judgement.metrics.push(ClusterMetric::EjectionsOverflow);
            return;
        }
        // Another reason may have ejected it in the same look.
        if drawn >= reason.enforcing(settings) || host.is_ejected() {
            return;
        }
        host.set_ejected(true);
        self.active += 1;
        judgement.metrics.extend([ClusterMetric::EjectionsEnforcedTotal, enforced]);
        judgement.ejected.push((address.clone(), reason.name()));
        let mut ejection = monitor.ejection.lock().unwrap_or_else(PoisonError::into_inner);
        ejection.at = Some(now);
        ejection.jitter = settings.max_ejection_time_jitter.mul_f64(fastrand::f64());
        if settings.base_ejection_time * ejection.factor
            < settings.max_ejection_time + settings.base_ejection_time
        {
            ejection.factor += 1;
        }
    }
}

/// Those whose success rate is below the mean by too many standard deviations.
fn below_the_others<H: Copy>(settings: &OutlierDetection, rates: Vec<(H, f64)>) -> Vec<H> {
    if rates.is_empty() || rates.len() < settings.success_rate.minimum_hosts as usize {
        return Vec::new();
    }
    #[expect(clippy::cast_precision_loss, reason = "a count of hosts")]
    let count = rates.len() as f64;
    let mean = rates.iter().map(|(_, rate)| rate).sum::<f64>() / count;
    let variance = rates.iter().map(|(_, rate)| (rate - mean).powi(2)).sum::<f64>() / count;
    let threshold = mean - f64::from(settings.success_rate.stdev_factor) / 1000.0 * variance.sqrt();
    rates.into_iter().filter(|(_, rate)| *rate < threshold).map(|(host, _)| host).collect()
}
