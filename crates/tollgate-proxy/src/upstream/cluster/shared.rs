//! What the workers' clusters have in common.

use std::{collections::HashMap, sync::Arc};

use tokio::runtime::Handle;
use tollgate_model::{Snapshot, cluster::Cluster};

use crate::upstream::cluster::{
    dns::{NameLookups, Resolver},
    shared_cluster::SharedCluster,
    targets::for_each_target,
};

/// The clusters of a snapshot as all workers share them: addresses of names, counts of circuit breakers.
#[derive(Debug)]
pub(crate) struct SharedClusters {
    resolver: Arc<Resolver>,
    by_name: HashMap<String, Arc<SharedCluster>>,
    /// Processor targets of their own (`google_grpc`), by name. Equal ones are one cluster.
    targets: HashMap<String, Vec<Arc<SharedCluster>>>,
    /// How many workers share them.
    workers: usize,
}

impl SharedClusters {
    /// Starts to resolve names on the given runtime, which is not a worker's. They are for so many workers.
    pub(crate) fn new(snapshot: &Snapshot, control: &Handle, workers: usize) -> Arc<Self> {
        Self::build(snapshot, Arc::default(), None, control, workers)
    }

    /// The clusters of the snapshot that comes next: those that did not change are the same.
    pub(crate) fn succeeded_by(&self, snapshot: &Snapshot, control: &Handle) -> Arc<Self> {
        Self::build(snapshot, self.resolver.clone(), Some(self), control, self.workers)
    }

    fn build(
        snapshot: &Snapshot,
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
        let mut targets: HashMap<String, Vec<Arc<SharedCluster>>> = HashMap::new();
        for_each_target(snapshot, |cluster| {
            if find(&targets, cluster).is_some() {
                return;
            }
            let known = before.and_then(|before| find(&before.targets, cluster)).cloned();
            let target = known.unwrap_or_else(|| SharedCluster::new(cluster, &resolver, control, workers));
            targets.entry(cluster.name.clone()).or_default().push(target);
        });
        Arc::new(Self { resolver, by_name, targets, workers })
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
