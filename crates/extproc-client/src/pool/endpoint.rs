//! One address of a processor and the connections to it.

use std::{cell::RefCell, rc::Rc, sync::Arc, time::Duration};

use http2_io::{FrameLimits, KeepAlive};
use tokio::time::Instant;

use super::{
    backoff::Backoff,
    connection::{self, Connection, ConnectionEvent, ConnectionId, NewConnection, StreamPermit},
    pending::{PendingRequest, PendingRequests},
};
use crate::{connect::Connector, reset::ResetReason, status::GrpcStatus};

/// The endpoints of a processor.
pub trait Endpoints: 'static {
    /// Chooses the endpoint of the next exchange.
    ///
    /// # Errors
    ///
    /// There is none to choose.
    fn pick(&self) -> Result<Rc<Endpoint>, PickError>;
}

/// Why no endpoint could be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PickError {
    /// The cluster is unknown (F-9).
    #[error("Cluster not available")]
    ClusterNotAvailable,
    /// The cluster has no endpoint that could be used.
    #[error("no healthy upstream")]
    NoHealthyUpstream,
    /// A circuit breaker is open.
    #[error("overflow")]
    Overflow,
}

impl From<PickError> for GrpcStatus {
    fn from(error: PickError) -> Self {
        let (message, details) = match error {
            PickError::ClusterNotAvailable => ("Cluster not available", ""),
            PickError::NoHealthyUpstream => ("no healthy upstream", "no_healthy_upstream"),
            PickError::Overflow => return ResetReason::Overflow.before_headers(false),
        };
        Self { code: 14, message: message.to_owned(), details: details.to_owned() }
    }
}

/// How an endpoint's connections are used.
#[derive(Debug, Clone, PartialEq)]
pub struct EndpointSettings {
    /// Where it is, for logs. Default: nothing.
    pub address: Arc<str>,
    /// Time for a connection to be established, TLS included. Default 5 s.
    pub connect_timeout: Duration,
    /// A connection without exchanges is closed after this. Default 1 h; `None` = never.
    pub idle_timeout: Option<Duration>,
    /// Most connections at a time. Default 1024.
    pub max_connections: usize,
    /// Most exchanges that wait for a connection; further ones fail. Default 1024.
    pub max_pending_requests: usize,
    /// Most exchanges at a time on one connection; the peer's own limit holds too. Default 1024.
    pub max_concurrent_streams: usize,
    /// Most exchanges in the life of a connection. Default `None`: unlimited.
    pub max_requests_per_connection: Option<u32>,
    /// PINGs that find dead connections. Default `None`, because servers answer unexpected PINGs with GOAWAY.
    pub keepalive: Option<KeepAlive>,
    /// What the peer may send without need. Default: Envoy's limits.
    pub frame_limits: FrameLimits,
}

impl Default for EndpointSettings {
    fn default() -> Self {
        Self {
            address: "".into(),
            connect_timeout: Duration::from_secs(5),
            idle_timeout: Some(Duration::from_secs(3600)),
            max_connections: 1024,
            max_pending_requests: 1024,
            max_concurrent_streams: 1024,
            max_requests_per_connection: None,
            keepalive: None,
            frame_limits: FrameLimits::default(),
        }
    }
}

/// One address of a processor. Owns the connections to it and shares them among exchanges; the first is made when the
/// first exchange needs it.
pub struct Endpoint {
    connector: Rc<dyn Connector>,
    settings: Rc<EndpointSettings>,
    pool: RefCell<Pool>,
}

/// What an exchange that asked for a connection has got.
pub(crate) enum Checkout {
    Permit(StreamPermit),
    Pending(PendingRequest),
    Failed(ResetReason),
}

impl Endpoint {
    /// An endpoint without connections.
    #[must_use]
    pub fn new(connector: Rc<dyn Connector>, settings: EndpointSettings) -> Rc<Self> {
        Rc::new(Self { connector, settings: Rc::new(settings), pool: RefCell::default() })
    }

    /// Where it is, for logs.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.settings.address
    }

    /// Exchanges under way here, waiting ones included: what least-request balancing compares.
    #[must_use]
    pub fn active_requests(&self) -> usize {
        let pool = self.pool.borrow();
        pool.queue.len() + pool.connections.iter().map(|connection| connection.streams()).sum::<usize>()
    }

    /// Connections there are now take no more exchanges and close with their last one.
    pub fn retire_all(&self) {
        let connections = std::mem::take(&mut self.pool.borrow_mut().connections);
        for connection in connections {
            connection.retire();
        }
    }

    /// A permit for the stream of one exchange, or a place in the queue.
    ///
    /// # Errors
    ///
    /// The queue is full.
    pub(crate) fn acquire(self: &Rc<Self>) -> Result<Checkout, PickError> {
        let mut pool = self.pool.borrow_mut();
        if pool.queue.is_empty()
            && let Some(permit) = pool.permit()
        {
            return Ok(Checkout::Permit(permit));
        }
        if pool.connections.is_empty()
            && pool.connecting == 0
            && let Some(reason) = pool.backoff.blocked(Instant::now())
        {
            return Ok(Checkout::Failed(reason.clone()));
        }
        if pool.queue.len() >= self.settings.max_pending_requests {
            // Those whose time has run out take no place from others.
            pool.queue.prune(Instant::now());
            if pool.queue.len() >= self.settings.max_pending_requests {
                return Err(PickError::Overflow);
            }
        }
        let pending = pool.queue.push(self.clone());
        let attempts = self.plan(&mut pool);
        drop(pool);
        self.start(attempts);
        Ok(Checkout::Pending(pending))
    }

    /// Gives permits to exchanges that wait, as far as there are any, and ensures that the others will get one.
    fn grant(self: &Rc<Self>) {
        loop {
            let mut pool = self.pool.borrow_mut();
            if pool.queue.is_empty() {
                return;
            }
            let now = Instant::now();
            let Some(permit) = pool.permit() else {
                let attempts = self.plan(&mut pool);
                drop(pool);
                return self.start(attempts);
            };
            let waiter = pool.queue.pop(now);
            drop(pool);
            match waiter {
                Some(waiter) => waiter.deliver(Ok(permit)),
                None => return,
            }
        }
    }

    /// How many attempts have to be made for those who wait. They count as under way, and are to be
    /// [started](Self::start) when the pool is not borrowed any more: connectors may look at their endpoint.
    fn plan(&self, pool: &mut Pool) -> usize {
        let before = pool.connecting;
        let expected =
            pool.learned_streams.unwrap_or(UNKNOWN_STREAMS).min(self.settings.max_concurrent_streams);
        while pool.queue.len() > pool.connecting.saturating_mul(expected.max(1)) {
            let total = pool.connections.len() + pool.connecting;
            if total >= self.settings.max_connections && total > 0 {
                break;
            }
            // A peer that takes no exchanges for now takes none on further connections either.
            if pool.learned_streams == Some(0) && total > 0 {
                break;
            }
            pool.connecting += 1;
        }
        pool.connecting - before
    }

    /// Starts attempts that are counted already.
    fn start(self: &Rc<Self>, attempts: usize) {
        for _ in 0..attempts {
            let attempt =
                connection::run(Rc::downgrade(self), self.settings.clone(), self.connector.connect());
            tokio::task::spawn_local(attempt);
        }
    }

    /// What a connection that is about to be opened has to know.
    pub(super) fn new_connection(&self) -> NewConnection {
        let mut pool = self.pool.borrow_mut();
        pool.latest_id = pool.latest_id.next();
        NewConnection { id: pool.latest_id, expected_streams: pool.expected(&self.settings) }
    }

    /// A connection has something to say.
    pub(super) fn handle(self: &Rc<Self>, connection: &Connection, event: ConnectionEvent) {
        match event {
            ConnectionEvent::PermitReturned => self.grant(),
            ConnectionEvent::MaxStreams(streams) => {
                self.pool.borrow_mut().learned_streams = Some(streams);
                self.grant();
            }
            ConnectionEvent::Retired { replace } => self.retired(connection.id(), replace),
            ConnectionEvent::PingUnanswered => self.connector.ping_unanswered(),
            ConnectionEvent::Flooded(flood) => self.connector.flooded(flood),
        }
    }

    /// A pending request has left the queue.
    pub(super) fn forget(&self, key: u64) {
        self.pool.borrow_mut().queue.remove(key);
    }

    /// A pending request whose caller has left is of no use any more after that time.
    pub(super) fn expires(&self, expiry: Instant) {
        self.pool.borrow_mut().queue.expires(expiry);
    }

    /// An attempt succeeded.
    pub(super) fn connected(self: &Rc<Self>, connection: Rc<Connection>) {
        let mut pool = self.pool.borrow_mut();
        pool.connecting -= 1;
        pool.backoff.reset();
        pool.connections.push(connection);
        drop(pool);
        self.grant();
    }

    /// An attempt failed, and with it everything that waits, as in Envoy. Without anyone waiting it is as if it had not
    /// been made.
    pub(super) fn connect_failed(&self, reason: &ResetReason) {
        let mut pool = self.pool.borrow_mut();
        pool.connecting -= 1;
        if pool.queue.is_empty() {
            return;
        }
        pool.backoff.failed(Instant::now(), reason.clone());
        let waiters = pool.queue.take();
        drop(pool);
        for waiter in waiters {
            waiter.deliver(Err(reason.clone()));
        }
    }

    /// A connection takes no more exchanges. If it was in use, another is made ahead of need.
    fn retired(self: &Rc<Self>, connection: ConnectionId, replace: bool) {
        let mut pool = self.pool.borrow_mut();
        let before = pool.connections.len();
        pool.connections.retain(|other| other.id() != connection);
        let removed = pool.connections.len() < before;
        let replaced = removed && replace && pool.connections.is_empty() && pool.connecting == 0;
        pool.connecting += usize::from(replaced);
        drop(pool);
        self.start(usize::from(replaced));
        self.grant();
    }
}

impl Drop for Endpoint {
    /// Connections end when their last exchange does.
    fn drop(&mut self) {
        for connection in self.pool.get_mut().connections.drain(..) {
            connection.retire();
        }
    }
}

/// Exchanges a peer that has never said so is believed to take at a time.
const UNKNOWN_STREAMS: usize = 100;

#[derive(Default)]
struct Pool {
    /// Those that take exchanges.
    connections: Vec<Rc<Connection>>,
    /// Attempts under way.
    connecting: usize,
    queue: PendingRequests,
    backoff: Backoff,
    learned_streams: Option<usize>,
    /// The number of the latest connection.
    latest_id: ConnectionId,
}

impl Pool {
    /// Exchanges a new connection is believed to take: what an earlier one took, within reason.
    fn expected(&self, settings: &EndpointSettings) -> usize {
        self.learned_streams
            .unwrap_or(UNKNOWN_STREAMS)
            .clamp(1, UNKNOWN_STREAMS)
            .min(settings.max_concurrent_streams.max(1))
    }

    /// A permit of the least busy connection.
    fn permit(&mut self) -> Option<StreamPermit> {
        let connection = self
            .connections
            .iter()
            .filter(|connection| connection.has_room())
            .min_by_key(|connection| connection.streams())?
            .clone();
        let permit = StreamPermit::new(connection.clone());
        if connection.is_used_up() {
            self.connections.retain(|other| other.id() != connection.id());
            connection.retire();
        }
        Some(permit)
    }
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").field("settings", &self.settings).finish_non_exhaustive()
    }
}
