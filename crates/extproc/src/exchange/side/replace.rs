//! CONTINUE_AND_REPLACE: another body, and nothing more of the direction for the processor (section 9).

use http::header::CONTENT_LENGTH;

use super::{Early, End, Phase, Side};
use crate::{
    exchange::cx::Cx,
    header_map::remove_fields,
    http_message::Direction,
    log::{ProcessingEffect, Step},
    messages::{CommonResponse, body_mutation::Mutation},
    slices::Slices,
};

impl Side {
    /// Carries out.
    pub(super) fn replace(&mut self, cx: &mut Cx<'_>, common: CommonResponse, mut early: Early) {
        let direction = self.line.direction;
        self.line.mode.withdraw();
        let Some(body_mutation) = common.body_mutation else {
            //
            self.phase = Phase::Headers(early);
            self.release(cx.link);
            return;
        };
        let (replacement, changed) = match body_mutation.mutation {
            Some(Mutation::Body(body)) => (body.into(), true),
            Some(Mutation::ClearBody(true)) => (Slices::new(), true),
            // What came so far stays, the rest is dropped.
            Some(Mutation::ClearBody(false) | Mutation::StreamedResponse(_)) | None => match &mut early {
                Early::Held(waiting) => (std::mem::take(waiting).into_held().take(), false),
                _ => (Slices::new(), false),
            },
        };
        if direction == Direction::Response && !replacement.is_empty() && forbids_body(cx) {
            // Decision 2 on R-3.
            cx.link.counters.rejected_header_mutations += 1;
            self.phase = Phase::Headers(early);
            self.release(cx.link);
            return;
        }
        // B-7.5
        if let Some(fields) = cx.fields(direction) {
            remove_fields(fields, &[CONTENT_LENGTH]);
        }
        if changed {
            cx.link.note_effect(direction, Step::Body, ProcessingEffect::MutationApplied);
        }
        // what there was of the original is dropped.
        self.phase = Phase::Discarding;
        let line = &mut self.line;
        let ended = matches!(line.end, End::Headers | End::Data);
        // It has a body from now on, be it empty: its length is not announced.
        line.forward_head(cx.link, false);
        line.forward_data(cx.link, replacement, ended);
        if line.end == End::Trailers {
            //
            line.forward_trailers(cx.link);
        }
    }
}

/// Responses that have no body whatever their headers say (RFC 9110, 6.4.1).
fn forbids_body(cx: &mut Cx<'_>) -> bool {
    let response = &cx.host.messages().response;
    response.as_ref().is_some_and(|head| matches!(head.status.as_u16(), 204 | 304))
}
