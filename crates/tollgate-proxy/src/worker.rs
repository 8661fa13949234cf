//! One worker: a thread with its own runtime, listeners, pools and processor connections.

use std::{
    cell::{Cell, RefCell},
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
