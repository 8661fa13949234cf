//! Responses that the gateway gives itself.

use std::time::Instant;

use extproc::{Direction, ResponseHeaders, exchange};
use http::StatusCode;

use super::{Part, Transaction, chain::Slot, router::Router};
use crate::{
    local_reply::LocalReply,
    stats::{ClusterMetric, HttpMetric},
    stream::Downstream,
    stream_info::ResponseFlags,
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
            for index in 0..self.downstream_slots {
                self.end_filter(index, now);
            }
        }
        let start = if through_chain { self.downstream_slots } else { 0 };
        let end_stream = body.is_empty();
        self.response_part(start, Part::Headers { end_stream }, now);
        if !end_stream {
            self.response_part(start, Part::Data { data: body.into(), end_stream: true }, now);
        }
    }

    /// A filter answers: an immediate response, or the error of a failed exchange.
    pub(super) fn filter_reply(&mut self, reply: exchange::LocalReply, now: Instant) {
        self.local_reply(
            LocalReply {
                status: reply.status,
                fields: reply.fields,
                body: reply.body,
                grpc_status: reply.grpc_status,
                details: reply.details.into(),
                flags: ResponseFlags::default(),
            },
            now,
        );
    }

    /// A processor starts to give the response itself (S-1, S-2). The request goes no further than its filter.
    pub(super) fn streamed_reply(
        &mut self,
        index: usize,
        head: ResponseHeaders,
        end_stream: bool,
        now: Instant,
    ) {
        self.router = Router::Done;
        self.deadlines.response = None;
        self.core.info.response_code_details = Some("ext_proc_local_response".into());
        self.core.messages.response = Some(head);
        if index < self.downstream_slots {
            self.client.response_routed = true;
        }
        self.reply_part(index, Part::Headers { end_stream }, now);
    }

    /// The attempt is over: so are the filters that belong to it. The next one begins with new ones.
    pub(super) fn end_upstream_filters(&mut self, now: Instant) {
        for index in self.downstream_slots..self.slots.len() {
            self.end_filter(index, now);
        }
    }

    /// Another try follows: its filters are new ones.
    pub(super) fn renew_upstream_filters(&mut self, now: Instant) {
        self.end_upstream_filters(now);
        for slot in &mut self.slots[self.downstream_slots..] {
            *slot = Slot::Untouched;
        }
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
        for slot in &mut self.slots {
            if let Slot::Active(filter) = slot {
                filter.make_haste();
            }
        }
        self.local_reply(LocalReply::buffers_full(), now);
    }

    pub(super) fn protocol_error(&mut self, details: &'static str, now: Instant) {
        self.local_reply(LocalReply::bad_request(details), now);
    }

    /// The route's timeout has passed.
    pub(super) fn response_timed_out(&mut self, now: Instant) {
        let reply = self.core.reply_of_router(LocalReply::upstream_timeout("response_timeout"));
        self.core.count_cluster(ClusterMetric::UpstreamRqTimeout);
        if !self.client.response_routed {
            self.core.charge_upstream(reply.status);
        }
        self.local_reply(reply, now);
    }

    /// Nothing has moved for the stream idle timeout. A processor that was to answer is named (decision 13).
    pub(super) fn idle_timed_out(&mut self, now: Instant) {
        let processor = self
            .slots
            .iter()
            .filter_map(|slot| slot.filter())
            .any(|filter| filter.exchange.is_replying() || filter.exchange.awaits_processor());
        let details = if processor { "processor_idle" } else { "stream_idle_timeout" };
        self.local_reply(LocalReply::stream_timeout(self.client.request_ended, details), now);
    }

    pub(super) fn request_timed_out(&mut self, now: Instant) {
        self.core.count_http(HttpMetric::DownstreamRqTimeout);
        self.local_reply(LocalReply::request_timeout(), now);
    }

    pub(super) fn stream_lived_too_long(&mut self, now: Instant) {
        self.local_reply(LocalReply::stream_timeout(self.client.request_ended, "max_duration_timeout"), now);
    }
}
