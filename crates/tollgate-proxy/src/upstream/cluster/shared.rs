//! What the workers' clusters have in common.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use tokio::runtime::Handle;
use tollgate_model::{Snapshot, cluster::Cluster};

use crate::stats::WorkerStats;
use crate::upstream::{
    cluster::{
        dns::{NameLookups, Resolver},
        shared_cluster::SharedCluster,
        targets::for_each_target,
    },
    health::HealthReports,
};

/// The clusters of a snapshot as all workers share them: addresses of names, counts of circuit breakers.
#[derive(Debug)]
pub(crate) struct SharedClusters {
    resolver: Arc<Resolver>,
    by_name: HashMap<String, Arc<SharedCluster>>,
    /// Processor targets of their own (`google_grpc`), by name. Equal ones are one cluster.
    targets: HashMap<String, Vec<Arc<SharedCluster>>>,
    /// Clusters that were not there before.
    new: Vec<Arc<SharedCluster>>,
    /// How many workers share them.
    workers: usize,
    /// What the control thread counts.
    stats: WorkerStats,
    health: HealthReports,
}

impl SharedClusters {
    /// Starts to resolve names and to check hosts on the given runtime, which is not a worker's and has `stats` of its own. They
    /// are for so many workers.
    pub(crate) fn new(
        snapshot: &Snapshot,
        control: &Handle,
        workers: usize,
        stats: &WorkerStats,
    ) -> Arc<Self> {
        Self::build(snapshot, None, control, workers, stats)
    }

    /// The clusters of the snapshot that comes next: those that did not change are the same.
    pub(crate) fn succeeded_by(&self, snapshot: &Snapshot, control: &Handle) -> Arc<Self> {
        let next = Self::build(snapshot, Some(self), control, self.workers, &self.stats);
        let health = |cluster: &Arc<SharedCluster>| cluster.health.as_ref().map(|health| health.id);
        let going_on: HashSet<_> = next.by_name.values().chain(next.targets()).filter_map(health).collect();
        for cluster in self.by_name.values().chain(self.targets()) {
            if health(cluster).is_some_and(|health| !going_on.contains(&health)) {
                cluster.retire();
            }
        }
        next
    }

    fn build(
        snapshot: &Snapshot,
        before: Option<&Self>,
        control: &Handle,
        workers: usize,
        stats: &WorkerStats,
    ) -> Arc<Self> {
        let resolver = before.map(|before| before.resolver.clone()).unwrap_or_default();
        let health = before.map(|before| before.health.clone()).unwrap_or_default();
        let mut new = Vec::new();
        let mut begin = |cluster: Arc<SharedCluster>| {
            cluster.watch_health(stats, control);
            new.push(cluster.clone());
            cluster
        };
        let by_name = snapshot.clusters.iter().map(|(name, cluster)| {
            let shared = match before.and_then(|before| before.by_name.get(name)) {
                Some(known) if known.is(cluster) => known.clone(),
                Some(known) => begin(SharedCluster::succeeding(known, cluster, &resolver, control, workers)),
                None => begin(SharedCluster::new(cluster, &resolver, control, workers)),
            };
            (name.clone(), shared)
        });
        let by_name: HashMap<String, Arc<SharedCluster>> = by_name.collect();
        let watched =
            |(name, cluster): (&String, &Arc<SharedCluster>)| Some((name.clone(), cluster.health.clone()?));
        health.replace(by_name.iter().filter_map(watched));
        let mut targets: HashMap<String, Vec<Arc<SharedCluster>>> = HashMap::new();
        for_each_target(snapshot, |cluster| {
            if find(&targets, cluster).is_some() {
                return;
            }
            let known = before.and_then(|before| find(&before.targets, cluster)).cloned();
            let target = known.unwrap_or_else(|| SharedCluster::new(cluster, &resolver, control, workers));
            targets.entry(cluster.name.clone()).or_default().push(target);
        });
        Arc::new(Self { resolver, by_name, targets, new, workers, stats: stats.clone(), health })
    }

    /// The same clusters, but only those that management servers can be in.
    pub(crate) fn of_management(&self, snapshot: &Snapshot) -> Arc<Self> {
        let in_place = snapshot.management.iter().flat_map(|management| &management.clusters_in_place);
        let named = in_place.filter_map(|name| Some((name.clone(), self.by_name.get(name)?.clone())));
        Arc::new(Self {
            resolver: self.resolver.clone(),
            by_name: named.collect(),
            targets: self.targets.clone(),
            new: Vec::new(),
            workers: self.workers,
            stats: self.stats.clone(),
            health: self.health.clone(),
        })
    }

    /// What names resolve to, of this snapshot and those that come after it.
    pub(crate) fn name_lookups(&self) -> NameLookups {
        NameLookups::of(&self.resolver)
    }

    /// The health of the endpoints, of this snapshot and those that come after it.
    pub(crate) fn health(&self) -> HealthReports {
        self.health.clone()
    }

    /// Waits until every name of the clusters that are new was looked up once, and every endpoint that is to be was checked,
    /// successfully or not; listeners start after that, as Envoy's do. Bounded by the resolver's own timeouts.
    pub(crate) async fn initialized(&self) {
        for cluster in &self.new {
            cluster.initialized().await;
        }
    }

    pub(in crate::upstream) fn by_name(&self) -> &HashMap<String, Arc<SharedCluster>> {
        &self.by_name
    }

    /// The clusters of all processor targets of their own.
    pub(in crate::upstream) fn targets(&self) -> impl Iterator<Item = &Arc<SharedCluster>> {
        self.targets.values().flatten()
    }

    /// The cluster of a processor target of its own; `None` for one that is not in the snapshot.
    pub(in crate::upstream) fn target(&self, cluster: &Arc<Cluster>) -> Option<&Arc<SharedCluster>> {
        find(&self.targets, cluster)
    }
}

fn find<'a>(
    targets: &'a HashMap<String, Vec<Arc<SharedCluster>>>,
    cluster: &Arc<Cluster>,
) -> Option<&'a Arc<SharedCluster>> {
    targets.get(&cluster.name)?.iter().find(|target| target.is(cluster))
}
