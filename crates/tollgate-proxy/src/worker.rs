//! One worker: a thread with its own runtime, listeners, pools and processor connections.

use std::{
    cell::{Cell, RefCell},
    net::{IpAddr, Ipv4Addr, UdpSocket},
    rc::Rc,
    sync::Arc,
};

use tollgate_model::Snapshot;

use crate::{
    date::DateCache,
    drain::Drain,
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
    ) -> Rc<Self> {
        Rc::new(Self {
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
