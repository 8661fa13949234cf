//! Messages from the processor.

use std::time::Instant;

use super::{
    Action, Close, Exchange, Host, StreamEnd, StreamedReply,
    failure::Failure,
    report::kind_of,
    side::{Awaiting, Head},
};
use crate::{
    codec,
    http_message::Direction,
    log::{Note, ProcessingEffect, Step},
    messages::{CommonResponse, HeaderMutation, TrailersResponse, processing_response::Response},
    mutation::{self, Policy, Target},
    plan::RouteCacheAction,
    slices::Slices,
};

impl Exchange {
    /// One message arrived, without its gRPC framing.
    pub fn handle_message(&mut self, message: Slices, now: Instant, host: &mut dyn Host) {
        // P-4 (1) and (2): dropped unread.
        if self.plan.observability_mode || (self.complete && self.streamed_reply != StreamedReply::Started) {
            return;
        }
        let Ok((response, body)) = codec::decode_reply(message) else {
            // F-12
            let details = "ext_proc_error_gRPC_error_13{via_upstream}".to_owned();
            self.handle_stream_end(StreamEnd::Error { code: 13, details, started: true }, now);
            self.actions.push_back(Action::Close(Close::Reset));
            return;
        };
        self.received = Some(kind_of(&response));
        if let Some(timeout) = &response.override_message_timeout {
            self.override_timeout(timeout, now);
            return;
        }
        if let Some(mode) = &response.mode_override {
            if response.response.is_none() {
                if !self.override_mode_alone(mode, now, host) {
                    self.spurious("unhandled_message", now);
                }
                return;
            }
            self.override_mode(mode, now, host);
        }
        let Some(reply) = response.response else {
            // P-3
            self.spurious("unhandled_message", now);
            return;
        };
        // D-3 to D-5
        let receiving = &self.plan.metadata_options.receiving_namespaces;
        let mut fits = true;
        if let Some(metadata) = response.dynamic_metadata {
            fits &= host.metadata().merge(metadata, &receiving.untyped);
        }
        if !response.typed_dynamic_metadata.is_empty() {
            fits &= host.metadata().merge_typed(response.typed_dynamic_metadata, &receiving.typed);
        }
        if !fits {
            self.counters.stream_msgs_received += 1;
            self.fail(&Failure::TooMuchMetadata, now);
            return;
        }
        match reply {
            Response::ImmediateResponse(reply) => self.immediate_response(reply, now),
            Response::StreamedImmediateResponse(reply) => self.streamed_immediate_response(reply, now, host),
            _ if self.streamed_reply != StreamedReply::None => {
                // S-6
                self.spurious("spurious_message", now);
            }
            Response::RequestHeaders(reply) => self.headers_reply(Direction::Request, reply, now, host),
            Response::ResponseHeaders(reply) => self.headers_reply(Direction::Response, reply, now, host),
            Response::RequestBody(reply) => self.body_reply(Direction::Request, reply, body, now, host),
            Response::ResponseBody(reply) => self.body_reply(Direction::Response, reply, body, now, host),
            Response::RequestTrailers(reply) => self.trailers_reply(Direction::Request, &reply, now, host),
            Response::ResponseTrailers(reply) => self.trailers_reply(Direction::Response, &reply, now, host),
        }
        self.adopt_next_mode(Direction::Request, now, host);
        self.adopt_next_mode(Direction::Response, now, host);
    }

    /// The reply to the trailers. In FULL_DUPLEX_STREAMED it may come at any time (P-1, B-6.8).
    fn trailers_reply(
        &mut self,
        direction: Direction,
        reply: &TrailersResponse,
        now: Instant,
        host: &mut dyn Host,
    ) {
        let side = self.side(direction);
        if side.awaiting != Awaiting::Trailers && !side.is_duplex() {
            self.spurious("spurious_message", now);
            return;
        }
        if side.duplex_owed && !side.trailers_sent {
            // Decision 4: the data it was given would be lost.
            self.counters.stream_msgs_received += 1;
            self.fail(&Failure::ClosedMidBody, now);
            return;
        }
        self.side_mut(direction).awaiting = Awaiting::Trailers;
        if let Some(mutation) = &reply.header_mutation
            && !self.mutate(direction, Step::Trailers, mutation, false, now, host)
        {
            return;
        }
        self.side_mut(direction).duplex_owed = false;
        self.accept(direction, now);
        let side = self.side_mut(direction);
        if !side.trailers_sent {
            side.body_mode = crate::mode::BodySendMode::None;
            side.send_trailers = false;
        }
        self.release(direction);
        self.close_if_settled(direction);
    }

    /// Applies a header mutation to the head or the trailers. False if it was refused and the exchange has failed (M-9).
    pub(super) fn mutate(
        &mut self,
        direction: Direction,
        step: Step,
        wanted: &HeaderMutation,
        replace_message: bool,
        now: Instant,
        host: &mut dyn Host,
    ) -> bool {
        let limits = host.header_limits(direction);
        let policy = Policy {
            rules: &self.plan.mutation_rules,
            header_prefix: &self.plan.header_prefix,
            replace_message,
            content_length_removed: self.removes_content_length(direction),
            max_count: limits.max_count,
            max_bytes: limits.max_bytes,
        };
        let messages = host.messages();
        let target = match (step, direction) {
            (Step::Trailers, Direction::Request) => messages.request_trailers.as_mut().map(Target::Trailers),
            (Step::Trailers, Direction::Response) => {
                messages.response_trailers.as_mut().map(Target::Trailers)
            }
            (_, Direction::Request) => Some(Target::Request(&mut messages.request)),
            (_, Direction::Response) => messages.response.as_mut().map(Target::Response),
        };
        let Some(target) = target else {
            return true;
        };
        match mutation::apply(wanted, target, &policy) {
            Ok(applied) => {
                self.ignored(direction, step, applied.ignored, applied.header);
                if applied.changed {
                    self.note_effect(direction, step, ProcessingEffect::MutationApplied);
                }
                true
            }
            Err(refused) => {
                self.counters.rejected_header_mutations += refused.ignored_before + 1;
                self.counters.stream_msgs_received += 1;
                self.note_effect(direction, step, refused.effect);
                self.fail(&Failure::RefusedMutation(refused), now);
                false
            }
        }
    }

    pub(super) fn note_effect(&mut self, direction: Direction, step: Step, effect: ProcessingEffect) {
        self.note(Note::Effect { direction, step, effect });
    }

    /// A reply fits: counts it, notes it and stops the timer, unless pieces are still outstanding (decision 3).
    pub(super) fn accept(&mut self, direction: Direction, now: Instant) {
        self.counters.stream_msgs_received += 1;
        self.note(Note::Bytes);
        self.record_step(direction, 0, now);
        let timeout = self.plan.message_timeout;
        let side = self.side_mut(direction);
        side.awaiting =
            if side.chunks.is_empty() && !side.duplex_owed { Awaiting::Idle } else { Awaiting::StreamedBody };
        side.deadline =
            if side.chunks.is_empty() || side.is_duplex() { None } else { now.checked_add(timeout) };
        side.deadline_overridden = false;
    }

    /// Section 15. Only replies of the request direction are considered (K-1): to headers, and to bodies in every mode. Once
    /// the head has gone on it is too late for another route, but what was asked for counts all the same.
    pub(super) fn decide_route_cache(&mut self, direction: Direction, common: &CommonResponse) {
        if direction == Direction::Response {
            return;
        }
        if self.upstream {
            self.counters.clear_route_cache_upstream_ignored += u32::from(common.clear_route_cache);
            return;
        }
        if common.header_mutation.is_none() {
            if common.clear_route_cache {
                self.counters.clear_route_cache_ignored += 1;
            }
            return;
        }
        match self.plan.route_cache_action {
            RouteCacheAction::Clear => self.clear_route_cache(),
            RouteCacheAction::Default if common.clear_route_cache => self.clear_route_cache(),
            RouteCacheAction::Retain if common.clear_route_cache => {
                self.counters.clear_route_cache_disabled += 1;
            }
            RouteCacheAction::Default | RouteCacheAction::Retain => {}
        }
    }

    fn clear_route_cache(&mut self) {
        if self.request.head == Head::Held && !self.request.too_large {
            self.actions.push_back(Action::ClearRouteCache);
        }
    }
}
