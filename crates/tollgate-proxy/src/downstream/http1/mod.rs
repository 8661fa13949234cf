//! One HTTP/1 connection: its task reads requests one after the other, runs them and writes their responses.

mod stream;

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use extproc::remove_fields;
use http::{HeaderValue, header::EXPECT};
use tokio::{io::AsyncWrite, time::Instant};
use tollgate_model::{
    http_connection_manager::HttpConnectionManager,
    overload::{ClientTimeout, OverloadActionKind},
};

use super::{
    Client,
    client_stream::ClientStream,
    record::{ConnectionRecord, DELAYED, DRAINED, IDLE, SHED},
};
use crate::{
    configuration::ChainConfiguration,
    drain::Haste,
    handler::{Handler, Rejection},
    http1::{CodecError, HeadLimits, RequestHead, RequestReader, WriteQueue},
    io::read_buffer::{ReadBuffer, read_limit},
    memory::Account,
    overload::{self, Overload},
    stats::HttpMetric,
    stream_info::Protocol,
    timer::LazyTimer,
};
use stream::{Http1Stream, RequestState};

/// How long a client may take to accept the end of a response when no stream idle timeout is set.
const FLUSH_LIMIT: Duration = Duration::from_secs(300);

/// The connection's bytes, both ways.
pub(super) struct Wire {
    stream: ClientStream,
    input: ReadBuffer,
    output: WriteQueue,
    /// The client will send nothing more, or the connection broke.
    ended: bool,
    /// The listener's limit of buffered bytes; 0 is none.
    limit: usize,
    /// What the connection and its request hold.
    account: Account,
    /// One timer for every deadline of the connection and of its requests. They are mostly the same time away, so it is
    /// hardly ever armed.
    timer: LazyTimer,
}

/// What came of waiting for a request.
enum Next {
    Request(Box<RequestHead>),
    Reject(Box<Rejection>),
    /// The client went away, or the connection is no longer wanted.
    Close,
    /// The connection was idle for too long.
    Idle,
    /// A load shed point closes the connection.
    Shed,
}

/// Serves a connection to its end.
pub(super) async fn serve<H: Handler>(client: Client<H>, stream: ClientStream, first: ReadBuffer) {
    let mut life = Life::new();
    let mut arrived = !first.bytes.is_empty();
    let account = client.memory.account();
    let mut wire = Wire {
        stream,
        input: first,
        output: WriteQueue::default(),
        ended: false,
        limit: 0,
        account,
        timer: LazyTimer::default(),
    };
    let mut reader = RequestReader::default();
    let drain = &client.chain.drain;
    let mut drained = pin!(drain.started());
    loop {
        let next = {
            let mut wait = WaitForRequest::new(&mut wire, &mut reader, &life);
            wait.arrived = std::mem::take(&mut arrived);
            poll_fn(|cx| {
                while drained.as_mut().poll(cx).is_ready() {
                    drained.set(drain.started());
                }
                client.chain.with(|configuration| {
                    let overload = client.overload(configuration);
                    wait.poll(configuration.http(), overload, drain.haste(), cx)
                })
            })
            .await
        };
        if let Some(record) = &client.record {
            note(record, &next, !wire.input.bytes.is_empty(), drain.is_draining());
        }
        let configuration = match next {
            Next::Close => return,
            Next::Idle => {
                client.chain.with(|configuration| {
                    configuration.stats.http.increment(HttpMetric::DownstreamCxIdleTimeout);
                });
                return;
            }
            Next::Shed => {
                let limit = client.chain.with(|configuration| configuration.http().delayed_close_timeout);
                linger(&mut wire, limit).await;
                return;
            }
            Next::Request(_) | Next::Reject(_) => client.chain.current(),
        };
        let is_kept = match next {
            Next::Request(head) => {
                life.requests += 1;
                let overload = client.overload(&configuration);
                let going_away = OverloadActionKind::Http2ServerGoAwayOnDispatch;
                let is_last = life.is_over(configuration.http(), overload)
                    || client.overload_ends_connections(&configuration)
                    || overload.is_some_and(|overload| overload.sheds(going_away));
                request(&client, &configuration, &mut wire, *head, is_last).await
            }
            Next::Reject(rejection) => {
                let yielded = Cell::new(false);
                let state = RequestState::rejected();
                let mut stream = Http1Stream::new(&mut wire, drain, configuration.http(), state, &yielded);
                let origin = client.origin(Protocol::Http11, &configuration);
                client.handler.reject(origin, *rejection, &mut stream).await;
                stream.finish()
            }
            Next::Close | Next::Idle | Next::Shed => return,
        };
        let http = configuration.http();
        let flush_limit = http.stream_idle_timeout.unwrap_or(FLUSH_LIMIT);
        let overload = client.overload(&configuration);
        let flush_limit = overload::limit(overload, ClientTimeout::StreamFlush, flush_limit);
        let linger_limit = http.delayed_close_timeout;
        // A connection that waits keeps no configuration alive.
        drop(configuration);
        let mut deadline = None;
        let flushed = poll_fn(|cx| wire.poll_flush(&mut deadline, flush_limit, cx)).await;
        if !flushed {
            return;
        }
        if !is_kept {
            let has_gone = linger(&mut wire, linger_limit).await;
            if let Some(record) = &client.record {
                record.closed(if has_gone { DRAINED } else { DELAYED });
            }
            return;
        }
        wire.input.release();
        wire.output.release();
        life.idle_since = Instant::now();
    }
}

/// Runs one request. Gives whether the connection can be used again.
async fn request<H: Handler>(
    client: &Client<H>,
    configuration: &Rc<ChainConfiguration>,
    wire: &mut Wire,
    mut head: RequestHead,
    is_last: bool,
) -> bool {
    let (origin, http) = (client.origin(protocol(&head), configuration), configuration.http());
    let drain = &client.chain.drain;
    wire.limit = configuration.chain.listener.per_connection_buffer_limit_bytes;
    wire.input.limit = read_limit(wire.limit);
    let yielded = Cell::new(false);
    let mut state = RequestState::new(&head, limits(http), is_last);
    if !head.has_host && head.is_http10 && !http.http1.default_host_for_http_10.is_empty() {
        head.headers.authority = HeaderValue::from_str(&http.http1.default_host_for_http_10)
            .unwrap_or_else(|_| HeaderValue::from_static(""));
    } else if !head.has_host {
        state.close();
        let mut stream = Http1Stream::new(wire, drain, http, state, &yielded);
        client.handler.reject(origin, Rejection::missing_host(head.headers), &mut stream).await;
        return stream.finish();
    }
    if head.expect_continue && !http.proxy_100_continue {
        remove_fields(&mut head.headers.fields, &[EXPECT]);
        wire.output.put_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
    }
    let end_stream = state.is_complete();
    let mut stream = Http1Stream::new(wire, drain, http, state, &yielded);
    {
        // Boxed, so that a connection which waits for its next request does not hold room for it.
        let mut handled = Box::pin(client.handler.handle(origin, head.headers, end_stream, &mut stream));
        poll_fn(|cx| {
            let polled = handled.as_mut().poll(cx);
            yielded.set(true);
            polled
        })
        .await;
    }
    stream.finish()
}

fn limits(http: &HttpConnectionManager) -> HeadLimits {
    HeadLimits { max_bytes: http.max_request_headers_kb * 1024, max_count: http.max_headers_count }
}

/// How long the connection has lived and how much it has done.
struct Life {
    opened: Instant,
    idle_since: Instant,
    requests: u32,
}

impl Life {
    fn new() -> Self {
        let now = Instant::now();
        Self { opened: now, idle_since: now, requests: 0 }
    }

    /// The request just counted is the last one that the connection serves.
    fn is_over(&self, http: &HttpConnectionManager, overload: Option<&Overload>) -> bool {
        let longest = http.max_connection_duration;
        http.max_requests_per_connection.is_some_and(|most| self.requests >= most)
            || longest
                .map(|longest| overload::limit(overload, ClientTimeout::ConnectionMax, longest))
                .is_some_and(|longest| Instant::now() >= self.opened + longest)
    }

    /// When an idle connection is closed.
    fn idle_deadline(&self, http: &HttpConnectionManager, overload: Option<&Overload>) -> Option<Instant> {
        let deadline =
            |timeout, since, limit: Option<Duration>| overload::deadline(overload, timeout, since, limit);
        let idle = deadline(ClientTimeout::ConnectionIdle, self.idle_since, http.idle_timeout);
        let opened = self.opened + http.drain_timeout;
        let life = deadline(ClientTimeout::ConnectionMax, opened, http.max_connection_duration);
        match (idle, life) {
            (Some(idle), Some(life)) => Some(idle.min(life)),
            (idle, life) => idle.or(life),
        }
    }
}

/// Waits for the head of the next request.
struct WaitForRequest<'c> {
    wire: &'c mut Wire,
    reader: &'c mut RequestReader,
    life: &'c Life,
    /// When the wait ends because the connection is no longer wanted.
    last_chance: Option<Instant>,
    /// When the first byte of the head was seen.
    head_since: Option<Instant>,
    /// Something has arrived that no load shed point has looked at.
    arrived: bool,
}

impl<'c> WaitForRequest<'c> {
    fn new(wire: &'c mut Wire, reader: &'c mut RequestReader, life: &'c Life) -> Self {
        Self { wire, reader, life, last_chance: None, head_since: None, arrived: false }
    }

    /// `http` is what is configured at the moment: nothing of an earlier configuration is remembered.
    fn poll(
        &mut self,
        http: &HttpConnectionManager,
        overload: Option<&Overload>,
        drain: Option<Haste>,
        cx: &mut Context<'_>,
    ) -> Poll<Next> {
        let limits = limits(http);
        loop {
            if std::mem::take(&mut self.arrived)
                && let Some(overload) = overload
                && let Some(shed) = self.shed(overload)
            {
                return Poll::Ready(shed);
            }
            match self.reader.read(&mut self.wire.input.bytes, &limits, http.http1.accept_http_10) {
                Ok(Some(head)) if http.http1.refuse_query && head.headers.method.as_str() == "QUERY" => {
                    return Poll::Ready(Next::Reject(Box::new(CodecError::Malformed.into())));
                }
                Ok(Some(head)) => return Poll::Ready(Next::Request(Box::new(head))),
                Ok(None) => {}
                Err(error) => return Poll::Ready(Next::Reject(Box::new(error.into()))),
            }
            match self.wire.poll_fill(cx) {
                Poll::Ready(true) => self.arrived = true,
                Poll::Ready(false) => return Poll::Ready(Next::Close),
                Poll::Pending => break,
            }
        }
        if !self.wire.note_held(0, cx) {
            return Poll::Ready(Next::Close);
        }
        if self.wire.input.bytes.is_empty() {
            let deadline = match drain {
                None | Some(Haste::WithNextRequest) => self.life.idle_deadline(http, overload),
                Some(Haste::AfterNextRequest) => {
                    let last = *self.last_chance.get_or_insert_with(|| Instant::now() + http.drain_timeout);
                    Some(self.life.idle_deadline(http, overload).map_or(last, |idle| idle.min(last)))
                }
                Some(Haste::WhenIdle) => return Poll::Ready(Next::Close),
            };
            return self
                .wire
                .timer
                .poll(deadline, cx)
                .map(|()| if drain.is_none() { Next::Idle } else { Next::Close });
        }
        let since = *self.head_since.get_or_insert_with(Instant::now);
        let limits: [(_, fn() -> Rejection); 3] = [
            (http.request_headers_timeout, Rejection::request_header_timeout),
            (http.request_timeout, Rejection::request_timeout),
            (http.stream_idle_timeout, Rejection::stream_idle_timeout),
        ];
        let first = limits.into_iter().filter_map(|(limit, rejection)| Some((limit?, rejection)));
        let Some((limit, rejection)) = first.min_by_key(|(limit, _)| *limit) else { return Poll::Pending };
        ready!(self.wire.timer.poll(Some(since + limit), cx));
        Poll::Ready(Next::Reject(Box::new(rejection())))
    }
}

impl WaitForRequest<'_> {
    /// What becomes of a connection on which something has arrived, where a load shed point turns it away.
    fn shed(&self, overload: &Overload) -> Option<Next> {
        let is_first = self.life.requests == 0 && self.head_since.is_none();
        if (is_first && overload.sheds(OverloadActionKind::HcmOnDataCreatingCodec))
            || overload.sheds(OverloadActionKind::Http2ServerGoAwayAndCloseOnDispatch)
        {
            return Some(Next::Shed);
        }
        let aborts = overload.sheds(OverloadActionKind::Http1ServerAbortDispatch);
        aborts.then(|| Next::Reject(Box::new(Rejection::abort_dispatch())))
    }
}

impl Wire {
    /// Notes what is held here and beside it. False: it has to be given up.
    fn note_held(&mut self, beside: usize, cx: &Context<'_>) -> bool {
        self.account.set(beside + self.output.memory() + self.input.held(), cx)
    }

    /// Receives more. `false`: there is nothing more to come.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        self.poll_fill_announced(0, cx)
    }

    /// Receives what else has arrived of a body, up to the limit of the listener: what was sent in one go is one piece, as
    /// in Envoy.
    fn fill_up(&mut self, announced: usize, cx: &mut Context<'_>) {
        while self.input.wants_more() {
            if self.poll_fill_announced(announced, cx) != Poll::Ready(true) {
                return;
            }
        }
    }

    /// The same when so many bytes of a body were announced.
    fn poll_fill_announced(&mut self, announced: usize, cx: &mut Context<'_>) -> Poll<bool> {
        if self.ended {
            return Poll::Ready(false);
        }
        let filled = ready!(self.input.poll_fill_announced(announced, &mut self.stream, cx));
        let is_open = matches!(filled, Ok(1..));
        self.ended = !is_open;
        Poll::Ready(is_open)
    }

    /// Writes what is queued, within a time that begins when it has to wait. `false`: the client does not take it.
    fn poll_flush(
        &mut self,
        deadline: &mut Option<Instant>,
        limit: Duration,
        cx: &mut Context<'_>,
    ) -> Poll<bool> {
        match self.output.poll_flush(&mut self.stream, cx) {
            Poll::Ready(outcome) => Poll::Ready(outcome.is_ok()),
            Poll::Pending => {
                let deadline = *deadline.get_or_insert_with(|| Instant::now() + limit);
                self.timer.poll(Some(deadline), cx).map(|()| false)
            }
        }
    }
}

/// Ends our side and reads on for a while: if a socket with unread bytes were closed, the client would get a reset that
/// may overtake the response. Gives whether the client has seen the end.
async fn linger(wire: &mut Wire, limit: Option<Duration>) -> bool {
    let Some(limit) = limit else { return true };
    let deadline = Some(Instant::now() + limit);
    let mut is_shut = false;
    poll_fn(|cx| {
        if wire.timer.poll(deadline, cx).is_ready() {
            return Poll::Ready(false);
        }
        if !is_shut {
            match ready!(Pin::new(&mut wire.stream).poll_shutdown(cx)) {
                Ok(()) => is_shut = true,
                Err(_) => return Poll::Ready(true),
            }
        }
        while ready!(wire.poll_fill(cx)) {
            wire.input.bytes.clear();
        }
        Poll::Ready(true)
    })
    .await
}

/// Notes what came of waiting for a request. `begun`: part of a head is there.
fn note(record: &ConnectionRecord, next: &Next, begun: bool, draining: bool) {
    match next {
        Next::Request(head) => record.speaks(protocol(head)),
        Next::Reject(rejection) if rejection.protocol_error => record.codec_failed(&rejection.details),
        Next::Reject(_) => record.speaks(Protocol::Http11),
        Next::Close if begun => record.speaks(Protocol::Http11),
        Next::Close if draining => record.closed(DRAINED),
        Next::Close => {}
        Next::Idle => record.closed(IDLE),
        Next::Shed => record.closed(SHED),
    }
}

fn protocol(head: &RequestHead) -> Protocol {
    if head.is_http10 { Protocol::Http10 } else { Protocol::Http11 }
}
