//! HTTP/2 connections to one host.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::task::spawn_local;
use tollgate_model::http_connection_manager::Http2Options;

use crate::upstream::{
    cluster::{circuit_breaker::Permit, shared_cluster::SharedCluster},
    exchange::failure::UpstreamFailure,
    pool::{
        connect::{Dialed, Dialer},
        http2_connection::{self, Http2Connection},
        negotiation::Negotiation,
        slot::{ConnectionSlot, ConnectionSlots},
        wait_queue::{Ticket, WaitQueue},
    },
};
use crate::{
    stats::{ClusterMetric, Metrics},
    stream_info::Protocol,
};

/// HTTP/2 connections to one host: another one is made when those there are carry as many streams as they may.
#[derive(Debug)]
pub(in crate::upstream) struct Http2Pool {
    /// Whose pool it is.
    pub(in crate::upstream) cluster: Arc<SharedCluster>,
    /// How connections are made.
    pub(in crate::upstream) dialer: Dialer,
    /// Settings of connections.
    pub(in crate::upstream) options: Http2Options,
    connections: RefCell<Vec<Rc<Http2Connection>>>,
    /// Connections being made.
    connecting: Cell<usize>,
    /// Streams the host allowed on its latest connection. Before that is known one connection is thought to do.
    expected_streams: Cell<usize>,
    slots: ConnectionSlots,
    waiting: Rc<WaitQueue>,
    draining: Cell<bool>,
    /// Where connections go on which the endpoint wants HTTP/1.1, if it may.
    pub(in crate::upstream) negotiation: Option<Rc<Negotiation>>,
    /// What is counted.
    pub(in crate::upstream) metrics: Metrics<ClusterMetric>,
}

impl Http2Pool {
    /// A pool without connections.
    pub(in crate::upstream) fn new(
        cluster: &Arc<SharedCluster>,
        dialer: &Dialer,
        options: &Http2Options,
        negotiation: Option<&Rc<Negotiation>>,
    ) -> Rc<Self> {
        let protocol = if negotiation.is_some() { None } else { Some(Protocol::Http2) };
        let metrics = dialer.metrics.clone();
        let waiting = Rc::new(WaitQueue::default());
        Rc::new(Self {
            cluster: cluster.clone(),
            dialer: dialer.clone(),
            options: options.clone(),
            connections: RefCell::default(),
            connecting: Cell::new(0),
            expected_streams: Cell::new(usize::MAX),
            slots: ConnectionSlots::new(cluster, &waiting, &metrics, protocol),
            waiting,
            draining: Cell::new(false),
            negotiation: negotiation.cloned(),
            metrics,
        })
    }

    /// A stream on a connection, old or new.
    pub(in crate::upstream) fn check_out(self: &Rc<Self>) -> Http2Checkout {
        Http2Checkout { pool: self.clone(), ticket: None, pending: None }
    }

    /// No further streams are opened but for those who wait already, and connections close when their streams have
    /// ended.
    pub(in crate::upstream) fn drain(&self) {
        self.draining.set(true);
        for connection in std::mem::take(&mut *self.connections.borrow_mut()) {
            connection.retire();
        }
    }

    /// A connection was made.
    pub(in crate::upstream) fn connected(&self, connection: &Rc<Http2Connection>) {
        self.connecting.set(self.connecting.get() - 1);
        self.connections.borrow_mut().push(connection.clone());
        self.waiting.notify(connection.free());
    }

    /// The endpoint wants HTTP/1.1: all who wait do so elsewhere.
    pub(in crate::upstream) fn is_left(&self) {
        self.connecting.set(self.connecting.get() - 1);
        self.waiting.notify(self.waiting.len());
    }

    /// Takes a connection on which the endpoint wants HTTP/2.
    pub(in crate::upstream) fn adopt(self: &Rc<Self>, dialed: Dialed, mut slot: ConnectionSlot) {
        slot.move_to(&self.slots);
        self.connecting.set(self.connecting.get() + 1);
        let options = self.options.clone();
        spawn_local(http2_connection::run_made(Rc::downgrade(self), dialed, options, slot));
    }

    /// A connection could not be made. All who wait fail with it, as in Envoy.
    pub(in crate::upstream) fn connect_failed(&self, failure: &UpstreamFailure) {
        self.connecting.set(self.connecting.get() - 1);
        self.waiting.fail_all(failure);
    }

    /// A connection learned how many streams it may carry.
    pub(in crate::upstream) fn settled(&self, connection: &Http2Connection) {
        self.expected_streams.set(connection.limit().max(1));
        self.waiting.notify(connection.free());
        // Those for whom there is no room need another connection.
        self.waiting.notify(1);
    }

    /// A stream ended.
    pub(in crate::upstream) fn stream_ended(&self, connection: &Rc<Http2Connection>) {
        if self.draining.get() && self.waiting.len() == 0 {
            self.retire(connection);
        } else if connection.free() > 0 {
            self.waiting.notify(1);
        }
    }

    /// A connection takes no further streams.
    pub(in crate::upstream) fn retire(&self, connection: &Rc<Http2Connection>) {
        connection.retire();
        self.connections.borrow_mut().retain(|known| known.id != connection.id);
        self.waiting.notify(1);
    }

    /// Room for streams that nobody in the queue will take, or any room for the one whose turn it is.
    fn take(self: &Rc<Self>, in_turn: bool) -> Option<http2_connection::StreamSlot> {
        let connection = {
            let connections = self.connections.borrow();
            let spoken_for = if in_turn { 0 } else { self.waiting.len() };
            if spoken_for > 0 {
                let free =
                    connections.iter().fold(0_usize, |sum, connection| sum.saturating_add(connection.free()));
                if free <= spoken_for {
                    return None;
                }
            }
            connections.iter().find(|connection| connection.free() > 0)?.clone()
        };
        let slot = http2_connection::StreamSlot::take(&connection, self);
        let most = self.cluster.cluster.max_requests_per_connection;
        if most.is_some_and(|most| connection.opened() >= most) {
            // The stream that was taken can still be opened.
            self.retire(&connection);
        }
        Some(slot)
    }

    /// Makes another connection if those that wait need one and the limits allow it.
    fn connect_if_needed(self: &Rc<Self>) {
        let unsettled =
            self.connections.borrow().iter().filter(|connection| !connection.is_settled()).count();
        let coming = (self.connecting.get() + unsettled).saturating_mul(self.expected_streams.get());
        if self.waiting.len() <= coming {
            return;
        }
        if let Some(slot) = self.slots.open() {
            self.connecting.set(self.connecting.get() + 1);
            spawn_local(http2_connection::run(
                Rc::downgrade(self),
                self.dialer.clone(),
                self.options.clone(),
                slot,
            ));
        }
    }
}

impl Drop for Http2Pool {
    fn drop(&mut self) {
        self.drain();
    }
}

/// A request on its way to a stream. Dropping it gives its place in the queue up.
#[derive(Debug)]
pub(in crate::upstream) struct Http2Checkout {
    pool: Rc<Http2Pool>,
    ticket: Option<Ticket>,
    /// Counts the request as pending.
    pending: Option<Permit>,
}

impl Http2Checkout {
    /// The pool of the connection.
    pub(in crate::upstream) fn pool(&self) -> &Rc<Http2Pool> {
        &self.pool
    }

    /// Room for a stream once there is some. Waiting for one of a limited number of connections has no limit in time
    /// of its own: the request's timeouts bound it.
    ///
    /// # Errors
    ///
    /// No connection could be made, or there were too many waiting requests.
    pub(in crate::upstream) fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<http2_connection::StreamSlot, UpstreamFailure>> {
        let mut in_turn = false;
        loop {
            if let Some(slot) = self.pool.take(in_turn) {
                self.ticket = None;
                self.pending = None;
                return Poll::Ready(Ok(slot));
            }
            let ticket = match &self.ticket {
                Some(ticket) => ticket,
                None => {
                    self.pending = self.pool.cluster.counts.pending_requests.try_acquire();
                    if self.pending.is_none() {
                        return Poll::Ready(Err(UpstreamFailure::Overflow));
                    }
                    self.ticket.insert(self.pool.waiting.join())
                }
            };
            self.pool.connect_if_needed();
            ready!(ticket.poll(cx))?;
            in_turn = true;
        }
    }
}
