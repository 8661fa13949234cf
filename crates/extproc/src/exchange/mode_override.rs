//! `mode_override` (section 10).

use std::time::Instant;

use super::{
    Exchange, Host,
    failure::Failure,
    side::{Phase, SideMode},
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
    ) -> Result<(), Failure> {
        let Some(mode) = self.permitted_override(wire) else { return Ok(()) };
        self.adopt(&mode, now, host)
    }

    /// A `mode_override` in a message of its own (O-10): between the request headers and their reply, the request body may be
    /// switched from NONE or STREAMED to FULL_DUPLEX_STREAMED.
    pub(super) fn override_mode_alone(
        &mut self,
        wire: &messages::ProcessingMode,
        now: Instant,
        host: &mut dyn Host,
    ) -> Result<(), Failure> {
        const UNHANDLED: Failure = Failure::Spurious("unhandled_message");
        let mode = self.permitted_override(wire).ok_or(UNHANDLED)?;
        let wanted = SideMode::of(Direction::Request, &mode);
        let body = self.request.line.mode.body;
        let switchable = matches!(self.request.phase, Phase::Headers(_))
            && matches!(body, BodySendMode::None | BodySendMode::Streamed);
        if !switchable || !wanted.is_duplex() || !wanted.trailers {
            return Err(UNHANDLED);
        }
        self.adopt(&mode, now, host)?;
        let (side, mut cx) = self.at(Direction::Request, now, host);
        side.begin_duplex(&mut cx);
        Ok(())
    }

    fn adopt(&mut self, mode: &ProcessingMode, now: Instant, host: &mut dyn Host) -> Result<(), Failure> {
        for direction in [Direction::Request, Direction::Response] {
            let (side, cx) = self.at(direction, now, host);
            side.adopt(&cx, mode);
        }
        for direction in [Direction::Request, Direction::Response] {
            let (side, mut cx) = self.at(direction, now, host);
            side.reconsider(&mut cx)?;
        }
        Ok(())
    }

    fn permitted_override(&self, wire: &messages::ProcessingMode) -> Option<ProcessingMode> {
        let plan = &self.link.plan;
        let configured = &plan.filter_processing_mode;
        let duplex = BodySendMode::FullDuplexStreamed;
        let awaits_headers = self.sides().iter().any(|side| matches!(side.phase, Phase::Headers(_)));
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
