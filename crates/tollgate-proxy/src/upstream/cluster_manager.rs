//! The clusters of one worker.

use std::{
    cell::RefCell,
    collections::HashMap,
    rc::{Rc, Weak},
    sync::Arc,
    time::{Duration, Instant},
};

use extproc_client::{Client, Endpoint, PickError};
use tokio::task::spawn_local;
use tollgate_model::{
    cluster::Cluster,
    processor::{GrpcService, GrpcTarget},
};

use super::{
    failure::UpstreamFailure,
    host::{Host, Pool},
    host_set::HostSet,
    load_balancer::Candidate,
    processor,
    shared::SharedClusters,
    shared_cluster::SharedCluster,
};

/// How often idle connections are looked at.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// The clusters of one worker: its own hosts, pools and processor connections.
#[derive(Debug)]
pub(crate) struct ClusterManager {
    shared: Arc<SharedClusters>,
    clusters: HashMap<String, Rc<WorkerCluster>>,
    /// Clusters of processor targets of their own, and clients of filters, by their place in memory.
    targets: RefCell<HashMap<usize, Rc<WorkerCluster>>>,
    clients: RefCell<HashMap<usize, Client>>,
}

impl ClusterManager {
    /// The clusters of a snapshot for this worker. Connects to nothing yet. Must be called, and everything it gives
    /// be used, inside the worker's `LocalRuntime`.
    pub(crate) fn new(shared: &Arc<SharedClusters>) -> Rc<Self> {
        let clusters = shared
            .by_name()
            .iter()
            .map(|(name, cluster)| (name.clone(), WorkerCluster::new(cluster)))
            .collect();
        let manager = Rc::new(Self {
            shared: shared.clone(),
            clusters,
            targets: RefCell::default(),
            clients: RefCell::default(),
        });
        spawn_local(close_expired_connections(Rc::downgrade(&manager)));
        manager
    }

    /// The cluster of that name.
    pub(crate) fn get(&self, name: &str) -> Option<Rc<WorkerCluster>> {
        self.clusters.get(name).cloned()
    }

    /// The client of a filter's processor; the same one for every call with the same service, which must belong to
    /// the snapshot. `None`: the named cluster does not exist (F-9 `Cluster not available`).
    pub(crate) fn processor(&self, service: &GrpcService) -> Option<Client> {
        let place = std::ptr::from_ref(service).addr();
        if let Some(client) = self.clients.borrow().get(&place) {
            return Some(client.clone());
        }
        let cluster = match &service.target {
            GrpcTarget::EnvoyGrpc(name) => self.clusters.get(name)?.clone(),
            GrpcTarget::GoogleGrpc(cluster) => self.target(cluster)?,
        };
        let client = processor::client(&cluster, service);
        self.clients.borrow_mut().insert(place, client.clone());
        Some(client)
    }

    fn target(&self, cluster: &Arc<Cluster>) -> Option<Rc<WorkerCluster>> {
        let shared = self.shared.target(cluster)?;
        let mut targets = self.targets.borrow_mut();
        Some(targets.entry(Arc::as_ptr(cluster).addr()).or_insert_with(|| WorkerCluster::new(shared)).clone())
    }
}

/// Closes what has been idle for too long or was closed by the host, so that the host need not wait for the next
/// request to see it.
async fn close_expired_connections(manager: Weak<ClusterManager>) {
    loop {
        tokio::time::sleep(SWEEP_INTERVAL).await;
        let Some(manager) = manager.upgrade() else { return };
        let now = Instant::now();
        for cluster in manager.clusters.values() {
            for host in cluster.hosts.borrow().hosts() {
                if let Pool::Http1(pool) = &host.pool {
                    pool.close_expired(now);
                }
            }
        }
    }
}

/// A cluster as one worker uses it.
#[derive(Debug)]
pub(crate) struct WorkerCluster {
    shared: Arc<SharedCluster>,
    hosts: RefCell<HostSet>,
}

impl WorkerCluster {
    /// The cluster with its hosts as far as they are known.
    pub(super) fn new(shared: &Arc<SharedCluster>) -> Rc<Self> {
        Rc::new(Self { shared: shared.clone(), hosts: RefCell::new(HostSet::new(shared)) })
    }

    /// The cluster's name.
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.shared.name
    }

    /// What it has in common with the other workers'.
    pub(super) fn shared(&self) -> &Arc<SharedCluster> {
        &self.shared
    }

    /// The host of the next request.
    pub(super) fn choose(&self) -> Result<Rc<Host>, UpstreamFailure> {
        self.hosts.borrow_mut().choose().cloned().ok_or(UpstreamFailure::NoHealthyUpstream)
    }

    /// The processor endpoint of the next exchange.
    pub(super) fn choose_processor(&self) -> Result<Rc<Endpoint>, PickError> {
        let mut hosts = self.hosts.borrow_mut();
        let endpoint = hosts.choose().ok_or(PickError::NoHealthyUpstream)?.processor().clone();
        let active: usize = hosts.hosts().iter().map(Candidate::active_requests).sum();
        let most = self.shared.cluster.circuit_breakers.max_requests;
        if usize::try_from(most).is_ok_and(|most| active >= most) {
            return Err(PickError::Overflow);
        }
        Ok(endpoint)
    }
}
