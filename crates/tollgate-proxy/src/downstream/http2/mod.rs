//! One HTTP/2 connection: its task drives the protocol, and every stream has a task that runs its request.

mod request;
mod stream;

use std::{
    cell::{Cell, RefCell},
    future::Future,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use extproc::remove_fields;
use h2::{
    Reason, RecvStream,
    server::{Builder, Connection, SendResponse},
};
use http::{Request, header::EXPECT};
use http2_io::{Coalesced, Flusher, Role, keepalive::Pinger};
use tokio::time::Instant;
use tollgate_model::{
    http_connection_manager::{HttpConnectionManager, RequestFloods},
    overload::{ClientTimeout, OverloadActionKind},
};

use super::{Client, PREFACE_LIMIT, client_stream::ClientStream};
use crate::{
    configuration::ChainConfiguration,
    handler::Handler,
    incident::Incident,
    io::Rewind,
    io::http2_body::{DATA_FRAME_BUDGET, is_flood},
    io::keepalive,
    io::read_buffer::ReadBuffer,
    overload,
    stats::HttpMetric,
    stream_info::Protocol,
    timer::LazyTimer,
    turn::Turn,
};
use stream::Http2Stream;

/// What the kernel holds unsent, at most: frames of other streams wait behind it.
const UNSENT_LIMIT: u32 = 128 * 1024;
/// What one stream holds unsent, at most.
const SEND_BUFFER: usize = 128 * 1024;

/// How long a connection that does not speak HTTP/2 is read on, so that its client sees how it ends.
const LINGER_LIMIT: Duration = Duration::from_secs(1);
/// How long a client may take to accept the end of a response when no stream idle timeout is set.
const FLUSH_LIMIT: Duration = Duration::from_secs(300);
/// Requests taken at a time, before others on the same thread have their turn.
const REQUESTS_PER_TURN: u32 = 100;
/// Requests that were reset before they were taken, at most. Envoy ends a connection after so many premature resets.
const RESETS_BEFORE_REQUESTS: usize = 250;

type Io = Coalesced<Rewind<ClientStream>>;

/// Serves a connection to its end.
pub(super) async fn serve<H: Handler>(client: Client<H>, stream: ClientStream, first: ReadBuffer) {
    if client.sheds(OverloadActionKind::HcmOnDataCreatingCodec) {
        return;
    }
    let Some((mut h2, flusher)) = shake_hands(&client, stream, first).await else { return };
    if let Some(record) = &client.record {
        record.speaks(Protocol::Http2);
    }
    let chain = client.chain.clone();
    let pings =
        chain.with(|configuration| keepalive::downstream(configuration.http().http2.keepalive.as_ref()));
    let pinger = pings.and_then(|pings| Some(Pinger::new(pings, h2.ping_pong()?, Instant::now())));
    let requests_per_turn = chain
        .with(|configuration| configuration.http().request_floods.max_requests_per_io_cycle)
        .map_or(REQUESTS_PER_TURN, |most| most.min(REQUESTS_PER_TURN));
    Driver {
        pinger,
        ping_timer: LazyTimer::default(),
        h2,
        flusher,
        client: Rc::new(client),
        streams: Rc::new(Streams::default()),
        timer: LazyTimer::default(),
        opened: Instant::now(),
        requests: 0,
        requests_per_turn,
        going_away: GoingAway::No,
        looked_at: 0,
        drained: pin!(chain.drain.started()),
    }
    .await;
}

/// What the connection is told here holds for its life, whatever is configured later.
async fn shake_hands<H>(
    client: &Client<H>,
    stream: ClientStream,
    first: ReadBuffer,
) -> Option<(Connection<Io, Bytes>, Flusher<Rewind<ClientStream>>)> {
    stream.limit_unsent(UNSENT_LIMIT);
    let (builder, limits, limit) = client.chain.with(|configuration| {
        let http = configuration.http();
        (builder(http), http.http2.frame_limits, http.idle_timeout)
    });
    let io = Rewind::new(first.bytes.freeze(), stream);
    let (io, flusher) = Coalesced::watched(io, Role::Server, limits);
    let mut handshake = pin!(builder.handshake(io));
    let limit = limit.map_or(PREFACE_LIMIT, |limit| limit.min(PREFACE_LIMIT));
    let deadline = Some(Instant::now() + limit);
    let mut timer = LazyTimer::default();
    let accepted = std::future::poll_fn(|cx| {
        let polled = handshake.as_mut().poll(cx);
        let _ = flusher.poll_flush(cx);
        match polled {
            Poll::Ready(outcome) => Poll::Ready(Some(outcome.ok())),
            Poll::Pending => timer.poll(deadline, cx).map(|()| None),
        }
    })
    .await;
    match accepted {
        Some(Some(connection)) => Some((connection, flusher)),
        // It does not speak HTTP/2, and is to see the end of the connection.
        Some(None) => {
            if let Some(record) = &client.record {
                record.codec_failed(&"not the preface of HTTP/2");
            }
            let lingering = std::future::poll_fn(|cx| flusher.poll_linger(cx));
            let _ = tokio::time::timeout(LINGER_LIMIT, lingering).await;
            None
        }
        None => None,
    }
}

fn builder(http: &HttpConnectionManager) -> Builder {
    let mut builder = Builder::new();
    builder
        .initial_window_size(http.http2.initial_stream_window_size)
        .initial_connection_window_size(http.http2.initial_connection_window_size)
        .max_concurrent_streams(http.http2.max_concurrent_streams)
        .max_header_list_size(u32::try_from(largest_head(http)).unwrap_or(u32::MAX))
        .max_send_buffer_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(RESETS_BEFORE_REQUESTS)
        .data_frame_budget(DATA_FRAME_BUDGET);
    builder
}

/// What is taken apart at all. Our own limit counts names and values only, as Envoy does, and is half of this; the
/// protocol's measure adds 32 bytes a field (RFC 9113 section 6.5.2). Heads beyond both are answered 431 by the library.
fn largest_head(http: &HttpConnectionManager) -> usize {
    2 * 1024 * http.max_request_headers_kb + 32 * http.max_headers_count
}

/// How many streams are open, and who wants to know when there are none.
#[derive(Default)]
struct Streams {
    open: Cell<usize>,
    idle_since: Cell<Option<Instant>>,
    driver: RefCell<Option<Waker>>,
    /// Requests that have ended, and those of them that the client has reset before they had an answer.
    ended: Cell<u64>,
    reset: Cell<u64>,
}

impl Streams {
    /// A request has ended; `reset` if its client has left it soon and before there was an answer. As in Envoy the
    /// connection ends when half of its requests are such, or will be whatever comes.
    fn ended(&self, reset: bool, floods: &RequestFloods) {
        self.ended.set(self.ended.get() + 1);
        self.reset.set(self.reset.get() + u64::from(reset));
        if reset && self.is_flooded(floods) {
            self.wake_driver();
        }
    }

    fn is_flooded(&self, floods: &RequestFloods) -> bool {
        self.reset.get() * 2 >= self.ended.get().max(floods.premature_reset_total_stream_count)
    }

    fn wake_driver(&self) {
        if let Some(waker) = self.driver.borrow_mut().take() {
            waker.wake();
        }
    }
}

/// Counts a stream until it is dropped.
struct OpenStream(Rc<Streams>);

impl OpenStream {
    fn new(streams: &Rc<Streams>) -> Self {
        streams.open.set(streams.open.get() + 1);
        Self(streams.clone())
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
        if self.0.open.get() == 0 {
            self.0.idle_since.set(Some(Instant::now()));
            self.0.wake_driver();
        }
    }
}

/// How far the connection's end has come.
#[derive(PartialEq, Eq)]
enum GoingAway {
    No,
    /// GOAWAY was sent; streams that the client has opened by the time it answers are still served.
    Graceful {
        since: Instant,
    },
    /// The client has not answered in time: the connection ends with its last stream.
    Final,
    /// The last GOAWAY was sent.
    Closed,
}

/// Drives the connection. Its streams run in tasks of their own.
struct Driver<'d, H, D> {
    /// PINGs that find a client which is gone.
    pinger: Option<Pinger>,
    ping_timer: LazyTimer,
    h2: Connection<Io, Bytes>,
    flusher: Flusher<Rewind<ClientStream>>,
    client: Rc<Client<H>>,
    streams: Rc<Streams>,
    timer: LazyTimer,
    opened: Instant,
    requests: u32,
    requests_per_turn: u32,
    going_away: GoingAway,
    /// Received bytes that load shed points have looked at.
    looked_at: u64,
    drained: Pin<&'d mut D>,
}

impl<H, D> Unpin for Driver<'_, H, D> {}

impl<H: Handler, D: Future<Output = ()>> Future for Driver<'_, H, D> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let draining = this.client.chain.drain.is_draining() || this.drained.as_mut().poll(cx).is_ready();
        if draining {
            this.go_away();
        }
        this.shed();
        let mut room = this.requests_per_turn;
        let ended = this.pings_are_unanswered(cx)
            || loop {
                match this.h2.poll_accept(cx) {
                    Poll::Ready(Some(Ok((request, respond)))) => {
                        this.accept(request, respond);
                        room -= 1;
                        if room == 0 {
                            // Others have their turn before the rest.
                            let _ = Turn::among(0).end(cx);
                            break false;
                        }
                    }
                    Poll::Ready(Some(Err(error))) => {
                        this.failed(&error);
                        break true;
                    }
                    Poll::Ready(None) => break true,
                    Poll::Pending => break false,
                }
            };
        let ended = ended || this.is_flooded();
        if !ended {
            this.poll_timers(cx);
            this.poll_ping_timer(cx);
        }
        let flushed = this.flusher.poll_flush(cx);
        if ended || matches!(flushed, Poll::Ready(Err(_))) { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl<H: Handler, D> Driver<'_, H, D> {
    /// Whether the connection goes away because something has arrived while a load shed point turns it away.
    fn shed(&mut self) {
        let received = self.flusher.received();
        if std::mem::replace(&mut self.looked_at, received) == received {
            return;
        }
        if self.client.sheds(OverloadActionKind::Http2ServerGoAwayAndCloseOnDispatch) {
            self.going_away = GoingAway::Closed;
            self.h2.abrupt_shutdown(Reason::NO_ERROR);
        } else if self.going_away == GoingAway::No
            && self.client.sheds(OverloadActionKind::Http2ServerGoAwayOnDispatch)
        {
            self.go_away();
        }
    }

    fn accept(&mut self, request: Request<RecvStream>, respond: SendResponse<Bytes>) {
        self.requests += 1;
        let configuration = self.client.chain.current();
        let most = configuration.http().max_requests_per_connection;
        let is_last = most.is_some_and(|most| self.requests >= most);
        if is_last
            || (self.going_away == GoingAway::No && self.client.overload_ends_connections(&configuration))
        {
            self.go_away();
        }
        let open = OpenStream::new(&self.streams);
        let client = self.client.clone();
        tokio::task::spawn_local(async move {
            run(&client, &configuration, request, respond, &open.0).await;
        });
    }

    /// Sends a PING if one is due. `true`: the client is gone.
    fn pings_are_unanswered(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(pinger) = &mut self.pinger else { return false };
        let now = Instant::now();
        pinger.observe(self.flusher.received(), now);
        if pinger.poll(now, cx).is_ok() {
            return false;
        }
        let connection = self.client.connection.id;
        tracing::debug!(connection, "no answer to a PING: the connection is closed");
        if let Some(record) = &self.client.record {
            record.closed("http2_ping_timeout");
        }
        self.client
            .chain
            .with(|configuration| configuration.stats.http.increment(HttpMetric::Http2KeepaliveTimeout));
        true
    }

    fn poll_ping_timer(&mut self, cx: &mut Context<'_>) {
        let Some(pinger) = &mut self.pinger else { return };
        pinger.observe(self.flusher.received(), Instant::now());
        if self.ping_timer.poll(pinger.deadline(), cx).is_ready() {
            cx.waker().wake_by_ref();
        }
    }

    /// The connection has failed; a flood is counted by its kind.
    fn failed(&self, error: &h2::Error) {
        tracing::debug!(connection = self.client.connection.id, %error, "HTTP/2 connection failed");
        if let Some(flood) = self.flusher.flood() {
            self.client.worker.http2_metrics.count_flood(flood);
        }
        self.client.broken(error);
    }

    /// Whether the client has reset so many of its requests that the connection ends.
    fn is_flooded(&self) -> bool {
        if self.streams.reset.get() == 0 {
            return false;
        }
        let configuration = self.client.chain.current();
        let flooded = self.streams.is_flooded(&configuration.http().request_floods);
        if flooded {
            configuration.stats.http.increment(HttpMetric::DownstreamRqTooManyPrematureResets);
            tracing::debug!(connection = self.client.connection.id, "too many premature resets");
        }
        flooded
    }

    fn go_away(&mut self) {
        if self.going_away == GoingAway::No {
            self.going_away = GoingAway::Graceful { since: Instant::now() };
            self.h2.graceful_shutdown();
        }
    }

    fn poll_timers(&mut self, cx: &mut Context<'_>) {
        let (life, idle, drain_timeout) = self.client.chain.with(|configuration| {
            let (http, overload) = (configuration.http(), self.client.overload(configuration));
            let life = http.max_connection_duration;
            let life = overload::deadline(overload, ClientTimeout::ConnectionMax, self.opened, life);
            let since = self.streams.idle_since.get().unwrap_or(self.opened);
            let idle = http.idle_timeout.filter(|_| self.streams.open.get() == 0);
            let idle = overload::deadline(overload, ClientTimeout::ConnectionIdle, since, idle);
            (life, idle, http.drain_timeout)
        });
        if self.streams.open.get() > 0 {
            *self.streams.driver.borrow_mut() = Some(cx.waker().clone());
        }
        if self.going_away == GoingAway::Final && self.streams.open.get() == 0 {
            self.going_away = GoingAway::Closed;
            self.h2.abrupt_shutdown(Reason::NO_ERROR);
            // The frame is written by another poll.
            cx.waker().wake_by_ref();
        }
        let deadline = match self.going_away {
            GoingAway::No => [life, idle].into_iter().flatten().min(),
            GoingAway::Graceful { since } => Some(since + drain_timeout),
            GoingAway::Final | GoingAway::Closed => None,
        };
        if self.timer.poll(deadline, cx).is_ready() {
            if self.going_away == GoingAway::No {
                if idle.is_some_and(|idle| life.is_none_or(|life| idle <= life)) {
                    self.client.chain.with(|configuration| {
                        configuration.stats.http.increment(HttpMetric::DownstreamCxIdleTimeout);
                    });
                }
                self.go_away();
            } else {
                self.going_away = GoingAway::Final;
            }
            cx.waker().wake_by_ref();
        }
    }
}

impl<H> Client<H> {
    /// A client that breaks the protocol is counted and told of.
    fn broken(&self, error: &h2::Error) {
        if (error.is_io() && !is_flood(error)) || error.is_remote() {
            return;
        }
        if let Some(record) = &self.record {
            record.codec_failed(error);
        }
        self.chain.with(|configuration| {
            let stats = &configuration.stats;
            stats.http.increment(HttpMetric::DownstreamCxProtocolError);
            if let Some(suppressed) = stats.http.admit(Incident::DownstreamProtocol) {
                let listener = configuration.chain.listener.name.as_str();
                let client = self.connection.remote_address.map(tracing::field::display);
                tracing::warn!(listener, client, %error, suppressed, "an HTTP/2 connection of a client failed");
            }
        });
    }
}

/// Runs one request.
async fn run<H: Handler>(
    client: &Client<H>,
    configuration: &Rc<ChainConfiguration>,
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
    streams: &Streams,
) {
    let began = Instant::now();
    let (origin, http) = (client.origin(Protocol::Http2, configuration), configuration.http());
    let (parts, body) = request.into_parts();
    let account = client.memory.account();
    let mut stream = Http2Stream::new(respond, body, http.max_headers_count, account);
    match request::head(parts, &client.connection, http) {
        Ok(mut accepted) => {
            stream.note_head(accepted.size);
            if accepted.expects_continue && !http.proxy_100_continue {
                remove_fields(&mut accepted.headers.fields, &[EXPECT]);
                stream.send_continue();
            }
            let end_stream = stream.is_request_complete();
            client.handler.handle(origin, accepted.headers, end_stream, &mut stream).await;
            let floods = &http.request_floods;
            let reset = stream.was_left_unanswered()
                && began.elapsed().as_secs() <= floods.premature_reset_min_stream_lifetime_seconds;
            streams.ended(reset, floods);
        }
        Err(request::Refusal::Reject(rejection)) => {
            client.handler.reject(origin, *rejection, &mut stream).await;
        }
        Err(request::Refusal::Reset(reason)) => stream.refuse(reason),
    }
    let limit = http.stream_idle_timeout.unwrap_or(FLUSH_LIMIT);
    let limit = overload::limit(origin.overload(), ClientTimeout::StreamFlush, limit);
    stream.finish(limit).await;
}
