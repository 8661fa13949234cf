//! What the workers' clusters have in common.

use std::{collections::HashMap, sync::Arc};

use tokio::runtime::Handle;
use tollgate_model::{Snapshot, cluster::Cluster};

use super::{
    dns::{NameLookups, Resolver},
    shared_cluster::SharedCluster,
    targets::for_each_target,
};

/// The clusters of a snapshot as all workers share them: addresses of names, counts of circuit breakers.
#[derive(Debug)]
pub(crate) struct SharedClusters {
    /// Kept so that clusters and services can be told by their place in memory.
    _snapshot: Arc<Snapshot>,
    resolver: Arc<Resolver>,
    by_name: HashMap<String, Arc<SharedCluster>>,
    /// Processor targets of their own (`google_grpc`), by their place in memory. Equal ones are one cluster.
    targets: HashMap<usize, Arc<SharedCluster>>,
    /// How many workers share them.
    workers: usize,
}

impl SharedClusters {
    /// Starts to resolve names on the given runtime, which is not a worker's. They are for so many workers.
    pub(crate) fn new(snapshot: Arc<Snapshot>, control: &Handle, workers: usize) -> Arc<Self> {
        Self::build(snapshot, Arc::default(), None, control, workers)
    }

    /// The clusters of the snapshot that comes next: those that did not change are the same.
    pub(crate) fn succeeded_by(&self, snapshot: Arc<Snapshot>, control: &Handle) -> Arc<Self> {
        Self::build(snapshot, self.resolver.clone(), Some(self), control, self.workers)
    }

    fn build(
        snapshot: Arc<Snapshot>,
        resolver: Arc<Resolver>,
        before: Option<&Self>,
        control: &Handle,
        workers: usize,
    ) -> Arc<Self> {
        let by_name = snapshot.clusters.iter().map(|(name, cluster)| {
            let shared = match before.and_then(|before| before.by_name.get(name)) {
                Some(known) if known.is(cluster) => known.clone(),
                Some(known) => SharedCluster::succeeding(known, cluster, &resolver, control, workers),
                None => SharedCluster::new(cluster, &resolver, control, workers),
            };
            (name.clone(), shared)
        });
        let by_name = by_name.collect();
        let mut known: HashMap<&str, Vec<&Arc<SharedCluster>>> = HashMap::new();
        for target in before.into_iter().flat_map(|before| before.targets.values()) {
            known.entry(&target.name).or_default().push(target);
        }
        let mut new: HashMap<String, Vec<Arc<SharedCluster>>> = HashMap::new();
        let mut targets = HashMap::new();
        for_each_target(&snapshot, |cluster| {
            targets.entry(Arc::as_ptr(cluster).addr()).or_insert_with(|| {
                let same = |targets: &&Arc<SharedCluster>| targets.is(cluster);
                let known = known.get(&*cluster.name).and_then(|known| known.iter().copied().find(same));
                if let Some(known) = known {
                    return known.clone();
                }
                let new = new.entry(cluster.name.clone()).or_default();
                if let Some(known) = new.iter().find(same) {
                    return known.clone();
                }
                let target = SharedCluster::new(cluster, &resolver, control, workers);
                new.push(target.clone());
                target
            });
        });
        Arc::new(Self { _snapshot: snapshot, resolver, by_name, targets, workers })
    }

    /// What names resolve to, of this snapshot and those that come after it.
    pub(crate) fn name_lookups(&self) -> NameLookups {
        NameLookups::of(&self.resolver)
    }

    /// Waits until every name of the snapshot's clusters was looked up once, successfully or not; listeners start
    /// after that, as Envoy's do. Bounded by the resolver's own timeouts.
    pub(crate) async fn initialized(&self) {
        for cluster in self.by_name.values() {
            cluster.initialized().await;
        }
    }

    pub(super) fn by_name(&self) -> &HashMap<String, Arc<SharedCluster>> {
        &self.by_name
    }

    /// The clusters of all processor targets of their own, some more than once.
    pub(super) fn targets(&self) -> impl Iterator<Item = &Arc<SharedCluster>> {
        self.targets.values()
    }

    /// The cluster of a processor target of its own, which must belong to the snapshot.
    pub(super) fn target(&self, cluster: &Arc<Cluster>) -> Option<&Arc<SharedCluster>> {
        self.targets.get(&Arc::as_ptr(cluster).addr())
    }
}
