//! Who is watched over, and what is told of it.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError},
    time::Instant,
};

use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    runtime::Handle,
    sync::Notify,
    task::{AbortHandle, JoinSet},
    time::{MissedTickBehavior, interval_at},
};
use tollgate_model::{cluster::EndpointHealthCheck, socket::TcpOptions};

use super::{
    check,
    outlier::Series,
    probe::{Finding, Probe},
    state::{ClusterHealth, Event, HostHealth},
};
use crate::{
    incident::Incident,
    stats::{ClusterMetric, Metrics, WorkerStats},
    upstream::cluster::{address::Address, shared_cluster::Source},
};

/// The endpoints of a cluster, as the control thread needs to know them.
#[derive(Debug, Clone)]
pub(in crate::upstream) struct Watched {
    pub(in crate::upstream) cluster: Arc<str>,
    pub(in crate::upstream) endpoints: Vec<WatchedEndpoint>,
    pub(in crate::upstream) tcp: TcpOptions,
    /// What the control thread counts.
    pub(in crate::upstream) stats: WorkerStats,
}

/// An endpoint to watch over.
#[derive(Debug, Clone)]
pub(in crate::upstream) struct WatchedEndpoint {
    /// Where it is.
    pub(in crate::upstream) source: Source,
    /// What it is called where the source has several addresses or a changing one.
    pub(in crate::upstream) label: String,
    pub(in crate::upstream) check: EndpointHealthCheck,
    /// TLS of checks: with the protocol of the cluster, and with HTTP/2.
    pub(in crate::upstream) tls: Option<[Tls; 2]>,
}

/// TLS configuration and server name.
pub(in crate::upstream) type Tls = (Arc<ClientConfig>, ServerName<'static>);

/// Tells what checks find, in numbers and in the log. It belongs to the control thread.
#[derive(Debug)]
pub(super) struct Reporter {
    cluster: Arc<str>,
    metrics: Metrics<ClusterMetric>,
    stats: WorkerStats,
    health: Arc<ClusterHealth>,
}

impl Reporter {
    pub(super) fn count(&self, metric: ClusterMetric) {
        self.metrics.increment(metric);
    }

    /// Whether the cluster has had a connection.
    pub(super) fn has_traffic(&self) -> bool {
        self.stats.cluster_has_connected(&self.cluster)
    }

    /// A host is well, or is not well any more.
    pub(super) fn changed(&self, probe: &Probe, host: &HostHealth, finding: &Finding) {
        self.count_healthy();
        let (cluster, address) = (&*self.cluster, probe.label());
        if host.is_failing(None) {
            if let Some(suppressed) = self.metrics.admit(Incident::HealthCheck) {
                tracing::warn!(cluster, address, reason = %finding, suppressed, "an endpoint failed its health check");
            }
        } else {
            tracing::info!(cluster, address, "an endpoint passed its health check");
        }
    }

    fn count_healthy(&self) {
        if !self.health.policy.health_checks.is_empty() {
            let all = self.health.all();
            let healthy = all.iter().filter(|(_, host)| !host.is_failing(None)).count();
            let degraded = all.iter().filter(|(_, host)| host.flags().failed_active_degraded_check).count();
            self.metrics.set(ClusterMetric::HealthCheckHealthy, healthy as u64);
            self.metrics.set(ClusterMetric::HealthCheckDegraded, degraded as u64);
        }
    }
}

impl ClusterHealth {
    /// Watches over these endpoints from now on, and no others, on the runtime of the control thread.
    pub(in crate::upstream) fn watch(self: &Arc<Self>, watched: Watched, control: &Handle) {
        let mut tasks = JoinSet::new();
        let reporter = Arc::new(Reporter {
            cluster: watched.cluster.clone(),
            metrics: watched.stats.cluster(&watched.cluster),
            stats: watched.stats.clone(),
            health: self.clone(),
        });
        tasks.spawn_on(keep_up(self.clone(), watched, reporter.clone()), control);
        tasks.spawn_on(judge(self.clone(), reporter), control);
        self.replace_tasks(Some(tasks));
    }
}

/// Where a host is at present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Whereabouts {
    Fixed(Address),
    /// Whatever a name resolves to.
    Named,
}

/// Checks the hosts that there are.
async fn keep_up(health: Arc<ClusterHealth>, mut watched: Watched, reporter: Arc<Reporter>) {
    let moved = Arc::new(Notify::new());
    let mut followers = JoinSet::new();
    for endpoint in &watched.endpoints {
        if let Source::EachOf(addresses) | Source::OneOf(addresses) = &endpoint.source {
            let (mut addresses, moved) = (addresses.clone(), moved.clone());
            followers.spawn(async move {
                while addresses.changed().await {
                    moved.notify_one();
                }
            });
        }
    }
    for endpoint in &watched.endpoints {
        if let Source::EachOf(addresses) | Source::OneOf(addresses) = &endpoint.source {
            addresses.clone().first_answer().await;
        }
    }
    let mut checked: BTreeMap<String, Checked> = BTreeMap::new();
    let mut listed = false;
    loop {
        let hosts = hosts(&mut watched.endpoints);
        checked.retain(|label, _| hosts.contains_key(label));
        health.retain(|label| hosts.contains_key(label));
        for (label, (index, whereabouts)) in hosts {
            if checked.get(&label).is_some_and(|known| known.whereabouts == whereabouts) {
                continue;
            }
            let endpoint = &watched.endpoints[index];
            let host = health.host(&label, !endpoint.check.disabled);
            let checks = if endpoint.check.disabled { 0 } else { health.policy.health_checks.len() };
            let tasks = (0..checks).filter_map(|check| {
                let settings = health.policy.health_checks.get(check)?;
                let probe =
                    Probe::new(settings, &label, &whereabouts, endpoint, &watched.cluster, watched.tcp);
                let run = check::run(probe, check, host.clone(), health.clone(), reporter.clone());
                Some(Task(tokio::spawn(run).abort_handle()))
            });
            let tasks = tasks.collect();
            checked.insert(label, Checked { whereabouts, _tasks: tasks });
        }
        reporter.count_healthy();
        if !listed {
            health.is_listed();
            listed = true;
        }
        moved.notified().await;
    }
}

/// The checks of a host.
struct Checked {
    whereabouts: Whereabouts,
    _tasks: Vec<Task>,
}

/// A task that ends when this is dropped.
struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The hosts by address, each with the endpoint that it belongs to. Endpoints at one address are one host.
fn hosts(endpoints: &mut [WatchedEndpoint]) -> BTreeMap<String, (usize, Whereabouts)> {
    let mut hosts = BTreeMap::new();
    for (index, endpoint) in endpoints.iter_mut().enumerate() {
        match &mut endpoint.source {
            Source::Fixed(address) => {
                hosts.insert(address.to_string(), (index, Whereabouts::Fixed(address.clone())));
            }
            Source::EachOf(addresses) => {
                for address in addresses.read().iter().flat_map(|known| known.iter()) {
                    hosts.insert(address.to_string(), (index, Whereabouts::Fixed(address.clone())));
                }
            }
            Source::OneOf(_) => {
                hosts.insert(endpoint.label.clone(), (index, Whereabouts::Named));
            }
        }
    }
    hosts
}

/// Ejects hosts, and lets them in again.
async fn judge(health: Arc<ClusterHealth>, reporter: Arc<Reporter>) {
    let mut received = health.received.lock().await;
    let Some(settings) = &health.policy.outlier_detection else {
        while let Some(event) = received.recv().await {
            if let Event::SaysUnwell(host) = event {
                unwell(&health, &reporter, &host);
            }
        }
        return;
    };
    let mut ticks = interval_at(tokio::time::Instant::now() + settings.interval, settings.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            event = received.recv() => match event {
                Some(Event::Consecutive(host, series)) => consecutive(&health, &reporter, &host, series),
                Some(Event::SaysUnwell(host)) => unwell(&health, &reporter, &host),
                None => return,
            },
            _ = ticks.tick() => look_around(&health, &reporter),
        }
    }
}

fn unwell(health: &ClusterHealth, reporter: &Reporter, host: &HostHealth) {
    host.fail_all(health.policy.health_checks.len());
    reporter.count(ClusterMetric::HealthCheckFailure);
    reporter.count(ClusterMetric::HealthCheckPassiveFailure);
    reporter.count_healthy();
    health.has_changed();
}

fn consecutive(health: &ClusterHealth, reporter: &Reporter, host: &Arc<HostHealth>, series: Series) {
    let Some(settings) = &health.policy.outlier_detection else { return };
    let all = health.all();
    if !all.iter().any(|(_, known)| known.id == host.id) {
        return;
    }
    let mut ejections = health.ejections.lock().unwrap_or_else(PoisonError::into_inner);
    let counted = ejections.consecutive(settings, &all, host, series, Instant::now(), fastrand::u32(..100));
    drop(ejections);
    told(health, reporter, counted);
}

fn look_around(health: &ClusterHealth, reporter: &Reporter) {
    let Some(settings) = &health.policy.outlier_detection else { return };
    let all = health.all();
    let mut ejections = health.ejections.lock().unwrap_or_else(PoisonError::into_inner);
    let counted = ejections.look_around(settings, &all, Instant::now(), || fastrand::u32(..100));
    drop(ejections);
    told(health, reporter, counted);
}

/// Counts and tells what was ejected, or let in again.
fn told(health: &ClusterHealth, reporter: &Reporter, counted: super::outlier::Judgement) {
    for metric in counted.metrics {
        reporter.count(metric);
    }
    for (address, reason) in &counted.ejected {
        let cluster = &*reporter.cluster;
        if let Some(suppressed) = reporter.metrics.admit(Incident::Ejection) {
            tracing::warn!(cluster, address, reason, suppressed, "an endpoint was ejected");
        }
    }
    for address in &counted.let_in {
        let cluster = &*reporter.cluster;
        tracing::info!(cluster, address, "an ejected endpoint was let in again");
    }
    reporter.metrics.set(ClusterMetric::EjectionsActive, counted.active);
    if !counted.ejected.is_empty() || !counted.let_in.is_empty() {
        health.has_changed();
    }
}
