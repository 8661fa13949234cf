//! What an exchange asks its driver to do.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::report::{Failed, IgnoredMutation};
use crate::{
    http_message::{Direction, ResponseHeaders},
    log::Note,
    slices::Slices,
};

/// One thing to do. Actions are to be carried out in order.
#[derive(Debug)]
pub enum Action {
    /// Open the stream to the processor (L-1). Comes once at most, before any [`Send`](Self::Send).
    Open,
    /// Send one framed message: `message` and behind it `payload`, which is empty or a large body piece that was not
    /// worth copying.
    Send {
        /// gRPC prefix and message, or the part of it before the payload.
        message: Bytes,
        /// The rest of the message.
        payload: Slices,
    },
    /// Pass the head of a message on.
    ForwardHeaders {
        /// Which way.
        direction: Direction,
        /// Nothing follows.
        end_stream: bool,
    },
    /// Pass a piece of a body on.
    ForwardData {
        /// Which way.
        direction: Direction,
        /// The bytes, possibly none.
        data: Slices,
        /// Nothing follows.
        end_stream: bool,
    },
    /// Pass the trailers on; they end the message.
    ForwardTrailers {
        /// Which way.
        direction: Direction,
    },
    /// Match the request against the routes again (K-5).
    ClearRouteCache,
    /// Answer the client instead of going on. If the response head is on the wire already, reset the client's stream
    /// instead (F-4, I-8).
    Reply(Box<LocalReply>),
    /// A buffered body grew beyond the limit: 413 for a request, 500 for a response (B-3.6).
    PayloadTooLarge(Direction),
    /// Start a response made by the processor piece by piece (S-1). The request goes no further.
    ReplyHeaders {
        /// Its head.
        head: Box<ResponseHeaders>,
        /// Nothing follows.
        end_stream: bool,
    },
    /// A piece of that response.
    ReplyData {
        /// The bytes.
        data: Slices,
        /// Nothing follows.
        end_stream: bool,
    },
    /// Trailers of that response, which end it.
    ReplyTrailers(Box<HeaderMap>),
    /// Be done with the stream to the processor.
    Close(Close),
    /// Add this to what access logs show, unless the request has been logged: that happens as soon as its response is
    /// passed on completely.
    Note(Note),
    /// The exchange has failed; what follows from that comes next. For people and metrics.
    Failed(Box<Failed>),
    /// Operations of a header mutation were ignored. For people.
    Ignored(Box<IgnoredMutation>),
}

/// How to be done with a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Close {
    /// Half-close and reset at once (L-5 a).
    Reset,
    /// Half-close and wait for the processor's own end, off the request path (L-5 b).
    Graceful,
    /// Leave it open for this long, then close it (V-6).
    Deferred(Duration),
}

/// A response that a filter gives instead of the upstream's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalReply {
    /// HTTP status.
    pub status: StatusCode,
    /// Fields beyond those that follow from status and body.
    pub fields: HeaderMap,
    /// Body; `text/plain` unless `fields` says otherwise (I-3).
    pub body: Bytes,
    /// gRPC status for gRPC requests; `None` = derived from `status` (I-6).
    pub grpc_status: Option<u32>,
    /// Response code details, white space replaced (I-5, 12.2).
    pub details: String,
}
