//! The clusters of one worker.

use std::{
    cell::RefCell,
    collections::HashMap,
    rc::{Rc, Weak},
    sync::Arc,
    time::{Duration, Instant},
};

use extproc_client::{Endpoint, PickError};
use tokio::task::spawn_local;
use tollgate_model::{
    cluster::Cluster,
    metadata::MetadataKey,
    processor::{ExtProcFilter, ExtProcId, GrpcService, GrpcTarget},
};

use crate::upstream::{
    cluster::{
        choice::Choice,
        circuit_breaker::{Permit, WorkerCounter},
        forwarded::Lookup,
        host::Host,
        hosts::Hosts,
        priorities::Tier,
        processor::{self, Processor, ProcessorClient},
        shared::SharedClusters,
        shared_cluster::{ClusterId, SharedCluster},
    },
    exchange::failure::UpstreamFailure,
};
use crate::{
    incident::Incident,
    stats::{ClusterMetric, Metrics, WorkerStats},
};

/// How often idle connections are looked at.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// The clusters of one worker: its own hosts, pools and processor connections.
#[derive(Debug)]
pub(crate) struct ClusterManager {
    shared: Arc<SharedClusters>,
    clusters: HashMap<Arc<str>, Rc<WorkerCluster>>,
    /// Clusters of processor targets of their own.
    targets: RefCell<HashMap<ClusterId, Rc<WorkerCluster>>>,
    /// What external processing filters use.
    processors: RefCell<HashMap<ExtProcId, Rc<Processor>>>,
    stats: WorkerStats,
    /// The one in use, for the task that looks at idle connections.
    latest: Rc<RefCell<Weak<Self>>>,
}

impl ClusterManager {
    /// The clusters of a snapshot for this worker. Connects to nothing yet. Must be called, and everything it gives
    /// be used, inside the worker's `LocalRuntime`.
    pub(crate) fn new(shared: &Arc<SharedClusters>, stats: &WorkerStats) -> Rc<Self> {
        Self::build(shared, None, stats)
    }

    /// The clusters of the snapshot that comes next. Those that did not change are the same; connections of the others
    /// are closed as soon as no request uses them.
    pub(crate) fn succeeded_by(&self, shared: &Arc<SharedClusters>) -> Rc<Self> {
        let next = Self::build(shared, Some(self), &self.stats);
        let goes_on = |cluster: &Rc<WorkerCluster>| {
            let named = next.clusters.get(&*cluster.shared.name);
            named.is_some_and(|named| named.shared.id == cluster.shared.id)
        };
        self.clusters.values().filter(|cluster| !goes_on(cluster)).for_each(|cluster| cluster.retire());
        let next_targets = next.targets.borrow();
        for (id, target) in &*self.targets.borrow() {
            if !next_targets.contains_key(id) {
                target.retire();
            }
        }
        drop(next_targets);
        next
    }

    fn build(shared: &Arc<SharedClusters>, before: Option<&Self>, stats: &WorkerStats) -> Rc<Self> {
        let latest = before.map(|before| before.latest.clone()).unwrap_or_default();
        let clusters = shared.by_name().iter().map(|(name, cluster)| {
            let worker_cluster = match before.and_then(|before| before.clusters.get(&**name)) {
                Some(known) if known.shared.id == cluster.id => known.clone(),
                Some(known) => WorkerCluster::succeeding(known, cluster, stats, &latest),
                None => WorkerCluster::new(cluster, stats, &latest),
            };
            (cluster.name.clone(), worker_cluster)
        });
        let mut targets = HashMap::new();
        if let Some(before) = before {
            let before = before.targets.borrow();
            for target in shared.targets() {
                if let Some(known) = before.get(&target.id) {
                    targets.insert(target.id, known.clone());
                }
            }
        }
        let clusters = clusters.collect();
        let manager = Rc::new(Self {
            shared: shared.clone(),
            clusters,
            targets: RefCell::new(targets),
            processors: RefCell::default(),
            stats: stats.clone(),
            latest,
        });
        *manager.latest.borrow_mut() = Rc::downgrade(&manager);
        if before.is_none() {
            spawn_local(close_expired_connections(manager.latest.clone()));
        }
        manager
    }

    /// The cluster of that name.
    pub(crate) fn get(&self, name: &str) -> Option<Rc<WorkerCluster>> {
        self.clusters.get(name).cloned()
    }

    /// The processor of a filter with these settings, the same for all its requests.
    pub(crate) fn processor(&self, filter: &Arc<ExtProcFilter>) -> Rc<Processor> {
        if let Some(known) = self.processors.borrow().get(&filter.id()) {
            return known.clone();
        }
        let client = self.client(&filter.grpc_service);
        let processor = Rc::new(Processor::new(filter, client, &self.stats));
        self.processors.borrow_mut().insert(filter.id(), processor.clone());
        processor
    }

    /// A client for a service of the snapshot. `None`: the named cluster does not exist (F-9 `Cluster not available`).
    pub(crate) fn client(&self, service: &GrpcService) -> Option<ProcessorClient> {
        let cluster = match &service.target {
            GrpcTarget::EnvoyGrpc(name) => self.clusters.get(&**name)?.clone(),
            GrpcTarget::GoogleGrpc(cluster) => self.target(cluster)?,
        };
        Some(processor::client(&cluster, service))
    }

    fn target(&self, cluster: &Arc<Cluster>) -> Option<Rc<WorkerCluster>> {
        let shared = self.shared.target(cluster)?;
        let mut targets = self.targets.borrow_mut();
        Some(
            targets
                .entry(shared.id)
                .or_insert_with(|| WorkerCluster::new(shared, &self.stats, &self.latest))
                .clone(),
        )
    }
}

/// Closes what has been idle for too long or was closed by the host, so that the host need not wait for the next
/// request to see it.
async fn close_expired_connections(latest: Rc<RefCell<Weak<ClusterManager>>>) {
    loop {
        tokio::time::sleep(SWEEP_INTERVAL).await;
        let Some(manager) = latest.borrow().upgrade() else { return };
        let now = Instant::now();
        for cluster in manager.clusters.values() {
            cluster.hosts.borrow_mut().tidy(now);
        }
    }
}

/// A cluster as one worker uses it.
#[derive(Debug)]
pub(crate) struct WorkerCluster {
    shared: Arc<SharedCluster>,
    hosts: RefCell<Hosts>,
    counts: Rc<ClusterCounts>,
}

/// The hosts of a cluster, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Membership {
    /// All of them.
    pub(crate) total: usize,
    /// Those that are healthy or degraded.
    pub(crate) healthy: usize,
}

/// What one worker counts of a cluster. Requests may have it for longer than there is the cluster.
#[derive(Debug)]
pub(crate) struct ClusterCounts {
    /// The name of the cluster.
    pub(crate) name: Rc<str>,
    /// What `%UPSTREAM_CLUSTER%` calls it, if that is another name.
    pub(crate) stat_name: Option<Rc<str>>,
    /// What reports show of it.
    pub(crate) metrics: Metrics<ClusterMetric>,
    /// Where those of its endpoints are.
    pub(super) stats: WorkerStats,
    /// Requests, for the circuit breaker.
    pub(in crate::upstream) requests: Rc<WorkerCounter>,
}

impl WorkerCluster {
    /// The cluster with its hosts as far as they are known.
    pub(in crate::upstream) fn new(
        shared: &Arc<SharedCluster>,
        stats: &WorkerStats,
        manager: &Rc<RefCell<Weak<ClusterManager>>>,
    ) -> Rc<Self> {
        let counts = Rc::new(ClusterCounts {
            name: Rc::from(&*shared.name),
            stat_name: shared.cluster.alt_stat_name.as_deref().map(Rc::from),
            stats: stats.clone(),
            metrics: stats.cluster(&shared.name),
            requests: WorkerCounter::new(&shared.counts.requests, stats.worker()),
        });
        let hosts = RefCell::new(Hosts::new(None, shared, &counts, manager));
        Rc::new(Self { shared: shared.clone(), hosts, counts })
    }

    /// The cluster that comes in the place of `before`: hosts that did not change are the same.
    fn succeeding(
        before: &Self,
        shared: &Arc<SharedCluster>,
        stats: &WorkerStats,
        manager: &Rc<RefCell<Weak<ClusterManager>>>,
    ) -> Rc<Self> {
        let counts = Rc::new(ClusterCounts {
            name: before.counts.name.clone(),
            stat_name: shared.cluster.alt_stat_name.as_deref().map(Rc::from),
            stats: stats.clone(),
            metrics: before.counts.metrics.clone(),
            requests: WorkerCounter::new(&shared.counts.requests, stats.worker()),
        });
        let hosts = RefCell::new(Hosts::new(Some(&before.hosts.borrow()), shared, &counts, manager));
        Rc::new(Self { shared: shared.clone(), hosts, counts })
    }

    /// What is counted of it.
    pub(crate) fn counts(&self) -> &Rc<ClusterCounts> {
        &self.counts
    }

    /// What it has in common with the other workers'.
    #[cfg(test)]
    pub(in crate::upstream) fn shared(&self) -> &Arc<SharedCluster> {
        &self.shared
    }

    /// It is not part of the configuration any more: connections close when their requests have ended. Requests that
    /// began before and come only now make new ones.
    fn retire(&self) {
        self.hosts.borrow().retire();
    }

    /// The host of a request.
    pub(in crate::upstream) fn choose(&self, choice: &Choice<'_>) -> Result<Rc<Host>, UpstreamFailure> {
        self.choose_of(choice).ok_or_else(|| {
            self.has_no_host();
            UpstreamFailure::NoHealthyUpstream
        })
    }

    /// The host of a request; `None` if there is none, which counts for whoever asks.
    pub(in crate::upstream) fn choose_of(&self, choice: &Choice<'_>) -> Option<Rc<Host>> {
        self.hosts.borrow_mut().choose(choice)
    }

    /// How many hosts of each priority are worth what. An aggregate that names itself has none.
    pub(in crate::upstream) fn tiers(&self) -> Vec<(u32, Tier)> {
        self.hosts.try_borrow_mut().map(|mut hosts| hosts.tiers()).unwrap_or_default()
    }

    /// Whether the hosts of requests are its hosts.
    pub(crate) fn forwards_to_hosts(&self) -> bool {
        self.shared.names.is_some()
    }

    /// What is known of the host of a request.
    pub(crate) fn look_up(&self, authority: &[u8]) -> Lookup {
        self.hosts.borrow_mut().look_up(authority).unwrap_or(Lookup::Found)
    }

    /// Whether it has this name.
    pub(in crate::upstream) fn is_named(&self, name: &str) -> bool {
        *self.shared.name == *name
    }

    /// Counts a request without a host and logs it.
    fn has_no_host(&self) {
        self.counts.metrics.increment(ClusterMetric::UpstreamCxNoneHealthy);
        if let Some(suppressed) = self.counts.metrics.admit(Incident::NoHost) {
            let cluster = &*self.shared.name;
            let endpoints = self.shared.endpoint_names();
            tracing::warn!(
                cluster,
                endpoints,
                suppressed,
                "a request found no endpoint: none is configured, or no name of them has an address"
            );
        }
    }

    /// How many hosts it has, and how many of them are healthy.
    pub(crate) fn membership(&self) -> Membership {
        let (total, healthy) = self.hosts.borrow_mut().membership();
        Membership { total, healthy }
    }

    /// Whether requests can be sent to the host at this address.
    pub(crate) fn has_host_at(&self, address: &str) -> bool {
        self.hosts.borrow_mut().find(address).is_some()
    }

    /// The dynamic metadata that tell which host was chosen, if somebody wants to know.
    pub(crate) fn selected_host_key(&self) -> Option<&MetadataKey> {
        self.shared.cluster.override_host.as_ref()?.selected_host_key.as_ref()
    }

    /// Counts one more retry; `None` when there are enough.
    pub(crate) fn try_retry(&self) -> Option<Permit> {
        self.shared.counts.try_retry()
    }

    /// The processor endpoint of the next exchange.
    pub(in crate::upstream) fn choose_processor(&self) -> Result<Rc<Endpoint>, PickError> {
        let mut hosts = self.hosts.borrow_mut();
        let Some(endpoint) = hosts.choose(&Choice::default()).map(|host| host.processor().clone()) else {
            drop(hosts);
            self.has_no_host();
            return Err(PickError::NoHealthyUpstream);
        };
        Ok(endpoint)
    }
}
