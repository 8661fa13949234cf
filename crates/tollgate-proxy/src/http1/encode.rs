//! Heads, bodies and trailers from messages to bytes.

use extproc::{RequestHeaders, ResponseHeaders, Slices};
use http::{
    HeaderMap, HeaderName, Method, StatusCode,
    header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING},
};

use super::{RequestKind, WriteQueue, is_upgrade, reason_phrase};

/// What a response is an answer to, and what it says about the connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ResponseContext {
    /// The request's kind.
    pub(crate) kind: RequestKind,
    /// The client speaks HTTP/1.0: no chunked coding.
    pub(crate) is_http10: bool,
    /// `connection: close`, `connection: keep-alive` (HTTP/1.0) or nothing.
    pub(crate) connection: Option<&'static str>,
}

/// Encodes what follows a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyEncoder {
    /// The bytes as they are: `content-length`, a tunnel, or until the connection closes.
    Plain,
    /// `transfer-encoding: chunked`.
    Chunked,
    /// The message has no body; bytes are dropped (HEAD, 204, 304).
    Suppressed,
}

/// The body length that a head announces.
pub(crate) fn content_length(fields: &HeaderMap) -> Option<u64> {
    fields.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Queues the head of a request and gives the encoder of its body.
///
/// Without `content-length` a message with a body is chunked; one without gets `content-length: 0`, unless its method
/// has no use for a body (GET, HEAD, DELETE, TRACE, CONNECT), as Envoy does.
pub(crate) fn encode_request(out: &mut WriteQueue, head: &RequestHeaders, end_stream: bool) -> BodyEncoder {
    let is_connect = head.method == Method::CONNECT;
    out.put_slice(head.method.as_str().as_bytes());
    out.put_slice(b" ");
    out.put_slice(if is_connect { head.authority.as_bytes() } else { head.path.as_bytes() });
    out.put_slice(b" HTTP/1.1\r\nhost: ");
    out.put_slice(head.authority.as_bytes());
    out.put_slice(b"\r\n");
    let is_tunnel = is_connect || is_upgrade(&head.fields);
    let encoder = if head.fields.contains_key(CONTENT_LENGTH) || is_tunnel {
        put_fields(out, &head.fields, if is_connect { &[HOST, CONTENT_LENGTH] } else { &[HOST] });
        BodyEncoder::Plain
    } else {
        put_fields(out, &head.fields, &[HOST]);
        if !end_stream {
            put_field(out, &TRANSFER_ENCODING, b"chunked");
            BodyEncoder::Chunked
        } else {
            if !is_bodiless(&head.method) {
                put_field(out, &CONTENT_LENGTH, b"0");
            }
            BodyEncoder::Plain
        }
    };
    out.put_slice(b"\r\n");
    encoder
}

/// Queues the head of a response and gives the encoder of its body.
///
/// Fields, then `connection`, then the framing: `content-length` if the message has one; nothing for 204, 304 and
/// tunnels; `content-length: 0` for a message that ends here; else `transfer-encoding: chunked`, to HEAD in any case
/// (as Envoy does), never to HTTP/1.0, which gets the body until the connection closes.
pub(crate) fn encode_response(
    out: &mut WriteQueue,
    head: &ResponseHeaders,
    end_stream: bool,
    context: ResponseContext,
) -> BodyEncoder {
    let status = head.status;
    put_status_line(out, status, context.is_http10);
    let opens_tunnel = context.kind.opens_tunnel(status);
    let is_bodiless = status == StatusCode::NO_CONTENT || opens_tunnel;
    put_fields(out, &head.fields, if is_bodiless { &[CONTENT_LENGTH] } else { &[] });
    if let Some(connection) = context.connection {
        put_field(out, &http::header::CONNECTION, connection.as_bytes());
    }
    let has_length = head.fields.contains_key(CONTENT_LENGTH);
    let encoder = if opens_tunnel {
        BodyEncoder::Plain
    } else if is_bodiless || status == StatusCode::NOT_MODIFIED || status.is_informational() {
        BodyEncoder::Suppressed
    } else {
        // What a GET would have been answered cannot be known here; Envoy guesses a body of unknown length.
        let is_head = context.kind.is_head();
        let encoder = if has_length {
            BodyEncoder::Plain
        } else if end_stream && !is_head {
            put_field(out, &CONTENT_LENGTH, b"0");
            BodyEncoder::Suppressed
        } else if context.is_http10 {
            BodyEncoder::Plain
        } else {
            put_field(out, &TRANSFER_ENCODING, b"chunked");
            BodyEncoder::Chunked
        };
        if is_head { BodyEncoder::Suppressed } else { encoder }
    };
    out.put_slice(b"\r\n");
    encoder
}

/// Bytes of the fields of a queued head: without its first line and the empty one behind it.
pub(crate) fn request_fields_size(queued: usize, head: &RequestHeaders) -> usize {
    let target = if head.method == Method::CONNECT { &head.authority } else { &head.path };
    queued - head.method.as_str().len() - target.len() - "  HTTP/1.1\r\n\r\n".len()
}

/// The same of a response.
pub(crate) fn response_fields_size(queued: usize, status: StatusCode) -> usize {
    queued - reason_phrase(status).len() - "HTTP/1.1 200 \r\n\r\n".len()
}

/// Queues a 1xx head that is not final.
pub(crate) fn encode_informational(out: &mut WriteQueue, head: &ResponseHeaders) {
    put_status_line(out, head.status, false);
    put_fields(out, &head.fields, &[CONTENT_LENGTH]);
    out.put_slice(b"\r\n");
}

impl BodyEncoder {
    /// Queues a piece of the body, and its end.
    pub(crate) fn data(self, out: &mut WriteQueue, data: Slices, end_stream: bool) {
        match self {
            Self::Suppressed => {}
            Self::Plain => out.put_slices(data),
            Self::Chunked => {
                if !data.is_empty() {
                    put_chunk(out, data);
                }
                if end_stream {
                    out.put_slice(b"0\r\n\r\n");
                }
            }
        }
    }

    /// Queues the end of the body with trailers; a body that is not chunked has no room for them. `enabled` is the
    /// option to send HTTP/1 trailers at all (T-9).
    pub(crate) fn trailers(self, out: &mut WriteQueue, trailers: &HeaderMap, enabled: bool) {
        if self == Self::Chunked {
            out.put_slice(b"0\r\n");
            if enabled {
                put_fields(out, trailers, &[HOST, CONTENT_LENGTH]);
            }
            out.put_slice(b"\r\n");
        }
    }
}

fn put_status_line(out: &mut WriteQueue, status: StatusCode, is_http10: bool) {
    out.put_slice(if is_http10 { b"HTTP/1.0 " } else { b"HTTP/1.1 " });
    out.put_slice(status.as_str().as_bytes());
    out.put_slice(b" ");
    out.put_slice(reason_phrase(status).as_bytes());
    out.put_slice(b"\r\n");
}

/// All fields but `transfer-encoding`, which the codec owns, and `others`.
fn put_fields(out: &mut WriteQueue, fields: &HeaderMap, others: &[HeaderName]) {
    for (name, value) in fields {
        if *name == TRANSFER_ENCODING || others.contains(name) {
            continue;
        }
        put_field(
            out,
            name,
            if *name == CONTENT_LENGTH { without_zeros(value.as_bytes()) } else { value.as_bytes() },
        );
    }
}

/// A length without leading zeros, which some take for octal. A processor may have written them.
fn without_zeros(length: &[u8]) -> &[u8] {
    let zeros = length.iter().take_while(|byte| **byte == b'0').count();
    &length[zeros.min(length.len().saturating_sub(1))..]
}

fn put_field(out: &mut WriteQueue, name: &HeaderName, value: &[u8]) {
    out.put_slice(name.as_str().as_bytes());
    out.put_slice(b": ");
    out.put_slice(value);
    out.put_slice(b"\r\n");
}

fn put_chunk(out: &mut WriteQueue, data: Slices) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut line = [0; 18];
    let mut start = 16;
    line[16..].copy_from_slice(b"\r\n");
    let mut size = data.len();
    while size > 0 {
        start -= 1;
        line[start] = DIGITS[size & 15];
        size >>= 4;
    }
    out.put_slice(&line[start..]);
    out.put_slices(data);
    out.put_slice(b"\r\n");
}

/// Methods whose requests carry no `content-length: 0`.
fn is_bodiless(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::DELETE | Method::TRACE | Method::CONNECT)
}
