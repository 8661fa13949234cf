//! HTTP/1.1 without I/O, for both sides: heads, bodies and trailers between bytes and messages (RFC 9112).
//!
//! Where a request can be read in two ways it is refused, because the next hop may read it the other way (request
//! smuggling): `content-length` together with `transfer-encoding`, more than one of either, more than one `host`,
//! folded lines in requests, stray CR. Everything else follows what Envoy accepts.

mod ahead;
mod authority;
mod body;
mod encode;
mod error;
mod fields;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod reason;
mod request;
mod response;
mod scan;
#[cfg(test)]
mod tests;
mod write_queue;

use http::{Method, StatusCode};

pub(crate) use authority::is_valid_authority;
pub(crate) use body::{BodyDecoder, Decoded, drop_framing};
pub(crate) use encode::{
    BodyEncoder, ResponseContext, content_length, encode_informational, encode_request, encode_response,
    request_fields_size, response_fields_size,
};
pub(crate) use error::CodecError;
pub(crate) use fields::{has_one_content_length, has_token, is_upgrade, tokens};
pub(crate) use reason::reason_phrase;
pub(crate) use request::{RequestHead, RequestReader};
pub(crate) use response::{ResponseHead, ResponseReader};
pub(crate) use write_queue::WriteQueue;

/// Limits of a head, and of a trailer section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HeadLimits {
    /// Most bytes from the first of the start line to the last of the empty line. Envoy: 60 KiB.
    pub(crate) max_bytes: usize,
    /// Most field lines, `host` included. Envoy: 100.
    pub(crate) max_count: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self { max_bytes: 60 * 1024, max_count: 100 }
    }
}

/// How a message says where its body ends (RFC 9112 section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyLength {
    /// There is none.
    Empty,
    /// `content-length`, never zero.
    Length(u64),
    /// `transfer-encoding: chunked`.
    Chunked,
    /// Everything until the connection ends (responses only).
    UntilClose,
    /// Everything until the connection ends, in an upgraded or CONNECT tunnel.
    Raw,
}

/// What a response's framing depends on besides the response: the request it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequestKind {
    /// Any other request.
    Ordinary,
    /// HEAD: the response has no body whatever it declares.
    Head,
    /// CONNECT: a 2xx response opens a tunnel.
    Connect,
    /// `connection: upgrade`: a 101 response opens a tunnel.
    Upgrade,
    /// HEAD with `connection: upgrade`: a 101 response opens a tunnel, every other one has no body.
    HeadUpgrade,
}

impl RequestKind {
    /// The kind of a request.
    pub(crate) fn of(method: &Method, upgrade: bool) -> Self {
        match (method, upgrade) {
            (&Method::CONNECT, _) => Self::Connect,
            (&Method::HEAD, true) => Self::HeadUpgrade,
            (_, true) => Self::Upgrade,
            (&Method::HEAD, false) => Self::Head,
            _ => Self::Ordinary,
        }
    }

    /// The request asks for a tunnel: what follows its head is not HTTP, if the answer agrees.
    pub(crate) fn asks_for_tunnel(self) -> bool {
        matches!(self, Self::Connect | Self::Upgrade | Self::HeadUpgrade)
    }

    /// An answer of this status agrees to the tunnel.
    pub(crate) fn opens_tunnel(self, status: StatusCode) -> bool {
        match self {
            Self::Connect => status.is_success(),
            Self::Upgrade | Self::HeadUpgrade => status == StatusCode::SWITCHING_PROTOCOLS,
            Self::Ordinary | Self::Head => false,
        }
    }

    /// The answer has no body, whatever it declares, unless it opens a tunnel.
    pub(crate) fn is_head(self) -> bool {
        matches!(self, Self::Head | Self::HeadUpgrade)
    }
}
