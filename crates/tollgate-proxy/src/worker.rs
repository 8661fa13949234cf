//! One worker: a thread with its own runtime, listeners, pools and processor connections.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, UdpSocket},
    rc::Rc,
    sync::Arc,
};

use tollgate_model::Snapshot;

use crate::{
    access_log::AccessLogger,
    date::DateCache,
    drain::Drain,
    stats::{ClusterMetric, Metrics, ProcessorMetric, ServerMetric, SnapshotStats, Stats, WorkerStats},
    upstream::{ClusterManager, SharedClusters},
};

/// What the tasks of one worker share. Nothing in it is shared with other threads on the request path.
#[derive(Debug)]
pub(crate) struct Worker {
    index: usize,
    workers: usize,
    snapshot: RefCell<Arc<Snapshot>>,
    clusters: RefCell<Rc<ClusterManager>>,
    connections: Cell<u64>,
    stats: WorkerStats,
    server_metrics: Metrics<ServerMetric>,
    metrics: RefCell<Rc<SnapshotStats>>,
    clusters_metrics: RefCell<HashMap<Arc<str>, Metrics<ClusterMetric>>>,
    processors_metrics: RefCell<HashMap<String, Metrics<ProcessorMetric>>>,
    /// Where access log lines go.
    pub(crate) access_log: AccessLogger,
    /// The machine's own address, for `x-forwarded-for` (N-2).
    pub(crate) own_address: IpAddr,
    /// The `date` header.
    pub(crate) date: DateCache,
    /// Whether the worker is about to stop.
    pub(crate) drain: Drain,
}

impl Worker {
    /// The worker of that index of `workers`. Must be called inside its runtime.
    pub(crate) fn new(
        index: usize,
        workers: usize,
        snapshot: Arc<Snapshot>,
        shared: &Arc<SharedClusters>,
        stats: Arc<Stats>,
        access_log: AccessLogger,
    ) -> Rc<Self> {
        let stats = WorkerStats::new(stats, index);
        Rc::new(Self {
            metrics: RefCell::new(Rc::new(SnapshotStats::new(&stats, &snapshot))),
            server_metrics: stats.server(),
            stats,
            clusters_metrics: RefCell::default(),
            processors_metrics: RefCell::default(),
            access_log,
            index,
            workers,
            snapshot: RefCell::new(snapshot),
            clusters: RefCell::new(ClusterManager::new(shared)),
            connections: Cell::new(0),
            own_address: own_address(),
            date: DateCache::default(),
            drain: Drain::default(),
        })
    }

    /// The current configuration. A transaction takes it once and keeps it to its end.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.borrow().clone()
    }

    /// The clusters of the current configuration.
    pub(crate) fn clusters(&self) -> Rc<ClusterManager> {
        self.clusters.borrow().clone()
    }

    /// The metrics of what the current configuration names.
    pub(crate) fn metrics(&self) -> Rc<SnapshotStats> {
        self.metrics.borrow().clone()
    }

    /// Access log lines had no room.
    pub(crate) fn count_dropped_log_lines(&self, dropped: u64) {
        if dropped > 0 {
            self.server_metrics.add(ServerMetric::AccessLogDropped, dropped);
        }
    }

    /// The metrics of a cluster.
    pub(crate) fn cluster_metrics(&self, name: &Arc<str>) -> Metrics<ClusterMetric> {
        let mut known = self.clusters_metrics.borrow_mut();
        known.entry(name.clone()).or_insert_with(|| self.stats.cluster(name)).clone()
    }

    /// The metrics of a processor.
    pub(crate) fn processor_metrics(&self, name: &str) -> Metrics<ProcessorMetric> {
        let mut known = self.processors_metrics.borrow_mut();
        if let Some(metrics) = known.get(name) {
            return metrics.clone();
        }
        known.entry(name.to_owned()).or_insert_with(|| self.stats.processor(name)).clone()
    }

    /// A connection number that no other connection of the process has.
    pub(crate) fn next_connection_id(&self) -> u64 {
        let count = self.connections.get();
        self.connections.set(count + 1);
        count * self.workers as u64 + self.index as u64
    }
}

/// The address this machine uses towards others; the loopback address if it is alone. Nothing is sent to find out:
/// connecting a UDP socket only chooses a route (to an address reserved for documentation, RFC 5737).
fn own_address() -> IpAddr {
    let chosen = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| {
        socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9))?;
        socket.local_addr()
    });
    chosen.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |address| address.ip())
}
