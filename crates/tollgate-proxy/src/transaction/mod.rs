//! One HTTP request and its response.
//!
//! A transaction is one future that belongs to the client's connection (HTTP/1) or stream (HTTP/2). Everything that
//! concerns the request happens in its [`poll`](Transaction::poll): the request body is read, filters take in what they
//! wait for, the upstream's response is read. Every part of a message that comes of this passes the [`chain`] by way of
//! one queue. No task, channel or lock belongs to it.
//!
//! * [`chain`]: the order of places, the queue, the loop;
//! * [`filter`]: the filters and their interface;
//! * [`router`], [`decide`], [`tries`], [`mirror`]: what becomes of a request that has passed the chain;
//! * [`client`]: what becomes of a response that has;
//! * [`reply`]: responses of our own; [`deadline`]; [`record`]: what is left when it is over.
//!
//! Filters behind the router belong to one try; they see what the router made of the request, and the response
//! before the router.

mod chain;
mod client;
mod core;
mod deadline;
mod decide;
mod decision;
mod filter;
mod handler;
mod hash;
mod mapped_reply;
mod mirror;
mod record;
mod reply;
mod report;
mod router;
mod slots;
mod subset;
mod tries;
mod upgrade;

use std::{
    task::{Context, Poll},
    time::Instant,
};

use extproc::{Direction, RequestHeaders};

use self::{
    chain::{Onion, Part, Place, Queue},
    client::Client,
    core::Core,
    deadline::Deadlines,
    filter::{Context as FilterContext, Filter, Room},
    mirror::Mirrors,
    router::Router,
    slots::Slots,
    tries::Tries,
};
pub(crate) use self::{filter::fetch_keys_ahead, handler::Transactions};
use crate::{
    handler::{Origin, Rejection},
    local_reply::LocalReply,
    stats::HttpMetric,
    stream::{BodyEvent, Downstream, DownstreamError},
    stream_info::ResponseFlags,
    turn::Turn,
};

/// One request and its response under way.
struct Transaction<'d, D: Downstream> {
    core: Core,
    /// The filters that are there.
    slots: Slots,
    onion: Onion,
    queue: Queue,
    router: Router,
    /// If the request may be tried more than once, or a try may take only so long.
    tries: Option<Box<Tries>>,
    /// If copies of the request, which is not complete, go elsewhere.
    mirrors: Option<Mirrors>,
    client: Client,
    deadlines: Deadlines,
    downstream: &'d mut D,
    turn: Turn,
    finished: bool,
}

/// Serves one request: returns when its response is complete (queued for writing) or given up.
pub(crate) async fn serve<D: Downstream>(
    origin: Origin<'_>,
    request: RequestHeaders,
    end_stream: bool,
    downstream: &mut D,
) {
    let now = Instant::now();
    let core = Core::new(origin, request, now);
    core.count_begin();
    let mut transaction = Transaction::new(core, end_stream, downstream, now);
    let mut begun = false;
    std::future::poll_fn(|cx| {
        if !begun {
            begun = true;
            // Nothing is begun for a client that has gone meanwhile, no stream to a processor either.
            if let Some(error) = transaction.downstream.gone(cx) {
                transaction.client_failed(error, now);
                return Poll::Ready(());
            }
            transaction.begin(end_stream, now);
        }
        transaction.poll(cx)
    })
    .await;
}

/// Answers a request that was refused before it became one. The answer passes the filters, which never saw the request
/// (L-11).
async fn answer_rejected<D: Downstream>(origin: Origin<'_>, rejection: Rejection, downstream: &mut D) {
    let now = Instant::now();
    let reply = LocalReply::rejection(&rejection);
    let core = rejected(origin, rejection, now);
    let mut transaction = Transaction::new(core, true, downstream, now);
    transaction.local_reply(reply, now);
    transaction.run(now);
    std::future::poll_fn(|cx| transaction.poll(cx)).await;
}

/// What is known of a request that was refused before it became one.
fn rejected(origin: Origin<'_>, rejection: Rejection, now: Instant) -> Core {
    let malformed = rejection.request.is_none();
    let request = rejection.request.unwrap_or_else(core::no_request);
    let mut core = Core::new(origin, request, now);
    core.info.malformed = malformed;
    core.count_begin();
    if rejection.protocol_error {
        core.count_http(HttpMetric::DownstreamCxProtocolError);
    }
    match rejection.details {
        "request_header_timeout" => core.count_http(HttpMetric::DownstreamRqHeaderTimeout),
        "stream_idle_timeout" => core.count_http(HttpMetric::DownstreamRqIdleTimeout),
        "request_overall_timeout" => core.count_http(HttpMetric::DownstreamRqTimeout),
        _ => {}
    }
    core
}

/// As [`answer_rejected`], past the filters.
fn reject<D: Downstream>(origin: Origin<'_>, rejection: Rejection, downstream: &mut D) {
    let now = Instant::now();
    let reply = LocalReply::rejection(&rejection);
    let mut core = rejected(origin, rejection, now);
    core.info.response_flags.insert(reply.flags);
    core.info.response_code_details = Some(reply.details.clone());
    let (head, body) = core.local_response(reply);
    core.info.response_code = Some(head.status);
    core.info.bytes_sent = body.len() as u64;
    core.messages.response = Some(head);
    core.finish_response();
    core.info.response_code = core.messages.response.as_ref().map(|head| head.status);
    if let Some(head) = &core.messages.response {
        downstream.send_headers(head, body.is_empty());
    }
    if !body.is_empty() {
        downstream.send_data(body.into(), true);
    }
    core.info.last_downstream_tx = Some(now);
    core.info.downstream_meter = downstream.meter();
    core.record(&Slots::new(Onion::of(core.http())), now);
}

impl<'d, D: Downstream> Transaction<'d, D> {
    fn new(core: Core, end_stream: bool, downstream: &'d mut D, now: Instant) -> Self {
        let onion = Onion::of(core.http());
        Self {
            deadlines: Deadlines::new(core.http(), now),
            core,
            slots: Slots::new(onion),
            onion,
            queue: Queue::default(),
            router: Router::Waiting,
            tries: None,
            mirrors: None,
            client: Client::new(end_stream),
            downstream,
            turn: Turn::among(0),
            finished: false,
        }
    }
}

impl<D: Downstream> Transaction<'_, D> {
    /// The head goes through the connection manager's rules and into the chain.
    fn begin(&mut self, end_stream: bool, now: Instant) {
        match self.core.prepare() {
            Ok(()) => {
                if end_stream {
                    self.core.info.last_downstream_rx = Some(now);
                }
                self.refresh_stream_limit();
                self.pass_on(Place::Client, Direction::Request, Part::Headers { end_stream });
            }
            Err(rejection) => {
                if rejection.details == "path_normalization_failed" {
                    self.core.count_http(HttpMetric::DownstreamRqFailedPathNormalization);
                }
                self.local_reply(rejection, now);
            }
        }
        self.run(now);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.turn = Turn::among(self.downstream.moving_streams());
        loop {
            let now = Instant::now();
            let mut progress = self.poll_filters(cx, now);
            progress |= self.poll_client_writable(cx, now);
            progress |= self.poll_request_body(cx, now);
            progress |= self.poll_upstream(cx, now);
            if self.finished {
                return Poll::Ready(());
            }
            let is_turn_over = self.turn.is_over();
            if progress && !is_turn_over {
                continue;
            }
            if !self.downstream.note_held(self.held(), cx) {
                self.buffers_full(now);
                continue;
            }
            if is_turn_over {
                self.count_filters(now);
                return self.turn.end(cx);
            }
            if !self.poll_deadline(cx) {
                self.count_filters(now);
                return Poll::Pending;
            }
        }
    }

    /// The metrics of filters are right whenever nothing moves. When a filter ends, it is counted then.
    fn count_filters(&mut self, now: Instant) {
        let mut next = 0;
        while let Some(index) = self.slots.next_active(next) {
            next = index + 1;
            let place = self.filter_place(index);
            if let Some(filter) = self.slots.get_mut(index) {
                filter.count(&mut FilterContext { core: &mut self.core, place, now });
            }
        }
    }

    /// Bytes that the request and its response hold, apart from what is queued for the client.
    fn held(&self) -> usize {
        let filters: usize = self.slots.active().map(Filter::held).sum();
        filters + self.router.held() + self.tries.as_ref().map_or(0, |tries| tries.held())
    }

    /// Lets filters drive what they wait for.
    fn poll_filters(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let mut progress = false;
        let mut next = 0;
        while let Some(index) = self.slots.next_active(next) {
            while !self.finished && !self.turn.is_over() && self.poll_filter(index, cx, now) {
                progress = true;
            }
            next = index + 1;
        }
        progress
    }

    fn poll_filter(&mut self, index: usize, cx: &mut Context<'_>, now: Instant) -> bool {
        let room = Room { request: self.router_has_room(cx), response: self.client_has_room() };
        let place = self.filter_place(index);
        let Some(filter) = self.slots.get_mut(index) else { return false };
        let mut filter_cx = FilterContext { core: &mut self.core, place, now };
        let Poll::Ready(read) = filter.poll(cx, room, &mut filter_cx) else {
            return false;
        };
        self.turn.spend(read);
        self.queue.ask(index);
        self.run(now);
        true
    }

    /// Reads the request body while somebody wants it.
    fn poll_request_body(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let mut progress = false;
        while !self.finished && !self.turn.is_over() {
            if self.client.request_ended || self.client.request_abandoned {
                if let Poll::Ready(error) = self.downstream.poll_closed(cx) {
                    self.client_failed(error, now);
                    return true;
                }
                return progress;
            }
            if !self.request_is_wanted(cx) && !self.downstream.body_has_arrived() {
                self.downstream.absorb(cx);
                return progress;
            }
            match self.downstream.poll_body(cx) {
                Poll::Pending => return progress,
                Poll::Ready(Err(error)) => {
                    self.client_failed(error, now);
                    return true;
                }
                Poll::Ready(Ok(event)) => {
                    progress = true;
                    self.deadlines.activity(now);
                    self.request_event(event, now);
                }
            }
        }
        if !self.finished && !self.client.request_ended {
            // What is left until the next turn is not left to the codec.
            self.downstream.absorb(cx);
        }
        progress
    }

    fn request_event(&mut self, event: BodyEvent, now: Instant) {
        let part = match event {
            BodyEvent::Data { data, end_stream } => {
                self.turn.spend(data.len());
                self.core.info.bytes_received += data.len() as u64;
                if data.is_empty() && !end_stream {
                    return;
                }
                self.client.request_ended |= end_stream;
                Part::Data { data: data.into(), end_stream }
            }
            BodyEvent::Trailers(trailers) => {
                self.core.messages.request_trailers = Some(trailers);
                self.client.request_ended = true;
                Part::Trailers
            }
        };
        if self.client.request_ended {
            self.core.info.last_downstream_rx = Some(now);
        }
        self.pass_on(Place::Client, Direction::Request, part);
        self.run(now);
    }

    /// Whether the next piece of the request body has a place to go: every stage has room for it.
    fn request_is_wanted(&self, cx: &Context<'_>) -> bool {
        let pressed = self.downstream.is_pressed();
        self.router_has_room(cx)
            && self.slots.active().all(|filter| filter.has_room(Direction::Request, pressed))
    }

    /// Whether the router and the copies it makes have room for more of the request.
    fn router_has_room(&self, cx: &Context<'_>) -> bool {
        self.router.has_room() && self.mirrors.as_ref().is_none_or(|mirrors| mirrors.have_room(cx))
    }

    fn client_failed(&mut self, error: DownstreamError, now: Instant) {
        match error {
            DownstreamError::Disconnected => {
                self.core.info.response_flags.insert(ResponseFlags::DOWNSTREAM_CONNECTION_TERMINATION);
                self.core.info.response_code_details = Some("downstream_remote_disconnect".into());
                self.finish(now);
            }
            DownstreamError::Reset => {
                self.core.info.response_flags.insert(ResponseFlags::DOWNSTREAM_REMOTE_RESET);
                self.core.info.response_code_details = Some("http2.remote_reset".into());
                self.finish(now);
            }
            DownstreamError::Protocol(details) => {
                self.core.count_http(HttpMetric::DownstreamCxProtocolError);
                self.core.info.response_flags.insert(ResponseFlags::DOWNSTREAM_PROTOCOL_ERROR);
                self.protocol_error(details, now);
                self.run(now);
            }
        }
    }

    /// The transaction is over: closes what is open, writes the log, counts.
    fn finish(&mut self, now: Instant) {
        if self.finished {
            return;
        }
        self.finished = true;
        self.router = Router::Done;
        self.end_filters(0, now);
        self.core.info.last_downstream_tx.get_or_insert(now);
        self.core.info.downstream_meter = self.downstream.meter();
        self.core.record(&self.slots, now);
    }
}

impl<D: Downstream> Drop for Transaction<'_, D> {
    /// The client's connection is gone or the worker stops: the exchanges end and the request is logged all the same.
    fn drop(&mut self) {
        if !self.finished {
            self.core.info.response_flags.insert(ResponseFlags::DOWNSTREAM_CONNECTION_TERMINATION);
            self.finish(Instant::now());
        }
    }
}
