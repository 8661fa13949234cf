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
    pub(super) fn override_mode(&mut self, wire: &messages::ProcessingMode) {
        if let Some(mode) = self.permitted_override(wire) {
            self.adopt_mode(mode);
        }
    }

    /// A `mode_override` in a message of its own (O-10, decision 9). False if the message is spurious.
    pub(super) fn override_mode_alone(
        &mut self,
        wire: &messages::ProcessingMode,
        now: Instant,
        host: &mut dyn Host,
    ) -> bool {
        let Some(mode) = self.permitted_override(wire) else {
            return false;
        };
        if self.request.awaiting == Awaiting::Headers {
            let to_duplex = mode.request_body_mode == BodySendMode::FullDuplexStreamed
                && mode.request_trailer_mode == HeaderSendMode::Send;
            if !to_duplex {
                return false;
            }
            self.adopt_mode(mode);
            self.send_held_duplex(Direction::Request, now, host);
        } else {
            self.adopt_mode(mode);
            if self.response.is_duplex() {
                self.send_held_duplex(Direction::Response, now, host);
            }
        }
        true
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

    fn adopt_mode(&mut self, mode: ProcessingMode) {
        self.mode = mode;
        for side in [&mut self.request, &mut self.response] {
            side.set_mode(&mode);
            if side.discard {
                // a replaced message stays out of the processor's hands.
                side.body_mode = BodySendMode::None;
                side.send_trailers = false;
            }
        }
    }

    pub(super) fn send_held_duplex(&mut self, direction: Direction, now: Instant, host: &mut dyn Host) {
        let side = self.side_mut(direction);
        let end = side.end;
        side.paused = false;
        side.stop_timer();
        let data = side.take_held();
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
