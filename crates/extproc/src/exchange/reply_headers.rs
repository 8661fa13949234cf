//! Replies to headers: continue, or replace the message (section 9).

use std::time::Instant;

use http::header::CONTENT_LENGTH;

use super::{
    Exchange, Host,
    failure::Failure,
    side::{Awaiting, End},
};
use crate::{
    header_map::remove_fields,
    http_message::Direction,
    log::{ProcessingEffect, Step},
    messages::{
        CommonResponse, HeadersResponse, body_mutation::Mutation, common_response::CONTINUE_AND_REPLACE,
    },
    mode::BodySendMode,
    slices::Slices,
};

impl Exchange {
    pub(super) fn headers_reply(
        &mut self,
        direction: Direction,
        reply: HeadersResponse,
        now: Instant,
        host: &mut dyn Host,
    ) {
        if self.side(direction).awaiting != Awaiting::Headers {
            self.spurious("spurious_message", now);
            return;
        }
        let common = reply.response.unwrap_or_default();
        let replace = common.status == CONTINUE_AND_REPLACE;
        if let Some(mutation) = &common.header_mutation
            && !self.mutate(direction, Step::Headers, mutation, replace, now, host)
        {
            return;
        }
        self.accept(direction, now);
        self.decide_route_cache(direction, &common);
        if self.side(direction).too_large {
            // B-3.6: the message has been answered already.
        } else if replace {
            self.replace_message(direction, common, host);
        } else {
            // a body mutation here is ignored.
            self.continue_message(direction, now, host);
        }
        self.close_if_settled(direction);
    }

    /// What of the message has arrived meanwhile takes its next step: behind the reply to its headers, or in a mode that an
    /// override has changed.
    pub(super) fn continue_message(&mut self, direction: Direction, now: Instant, host: &mut dyn Host) {
        let limit = host.buffer_limit(direction);
        let side = self.side_mut(direction);
        if side.end == End::Headers {
            self.forward_head(direction, true);
            return;
        }
        if side.duplex_owed && side.end == End::Trailers && !side.trailers_sent {
            self.end_by_unwanted_trailers(direction);
            return;
        }
        if !side.chunks.is_empty() || side.duplex_owed {
            // B-4.6: the head waits for no piece.
            self.forward_head(direction, false);
            return;
        }
        let collected = side.held.has_bytes();
        let whole = side.end == End::Data || (side.end == End::Trailers && collected);
        if whole && side.body_mode != BodySendMode::None && !side.is_duplex() {
            // B-4.4, B-5.6, B-2.1
            self.send_buffered(direction, now, host);
            return;
        }
        let trailers = side.end == End::Trailers;
        match side.body_mode {
            BodySendMode::Buffered | BodySendMode::BufferedPartial if trailers => {
                self.trailers_step(direction, now, host);
            }
            // B-3.9
            BodySendMode::Buffered | BodySendMode::BufferedPartial if is_upgrade(direction, host) => {
                self.counters.stream_msgs_received += 1;
                self.fail(&Failure::UpgradeCannotBeBuffered, now);
            }
            BodySendMode::Buffered => {
                side.paused = false;
                self.check_limit(direction, host);
            }
            BodySendMode::BufferedPartial => {
                side.paused = false;
                if side.held.len() > limit {
                    self.send_partial(direction, now, host);
                }
            }
            BodySendMode::FullDuplexStreamed if collected || side.end == End::Data => {
                // O-6: what an override finds held.
                self.send_held_duplex(direction, now, host);
                if !whole {
                    self.forward_head(direction, false);
                }
            }
            BodySendMode::Streamed if collected => {
                let data = side.held.take();
                self.send_piece(direction, data, false, now, host);
                self.forward_head(direction, false);
            }
            BodySendMode::FullDuplexStreamed if side.trailers_sent => {
                side.awaiting = Awaiting::Trailers;
                self.forward_head(direction, false);
            }
            BodySendMode::Streamed | BodySendMode::FullDuplexStreamed if !trailers => {
                side.paused = false;
                self.forward_head(direction, false);
            }
            _ if trailers => self.trailers_step(direction, now, host),
            _ => self.release(direction),
        }
    }

    /// CONTINUE_AND_REPLACE: another body, and nothing more of this direction for the processor.
    fn replace_message(&mut self, direction: Direction, common: CommonResponse, host: &mut dyn Host) {
        let side = self.side_mut(direction);
        side.body_mode = BodySendMode::None;
        side.send_trailers = false;
        side.awaiting = Awaiting::Idle;
        side.duplex_owed = false;
        side.paused = false;
        side.stop_timer();
        let Some(body_mutation) = common.body_mutation else {
            //
            self.release(direction);
            return;
        };
        let (replacement, changed) = match body_mutation.mutation {
            Some(Mutation::Body(body)) => (body.into(), true),
            Some(Mutation::ClearBody(true)) => (Slices::new(), true),
            // What came so far stays, the rest goes.
            Some(Mutation::ClearBody(false) | Mutation::StreamedResponse(_)) | None => {
                (side.held.take(), false)
            }
        };
        let messages = host.messages();
        let fields = match (direction, &mut messages.response) {
            (Direction::Response, Some(head)) => {
                if !replacement.is_empty() && forbids_body(head.status) {
                    // Decision 2 on R-3.
                    self.counters.rejected_header_mutations += 1;
                    self.release(direction);
                    return;
                }
                &mut head.fields
            }
            _ => &mut messages.request.fields,
        };
        // B-7.5
        remove_fields(fields, &[CONTENT_LENGTH]);
        if changed {
            self.note_effect(direction, Step::Body, ProcessingEffect::MutationApplied);
        }
        let side = self.side_mut(direction);
        //
        side.take_chunks();
        side.held.take();
        side.discard = true;
        let end = side.end;
        let ended = matches!(end, End::Headers | End::Data);
        // It has a body from now on, be it empty: its length is not announced.
        self.forward_head(direction, false);
        self.forward_data(direction, replacement, ended);
        if end == End::Trailers {
            //
            self.forward_trailers(direction);
        }
    }
}

/// Responses that have no body whatever their headers say (RFC 9110, 6.4.1).
fn forbids_body(status: http::StatusCode) -> bool {
    matches!(status.as_u16(), 204 | 304)
}

/// Whether the message switches protocols, so that what follows its head never ends as a body does.
pub(super) fn is_upgrade(direction: Direction, host: &mut dyn Host) -> bool {
    if !host.is_upgrade() {
        return false;
    }
    let messages = host.messages();
    match (direction, &messages.response) {
        (Direction::Response, Some(head)) if messages.request.method == http::Method::CONNECT => {
            head.status.is_success()
        }
        (Direction::Response, Some(head)) => head.status == http::StatusCode::SWITCHING_PROTOCOLS,
        _ => true,
    }
}
