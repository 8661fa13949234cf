//! Responses that the gateway gives itself.

use std::time::Instant;

use extproc::{Direction, ResponseHeaders};
use http::StatusCode;

use super::{
    Transaction,
    chain::{Part, Place},
    filter::{Context, Filter},
    router::Router,
};
use crate::{
    local_reply::LocalReply,
    stats::{ClusterMetric, HttpMetric},
    stream::Downstream,
};

impl<D: Downstream> Transaction<'_, D> {
    /// Answers the client instead of the upstream. If the response is on the wire already the client's stream is reset
    /// (F-4); if an upstream's response is inside the chain, the reply goes straight to the client (F-5, Y-3), else
    /// through the response side of the chain (L-11).
    pub(super) fn local_reply(&mut self, reply: LocalReply, now: Instant) {
        self.core.info.response_flags.insert(reply.flags);
        self.core.info.response_code_details = Some(reply.details.clone());
        let through_chain = !self.client.response_routed;
        self.end_upstream_filters(now);
        self.router = Router::Done;
        self.deadlines.response = None;
        self.client.request_abandoned = true;
        if self.client.response_started {
            self.reset_client(now);
            return;
        }
        self.core.info.response_code = Some(reply.status);
        if reply.status == StatusCode::BAD_REQUEST {
            // I-10: who sends bad requests may not know where they end.
            self.downstream.end_connection();
        }
        let (head, body) = self.core.local_response(reply);
        // Trailers that an upstream has sent are not sent on, but logs show them.
        self.core.messages.response = Some(head);
        self.client.response_routed = true;
        if !through_chain {
            self.end_filters_before_router(now);
        }
        let start = match through_chain {
            true => self.onion.next(Place::Router, Direction::Response),
            false => Place::Client,
        };
        let end_stream = body.is_empty();
        if !end_stream {
            // Put there before the head, so it comes behind it.
            let data = Part::Data { data: body.into(), end_stream: true };
            self.queue.enter(start, Direction::Response, data);
        }
        self.queue.enter(start, Direction::Response, Part::Headers { end_stream });
    }

    /// A filter starts to give the response itself (S-1, S-2). The request goes no further than to it.
    pub(super) fn filter_response(&mut self, index: usize, head: ResponseHeaders, end_stream: bool) {
        self.router = Router::Done;
        self.deadlines.response = None;
        self.core.messages.response = Some(head);
        self.client.response_routed |= !self.onion.is_upstream(index);
        self.filter_response_part(index, Part::Headers { end_stream });
    }

    /// A part of a response that the filter at `index` gives: it passes every filter on its side of the router, its own
    /// too, as if it came from there.
    pub(super) fn filter_response_part(&mut self, index: usize, part: Part) {
        let from = if self.onion.is_upstream(index) { Place::Upstream } else { Place::Router };
        self.pass_on(from, Direction::Response, part);
    }

    /// The request, or the try, is over for a filter.
    fn end_filter(&mut self, index: usize, now: Instant) {
        let place = self.filter_place(index);
        if let Some(filter) = self.slots.get_mut(index) {
            let mut cx = Context { core: &mut self.core, place, now };
            filter.end(&mut cx);
            filter.count(&mut cx);
        }
    }

    /// The attempt is over: so are the filters that belong to it. The next one begins with new ones.
    pub(super) fn end_upstream_filters(&mut self, now: Instant) {
        self.end_filters(self.onion.before_router, now);
    }

    /// The request is over for the filters from this one on.
    pub(super) fn end_filters(&mut self, from: usize, now: Instant) {
        let mut next = from;
        while let Some(index) = self.slots.next_active(next) {
            self.end_filter(index, now);
            next = index + 1;
        }
    }

    fn end_filters_before_router(&mut self, now: Instant) {
        let mut next = 0;
        while let Some(index) = self.slots.next_active(next).filter(|index| !self.onion.is_upstream(*index)) {
            self.end_filter(index, now);
            next = index + 1;
        }
    }

    /// Another try follows: its filters are new ones.
    pub(super) fn renew_upstream_filters(&mut self, now: Instant) {
        self.end_upstream_filters(now);
        self.queue.give_up_try(self.onion);
        self.slots.renew_behind_router(self.onion);
    }

    /// B-3.6.
    pub(super) fn payload_too_large(&mut self, direction: Direction, now: Instant) {
        self.core.count_http(match direction {
            Direction::Request => HttpMetric::DownstreamRqTooLarge,
            Direction::Response => HttpMetric::RsTooLarge,
        });
        self.core.report_too_large(direction);
        self.local_reply(LocalReply::payload_too_large(direction), now);
    }

    /// Memory is short, and this request holds much of it. Its filters end with it: what they hold is what is needed.
    pub(super) fn buffers_full(&mut self, now: Instant) {
        self.client.response_routed = true;
        self.slots.active_mut().for_each(Filter::make_haste);
        self.local_reply(LocalReply::buffers_full(), now);
        self.run(now);
    }

    pub(super) fn protocol_error(&mut self, details: &'static str, now: Instant) {
        self.local_reply(LocalReply::bad_request(details), now);
    }

    /// The route's timeout has passed.
    pub(super) fn response_timed_out(&mut self, now: Instant) {
        let reply = self.core.reply_of_router(LocalReply::upstream_timeout("response_timeout"));
        self.core.count_cluster(ClusterMetric::UpstreamRqTimeout);
        self.router.timed_out();
        if !self.client.response_routed {
            self.core.charge_upstream(reply.status);
        }
        self.local_reply(reply, now);
    }

    /// Nothing has moved for the stream idle timeout. A filter that waits for somebody says so (decision 13).
    pub(super) fn idle_timed_out(&mut self, now: Instant) {
        let details = self.slots.active().filter_map(Filter::waits).next().unwrap_or("stream_idle_timeout");
        self.local_reply(LocalReply::stream_timeout(self.client.request_ended, details), now);
    }

    pub(super) fn request_timed_out(&mut self, now: Instant) {
        self.core.count_http(HttpMetric::DownstreamRqTimeout);
        self.local_reply(LocalReply::request_timeout(), now);
    }

    pub(super) fn stream_lived_too_long(&mut self, now: Instant) {
        self.core.count_http(HttpMetric::DownstreamRqMaxDurationReached);
        self.local_reply(LocalReply::stream_lived_too_long(self.client.request_ended), now);
    }
}
