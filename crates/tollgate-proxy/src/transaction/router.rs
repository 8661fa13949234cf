//! The end of the chain: what the route says is done, and the upstream's answer comes back.

use std::{
    collections::VecDeque,
    task::{Context, Poll},
    time::Instant,
};

use extproc::{Direction, Slices};

use super::{
    Transaction,
    chain::{Part, Place},
    decide::Forward,
    filter::Filter,
    upgrade::Upgrade,
};
use crate::{
    http1::is_upgrade,
    local_reply::LocalReply,
    memory::SLICE,
    stats::HttpMetric,
    stream::{BodyEvent, Downstream, ResponseEvent},
    stream_info::VIA_UPSTREAM,
    upstream::{UpstreamFailure, UpstreamRequest},
};

/// Bytes that may wait for an upstream connection before the request's source is paused.
const CONNECTING_ROOM: usize = 256 * 1024;

/// The router's state for one request.
#[derive(Debug)]
pub(super) enum Router {
    /// The request head has not come through the chain.
    Waiting,
    /// A connection is being made; what follows the head waits here.
    Connecting {
        upstream: UpstreamRequest,
        /// The head has come through the filters behind the router, and this tells whether nothing follows it.
        end_stream: Option<bool>,
        waiting: VecDeque<Waiting>,
        waiting_bytes: usize,
    },
    /// A try failed; the next one begins when it is time. What comes of the request meanwhile is kept with the rest.
    BetweenTries { until: Instant, waiting_bytes: usize },
    /// The head was sent.
    Active { upstream: UpstreamRequest, writable: bool, response_ended: bool },
    /// Answered, given up or complete: the rest of the request goes nowhere.
    Done,
}

/// A part of the request that waits for a connection; trailers are in the messages.
#[derive(Debug, Clone)]
pub(super) enum Waiting {
    Data { data: Slices, end_stream: bool },
    Trailers,
}

impl Waiting {
    pub(super) fn ends_stream(&self) -> bool {
        match self {
            Self::Data { end_stream, .. } => *end_stream,
            Self::Trailers => true,
        }
    }
}

impl From<Waiting> for Part {
    fn from(waiting: Waiting) -> Self {
        match waiting {
            Waiting::Data { data, end_stream } => Self::Data { data, end_stream },
            Waiting::Trailers => Self::Trailers,
        }
    }
}

impl Router {
    /// Bytes that wait here.
    pub(super) fn held(&self) -> usize {
        match self {
            Self::Waiting | Self::Done => 0,
            Self::Connecting { waiting_bytes, waiting, .. } => waiting_bytes + SLICE * waiting.len(),
            Self::BetweenTries { waiting_bytes, .. } => *waiting_bytes,
            Self::Active { upstream, .. } => upstream.held(),
        }
    }

    /// The upstream took too long.
    pub(super) fn timed_out(&self) {
        if let Self::Connecting { upstream, .. } | Self::Active { upstream, .. } = self {
            upstream.timed_out();
        }
    }

    /// Whether more of the request body may be handed in.
    pub(super) fn has_room(&self) -> bool {
        match self {
            Self::Waiting | Self::Done => true,
            Self::Connecting { .. } | Self::BetweenTries { .. } => self.held() < CONNECTING_ROOM,
            Self::Active { upstream, writable, .. } => *writable && upstream.has_room(),
        }
    }
}

impl<D: Downstream> Transaction<'_, D> {
    /// A part of the request left the chain.
    pub(super) fn router_part(&mut self, part: Part, now: Instant) {
        match part {
            Part::Headers { end_stream } => self.route(end_stream, now),
            Part::Data { data, end_stream } => {
                self.request_body(Waiting::Data { data, end_stream }, now);
                if end_stream {
                    self.request_complete(now);
                }
            }
            Part::Trailers => {
                self.request_body(Waiting::Trailers, now);
                self.request_complete(now);
            }
        }
    }

    /// A part of the request left the filters behind the router.
    pub(super) fn upstream_part(&mut self, part: Part) {
        match part {
            Part::Headers { end_stream: ended } => {
                if let Router::Connecting { end_stream, .. } = &mut self.router {
                    *end_stream = Some(ended);
                }
            }
            Part::Data { data, end_stream } => self.send_upstream(Waiting::Data { data, end_stream }),
            Part::Trailers => self.send_upstream(Waiting::Trailers),
        }
    }

    /// A piece of the body, or the trailers, reached the router.
    fn request_body(&mut self, part: Waiting, now: Instant) {
        if self.tries.is_some() {
            self.keep_for_retry(&part);
            self.try_activity(now);
        }
        if let Some(mirrors) = &self.mirrors {
            mirrors.part(&part, self.core.messages.request_trailers.as_ref());
        }
        if let Router::BetweenTries { waiting_bytes, .. } = &mut self.router {
            if let Waiting::Data { data, .. } = &part {
                *waiting_bytes += data.len();
            }
            return;
        }
        self.pass_on(Place::Router, Direction::Request, part.into());
    }

    /// The whole request has come through: the route's timeout begins.
    fn request_complete(&mut self, now: Instant) {
        self.core.info.last_upstream_tx = Some(now);
        self.mirrors = None;
        self.start_route_timeout(now);
        if let (Router::Active { .. }, Some(tries)) = (&self.router, &mut self.tries) {
            tries.start_clock(now);
        }
    }

    fn start_route_timeout(&mut self, now: Instant) {
        if matches!(
            self.router,
            Router::Connecting { .. } | Router::BetweenTries { .. } | Router::Active { .. }
        ) {
            self.deadlines.response = self.core.route_timeout().and_then(|timeout| now.checked_add(timeout));
        }
    }

    fn route(&mut self, end_stream: bool, now: Instant) {
        if !matches!(self.router, Router::Waiting) {
            return;
        }
        self.core.count_http(HttpMetric::RqTotal);
        match self.core.decide_route(end_stream, now) {
            Ok(_) if self.core.sheds_before_upstream() => self.local_reply(LocalReply::overloaded(), now),
            Ok(Forward { mut upstream, tries, mirrors }) => {
                if !self.core.http().hold_generic_upgrades {
                    upstream.trust_generic_upgrades();
                }
                self.tries = tries;
                self.mirrors = mirrors;
                self.take_filters_of(&upstream.counts().name);
                if let Some(timeout) = self.core.route_idle_timeout() {
                    self.deadlines.set_idle_timeout(timeout);
                }
                self.begin_try(upstream, end_stream);
                if end_stream {
                    self.request_complete(now);
                } else if self.core.upgrade == Upgrade::Asked
                    && is_upgrade(&self.core.messages.request.fields)
                {
                    // Nothing but the answer ends a request for a tunnel.
                    self.start_route_timeout(now);
                }
            }
            Err(reply) => self.local_reply(reply, now),
        }
    }

    /// A connection is to be made for this try, and the head of the request goes through the filters behind the router.
    pub(super) fn begin_try(&mut self, mut upstream: UpstreamRequest, end_stream: bool) {
        if let Some(meter) = &self.core.info.upstream_meter {
            upstream.count_on(meter);
        }
        self.router =
            Router::Connecting { upstream, end_stream: None, waiting: VecDeque::new(), waiting_bytes: 0 };
        self.pass_on(Place::Router, Direction::Request, Part::Headers { end_stream });
    }

    fn send_upstream(&mut self, part: Waiting) {
        match &mut self.router {
            Router::Waiting | Router::Done | Router::BetweenTries { .. } => {}
            Router::Connecting { waiting, waiting_bytes, .. } => {
                if let Waiting::Data { data, .. } = &part {
                    *waiting_bytes += data.len();
                }
                waiting.push_back(part);
            }
            Router::Active { upstream, .. } => match part {
                Waiting::Data { data, end_stream } => upstream.send_data(data, end_stream),
                Waiting::Trailers => {
                    if let Some(trailers) = &self.core.messages.request_trailers {
                        upstream.send_trailers(trailers);
                    }
                }
            },
        }
    }

    /// Connects, writes and reads as far as it goes.
    pub(super) fn poll_upstream(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        if self.finished {
            return false;
        }
        match &self.router {
            Router::Waiting | Router::Done | Router::BetweenTries { .. } => false,
            Router::Connecting { .. } => self.poll_connect(cx, now),
            Router::Active { .. } => self.poll_active(cx, now),
        }
    }

    fn poll_connect(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let Router::Connecting { upstream, end_stream: Some(end_stream), .. } = &mut self.router else {
            return false;
        };
        match upstream.poll_connect(cx, &self.core.messages.request, *end_stream) {
            Poll::Pending => false,
            Poll::Ready(Err(failure)) => {
                self.core.note_upstream(upstream);
                self.upstream_failed(&failure, now);
                true
            }
            Poll::Ready(Ok(())) => {
                self.core.note_upstream(upstream);
                self.core.info.first_upstream_tx = Some(now);
                if let Some(tries) = &mut self.tries {
                    tries.connected(now);
                }
                let Router::Connecting { upstream, waiting, .. } =
                    std::mem::replace(&mut self.router, Router::Done)
                else {
                    return false;
                };
                self.router = Router::Active { upstream, writable: true, response_ended: false };
                for part in waiting {
                    self.send_upstream(part);
                }
                true
            }
        }
    }

    fn poll_active(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let mut progress = false;
        if let Router::Active { upstream, writable, .. } = &mut self.router {
            let had_room = *writable && upstream.has_room();
            match upstream.poll_writable(cx) {
                Poll::Ready(Ok(())) => {
                    *writable = true;
                    progress |= !had_room;
                }
                Poll::Ready(Err(failure)) => {
                    self.upstream_failed(&failure, now);
                    return true;
                }
                Poll::Pending => *writable = false,
            }
        }
        while !self.finished && !self.turn.is_over() && self.response_is_wanted() {
            let Router::Active { upstream, response_ended, .. } = &mut self.router else {
                return progress;
            };
            if *response_ended {
                return progress;
            }
            upstream.press(self.downstream.is_pressed());
            match upstream.poll_response(cx) {
                Poll::Pending => return progress,
                Poll::Ready(Ok(event)) => {
                    progress = true;
                    self.deadlines.activity(now);
                    self.try_activity(now);
                    self.response_event(event, now);
                }
                Poll::Ready(Err(failure)) => {
                    self.upstream_failed(&failure, now);
                    return true;
                }
            }
        }
        if let Router::Active { upstream, response_ended: false, .. } = &mut self.router {
            upstream.absorb(cx);
        }
        progress
    }

    /// Whether the next piece of the response has a place to go.
    fn response_is_wanted(&self) -> bool {
        let pressed = self.downstream.is_pressed();
        self.client_has_room()
            && self.slots.active().all(|filter| filter.has_room(Direction::Response, pressed))
    }

    fn response_event(&mut self, event: ResponseEvent, now: Instant) {
        let Router::Active { response_ended, .. } = &mut self.router else {
            return;
        };
        self.turn.spend(match &event {
            ResponseEvent::Body(BodyEvent::Data { data, .. }) => data.len(),
            _ => 0,
        });
        let part = match self.core.judge_upgrade(event) {
            ResponseEvent::Informational(head) => {
                // L-13: 1xx goes past the filters, and on to the client only where `proxy_100_continue` asks for it.
                if !self.client.response_started {
                    if let Some(tries) = &mut self.tries {
                        tries.stop_retrying();
                    }
                    if self.core.http().proxy_100_continue {
                        self.downstream.send_informational(&head);
                    }
                }
                return;
            }
            ResponseEvent::Headers { head, end_stream } => {
                *response_ended = end_stream;
                self.core.info.first_upstream_rx = Some(now);
                self.core.info.first_upstream_body_rx = None;
                self.core.info.response_code_details = Some(VIA_UPSTREAM);
                self.core.messages.response = Some(head);
                Part::Headers { end_stream }
            }
            ResponseEvent::Body(BodyEvent::Data { data, end_stream }) => {
                *response_ended = end_stream;
                if data.is_empty() && !end_stream {
                    return;
                }
                self.core.info.first_upstream_body_rx.get_or_insert(now);
                Part::Data { data: data.into(), end_stream }
            }
            ResponseEvent::Body(BodyEvent::Trailers(trailers)) => {
                *response_ended = true;
                self.core.messages.response_trailers = Some(trailers);
                Part::Trailers
            }
        };
        if let Router::Active { response_ended: true, .. } = &self.router {
            self.core.info.last_upstream_rx = Some(now);
            self.core.time_upstream(now);
        }
        self.pass_on(Place::Upstream, Direction::Response, part);
        self.run(now);
    }

    /// A part of the upstream's response left the filters behind the router.
    pub(super) fn router_response_part(&mut self, part: Part, now: Instant) {
        if matches!(part, Part::Headers { .. }) {
            if self.tries.is_some() && self.retry_response(now) {
                return;
            }
            if let Some(head) = &self.core.messages.response {
                self.core.charge_upstream(head.status);
            }
            self.client.response_routed = true;
            self.core.take_response(now);
            self.upgrade_answered();
        }
        if part.ends_stream() {
            // Not before it is clear that the response stands: the time of the route is for all tries together.
            self.deadlines.response = None;
        }
        self.pass_on(Place::Router, Direction::Response, part);
    }

    fn upstream_failed(&mut self, failure: &UpstreamFailure, now: Instant) {
        if self.tries.is_some() && self.retry_failure(failure, now) {
            return;
        }
        let started = self.client.response_routed;
        self.core.note_upstream_failure(failure, started);
        self.router = Router::Done;
        if self.client.response_started {
            self.core.count_http(HttpMetric::RqResetAfterDownstreamResponseStarted);
            self.reset_client(now);
        } else {
            let mut reply = self.core.upstream_failure_reply(failure);
            if !started {
                self.core.charge_upstream(reply.status);
            }
            reply.details = failure.details(started);
            self.local_reply(reply, now);
            self.run(now);
        }
    }
}
