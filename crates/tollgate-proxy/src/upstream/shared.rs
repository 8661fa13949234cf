//! What the workers' clusters have in common.

use std::{collections::HashMap, sync::Arc};

use tokio::runtime::Handle;
use tollgate_model::{Snapshot, cluster::Cluster};

use super::{dns::Resolver, shared_cluster::SharedCluster, targets::for_each_target};

/// The clusters of a snapshot as all workers share them: addresses of names, counts of circuit breakers.
#[derive(Debug)]
pub(crate) struct SharedClusters {
    /// Kept so that clusters and services can be told by their place in memory.
    _snapshot: Arc<Snapshot>,
    by_name: HashMap<String, Arc<SharedCluster>>,
    /// Processor targets of their own (`google_grpc`), by their place in memory.
    targets: HashMap<usize, Arc<SharedCluster>>,
}

impl SharedClusters {
    /// Starts to resolve names on the given runtime, which is not a worker's.
    pub(crate) fn new(snapshot: Arc<Snapshot>, control: &Handle) -> Arc<Self> {
        let resolver = Arc::new(Resolver::default());
        let by_name = snapshot
            .clusters
            .iter()
            .map(|(name, cluster)| (name.clone(), SharedCluster::new(cluster, &resolver, control)))
            .collect();
        let mut targets = HashMap::new();
        for_each_target(&snapshot, |cluster| {
            let new = || SharedCluster::new(cluster, &resolver, control);
            targets.entry(Arc::as_ptr(cluster).addr()).or_insert_with(new);
        });
        Arc::new(Self { _snapshot: snapshot, by_name, targets })
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

    /// The cluster of a processor target of its own, which must belong to the snapshot.
    pub(super) fn target(&self, cluster: &Arc<Cluster>) -> Option<&Arc<SharedCluster>> {
        self.targets.get(&Arc::as_ptr(cluster).addr())
    }
}
