//! What a handler learns, what it wishes, and what cannot be granted.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::{
    BodySendMode, Direction,
    messages::{HeaderMap, HeaderMutation, ProcessingMode, Struct},
};

/// Something for the handler to know.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The headers of a message. They are to be answered by `proceed`, `replace` or `respond`.
    Headers {
        /// The direction of the message.
        direction: Direction,
        /// Its headers, with pseudo-headers.
        headers: HeaderMap,
        /// The message has neither a body nor trailers.
        end_stream: bool,
        /// Attributes by the name of the filter.
        attributes: BTreeMap<String, Struct>,
    },
    /// A body arrives of a message whose headers were not shown. `decide` says what becomes of it.
    Undecided {
        /// The direction of the message.
        direction: Direction,
    },
    /// A piece of a body that is to be rewritten.
    Data {
        /// The direction of the message.
        direction: Direction,
        /// The bytes, never none.
        data: Bytes,
    },
    /// The body to be rewritten is complete; `finish` ends the new one.
    End {
        /// The direction of the message.
        direction: Direction,
    },
    /// In BUFFERED_PARTIAL: this was the first part of the body. The rest is not shown, and follows what is written.
    Cut {
        /// The direction of the message.
        direction: Direction,
    },
    /// The trailers of a message. They are to be answered by `trailers`. A body before them is complete.
    Trailers {
        /// The direction of the message.
        direction: Direction,
        /// The trailers.
        trailers: HeaderMap,
    },
}

/// What becomes of the head of a message.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Head {
    /// Changes.
    pub mutation: Option<HeaderMutation>,
    /// Choose the route again. A gateway does so only together with a mutation, so an empty one is sent with it.
    pub reroute: bool,
    /// Ask for other modes. Needs `allow_mode_override` in the gateway, which does not say whether it granted them.
    pub modes: Option<ProcessingMode>,
}

/// What becomes of a message behind its head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rest {
    /// It passes unchanged, with its trailers.
    Pass,
    /// The body passes unchanged; the trailers are shown.
    PassBody,
    /// The handler reads the body and writes another one.
    Rewrite,
}

impl Rest {
    /// Whether a mode can grant it. Where the mode is not known, it is tried.
    pub(super) fn check(self, direction: Direction, mode: Option<BodySendMode>) -> Result<(), NotPossible> {
        match (self, mode) {
            (Self::Rewrite, Some(BodySendMode::None | BodySendMode::Grpc)) => Err(NotPossible {
                wanted: "read the body",
                mode,
                setting: match direction {
                    Direction::Request => "request_body_mode: BUFFERED",
                    Direction::Response => "response_body_mode: BUFFERED",
                },
            }),
            _ => Ok(()),
        }
    }
}

/// A wish that the mode in force cannot grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cannot {wanted} in body mode {}; it takes {setting}", name(.mode))]
pub struct NotPossible {
    /// What was wanted, after "cannot".
    pub wanted: &'static str,
    /// The body mode in force, where it is known.
    pub mode: Option<BodySendMode>,
    /// The setting of the gateway, or the order of calls, that makes it possible.
    pub setting: &'static str,
}

fn name(mode: &Option<BodySendMode>) -> &'static str {
    match mode {
        None => "that is not known",
        Some(BodySendMode::None) => "NONE",
        Some(BodySendMode::Streamed) => "STREAMED",
        Some(BodySendMode::Buffered) => "BUFFERED",
        Some(BodySendMode::BufferedPartial) => "BUFFERED_PARTIAL",
        Some(BodySendMode::FullDuplexStreamed) => "FULL_DUPLEX_STREAMED",
        Some(BodySendMode::Grpc) => "GRPC",
    }
}
