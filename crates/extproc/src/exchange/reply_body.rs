//! Replies to bodies and pieces of bodies (section 7).

use std::time::Instant;

use super::{
    Action, Exchange, Host,
    failure::Failure,
    side::{Awaiting, End, Head},
};
use crate::{
    http_message::Direction,
    log::{ProcessingEffect, Step},
    messages::{BodyMutation, BodyResponse, CommonResponse, body_mutation::Mutation, common_response},
    slices::Slices,
};

/// B-4.5.
const STREAMED_RESPONSE_IN_OTHER_MODE: &str =
    "spurious_message:_streamed_response_is_received_while_body_mode__is_not_FULL_DUPLEX_STREAMED";
/// B-6.6.
const NORMAL_RESPONSE_IN_DUPLEX_MODE: &str =
    "spurious_message:_Normal_body_mutation_response_is_received_while_body_mode__is_FULL_DUPLEX_STREAMED";

impl Exchange {
    pub(super) fn body_reply(
        &mut self,
        direction: Direction,
        reply: BodyResponse,
        body: Slices,
        now: Instant,
        host: &mut dyn Host,
    ) {
        let common = reply.response.unwrap_or_default();
        let side = self.side(direction);
        match side.awaiting {
            Awaiting::BufferedBody | Awaiting::PartialBody => {
                self.whole_reply(direction, common, body, now, host);
            }
            Awaiting::StreamedBody if side.is_duplex() => {
                self.duplex_reply(direction, &common, body, now);
            }
            Awaiting::StreamedBody => self.piece_reply(direction, &common, body, now, host),
            // O-7: the message has ended without it.
            Awaiting::Idle
                if side.is_duplex() && side.end == End::Trailers && side.discard && !side.trailers_sent =>
            {
                self.accept(direction, now);
            }
            Awaiting::Idle | Awaiting::Headers | Awaiting::Trailers => {
                self.spurious("spurious_message", now);
            }
        }
    }

    /// The reply to a collected body, or to the first part of one (B-3.3, B-5.3).
    fn whole_reply(
        &mut self,
        direction: Direction,
        common: CommonResponse,
        body: Slices,
        now: Instant,
        host: &mut dyn Host,
    ) {
        let side = self.side(direction);
        let partial = side.awaiting == Awaiting::PartialBody;
        let head_is_here = side.head == Head::Held && side.headers_sent;
        // M-20: only while the head is still here.
        if head_is_here && let Some(mutation) = &common.header_mutation {
            let replace = common.status == common_response::CONTINUE_AND_REPLACE;
            if !self.mutate(direction, Step::Headers, mutation, replace, now, host) {
                return;
            }
        }
        if head_is_here
            && let Some(mutation) = &common.body_mutation
            && !length_matches(direction, mutation, &body, host)
        {
            self.counters.stream_msgs_received += 1;
            self.fail(&Failure::ContentLengthMismatch, now);
            return;
        }
        self.decide_route_cache(direction, &common);
        let limit = host.buffer_limit(direction);
        let side = self.side_mut(direction);
        let original_ends = side.chunks.back().is_some_and(|chunk| chunk.end_stream);
        let original = side.take_chunks();
        let (body, changed) = match common.body_mutation.and_then(|mutation| mutation.mutation) {
            Some(Mutation::Body(_)) => (body, true),
            Some(Mutation::ClearBody(true)) => (Slices::new(), true),
            Some(Mutation::ClearBody(false) | Mutation::StreamedResponse(_)) | None => (original, false),
        };
        if changed && direction == Direction::Request && !partial && body.len() > limit {
            // B-3.7: it is buffered again for the upstream.
            self.counters.stream_msgs_received += 1;
            self.side_mut(direction).stop_timer();
            self.side_mut(direction).awaiting = Awaiting::Idle;
            self.actions.push_back(Action::PayloadTooLarge(direction));
            return;
        }
        if changed && body.is_empty() && !partial {
            // An empty body is passed on, too; only an empty first part of one is not (B-5.7).
            side.held.push_cleared();
        } else {
            side.held.push_first(body);
        }
        side.partial_done |= partial;
        if changed {
            self.note_effect(direction, Step::Body, ProcessingEffect::MutationApplied);
        }
        if partial && original_ends {
            // As in Envoy, its end is passed on before the reply is noted.
            self.release(direction);
            self.accept(direction, now);
            return;
        }
        self.accept(direction, now);
        let side = self.side(direction);
        if side.end == End::Trailers && side.send_trailers {
            self.send_trailers(direction, now, host);
        } else {
            self.release(direction);
        }
    }

    /// The reply to the oldest unanswered piece (B-4.3).
    fn piece_reply(
        &mut self,
        direction: Direction,
        common: &CommonResponse,
        body: Slices,
        now: Instant,
        host: &mut dyn Host,
    ) {
        let mutation = common.body_mutation.as_ref().and_then(|mutation| mutation.mutation.as_ref());
        if matches!(mutation, Some(Mutation::StreamedResponse(_))) {
            self.spurious(STREAMED_RESPONSE_IN_OTHER_MODE, now);
            return;
        }
        let limit = host.buffer_limit(direction);
        let side = self.side_mut(direction);
        let Some(chunk) = side.pop_chunk() else {
            self.spurious("spurious_message", now);
            return;
        };
        side.update_paused(limit);
        let (data, changed) = match mutation {
            Some(Mutation::Body(_)) => (body, true),
            Some(Mutation::ClearBody(true)) => (Slices::new(), true),
            Some(Mutation::ClearBody(false) | Mutation::StreamedResponse(_)) | None => (chunk.data, false),
        };
        if changed {
            self.note_effect(direction, Step::Body, ProcessingEffect::MutationApplied);
        }
        self.decide_route_cache(direction, common);
        self.forward_head(direction, false);
        self.forward_data(direction, data, chunk.end_stream);
        self.accept(direction, now);
        let side = self.side(direction);
        if side.chunks.is_empty() && side.end == End::Trailers && side.next_mode.is_none() {
            self.trailers_step(direction, now, host);
        }
        self.close_if_settled(direction);
    }

    /// One of any number of pieces the processor gives (B-6.2).
    fn duplex_reply(&mut self, direction: Direction, common: &CommonResponse, body: Slices, now: Instant) {
        let Some(Mutation::StreamedResponse(piece)) =
            common.body_mutation.as_ref().and_then(|mutation| mutation.mutation.as_ref())
        else {
            self.spurious(NORMAL_RESPONSE_IN_DUPLEX_MODE, now);
            return;
        };
        let ended = piece.end_of_stream;
        let side = self.side_mut(direction);
        if ended {
            side.duplex_owed = false;
            side.discard = true;
        }
        let has_trailers = side.end == End::Trailers;
        // B-6.4: what ends a request is the reply to its trailers, when they are with the processor.
        let processor_has_trailers = has_trailers && side.trailers_sent;
        let ends = ended
            && match direction {
                Direction::Request => !has_trailers,
                Direction::Response => !has_trailers || processor_has_trailers,
            };
        self.decide_route_cache(direction, common);
        self.forward_head(direction, false);
        self.forward_data(direction, body, ends);
        self.note_effect(direction, Step::Body, ProcessingEffect::MutationApplied);
        self.accept(direction, now);
        if !ended {
            // More of it may come, also behind an end that it gave before (B-6.7).
            self.side_mut(direction).awaiting = Awaiting::StreamedBody;
        }
        if ended && has_trailers && !processor_has_trailers {
            self.forward_trailers(direction);
        }
        self.close_if_settled(direction);
    }
}

/// B-3.4: a numeric `content-length` of the held head must be that of the mutated body.
fn length_matches(direction: Direction, mutation: &BodyMutation, body: &Slices, host: &mut dyn Host) -> bool {
    let length = match &mutation.mutation {
        Some(Mutation::Body(_)) => body.len(),
        _ => 0,
    };
    let messages = host.messages();
    let fields = match (direction, &messages.response) {
        (Direction::Response, Some(head)) => &head.fields,
        _ => &messages.request.fields,
    };
    let announced = fields
        .get(http::header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse::<usize>().ok());
    announced.is_none_or(|announced| announced == length)
}
