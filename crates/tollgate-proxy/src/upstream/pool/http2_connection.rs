//! One HTTP/2 connection and the task that drives it.

use std::{
    cell::{Cell, RefCell},
    future::{Future, poll_fn},
    pin::{Pin, pin},
    rc::{Rc, Weak},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use bytes::Bytes;
use h2::client::{Builder, Connection, ResponseFuture, SendRequest};
use http2_io::{
    Coalesced, Driven, Role,
    keepalive::{Dead, Pinger},
};
use tokio::time::{Sleep, sleep};
use tollgate_model::http_connection_manager::Http2Options;

use crate::upstream::{
    exchange::failure::UpstreamFailure,
    pool::{
        connect::{ConnectionFacts, Dialed, Dialer},
        http2::Http2Pool,
        slot::ConnectionSlot,
        transport::Transport,
    },
};
use crate::{
    id::Id,
    incident::Incident,
    io::http2_body::{DATA_FRAME_BUDGET, is_flood},
    io::keepalive,
    stats::{ClusterMetric, Metrics},
    timer::LazyTimer,
};

/// What the library reports before the host has said how many streams it allows.
const UNKNOWN: usize = usize::MAX - 1;
/// Largest frame accepted: the protocol's default, as in Envoy. A frame of a body is a piece for filters.
const MAX_FRAME_SIZE: u32 = 16 * 1024;
/// Largest header block accepted, as Envoy's upstream connections do: 60 KiB in at most 100 fields. The protocol's measure
/// adds 32 bytes a field (RFC 9113 section 6.5.2).
const MAX_HEADER_LIST_SIZE: u32 = 60 * 1024 + 100 * 32;
/// Bytes of one stream the library takes before they are sent.
const MAX_SEND_BUFFER_SIZE: usize = 128 * 1024;

/// One HTTP/2 connection to a host.
#[derive(Debug)]
pub(in crate::upstream) struct Http2Connection {
    /// Which connection it is.
    pub(in crate::upstream) id: Id<Self>,
    /// `None` once no further streams are opened. The connection closes when its streams have ended.
    send_request: RefCell<Option<SendRequest<Bytes>>>,
    /// Streams under way or about to be opened.
    streams: Cell<usize>,
    /// Streams in its life so far.
    opened: Cell<u32>,
    /// Streams at a time: one until the host has said how many it allows, because a burst that is too large would be
    /// refused.
    limit: Cell<usize>,
    is_settled: Cell<bool>,
    /// It ended after the host had announced that.
    ended_after_notice: Cell<bool>,
    idle_since: Cell<Instant>,
    /// Bytes received so far.
    received: Cell<u64>,
    ping: Cell<Option<PingReason>>,
    driver: RefCell<Option<Waker>>,
    /// What is known about it.
    pub(in crate::upstream) facts: ConnectionFacts,
}

/// Why a PING is wanted.
#[derive(Debug, Clone, Copy)]
enum PingReason {
    /// A stream was opened: perhaps nothing was received for long.
    Opened,
    /// A stream was given up on which nothing was received.
    Suspicion,
}

impl Http2Connection {
    /// Has the driver send a PING if there is reason to.
    fn want_ping(&self, reason: PingReason) {
        self.ping.set(Some(reason));
        // A stream that is opened wakes it anyway.
        if let (PingReason::Suspicion, Some(driver)) = (reason, &*self.driver.borrow()) {
            driver.wake_by_ref();
        }
    }

    /// How many more streams may be opened now.
    pub(in crate::upstream) fn free(&self) -> usize {
        if self.send_request.borrow().is_none() {
            0
        } else {
            self.limit.get().saturating_sub(self.streams.get())
        }
    }

    /// Most streams at a time.
    pub(in crate::upstream) fn limit(&self) -> usize {
        self.limit.get()
    }

    /// The host has said how many streams it allows.
    pub(in crate::upstream) fn is_settled(&self) -> bool {
        self.is_settled.get()
    }

    /// Streams in its life so far.
    pub(in crate::upstream) fn opened(&self) -> u32 {
        self.opened.get()
    }

    /// Opens no further streams.
    pub(in crate::upstream) fn retire(&self) {
        let send_request = self.send_request.borrow_mut().take();
        drop(send_request);
    }

    /// It ended after the host had announced that: streams that were under way broke, they were not refused.
    pub(in crate::upstream) fn ended_after_notice(&self) -> bool {
        self.ended_after_notice.get()
    }

    /// Whether the host or a failure has ended it, or is about to.
    fn is_ending(&self) -> bool {
        self.send_request.borrow_mut().as_mut().is_some_and(is_ending)
    }

    fn is_idle_for(&self, limit: Duration, now: Instant) -> bool {
        self.streams.get() == 0 && now.saturating_duration_since(self.idle_since.get()) >= limit
    }
}

fn is_ending(send_request: &mut SendRequest<Bytes>) -> bool {
    matches!(send_request.poll_ready(&mut Context::from_waker(Waker::noop())), Poll::Ready(Err(_)))
}

/// Room for one stream on a connection, until dropped.
#[derive(Debug)]
pub(in crate::upstream) struct StreamSlot {
    connection: Rc<Http2Connection>,
    send_request: Option<SendRequest<Bytes>>,
    /// What had been received on the connection when the stream was opened.
    received_before: Option<u64>,
    pool: Weak<Http2Pool>,
}

impl StreamSlot {
    /// Takes room that is there.
    pub(in crate::upstream) fn take(connection: &Rc<Http2Connection>, pool: &Rc<Http2Pool>) -> Self {
        connection.streams.set(connection.streams.get() + 1);
        connection.opened.set(connection.opened.get().saturating_add(1));
        Self {
            connection: connection.clone(),
            send_request: connection.send_request.borrow().clone(),
            received_before: None,
            pool: Rc::downgrade(pool),
        }
    }

    /// The connection.
    pub(in crate::upstream) fn connection(&self) -> &Http2Connection {
        &self.connection
    }

    /// Opens the stream.
    ///
    /// # Errors
    ///
    /// `None`: the connection has ended, nothing was sent, and another one should be tried. Otherwise the request cannot
    /// be sent as it is.
    pub(in crate::upstream) fn open(
        &mut self,
        request: http::Request<()>,
        end_stream: bool,
    ) -> Result<(ResponseFuture, h2::SendStream<Bytes>), Option<UpstreamFailure>> {
        let mut send_request = self.send_request.take().ok_or(None)?;
        if is_ending(&mut send_request) {
            if let Some(pool) = self.pool.upgrade() {
                pool.retire(&self.connection);
            }
            return Err(None);
        }
        self.received_before = Some(self.connection.received.get());
        self.connection.want_ping(PingReason::Opened);
        send_request.send_request(request, end_stream).map_err(|error| {
            if error.is_io() || error.is_go_away() { None } else { Some(UpstreamFailure::ProtocolError) }
        })
    }
}

impl Drop for StreamSlot {
    fn drop(&mut self) {
        let streams = self.connection.streams.get() - 1;
        self.connection.streams.set(streams);
        if streams == 0 {
            self.connection.idle_since.set(Instant::now());
        }
        if self.received_before == Some(self.connection.received.get()) {
            self.connection.want_ping(PingReason::Suspicion);
        }
        if let Some(pool) = self.pool.upgrade() {
            pool.stream_ended(&self.connection);
        }
    }
}

/// Makes a connection for a pool and drives it until it ends.
pub(in crate::upstream) async fn run(
    pool: Weak<Http2Pool>,
    dialer: Dialer,
    options: Http2Options,
    slot: ConnectionSlot,
) {
    let dialed = dialer.dial().await;
    let Some(strong) = pool.upgrade() else { return };
    match dialed {
        Ok(dialed) if let Some(negotiation) = strong.negotiation.as_ref().filter(|_| !dialed.is_http2()) => {
            negotiation.chose_http1(dialed, slot);
            strong.is_left();
        }
        Ok(dialed) => {
            drop(strong);
            run_made(pool, dialed, options, slot).await;
        }
        Err(failure) => {
            // The next attempt may use the place of this one.
            drop(slot);
            strong.connect_failed(&failure);
        }
    }
}

/// Drives a connection that was made until it ends.
pub(in crate::upstream) async fn run_made(
    pool: Weak<Http2Pool>,
    dialed: Dialed,
    options: Http2Options,
    slot: ConnectionSlot,
) {
    let established = establish(dialed, &options).await;
    // A pool that is gone has nobody waiting.
    let Some(strong) = pool.upgrade() else { return };
    if let Some(negotiation) = &strong.negotiation {
        negotiation.chose_http2(&slot);
    }
    let (connection, driven) = match established {
        Ok(established) => established,
        Err(failure) => {
            // The next attempt may use the place of this one.
            drop(slot);
            strong.connect_failed(&failure);
            return;
        }
    };
    strong.connected(&connection);
    let idle_timeout = strong.cluster.cluster.idle_timeout;
    drop(strong);
    drive(driven, &connection, &pool, idle_timeout, &options).await;
    drop(slot);
    if let Some(pool) = pool.upgrade() {
        pool.retire(&connection);
    }
}

/// A host that breaks the protocol is counted and told of.
fn broken(error: &h2::Error, pool: &Http2Pool, connection: &Http2Connection) {
    if error.is_io() && !is_flood(error) {
        return;
    }
    if !error.is_remote() {
        pool.metrics.increment(ClusterMetric::UpstreamCxProtocolError);
    }
    if let Some(suppressed) = pool.metrics.admit(Incident::UpstreamProtocol) {
        let (cluster, address) = (&*pool.cluster.name, &*connection.facts.address);
        tracing::warn!(cluster, address, %error, suppressed, "an HTTP/2 connection to an upstream failed");
    }
}

/// A host that does not answer a PING is counted and told of.
pub(in crate::upstream) fn unanswered_ping(metrics: &Metrics<ClusterMetric>, cluster: &str, address: &str) {
    metrics.increment(ClusterMetric::Http2KeepaliveTimeout);
    if let Some(suppressed) = metrics.admit(Incident::Keepalive) {
        tracing::warn!(
            cluster,
            address,
            suppressed,
            "a host did not answer a PING; its connection is closed"
        );
    }
}

type Driver = Driven<Connection<Coalesced<Transport>, Bytes>, Transport>;

async fn establish(
    dialed: Dialed,
    options: &Http2Options,
) -> Result<(Rc<Http2Connection>, Driver), UpstreamFailure> {
    let Dialed { transport, facts } = dialed;
    let (coalesced, flusher) = Coalesced::watched(transport, Role::Client, options.frame_limits);
    let (send_request, connection) = Builder::new()
        .initial_window_size(options.initial_stream_window_size)
        .initial_connection_window_size(options.initial_connection_window_size)
        .max_frame_size(MAX_FRAME_SIZE)
        .max_header_list_size(MAX_HEADER_LIST_SIZE)
        .max_send_buffer_size(MAX_SEND_BUFFER_SIZE)
        .data_frame_budget(DATA_FRAME_BUDGET)
        .initial_max_send_streams(UNKNOWN)
        .enable_push(false)
        .handshake::<_, Bytes>(coalesced)
        .await
        .map_err(|_| UpstreamFailure::ConnectionTermination)?;
    let connection_state = Http2Connection {
        id: Id::next(),
        send_request: RefCell::new(Some(send_request)),
        streams: Cell::new(0),
        opened: Cell::new(0),
        limit: Cell::new(1),
        is_settled: Cell::new(false),
        ended_after_notice: Cell::new(false),
        idle_since: Cell::new(Instant::now()),
        received: Cell::new(0),
        ping: Cell::new(None),
        driver: RefCell::default(),
        facts,
    };
    Ok((Rc::new(connection_state), Driven::new(connection, flusher)))
}

async fn drive(
    mut driven: Driver,
    connection: &Rc<Http2Connection>,
    pool: &Weak<Http2Pool>,
    idle_timeout: Option<Duration>,
    options: &Http2Options,
) {
    let most_streams = usize::try_from(options.max_concurrent_streams).unwrap_or(usize::MAX);
    let mut pings = Pings::new(&mut driven, options);
    let mut idle: Option<Pin<Box<Sleep>>> = idle_timeout.map(|limit| Box::pin(sleep(limit)));
    let mut known = UNKNOWN;
    let mut notice = false;
    poll_fn(|cx| {
        if pings.poll(&driven, connection, cx).is_err() {
            if let Some(pool) = pool.upgrade() {
                unanswered_ping(&pool.metrics, &pool.cluster.name, &connection.facts.address);
            }
            return Poll::Ready(());
        }
        if let Poll::Ready(outcome) = pin!(&mut driven).poll(cx) {
            if let (Err(error), Some(pool)) = (&outcome, pool.upgrade()) {
                if let Some(flood) = driven.flood() {
                    pool.metrics.count_flood(flood);
                }
                broken(error, &pool, connection);
            }
            connection.ended_after_notice.set(notice);
            return Poll::Ready(());
        }
        let allowed = driven.driver().max_concurrent_send_streams();
        if allowed != known {
            known = allowed;
            connection.limit.set(allowed.min(most_streams));
            connection.is_settled.set(true);
            if let Some(pool) = pool.upgrade() {
                pool.settled(connection);
            }
        }
        connection.received.set(driven.received());
        pings.observe(&driven, cx);
        if connection.is_ending() {
            notice = true;
            if let Some(pool) = pool.upgrade() {
                pool.retire(connection);
            }
        }
        if let (Some(limit), Some(idle)) = (idle_timeout, &mut idle) {
            while idle.as_mut().poll(cx).is_ready() {
                let now = Instant::now();
                if connection.is_idle_for(limit, now)
                    && let Some(pool) = pool.upgrade()
                {
                    pool.metrics.increment(ClusterMetric::UpstreamCxIdleTimeout);
                    pool.retire(connection);
                }
                // Looked at again when it could be idle for long enough.
                let since = if connection.streams.get() == 0 { connection.idle_since.get() } else { now };
                let rest = limit.saturating_sub(now.saturating_duration_since(since));
                idle.set(sleep(if rest.is_zero() { limit } else { rest }));
            }
        }
        Poll::Pending
    })
    .await;
}

/// PINGs that find a host which is gone.
struct Pings {
    pinger: Option<Pinger>,
    timer: LazyTimer,
}

impl Pings {
    fn new(driven: &mut Driver, options: &Http2Options) -> Self {
        let settings = keepalive::upstream(options.keepalive.as_ref());
        let pings = driven.driver().get_mut().ping_pong();
        let pinger = pings.map(|pings| Pinger::new(settings, pings, tokio::time::Instant::now()));
        Self { pinger, timer: LazyTimer::default() }
    }

    /// Sends what is due. Before the connection is driven, which writes it.
    fn poll(
        &mut self,
        driven: &Driver,
        connection: &Http2Connection,
        cx: &mut Context<'_>,
    ) -> Result<(), Dead> {
        let Some(pinger) = &mut self.pinger else { return Ok(()) };
        let mut driver = connection.driver.borrow_mut();
        match driver.as_mut() {
            Some(waker) => waker.clone_from(cx.waker()),
            None => *driver = Some(cx.waker().clone()),
        }
        drop(driver);
        let reason = connection.ping.take();
        if pinger.rests() && !matches!(reason, Some(PingReason::Suspicion)) {
            return Ok(());
        }
        let now = tokio::time::Instant::now();
        pinger.observe(driven.received(), now);
        match reason {
            Some(PingReason::Suspicion) => pinger.want(true, now),
            Some(PingReason::Opened) if pinger.has_been_idle(now) => pinger.want(false, now),
            _ => {}
        }
        pinger.poll(now, cx)
    }

    /// Takes note of what was received, and has the task woken when something is due.
    fn observe(&mut self, driven: &Driver, cx: &mut Context<'_>) {
        let Some(pinger) = self.pinger.as_mut().filter(|pinger| !pinger.rests()) else { return };
        pinger.observe(driven.received(), tokio::time::Instant::now());
        if self.timer.poll(pinger.deadline(), cx).is_ready() {
            cx.waker().wake_by_ref();
        }
    }
}
