//! Permission to have one more connection to a host.

use std::{cell::Cell, rc::Rc, sync::Arc};

use crate::upstream::{
    cluster::{circuit_breaker::Permit, shared_cluster::SharedCluster},
    pool::{counts::OpenConnection, wait_queue::WaitQueue},
};
use crate::{
    stats::{ClusterMetric, Metrics},
    stream_info::Protocol,
};

/// The connections of one pool, by number.
#[derive(Debug)]
pub(in crate::upstream) struct ConnectionSlots {
    cluster: Arc<SharedCluster>,
    open: Rc<Cell<usize>>,
    waiting: Rc<WaitQueue>,
    metrics: Metrics<ClusterMetric>,
    /// What is spoken; `None`: that is known when the connection is there.
    protocol: Option<Protocol>,
}

impl ConnectionSlots {
    /// A pool without connections; `waiting` is told when one ends.
    pub(in crate::upstream) fn new(
        cluster: &Arc<SharedCluster>,
        waiting: &Rc<WaitQueue>,
        metrics: &Metrics<ClusterMetric>,
        protocol: Option<Protocol>,
    ) -> Self {
        Self {
            cluster: cluster.clone(),
            open: Rc::default(),
            waiting: waiting.clone(),
            metrics: metrics.clone(),
            protocol,
        }
    }

    /// What is spoken is known when a connection is there.
    pub(in crate::upstream) fn is_undecided(&self) -> bool {
        self.protocol.is_none()
    }

    /// One more connection, if the cluster's limit allows it. A pool that has none always gets one: otherwise
    /// connections elsewhere could starve it.
    pub(in crate::upstream) fn open(&self) -> Option<ConnectionSlot> {
        let connections = &self.cluster.counts.connections;
        let permit = if self.open.get() == 0 {
            connections.acquire()
        } else {
            connections.try_acquire().or_else(|| {
                self.metrics.increment(ClusterMetric::UpstreamCxOverflow);
                None
            })?
        };
        self.open.set(self.open.get() + 1);
        let count = OpenConnection::new(&self.metrics);
        if let Some(protocol) = self.protocol {
            count.speaks(protocol);
        }
        Some(ConnectionSlot {
            open: self.open.clone(),
            waiting: self.waiting.clone(),
            _permit: permit,
            count,
        })
    }
}

/// One connection, connecting ones included; counted until dropped.
#[derive(Debug)]
pub(in crate::upstream) struct ConnectionSlot {
    open: Rc<Cell<usize>>,
    waiting: Rc<WaitQueue>,
    _permit: Permit,
    count: OpenConnection,
}

impl ConnectionSlot {
    /// What is spoken on the connection is known.
    pub(in crate::upstream) fn speaks(&self, protocol: Protocol) {
        self.count.speaks(protocol);
    }

    /// The connection is one of another pool from now on.
    pub(in crate::upstream) fn move_to(&mut self, pool: &ConnectionSlots) {
        self.leave();
        pool.open.set(pool.open.get() + 1);
        self.open = pool.open.clone();
        self.waiting = pool.waiting.clone();
    }

    fn leave(&self) {
        self.open.set(self.open.get() - 1);
        self.waiting.notify(1);
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.leave();
    }
}
