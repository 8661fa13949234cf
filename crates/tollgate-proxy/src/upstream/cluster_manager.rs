//! The clusters of one worker.

use std::{collections::HashMap, rc::Rc, sync::Arc};

use tollgate_model::{cluster::Cluster, processor::GrpcService};

use super::shared::SharedClusters;

/// The clusters of one worker: its own hosts, pools and processor connections.
#[derive(Debug)]
pub(crate) struct ClusterManager {
    clusters: HashMap<String, Rc<WorkerCluster>>,
}

impl ClusterManager {
    /// The clusters of a snapshot for this worker. Connects to nothing yet. Must be used inside the worker's
    /// `LocalRuntime`.
    pub(crate) fn new(shared: &Arc<SharedClusters>) -> Rc<Self> {
        let clusters = shared
            .snapshot()
            .clusters
            .iter()
            .map(|(name, cluster)| (name.clone(), Rc::new(WorkerCluster { cluster: cluster.clone() })))
            .collect();
        Rc::new(Self { clusters })
    }

    /// The cluster of that name.
    pub(crate) fn get(&self, name: &str) -> Option<Rc<WorkerCluster>> {
        self.clusters.get(name).cloned()
    }

    /// The client of a filter's processor; the same one for every call with the same service, which must belong to
    /// the snapshot. `None`: the named cluster does not exist (F-9 `Cluster not available`).
    pub(crate) fn processor(&self, _service: &GrpcService) -> Option<extproc_client::Client> {
        None
    }
}

/// A cluster as one worker uses it.
#[derive(Debug)]
pub(crate) struct WorkerCluster {
    cluster: Arc<Cluster>,
}

impl WorkerCluster {
    /// What was configured.
    pub(crate) fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }
}
