//! HTTP/1 connections to one host.

use std::{
    cell::{Cell, RefCell},
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
    time::{Duration, Instant},
};

use bytes::BytesMut;
use tokio::io::{AsyncRead, ReadBuf};

use crate::upstream::{
    cluster::{circuit_breaker::Permit, shared_cluster::SharedCluster},
    exchange::failure::UpstreamFailure,
    pool::{
        connect::{ConnectionFacts, Dialed, Dialer, Dialing},
        slot::{ConnectionSlot, ConnectionSlots},
        transport::Transport,
        wait_queue::{Ticket, WaitQueue},
    },
};
use crate::{
    http1::WriteQueue,
    stats::{ClusterMetric, Metrics},
    stream_info::Protocol,
};

/// HTTP/1 connections to one host. A connection belongs to the request that uses it; the pool has the idle ones and
/// takes the one used last, so that the others can time out.
#[derive(Debug)]
pub(in crate::upstream) struct Http1Pool {
    cluster: Arc<SharedCluster>,
    dialer: Dialer,
    idle: RefCell<Vec<IdleConnection>>,
    slots: ConnectionSlots,
    waiting: Rc<WaitQueue>,
    draining: Cell<bool>,
    metrics: Metrics<ClusterMetric>,
}

#[derive(Debug)]
struct IdleConnection {
    connection: Http1Connection,
    since: Instant,
}

/// A connection to a host.
#[derive(Debug)]
pub(in crate::upstream) struct Http1Connection {
    /// The byte stream.
    pub(in crate::upstream) transport: Transport,
    /// Received and not used yet.
    pub(in crate::upstream) received: BytesMut,
    /// To be sent.
    pub(in crate::upstream) queue: WriteQueue,
    /// What is known about it.
    pub(in crate::upstream) facts: ConnectionFacts,
    /// Requests that it has carried, the present one included.
    requests: u32,
    slot: ConnectionSlot,
}

impl Http1Connection {
    /// The endpoint wants HTTP/2 on it: nothing was sent yet.
    pub(in crate::upstream) fn is_http2(&self) -> bool {
        self.facts.tls.as_ref().is_some_and(|tls| tls.http2)
    }

    /// The connection for another pool.
    pub(in crate::upstream) fn into_parts(self) -> (Dialed, ConnectionSlot) {
        (Dialed { transport: self.transport, facts: self.facts }, self.slot)
    }
}

impl Http1Pool {
    /// A pool without connections.
    pub(in crate::upstream) fn new(cluster: &Arc<SharedCluster>, dialer: &Dialer) -> Rc<Self> {
        Self::speaking(cluster, dialer, Some(Protocol::Http11))
    }

    /// The same for connections on which something else may be spoken.
    pub(in crate::upstream) fn perhaps(cluster: &Arc<SharedCluster>, dialer: &Dialer) -> Rc<Self> {
        Self::speaking(cluster, dialer, None)
    }

    fn speaking(cluster: &Arc<SharedCluster>, dialer: &Dialer, protocol: Option<Protocol>) -> Rc<Self> {
        let metrics = dialer.metrics.clone();
        let waiting = Rc::new(WaitQueue::default());
        Rc::new(Self {
            cluster: cluster.clone(),
            dialer: dialer.clone(),
            idle: RefCell::default(),
            slots: ConnectionSlots::new(cluster, &waiting, &metrics, protocol),
            waiting,
            draining: Cell::new(false),
            metrics,
        })
    }

    /// A connection for one request, idle or new.
    pub(in crate::upstream) fn check_out(self: &Rc<Self>, now: Instant) -> Http1Checkout {
        Http1Checkout { pool: self.clone(), now, state: CheckoutState::New, pending: None }
    }

    /// Takes back a connection whose request and response are complete.
    pub(in crate::upstream) fn put_back(&self, connection: Http1Connection) {
        let used_up =
            self.cluster.cluster.max_requests_per_connection.is_some_and(|most| connection.requests >= most);
        if used_up || self.draining.get() {
            return;
        }
        self.keep(connection);
    }

    /// Takes back a connection that was handed out for a request which was not sent.
    pub(in crate::upstream) fn give_back_unused(&self, mut connection: Http1Connection) {
        connection.requests -= 1;
        if !self.draining.get() {
            self.keep(connection);
        }
    }

    /// Takes a connection on which the endpoint wants HTTP/1.1.
    pub(in crate::upstream) fn adopt(&self, dialed: Dialed, mut slot: ConnectionSlot) {
        slot.move_to(&self.slots);
        if self.draining.get() {
            return;
        }
        let mut connection = self.connected(dialed, slot);
        connection.requests = 0;
        self.keep(connection);
    }

    fn keep(&self, mut connection: Http1Connection) {
        // An idle connection keeps no buffers.
        connection.received = BytesMut::new();
        connection.queue.release();
        self.idle.borrow_mut().push(IdleConnection { connection, since: Instant::now() });
        self.waiting.notify(1);
    }

    /// Closes idle connections that have been idle for too long or were closed by the host.
    pub(in crate::upstream) fn close_expired(&self, now: Instant) {
        let limit = self.cluster.cluster.idle_timeout;
        // Closed outside of the borrow: it tells waiting requests.
        let expired: Vec<_> =
            self.idle.borrow_mut().extract_if(.., |idle| !self.is_usable(idle, now, limit)).collect();
        drop(expired);
    }

    /// No connection is used again, and those that are idle close.
    pub(in crate::upstream) fn drain(&self) {
        self.draining.set(true);
        let idle = std::mem::take(&mut *self.idle.borrow_mut());
        drop(idle);
    }

    /// The idle connection used last that is still good.
    fn take_idle(&self, now: Instant) -> Option<Http1Connection> {
        let limit = self.cluster.cluster.idle_timeout;
        loop {
            let mut idle = self.idle.borrow_mut().pop()?;
            if self.is_usable(&mut idle, now, limit) {
                idle.connection.requests += 1;
                return Some(idle.connection);
            }
        }
    }

    fn is_usable(&self, idle: &mut IdleConnection, now: Instant, limit: Option<Duration>) -> bool {
        if idle.is_too_old(now, limit) {
            self.metrics.increment(ClusterMetric::UpstreamCxIdleTimeout);
            return false;
        }
        idle.is_open()
    }

    fn connected(&self, dialed: Dialed, slot: ConnectionSlot) -> Http1Connection {
        if self.slots.is_undecided() && !dialed.is_http2() {
            slot.speaks(Protocol::Http11);
        }
        Http1Connection {
            transport: dialed.transport,
            received: BytesMut::new(),
            queue: WriteQueue::default(),
            facts: dialed.facts,
            requests: 1,
            slot,
        }
    }
}

impl IdleConnection {
    fn is_too_old(&self, now: Instant, limit: Option<Duration>) -> bool {
        limit.is_some_and(|limit| now.saturating_duration_since(self.since) >= limit)
    }

    /// Not closed. A host that sends something unasked has no right to be believed either.
    fn is_open(&mut self) -> bool {
        let mut byte = [0];
        let mut context = Context::from_waker(Waker::noop());
        Pin::new(&mut self.connection.transport)
            .poll_read(&mut context, &mut ReadBuf::new(&mut byte))
            .is_pending()
    }
}

/// A request on its way to a connection. Dropping it gives a place in the queue, or a connection attempt, up.
#[derive(Debug)]
pub(in crate::upstream) struct Http1Checkout {
    pool: Rc<Http1Pool>,
    now: Instant,
    state: CheckoutState,
    /// Counts the request as pending.
    pending: Option<Permit>,
}

enum CheckoutState {
    New,
    Waiting(Ticket),
    Dialing(Dialing, ConnectionSlot),
    Done,
}

impl std::fmt::Debug for CheckoutState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::New => "New",
            Self::Waiting(_) => "Waiting",
            Self::Dialing(..) => "Dialing",
            Self::Done => "Done",
        })
    }
}

impl Http1Checkout {
    /// The pool of the connection.
    pub(in crate::upstream) fn pool(&self) -> &Rc<Http1Pool> {
        &self.pool
    }

    /// The connection once there is one. Waiting for one of a limited number has no limit in time of its own: the
    /// request's timeouts bound it.
    ///
    /// # Errors
    ///
    /// No connection could be made, or there were too many waiting requests.
    pub(in crate::upstream) fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Http1Connection, UpstreamFailure>> {
        let outcome = ready!(self.poll_connection(cx));
        self.state = CheckoutState::Done;
        self.pending = None;
        Poll::Ready(outcome)
    }

    fn poll_connection(&mut self, cx: &mut Context<'_>) -> Poll<Result<Http1Connection, UpstreamFailure>> {
        loop {
            match &mut self.state {
                CheckoutState::New => {
                    // Those who wait come first.
                    if self.pool.idle.borrow().len() > self.pool.waiting.len()
                        && let Some(connection) = self.pool.take_idle(self.now)
                    {
                        return Poll::Ready(Ok(connection));
                    }
                    self.pending = self.pool.cluster.counts.pending_requests.try_acquire();
                    if self.pending.is_none() {
                        return Poll::Ready(Err(UpstreamFailure::Overflow));
                    }
                    self.state = match self.pool.slots.open() {
                        Some(slot) => CheckoutState::Dialing(self.pool.dialer.dial(), slot),
                        None => CheckoutState::Waiting(self.pool.waiting.join()),
                    };
                }
                CheckoutState::Waiting(ticket) => {
                    ready!(ticket.poll(cx))?;
                    if let Some(connection) = self.pool.take_idle(self.now) {
                        return Poll::Ready(Ok(connection));
                    }
                    if let Some(slot) = self.pool.slots.open() {
                        self.state = CheckoutState::Dialing(self.pool.dialer.dial(), slot);
                    }
                }
                CheckoutState::Dialing(dialing, _) => {
                    let dialed = ready!(dialing.as_mut().poll(cx));
                    let CheckoutState::Dialing(_, slot) =
                        std::mem::replace(&mut self.state, CheckoutState::Done)
                    else {
                        return Poll::Pending;
                    };
                    return Poll::Ready(dialed.map(|dialed| self.pool.connected(dialed, slot)));
                }
                CheckoutState::Done => return Poll::Pending,
            }
        }
    }
}
