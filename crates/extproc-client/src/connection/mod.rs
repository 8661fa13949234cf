//! One HTTP/2 connection and the places for exchanges on it.

mod driver;
mod reaper;

use std::{
    cell::{Cell, RefCell},
    fmt,
    rc::{Rc, Weak},
    task::{Context, Poll, Waker},
};

use h2::client::{ResponseFuture, SendRequest};
use tokio::time::{Instant, timeout};

use crate::{
    connect::{ConnectError, Connecting},
    endpoint::{Endpoint, EndpointSettings},
    io::{Coalesced, Role},
    payload::Payload,
    reset::ResetReason,
    wire_size::Heads,
};

use reaper::Reaper;
pub(crate) use reaper::{Leftover, Then};

/// Bytes a peer may send on one stream before they are given back.
const STREAM_WINDOW: u32 = 256 * 1024;
/// Bytes a peer may send on all streams together, beyond those that callers hold on to.
const CONNECTION_WINDOW: u32 = 8 * 1024 * 1024;
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

/// A connection as exchanges see it. Its driver is a task of its own.
pub(crate) struct Connection {
    endpoint: Weak<Endpoint>,
    /// Gone when the connection is to end.
    sender: RefCell<Option<SendRequest<Payload>>>,
    /// Places taken.
    streams: Cell<usize>,
    /// Places there are.
    limit: Cell<usize>,
    /// Exchanges it may still take in its life.
    requests_left: Cell<u32>,
    /// Takes no more exchanges.
    retired: Cell<bool>,
    /// Bytes received that callers have not given back.
    held: Cell<usize>,
    /// Bytes received so far, of everything.
    received: Cell<u64>,
    /// Why a PING is wanted.
    ping: Cell<Option<PingReason>>,
    reaper: RefCell<Reaper>,
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
enum PingReason {
    /// A stream was opened: perhaps nothing was received for long.
    Opened,
    /// A stream was given up on which nothing was received.
    Suspicion,
}

impl Connection {
    fn new(
        endpoint: Weak<Endpoint>,
        settings: &EndpointSettings,
        expected: usize,
        sender: SendRequest<Payload>,
    ) -> Rc<Self> {
        Rc::new(Self {
            endpoint,
            sender: RefCell::new(Some(sender)),
            streams: Cell::new(0),
            limit: Cell::new(expected),
            requests_left: Cell::new(settings.max_requests_per_connection.unwrap_or(u32::MAX)),
            retired: Cell::new(false),
            held: Cell::new(0),
            received: Cell::new(0),
            ping: Cell::new(None),
            reaper: RefCell::default(),
            driver: RefCell::default(),
            requests: RefCell::default(),
            responses: RefCell::default(),
            trailers: RefCell::default(),
        })
    }

    /// Places taken.
    pub(crate) fn streams(&self) -> usize {
        self.streams.get()
    }

    /// Whether there is a place for another exchange.
    pub(crate) fn has_room(&self) -> bool {
        !self.retired.get() && self.streams.get() < self.limit.get()
    }

    /// Whether it has taken as many exchanges as it may in its life.
    pub(crate) fn is_used_up(&self) -> bool {
        self.requests_left.get() == 0
    }

    /// Takes no more exchanges, and ends with the last.
    pub(crate) fn retire(&self) {
        self.retired.set(true);
        self.wake_driver();
    }

    /// Has the driver look after a stream whose exchange is over.
    pub(crate) fn leave(&self, leftover: Leftover, then: Then) {
        self.reaper.borrow_mut().insert(leftover, then);
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

    fn register_driver(&self, cx: &Context<'_>) {
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

/// A place on a connection, for one exchange.
#[derive(Debug)]
pub(crate) struct Slot {
    connection: Rc<Connection>,
}

impl Slot {
    /// Takes a place.
    pub(crate) fn new(connection: Rc<Connection>) -> Self {
        connection.streams.set(connection.streams.get() + 1);
        connection.requests_left.set(connection.requests_left.get().saturating_sub(1));
        Self { connection }
    }

    pub(crate) fn connection(&self) -> &Rc<Connection> {
        &self.connection
    }

    /// Whether a stream can be opened here, which the peer may have prevented since the place was taken. If not, the
    /// connection gives out no more places.
    pub(crate) fn is_usable(&self) -> bool {
        let connection = &self.connection;
        let usable = match &mut *connection.sender.borrow_mut() {
            Some(sender) => takes_streams(sender),
            None => false,
        };
        if !usable
            && !connection.retired.replace(true)
            && let Some(endpoint) = connection.endpoint.upgrade()
        {
            endpoint.retire(connection, false);
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
            // streams occur: a place is free as soon as an exchange is over, while its last frames are still queued.
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

impl Drop for Slot {
    fn drop(&mut self) {
        let connection = &self.connection;
        connection.streams.set(connection.streams.get() - 1);
        if connection.streams.get() == 0 {
            // It may be idle or finished now.
            connection.wake_driver();
        }
        if let Some(endpoint) = connection.endpoint.upgrade() {
            endpoint.grant();
        }
    }
}

/// Whether the peer takes further streams.
fn takes_streams(sender: &mut SendRequest<Payload>) -> bool {
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
pub(crate) async fn run(endpoint: Weak<Endpoint>, settings: Rc<EndpointSettings>, connecting: Connecting) {
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
    let Some(expected) = endpoint.upgrade().map(|endpoint| endpoint.expected_streams()) else { return };
    // Does not wait for the peer: the preface is collected like any other write.
    let (sender, h2) = match protocol(expected).handshake(io).await {
        Ok(pair) => pair,
        Err(error) => return attempt.failed(&(&error).into()),
    };
    let connection = Connection::new(endpoint, &settings, expected, sender);
    let Some(endpoint) = attempt.succeeded() else { return };
    endpoint.connected(connection.clone());
    drop(endpoint);
    driver::Driver::new(connection, h2, flusher, settings, Instant::now()).await;
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
