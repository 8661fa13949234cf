//! What of a direction the processor sees.

use crate::{
    http_message::Direction,
    mode::{BodySendMode, HeaderSendMode, ProcessingMode},
};

/// The processing mode of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::exchange) struct SideMode {
    /// The headers are sent.
    pub(in crate::exchange) headers: bool,
    pub(in crate::exchange) body: BodySendMode,
    /// The trailers are sent.
    pub(in crate::exchange) trailers: bool,
}

impl SideMode {
    pub(in crate::exchange) fn of(direction: Direction, mode: &ProcessingMode) -> Self {
        let (headers, body, trailers) = match direction {
            Direction::Request => {
                (mode.request_header_mode, mode.request_body_mode, mode.request_trailer_mode)
            }
            Direction::Response => {
                (mode.response_header_mode, mode.response_body_mode, mode.response_trailer_mode)
            }
        };
        Self { headers: headers != HeaderSendMode::Skip, body, trailers: trailers == HeaderSendMode::Send }
    }

    /// The processor sees no more of the message.
    pub(in crate::exchange) fn withdraw(&mut self) {
        self.body = BodySendMode::None;
        self.trailers = false;
    }

    /// Nothing of this direction is ever sent.
    pub(in crate::exchange) fn wants_nothing(self) -> bool {
        !self.headers && self.body == BodySendMode::None && !self.trailers
    }

    /// The body, or the first part of it, is collected.
    pub(in crate::exchange) fn collects(self) -> bool {
        matches!(self.body, BodySendMode::Buffered | BodySendMode::BufferedPartial)
    }

    pub(in crate::exchange) fn is_duplex(self) -> bool {
        self.body == BodySendMode::FullDuplexStreamed
    }
}
