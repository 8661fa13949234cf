//! `mode_override` (section 10).

use std::time::Instant;

use super::{
    Exchange, Host,
    side::{Awaiting, End},
};
use crate::{
    http_message::Direction,
    messages,
    mode::{BodySendMode, HeaderSendMode, ProcessingMode},
};

impl Exchange {
    /// A `mode_override` that came with a reply: takes effect at once, or is ignored (O-1).
    pub(super) fn override_mode(
        &mut self,
        wire: &messages::ProcessingMode,
        now: Instant,
        host: &mut dyn Host,
    ) {
        let Some(mode) = self.permitted_override(wire) else { return };
        self.adopt_mode(&mode);
        // A direction that waits for nothing may hold a part of its body that the new mode has another use for. Where the
        // headers are awaited, their reply takes care of it.
        for direction in [Direction::Request, Direction::Response] {
            let side = self.side(direction);
            if side.awaiting == Awaiting::Idle && !side.held.is_empty() && !side.has_outstanding() {
                self.continue_message(direction, now, host);
            }
        }
    }

    /// A `mode_override` in a message of its own (O-10): between the request headers and their reply, the request body may be
    /// switched from NONE or STREAMED to FULL_DUPLEX_STREAMED. False if the message is spurious.
    pub(super) fn override_mode_alone(
        &mut self,
        wire: &messages::ProcessingMode,
        now: Instant,
        host: &mut dyn Host,
    ) -> bool {
        let Some(mode) = self.permitted_override(wire) else {
            return false;
        };
        let to_duplex = mode.request_body_mode == BodySendMode::FullDuplexStreamed
            && mode.request_trailer_mode == HeaderSendMode::Send;
        let switchable = matches!(self.request.body_mode, BodySendMode::None | BodySendMode::Streamed);
        if self.request.awaiting != Awaiting::Headers || !switchable || !to_duplex {
            return false;
        }
        self.adopt_mode(&mode);
        self.send_held_duplex(Direction::Request, now, host);
        true
    }

    /// A mode that an override asked for takes effect, now that nothing is outstanding any more.
    pub(super) fn adopt_next_mode(&mut self, direction: Direction, now: Instant, host: &mut dyn Host) {
        if self.complete || self.side(direction).has_outstanding() {
            return;
        }
        let side = self.side_mut(direction);
        let Some(mode) = side.next_mode.take() else { return };
        side.adopt(&mode);
        if side.awaiting == Awaiting::Idle && !side.end_forwarded {
            self.continue_message(direction, now, host);
        }
    }

    fn permitted_override(&self, wire: &messages::ProcessingMode) -> Option<ProcessingMode> {
        let plan = &self.plan;
        let configured = &plan.filter_processing_mode;
        let duplex = BodySendMode::FullDuplexStreamed;
        let awaits_headers =
            self.request.awaiting == Awaiting::Headers || self.response.awaiting == Awaiting::Headers;
        if !plan.allow_mode_override
            || plan.send_body_without_waiting_for_header_response
            || configured.request_body_mode == duplex
            || configured.response_body_mode == duplex
            || !awaits_headers
        {
            return None;
        }
        let mode = effective_mode(configured, wire);
        let listed = plan.allowed_override_modes.is_empty()
            || plan.allowed_override_modes.iter().any(|allowed| {
                // O-4: raw values, and not the request header mode.
                ProcessingMode { request_header_mode: mode.request_header_mode, ..*allowed } == mode
            });
        listed.then_some(mode)
    }

    fn adopt_mode(&mut self, mode: &ProcessingMode) {
        self.request.adopt(mode);
        self.response.adopt(mode);
    }

    pub(super) fn send_held_duplex(&mut self, direction: Direction, now: Instant, host: &mut dyn Host) {
        let side = self.side_mut(direction);
        let end = side.end;
        side.paused = false;
        side.stop_timer();
        let data = side.held.take();
        if !data.is_empty() || end == End::Data {
            self.send_duplex(direction, data, end == End::Data, now, host);
        }
        if end == End::Trailers {
            if self.side(direction).send_trailers {
                self.send_trailers(direction, now, host);
            } else if self.side(direction).awaiting != Awaiting::Headers {
                self.end_by_unwanted_trailers(direction);
            }
        }
    }
}

/// The configured mode with an override laid over it (O-3): bodies always, the rest where it is not DEFAULT. Undefined
/// numbers count as the zero value.
fn effective_mode(configured: &ProcessingMode, wire: &messages::ProcessingMode) -> ProcessingMode {
    let header = |number: i32, configured: HeaderSendMode| match HeaderSendMode::try_from(number) {
        Ok(HeaderSendMode::Default) | Err(_) => configured,
        Ok(mode) => mode,
    };
    let body = |number: i32| BodySendMode::try_from(number).unwrap_or_default();
    ProcessingMode {
        request_header_mode: header(wire.request_header_mode, configured.request_header_mode),
        response_header_mode: header(wire.response_header_mode, configured.response_header_mode),
        request_body_mode: body(wire.request_body_mode),
        response_body_mode: body(wire.response_body_mode),
        request_trailer_mode: header(wire.request_trailer_mode, configured.request_trailer_mode),
        response_trailer_mode: header(wire.response_trailer_mode, configured.response_trailer_mode),
    }
}
