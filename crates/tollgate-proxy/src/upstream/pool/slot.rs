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
    protocol: Protocol,
}

impl ConnectionSlots {
    /// A pool without connections; `waiting` is told when one ends.
    pub(in crate::upstream) fn new(
        cluster: &Arc<SharedCluster>,
        waiting: &Rc<WaitQueue>,
        metrics: &Metrics<ClusterMetric>,
        protocol: Protocol,
    ) -> Self {
        Self {
            cluster: cluster.clone(),
            open: Rc::default(),
            waiting: waiting.clone(),
            metrics: metrics.clone(),
            protocol,
        }
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
        Some(ConnectionSlot {
            open: self.open.clone(),
            waiting: self.waiting.clone(),
            _permit: permit,
            _count: OpenConnection::new(&self.metrics, self.protocol),
        })
    }
}

/// One connection, connecting ones included; counted until dropped.
#[derive(Debug)]
pub(in crate::upstream) struct ConnectionSlot {
    open: Rc<Cell<usize>>,
    waiting: Rc<WaitQueue>,
    _permit: Permit,
    _count: OpenConnection,
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.open.set(self.open.get() - 1);
        self.waiting.notify(1);
    }
}
