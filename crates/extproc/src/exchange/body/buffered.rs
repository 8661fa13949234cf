//! Bodies that go to the processor in one message: BUFFERED, and every mode but FULL_DUPLEX_STREAMED when all of the body
//! is here before the reply to the headers (B-3, B-4.4, B-5.6).

use http::header::CONTENT_LENGTH;

use super::{Held, PIECE, Partial, kept, mutated, mutation_of};
use crate::{
    exchange::{
        Action,
        cx::{Cx, Part},
        failure::Failure,
        side::{End, Line, Out, Phase, Replied, Side, SideMode, Trailers},
    },
    http_message::Direction,
    log::{ProcessingEffect, Step},
    messages::{CommonResponse, body_mutation::Mutation, common_response::CONTINUE_AND_REPLACE},
    slices::Slices,
};

/// A body, or the first part of one, that the processor has in one message.
#[derive(Debug)]
pub(in crate::exchange) struct Collected {
    /// As it arrived, in case it passes unchanged.
    pub(in crate::exchange) original: Slices,
    /// The message ends with it.
    pub(super) ends: bool,
    /// A mode that an override has put off.
    pub(in crate::exchange) put_off: Option<SideMode>,
}

impl Collected {
    /// Sends all that is held.
    pub(super) fn send(line: &mut Line, cx: &mut Cx<'_>, mut held: Held) -> Self {
        let end_of_stream = line.end == End::Data;
        let data = held.take();
        let original = kept(&data);
        cx.send(line.direction, Part::Body { data, end_of_stream });
        line.sent(cx);
        Self { original, ends: end_of_stream, put_off: None }
    }

    pub(in crate::exchange) fn memory(&self) -> usize {
        self.original.len() + PIECE
    }
}

impl Side {
    pub(in crate::exchange) fn buffered_data(&mut self, cx: &mut Cx<'_>, data: Slices, end_stream: bool) {
        let Phase::Buffered(held) = &mut self.phase else { return };
        held.push(data);
        self.check_limit(cx);
        if let (Phase::Buffered(held), true) = (&mut self.phase, end_stream) {
            let held = std::mem::take(held);
            self.send_whole(cx, held);
        }
    }

    pub(in crate::exchange) fn send_whole(&mut self, cx: &mut Cx<'_>, held: Held) {
        self.phase = Phase::Whole(Collected::send(&mut self.line, cx, held));
    }

    /// The reply to a collected body, or to the first part of one (B-3.3, B-5.3).
    pub(super) fn whole_reply(
        &mut self,
        cx: &mut Cx<'_>,
        common: &CommonResponse,
        body: Slices,
    ) -> Result<Replied, Failure> {
        let line = &mut self.line;
        let head_is_here = line.out == Out::Nothing;
        // M-20: only while the head is still here.
        if head_is_here && let Some(mutation) = &common.header_mutation {
            let replace = common.status == CONTINUE_AND_REPLACE;
            cx.mutate(line, Step::Headers, mutation, replace)?;
        }
        let mutation = mutation_of(common);
        if head_is_here && common.body_mutation.is_some() && !length_matches(line, mutation, &body, cx) {
            cx.link.counters.stream_msgs_received += 1;
            return Err(Failure::ContentLengthMismatch);
        }
        cx.decide_route_cache(line, common, head_is_here);
        let (sent, mut held, partial) = match std::mem::take(&mut self.phase) {
            Phase::Whole(sent) => (sent, Held::default(), false),
            Phase::Partial(Partial::Sent { sent, behind }) => (sent, behind.into_held(), true),
            other => {
                self.phase = other;
                return Err(Failure::SPURIOUS);
            }
        };
        let (body, changed) = mutated(mutation, body, sent.original);
        if changed
            && line.direction == Direction::Request
            && !partial
            && body.len() > cx.limit(line.direction)
        {
            // B-3.7: it is buffered again for the upstream.
            cx.link.counters.stream_msgs_received += 1;
            line.timer.stop();
            self.phase = Phase::TooLarge;
            cx.link.push(Action::PayloadTooLarge(line.direction));
            return Ok(Replied::Silently);
        }
        if changed && body.is_empty() && !partial {
            // An empty body is passed on, too; only an empty first part of one is not (B-5.7).
            held.push_cleared();
        } else {
            held.push_first(body);
        }
        if changed {
            cx.link.note_effect(line.direction, Step::Body, ProcessingEffect::MutationApplied);
        }
        if partial && sent.ends {
            // As in Envoy, its end is passed on before the reply is noted.
            self.release_held(cx.link, held);
            self.line.accept(cx, Some(Step::Body));
            self.adopt_put_off(cx, sent.put_off, Held::default())?;
            return Ok(Replied::Silently);
        }
        line.accept(cx, Some(Step::Body));
        if line.end == End::Trailers && line.mode.trailers {
            self.send_trailers(cx);
            self.phase = Phase::Trailers(Trailers { body: held, put_off: sent.put_off });
        } else {
            self.release_held(cx.link, held);
            self.adopt_put_off(cx, sent.put_off, Held::default())?;
        }
        Ok(Replied::Silently)
    }
}

/// B-3.4: a numeric `content-length` of the held head must be that of the mutated body.
fn length_matches(line: &Line, mutation: Option<&Mutation>, body: &Slices, cx: &mut Cx<'_>) -> bool {
    let length = match mutation {
        Some(Mutation::Body(_)) => body.len(),
        _ => 0,
    };
    let announced = cx
        .fields(line.direction)
        .and_then(|fields| fields.get(CONTENT_LENGTH))
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse::<usize>().ok());
    announced.is_none_or(|announced| announced == length)
}
