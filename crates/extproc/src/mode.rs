//! Which parts of a message are sent to the processor.

/// Whether headers or trailers are sent. For headers "send" is everything but [`Skip`](Self::Skip), for trailers only
/// [`Send`](Self::Send) (section 1.2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum HeaderSendMode {
    /// Headers are sent, trailers are not.
    #[default]
    Default = 0,
    /// Sent.
    Send = 1,
    /// Not sent.
    Skip = 2,
}

/// How a body is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum BodySendMode {
    /// Not at all.
    #[default]
    None = 0,
    /// Piece by piece, each answered in order.
    Streamed = 1,
    /// Whole, in one message.
    Buffered = 2,
    /// The first part, as much as the buffer holds.
    BufferedPartial = 3,
    /// Pieces out and pieces back, independent of each other.
    FullDuplexStreamed = 4,
    /// Declared by the API; see rule B-2.1.
    Grpc = 5,
}

/// The six choices of a processing mode (section 1.2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct ProcessingMode {
    /// Request headers.
    pub request_header_mode: HeaderSendMode,
    /// Response headers.
    pub response_header_mode: HeaderSendMode,
    /// Request body.
    pub request_body_mode: BodySendMode,
    /// Response body.
    pub response_body_mode: BodySendMode,
    /// Request trailers.
    pub request_trailer_mode: HeaderSendMode,
    /// Response trailers.
    pub response_trailer_mode: HeaderSendMode,
}

/// A number that is none of a mode's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("undefined mode number {0}")]
pub struct UndefinedMode(pub i32);

impl TryFrom<i32> for HeaderSendMode {
    type Error = UndefinedMode;

    fn try_from(number: i32) -> Result<Self, UndefinedMode> {
        match number {
            0 => Ok(Self::Default),
            1 => Ok(Self::Send),
            2 => Ok(Self::Skip),
            _ => Err(UndefinedMode(number)),
        }
    }
}

impl TryFrom<i32> for BodySendMode {
    type Error = UndefinedMode;

    fn try_from(number: i32) -> Result<Self, UndefinedMode> {
        match number {
            0 => Ok(Self::None),
            1 => Ok(Self::Streamed),
            2 => Ok(Self::Buffered),
            3 => Ok(Self::BufferedPartial),
            4 => Ok(Self::FullDuplexStreamed),
            5 => Ok(Self::Grpc),
            _ => Err(UndefinedMode(number)),
        }
    }
}

impl From<ProcessingMode> for crate::messages::ProcessingMode {
    fn from(mode: ProcessingMode) -> Self {
        Self {
            request_header_mode: mode.request_header_mode as i32,
            response_header_mode: mode.response_header_mode as i32,
            request_body_mode: mode.request_body_mode as i32,
            response_body_mode: mode.response_body_mode as i32,
            request_trailer_mode: mode.request_trailer_mode as i32,
            response_trailer_mode: mode.response_trailer_mode as i32,
        }
    }
}
