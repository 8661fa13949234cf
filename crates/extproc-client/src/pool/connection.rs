//! One HTTP/2 connection and the permits to open streams on it.

use std::{
    cell::{Cell, RefCell},
    fmt,
    rc::{Rc, Weak},
    task::{Context, Poll, Waker},
};

use h2::client::{ResponseFuture, SendRequest};
use http2_io::{Coalesced, Flood, Role};
use tokio::time::{Instant, timeout};

use super::{
    detached_stream::{DetachedStream, DetachedStreams, Ending},
    driver::Driver,
    endpoint::{Endpoint, EndpointSettings},
};
use crate::{
    connect::{ConnectError, Connecting},
    payload::Payload,
    reset::ResetReason,
    wire_size::Heads,
};

/// Bytes a peer may send on one stream before they are given back.
const STREAM_WINDOW: u32 = 256 * 1024;
/// Bytes a peer may send on all streams together, beyond those that callers hold on to.
pub(super) const CONNECTION_WINDOW: u32 = 8 * 1024 * 1024;
/// h2 closes a connection on which too many small frames lie unread. Replies are small frames, and everything a socket
/// holds is read before any exchange gets its turn, so the limit has to be far above its default.
const DATA_FRAME_BUDGET: usize = 4 * 1024 * 1024;
/// Largest frame accepted.
const MAX_FRAME_SIZE: u32 = 64 * 1024;
/// Largest response head or trailers accepted.
const MAX_HEADER_LIST_SIZE: u32 = 64 * 1024;
/// What h2 reports as sendable per stream at most; what may be queued is limited per call.
const SEND_BUFFER: usize = 128 * 1024;
/// Streams that were reset here and whose late frames are still expected.
const RESET_STREAMS: usize = 1024;

/// Which connection of its endpoint it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ConnectionId(u64);

impl ConnectionId {
    /// The one after this.
    pub(super) fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// What a connection that is about to be opened has to know.
#[derive(Debug, Clone, Copy)]
pub(super) struct NewConnection {
    pub(super) id: ConnectionId,
    /// Streams it takes until its peer has said how many that are.
    pub(super) expected_streams: usize,
}

/// What a connection reports to its endpoint.
#[derive(Debug, Clone, Copy)]
pub(super) enum ConnectionEvent {
    /// An exchange has given its permit back.
    PermitReturned,
    /// The peer said how many streams it takes at a time.
    MaxStreams(usize),
    /// It takes no more streams. With `replace` it was in use when the peer said so, and another one is made ahead of need.
    Retired { replace: bool },
    /// The peer did not answer a PING.
    PingUnanswered,
    /// The peer sent too much of what moves nothing.
    Flooded(Flood),
}

/// A connection as exchanges see it. Its driver is a task of its own.
pub(crate) struct Connection {
    id: ConnectionId,
    endpoint: Weak<Endpoint>,
    /// Gone when the connection is to end.
    pub(super) sender: RefCell<Option<SendRequest<Payload>>>,
    /// Permits given out.
    streams: Cell<usize>,
    /// Permits there are.
    pub(super) limit: Cell<usize>,
    /// Exchanges it may still take in its life.
    requests_left: Cell<u32>,
    /// Takes no more exchanges.
    pub(super) retired: Cell<bool>,
    /// Bytes received that callers have not given back.
    pub(super) held: Cell<usize>,
    /// Bytes received so far, of everything.
    pub(super) received: Cell<u64>,
    /// Why a PING is wanted.
    pub(super) ping: Cell<Option<PingReason>>,
    pub(super) detached: RefCell<DetachedStreams>,
    driver: RefCell<Option<Waker>>,
    /// Heads sent, for their size.
    pub(crate) requests: RefCell<Heads>,
    /// Response heads received.
    pub(crate) responses: RefCell<Heads>,
    /// Trailers received.
    pub(crate) trailers: RefCell<Heads>,
}

/// Why the driver is to send a PING.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PingReason {
    /// A stream was opened: perhaps nothing was received for long.
    Opened,
    /// A stream was given up on which nothing was received.
    Suspicion,
}

impl Connection {
    fn new(
        endpoint: Weak<Endpoint>,
        settings: &EndpointSettings,
        new: NewConnection,
        sender: SendRequest<Payload>,
    ) -> Rc<Self> {
        Rc::new(Self {
            id: new.id,
            endpoint,
            sender: RefCell::new(Some(sender)),
            streams: Cell::new(0),
            limit: Cell::new(new.expected_streams),
            requests_left: Cell::new(settings.max_requests_per_connection.unwrap_or(u32::MAX)),
            retired: Cell::new(false),
            held: Cell::new(0),
            received: Cell::new(0),
            ping: Cell::new(None),
            detached: RefCell::default(),
            driver: RefCell::default(),
            requests: RefCell::default(),
            responses: RefCell::default(),
            trailers: RefCell::default(),
        })
    }

    /// Which of its endpoint's it is.
    pub(super) fn id(&self) -> ConnectionId {
        self.id
    }

    /// Tells the endpoint, if it is still there.
    pub(super) fn report(&self, event: ConnectionEvent) {
        if let Some(endpoint) = self.endpoint.upgrade() {
            endpoint.handle(self, event);
        }
    }

    /// Permits given out.
    pub(super) fn streams(&self) -> usize {
        self.streams.get()
    }

    /// Whether there is a place for another exchange.
    pub(super) fn has_room(&self) -> bool {
        !self.retired.get() && self.streams.get() < self.limit.get()
    }

    /// Whether it has taken as many exchanges as it may in its life.
    pub(super) fn is_used_up(&self) -> bool {
        self.requests_left.get() == 0
    }

    /// Takes no more exchanges, and ends with the last.
    pub(super) fn retire(&self) {
        self.retired.set(true);
        self.wake_driver();
    }

    /// Has the driver look after a stream whose exchange is over.
    pub(super) fn leave(&self, stream: DetachedStream, ending: Ending) {
        self.detached.borrow_mut().insert(stream, ending);
        self.wake_driver();
    }

    /// A caller holds on to so many more received bytes.
    pub(crate) fn hold(&self, bytes: usize) {
        self.held.set(self.held.get() + bytes);
    }

    /// A caller holds on to so many less.
    pub(crate) fn unhold(&self, bytes: usize) {
        self.held.set(self.held.get() - bytes);
    }

    /// Bytes received so far, of everything.
    pub(crate) fn received(&self) -> u64 {
        self.received.get()
    }

    /// A stream was given up that was opened when so much had been received: if that is still all, the peer may be gone.
    pub(crate) fn suspect(&self, received_before: u64) {
        if self.received.get() == received_before {
            self.ping.set(Some(PingReason::Suspicion));
            self.wake_driver();
        }
    }

    pub(super) fn register_driver(&self, cx: &Context<'_>) {
        let mut driver = self.driver.borrow_mut();
        match driver.as_mut() {
            Some(waker) => waker.clone_from(cx.waker()),
            None => *driver = Some(cx.waker().clone()),
        }
    }

    fn wake_driver(&self) {
        if let Some(waker) = &*self.driver.borrow() {
            waker.wake_by_ref();
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("streams", &self.streams).finish_non_exhaustive()
    }
}

/// The right to open one stream on a connection.
#[derive(Debug)]
pub(crate) struct StreamPermit {
    connection: Rc<Connection>,
}

impl StreamPermit {
    /// Takes one of the connection's.
    pub(crate) fn new(connection: Rc<Connection>) -> Self {
        connection.streams.set(connection.streams.get() + 1);
        connection.requests_left.set(connection.requests_left.get().saturating_sub(1));
        Self { connection }
    }

    pub(crate) fn connection(&self) -> &Rc<Connection> {
        &self.connection
    }

    /// Whether a stream can be opened here, which the peer may have prevented since the permit was given. If not, the
    /// connection gives out no more of them.
    pub(crate) fn is_usable(&self) -> bool {
        let connection = &self.connection;
        let usable = match &mut *connection.sender.borrow_mut() {
            Some(sender) => takes_streams(sender),
            None => false,
        };
        if !usable && !connection.retired.replace(true) {
            connection.report(ConnectionEvent::Retired { replace: false });
        }
        usable
    }

    /// Opens the exchange's stream.
    ///
    /// # Errors
    ///
    /// The request is not one that HTTP/2 can carry, or the connection takes no streams any more.
    pub(crate) fn open(
        &self,
        request: http::Request<()>,
    ) -> Result<(ResponseFuture, h2::SendStream<Payload>), h2::Error> {
        match &*self.connection.sender.borrow() {
            // A handle that has opened a stream beyond the peer's limit opens no other before that one has begun. Such
            // streams occur: a permit is returned as soon as an exchange is over, while its last frames are still queued.
            Some(sender) => {
                if self.connection.ping.get().is_none() {
                    self.connection.ping.set(Some(PingReason::Opened));
                }
                sender.clone().send_request(request, false)
            }
            None => Err(h2::Reason::REFUSED_STREAM.into()),
        }
    }
}

impl Drop for StreamPermit {
    fn drop(&mut self) {
        let connection = &self.connection;
        connection.streams.set(connection.streams.get() - 1);
        if connection.streams.get() == 0 {
            // It may be idle or finished now.
            connection.wake_driver();
        }
        connection.report(ConnectionEvent::PermitReturned);
    }
}

/// Whether the peer takes further streams.
pub(super) fn takes_streams(sender: &mut SendRequest<Payload>) -> bool {
    matches!(sender.poll_ready(&mut Context::from_waker(Waker::noop())), Poll::Ready(Ok(())))
}

/// An attempt that the endpoint counts as under way.
struct Attempt(Option<Weak<Endpoint>>);

impl Attempt {
    fn failed(mut self, reason: &ResetReason) {
        self.fail(reason);
    }

    fn fail(&mut self, reason: &ResetReason) {
        if let Some(endpoint) = self.0.take().and_then(|endpoint| endpoint.upgrade()) {
            endpoint.connect_failed(reason);
        }
    }

    /// The endpoint, which is to be given the connection.
    fn succeeded(mut self) -> Option<Rc<Endpoint>> {
        self.0.take()?.upgrade()
    }
}

impl Drop for Attempt {
    /// Whoever waits for an attempt that came to no end, because its connector panicked, is told so.
    fn drop(&mut self) {
        self.fail(&ResetReason::RemoteConnectionFailure("the connection attempt was given up".to_owned()));
    }
}

/// Makes a connection and drives it to its end.
pub(super) async fn run(endpoint: Weak<Endpoint>, settings: Rc<EndpointSettings>, connecting: Connecting) {
    let attempt = Attempt(Some(endpoint.clone()));
    let outcome = match timeout(settings.connect_timeout, connecting).await {
        Ok(outcome) => outcome,
        Err(_) => Err(ConnectError::Timeout),
    };
    let io = match outcome {
        Ok(io) => io,
        Err(error) => return attempt.failed(&error.into()),
    };
    let (io, flusher) = Coalesced::watched(io, Role::Client, settings.frame_limits);
    let Some(new) = endpoint.upgrade().map(|endpoint| endpoint.new_connection()) else { return };
    // Does not wait for the peer: the preface is collected like any other write.
    let (sender, h2) = match protocol(new.expected_streams).handshake(io).await {
        Ok(pair) => pair,
        Err(error) => return attempt.failed(&(&error).into()),
    };
    let connection = Connection::new(endpoint, &settings, new, sender);
    let Some(endpoint) = attempt.succeeded() else { return };
    endpoint.connected(connection.clone());
    drop(endpoint);
    Driver::new(connection, h2, flusher, settings, Instant::now()).await;
}

/// HTTP/2 as it is spoken with processors.
fn protocol(expected: usize) -> h2::client::Builder {
    let mut builder = h2::client::Builder::new();
    builder
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .data_frame_budget(DATA_FRAME_BUDGET)
        .max_frame_size(MAX_FRAME_SIZE)
        .max_header_list_size(MAX_HEADER_LIST_SIZE)
        .max_send_buffer_size(SEND_BUFFER)
        .initial_max_send_streams(expected)
        .max_concurrent_reset_streams(RESET_STREAMS)
        .max_local_error_reset_streams(None)
        .enable_push(false);
    builder
}
