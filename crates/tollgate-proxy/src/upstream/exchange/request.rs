//! One request to a cluster.

use std::{
    rc::Rc,
    task::{Context, Poll, ready},
    time::Instant,
};

use extproc::{RequestHeaders, Slices};
use http::HeaderMap;

use crate::upstream::{
    cluster::{
        choice::{Choice, HostsTried},
        circuit_breaker::RequestPermit,
        host::{ActiveRequest, Host, Pool},
        manager::{ClusterCounts, WorkerCluster},
    },
    exchange::{
        failure::UpstreamFailure,
        http1::{Http1Exchange, Settings},
        http2::Http2Exchange,
    },
    health::Outcome,
    pool::{connect::ConnectionFacts, http1::Http1Checkout, http2::Http2Checkout},
};
use crate::{
    incident::Incident,
    meter::{SharedMeter, size_of_fields},
    stats::ClusterMetric,
    stream::{BodyEvent, ResponseEvent},
    stream_info::{Protocol, UpstreamInfo},
};

/// Most 1xx heads before a response. A host that says it is busy every few seconds stays below.
const MOST_INFORMATIONAL: u32 = 100;
/// Connections that may turn out to have ended before the request fails.
const MAX_STALE_CONNECTIONS: u32 = 3;

/// One request to a cluster and its response.
///
/// Order of calls: [`start`](Self::start); [`poll_connect`](Self::poll_connect) until it is ready, which queues the
/// head; then data, trailers and [`poll_writable`](Self::poll_writable) in turn, while
/// [`poll_response`](Self::poll_response) is polled at any time. `poll_response` also writes what is queued, so nothing
/// else needs polling once the request is complete.
///
/// Dropping it gives the request up: an HTTP/2 stream is reset (`CANCEL`), an HTTP/1 connection closed unless both
/// messages were complete.
#[derive(Debug)]
pub(crate) struct UpstreamRequest {
    info: UpstreamInfo,
    state: State,
    /// Counts as a request of the cluster, once it is on a connection.
    permit: Option<RequestPermit>,
    stale_connections: u32,
    /// Upgrades other than `websocket` wait for the host's answer, too.
    hold_generic_upgrades: bool,
    /// 1xx heads so far.
    informational: u32,
    /// The head of the response was there.
    has_response: bool,
    started: Instant,
    active: ActiveRequest,
    /// What is counted of the cluster that was asked, which may be an aggregate.
    counts: Rc<ClusterCounts>,
    /// How it is counted at present.
    phase: Phase,
    /// Where its bytes are counted, if somebody wants to know.
    meter: Option<SharedMeter>,
}

/// How a request is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    New,
    /// It waits for a connection.
    Pending,
    OnConnection,
    /// Its response is complete, or it has failed.
    Over,
}

#[derive(Debug)]
enum State {
    Http1Checkout(Http1Checkout),
    Http1(Box<Http1Exchange>),
    Http2Checkout(Http2Checkout),
    Http2(Box<Http2Exchange>),
    Failed,
}

impl UpstreamRequest {
    /// Chooses an endpoint for the try of that number, 1 for the first. Nothing is connected or sent yet. `now` tells which
    /// idle connections are too old.
    ///
    /// # Errors
    ///
    /// [`UpstreamFailure::NoHealthyUpstream`] when there is no endpoint.
    pub(crate) fn start(
        cluster: &Rc<WorkerCluster>,
        choice: &Choice<'_>,
        attempt_count: u32,
        now: Instant,
    ) -> Result<Self, UpstreamFailure> {
        Ok(Self::on_host(&cluster.choose(choice)?, choice.protocol, cluster.counts(), attempt_count, now))
    }

    /// Adds its host to those that were tried.
    pub(crate) fn add_to(&self, tried: &mut HostsTried) {
        tried.add_host(self.active.host().clone());
    }

    fn on_host(
        host: &Rc<Host>,
        client: Option<Protocol>,
        counts: &Rc<ClusterCounts>,
        attempt_count: u32,
        now: Instant,
    ) -> Self {
        let state = match &host.pool {
            Pool::Http1(pool) => State::Http1Checkout(pool.check_out(now)),
            Pool::Http2(pool) => State::Http2Checkout(pool.check_out()),
            Pool::Either(pools) if pools.is_http1(client) => State::Http1Checkout(pools.http1.check_out(now)),
            Pool::Either(pools) => State::Http2Checkout(pools.http2.check_out()),
        };
        Self {
            info: host.upstream_info(counts, attempt_count),
            state,
            permit: None,
            stale_connections: 0,
            hold_generic_upgrades: true,
            informational: 0,
            has_response: false,
            started: now,
            active: host.begin_request(),
            counts: counts.clone(),
            phase: Phase::New,
            meter: None,
        }
    }

    /// What is sent behind an upgrade other than `websocket` goes to the host before it has agreed.
    pub(crate) fn trust_generic_upgrades(&mut self) {
        self.hold_generic_upgrades = false;
    }

    /// What its cluster counts.
    pub(crate) fn counts(&self) -> &Rc<ClusterCounts> {
        &self.counts
    }

    /// Its bytes are to be counted.
    pub(crate) fn count_on(&mut self, meter: &SharedMeter) {
        self.meter = Some(meter.clone());
    }

    /// What is known about the upstream side so far.
    pub(crate) fn info(&self) -> &UpstreamInfo {
        &self.info
    }

    /// The endpoint's host name for `auto_host_rewrite`; known from the start. `None` = it has none.
    pub(crate) fn host_name(&self) -> Option<&str> {
        self.active.host().hostname.as_deref()
    }

    /// Takes a pooled connection or makes one, then queues the head. Called with the same arguments until ready, and
    /// not again after that.
    ///
    /// The head is sent as it is: hop-by-hop fields were removed and the authority rewritten by the caller. Framing
    /// (`content-length` or chunked) is the codec's business.
    ///
    /// # Errors
    ///
    /// The request was not sent.
    pub(crate) fn poll_connect(
        &mut self,
        cx: &mut Context<'_>,
        head: &RequestHeaders,
        end_stream: bool,
    ) -> Poll<Result<(), UpstreamFailure>> {
        let outcome = match self.poll_begin(cx, head, end_stream) {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => {
                self.enter(Phase::Pending);
                return Poll::Pending;
            }
        };
        match &outcome {
            Ok(()) => {
                self.active.host().note(Outcome::Connected);
                self.enter(Phase::OnConnection);
            }
            Err(UpstreamFailure::Overflow) => self.overflow(),
            Err(_) => {
                self.active.host().note(Outcome::Failed);
                self.active.host().metrics.increment(ClusterMetric::UpstreamRqPendingFailureEject);
            }
        }
        self.info.pool_ready_duration = Some(Instant::now().saturating_duration_since(self.started));
        if let Err(failure) = &outcome {
            self.fail(failure);
        }
        Poll::Ready(outcome)
    }

    fn poll_begin(
        &mut self,
        cx: &mut Context<'_>,
        head: &RequestHeaders,
        end_stream: bool,
    ) -> Poll<Result<(), UpstreamFailure>> {
        loop {
            let host = self.active.host();
            let watermark = host.cluster.watermark();
            match &mut self.state {
                State::Http1Checkout(checkout) => {
                    let connection = ready!(checkout.poll(cx)).inspect_err(|failure| {
                        forget_address(failure, &mut self.info);
                    })?;
                    if let Some(pool) = host.pool.prefers_http2(&connection) {
                        let (dialed, slot) = connection.into_parts();
                        pool.adopt(dialed, slot);
                        self.state = State::Http2Checkout(pool.check_out());
                        continue;
                    }
                    let pool = checkout.pool();
                    self.permit = host.counts.requests.try_acquire();
                    if self.permit.is_none() {
                        // The connection is as good as before.
                        pool.give_back_unused(connection);
                        return Poll::Ready(Err(UpstreamFailure::Overflow));
                    }
                    note_connection(&mut self.info, &connection.facts, Protocol::Http11);
                    let enable_trailers = host.cluster.cluster.protocol.enables_trailers();
                    let hold_generic_upgrades = self.hold_generic_upgrades;
                    let settings = Settings { enable_trailers, watermark, hold_generic_upgrades };
                    let meter = self.meter.clone();
                    let exchange = Http1Exchange::begin(pool, connection, head, end_stream, settings, meter);
                    self.state = State::Http1(Box::new(exchange));
                    return Poll::Ready(Ok(()));
                }
                State::Http2Checkout(checkout) => {
                    let negotiation = checkout.pool().negotiation.as_ref();
                    if let Some(http1) = negotiation.and_then(|negotiation| negotiation.http1()) {
                        self.state = State::Http1Checkout(http1.check_out(Instant::now()));
                        continue;
                    }
                    let slot = ready!(checkout.poll(cx)).inspect_err(|failure| {
                        forget_address(failure, &mut self.info);
                    })?;
                    self.permit = Some(host.counts.requests.try_acquire().ok_or(UpstreamFailure::Overflow)?);
                    note_connection(&mut self.info, &slot.connection().facts, Protocol::Http2);
                    let hold = self.hold_generic_upgrades;
                    match Http2Exchange::begin(slot, head, end_stream, watermark, hold) {
                        Ok(exchange) => {
                            if let Some(meter) = &self.meter {
                                let size = size_of_request(head);
                                meter.count(|meter| {
                                    meter.http2 = true;
                                    meter.sent.add(0, size);
                                });
                            }
                            self.state = State::Http2(Box::new(exchange));
                            return Poll::Ready(Ok(()));
                        }
                        Err(Some(failure)) => return Poll::Ready(Err(failure)),
                        Err(None) => {}
                    }
                    // Nothing was sent: safe to try another connection.
                    self.permit = None;
                    self.stale_connections += 1;
                    if self.stale_connections > MAX_STALE_CONNECTIONS {
                        return Poll::Ready(Err(UpstreamFailure::RemoteRefused));
                    }
                    self.state = State::Http2Checkout(checkout.pool().check_out());
                }
                State::Http1(_) | State::Http2(_) | State::Failed => return Poll::Pending,
            }
        }
    }

    /// Writes what is queued; ready when the queue is below its watermark. A broken connection is reported by
    /// [`poll_response`](Self::poll_response) only, because a response may have been received before.
    pub(crate) fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UpstreamFailure>> {
        match &mut self.state {
            State::Http1(exchange) => exchange.poll_writable(cx).map(Ok),
            State::Http2(exchange) => exchange.poll_writable(cx).map(Ok),
            State::Http1Checkout(_) | State::Http2Checkout(_) | State::Failed => Poll::Pending,
        }
    }

    /// Queues a piece of the body. After a `101` the pieces are raw bytes.
    pub(crate) fn send_data(&mut self, data: Slices, end_stream: bool) {
        match &mut self.state {
            State::Http1(exchange) => exchange.send_data(data, end_stream),
            State::Http2(exchange) => exchange.send_data(data, end_stream),
            State::Http1Checkout(_) | State::Http2Checkout(_) | State::Failed => {}
        }
    }

    /// Queues trailers, which end the request. On HTTP/1 without `enable_trailers` they only end it (T-9).
    pub(crate) fn send_trailers(&mut self, trailers: &HeaderMap) {
        match &mut self.state {
            State::Http1(exchange) => exchange.send_trailers(trailers),
            State::Http2(exchange) => {
                if let Some(meter) = &self.meter {
                    meter.count(|meter| meter.sent.add(0, size_of_fields(trailers)));
                }
                exchange.send_trailers(trailers);
            }
            State::Http1Checkout(_) | State::Http2Checkout(_) | State::Failed => {}
        }
    }

    /// The next part of the response. HTTP/1 reports the end of a body as an empty piece of its own; a response without
    /// a body ends with its head. Not called again after the end. The bytes of a piece count against the flow-control
    /// window until the next call, so a caller that cannot pass them on does not call.
    ///
    /// # Errors
    ///
    /// The response failed; nothing follows.
    pub(crate) fn poll_response(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<ResponseEvent, UpstreamFailure>> {
        let outcome = match &mut self.state {
            State::Http1(exchange) => ready!(exchange.poll_response(cx)),
            State::Http2(exchange) => ready!(exchange.poll_response(cx)),
            State::Http1Checkout(_) | State::Http2Checkout(_) | State::Failed => return Poll::Pending,
        };
        let outcome = match outcome {
            Ok(ResponseEvent::Informational(_)) if self.informational == MOST_INFORMATIONAL => {
                Err(UpstreamFailure::ProtocolError)
            }
            outcome => outcome,
        };
        if let (Some(meter), State::Http2(_)) = (&self.meter, &self.state) {
            let size = match &outcome {
                Ok(ResponseEvent::Headers { head, .. } | ResponseEvent::Informational(head)) => {
                    ":status200".len() + size_of_fields(&head.fields)
                }
                Ok(ResponseEvent::Body(BodyEvent::Trailers(trailers))) => size_of_fields(trailers),
                _ => 0,
            };
            meter.count(|meter| meter.received.add(0, size));
        }
        if let Ok(ResponseEvent::Headers { head, .. }) = &outcome {
            self.has_response = true;
            self.active.host().note_response(head);
            self.active.host().metrics.increment_endpoint(match head.status.is_server_error() {
                true => ClusterMetric::UpstreamRq5xx,
                false => ClusterMetric::UpstreamRq2xx,
            });
        }
        match &outcome {
            Ok(
                ResponseEvent::Headers { end_stream: true, .. }
                | ResponseEvent::Body(BodyEvent::Data { end_stream: true, .. } | BodyEvent::Trailers(_)),
            ) => self.enter(Phase::Over),
            Ok(ResponseEvent::Informational(_)) => self.informational += 1,
            Ok(_) => {}
            Err(failure) => {
                self.active.host().note(Outcome::Failed);
                self.count_failure(failure);
                self.fail(failure);
            }
        }
        Poll::Ready(outcome)
    }

    /// Moves it from one gauge to another.
    fn enter(&mut self, phase: Phase) {
        let before = std::mem::replace(&mut self.phase, phase);
        if before == phase {
            return;
        }
        let metrics = &self.active.host().metrics;
        match before {
            Phase::Pending => metrics.decrement(ClusterMetric::UpstreamRqPendingActive),
            Phase::OnConnection => metrics.decrement(ClusterMetric::UpstreamRqActive),
            Phase::New | Phase::Over => {}
        }
        match phase {
            Phase::Pending => {
                metrics.increment(ClusterMetric::UpstreamRqPendingTotal);
                metrics.increment(ClusterMetric::UpstreamRqPendingActive);
            }
            Phase::OnConnection => {
                metrics.increment(ClusterMetric::UpstreamRqTotal);
                metrics.increment(ClusterMetric::UpstreamRqActive);
            }
            Phase::New | Phase::Over => {}
        }
    }

    /// Counts a response that failed, and logs it.
    fn count_failure(&self, failure: &UpstreamFailure) {
        let metrics = &self.active.host().metrics;
        match failure {
            UpstreamFailure::RemoteReset | UpstreamFailure::RemoteRefused => {
                metrics.increment(ClusterMetric::UpstreamRqRxReset);
            }
            UpstreamFailure::ProtocolError => {
                metrics.increment(ClusterMetric::UpstreamRqTxReset);
                metrics.increment(ClusterMetric::UpstreamCxProtocolError);
            }
            _ => metrics.increment(ClusterMetric::UpstreamRqPendingFailureEject),
        }
        if let Some(suppressed) = metrics.admit(Incident::UpstreamReset) {
            let cluster = &*self.active.host().cluster.name;
            let address = self.info.address.as_deref().unwrap_or_default();
            tracing::warn!(cluster, address, reason = %failure, suppressed, "a request failed at its upstream");
        }
    }

    /// Counts a request for which a circuit breaker had no room, and logs it.
    fn overflow(&self) {
        let host = self.active.host();
        host.metrics.increment(ClusterMetric::UpstreamRqPendingOverflow);
        if let Some(suppressed) = host.metrics.admit(Incident::Overflow) {
            let cluster = &*host.cluster.name;
            tracing::warn!(cluster, suppressed, "a circuit breaker of the cluster refused a request");
        }
    }

    /// Takes in what has arrived of a response that is not wanted yet. HTTP/1 leaves it in the socket.
    pub(crate) fn absorb(&mut self, cx: &mut Context<'_>) {
        if let State::Http2(exchange) = &mut self.state {
            exchange.absorb(cx);
        }
    }

    /// Whether less of the request is queued than may be.
    pub(crate) fn has_room(&self) -> bool {
        match &self.state {
            State::Http1(exchange) => exchange.has_room(),
            State::Http2(exchange) => exchange.has_room(),
            State::Http1Checkout(_) | State::Http2Checkout(_) | State::Failed => true,
        }
    }

    /// Whether memory is short: the response is to come in small pieces. Those of HTTP/2 are small.
    pub(crate) fn press(&mut self, pressed: bool) {
        if let State::Http1(exchange) = &mut self.state {
            exchange.press(pressed);
        }
    }

    /// Bytes of the request and its response that wait here.
    pub(crate) fn held(&self) -> usize {
        match &self.state {
            State::Http1(exchange) => exchange.held(),
            State::Http2(exchange) => exchange.held(),
            State::Http1Checkout(_) | State::Http2Checkout(_) | State::Failed => 0,
        }
    }

    /// Its host took too long.
    pub(crate) fn timed_out(&self) {
        if !self.has_response {
            self.active.host().note(Outcome::TimedOut);
        }
        let metrics = &self.active.host().metrics;
        metrics.increment_endpoint(ClusterMetric::UpstreamRqTimeout);
        metrics.increment_endpoint(ClusterMetric::UpstreamRq5xx);
    }

    fn fail(&mut self, failure: &UpstreamFailure) {
        if self.phase != Phase::Over && *failure != UpstreamFailure::Overflow {
            self.active.host().metrics.increment_endpoint(ClusterMetric::UpstreamRq5xx);
        }
        self.info.transport_failure_reason = failure.transport_failure_reason().map(str::to_owned);
        self.state = State::Failed;
        self.permit = None;
        self.enter(Phase::Over);
    }
}

impl Drop for UpstreamRequest {
    fn drop(&mut self) {
        let metrics = &self.active.host().metrics;
        match self.phase {
            Phase::Pending => metrics.increment(ClusterMetric::UpstreamRqCancelled),
            // Its response was not complete.
            Phase::OnConnection => metrics.increment(ClusterMetric::UpstreamRqTxReset),
            Phase::New | Phase::Over => {}
        }
        self.enter(Phase::Over);
    }
}

/// Bytes of the names and values of a head, those of pseudo-headers among them.
fn size_of_request(head: &RequestHeaders) -> usize {
    const NAMES: usize = ":method:scheme:authority:path".len();
    let values = head.method.as_str().len() + head.scheme.len() + head.authority.len() + head.path.len();
    NAMES + values + size_of_fields(&head.fields)
}

fn note_connection(info: &mut UpstreamInfo, facts: &ConnectionFacts, protocol: Protocol) {
    facts.note_in(info);
    info.protocol = Some(protocol);
}

/// A request that was not even queued has no upstream host, in Envoy's logs.
fn forget_address(failure: &UpstreamFailure, info: &mut UpstreamInfo) {
    if *failure == UpstreamFailure::Overflow {
        info.address = None;
    }
}
