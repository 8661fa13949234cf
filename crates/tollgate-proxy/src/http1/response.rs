//! Heads of responses.

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use extproc::ResponseHeaders;
use http::{StatusCode, header::CONTENT_LENGTH};

use crate::meter::{RECEIVED_FIELD, Traffic};

use super::{
    BodyLength, CodecError, HeadLimits, RequestKind,
    fields::{self, FieldFacts},
    scan::{Found, HeadScan, LineEnds},
};

/// The head of a response and what it means for the connection.
#[derive(Debug)]
pub(crate) struct ResponseHead {
    /// Status and fields.
    pub(crate) headers: ResponseHeaders,
    /// How the body is framed. `Raw` after a 101 to an upgrade and a 2xx to CONNECT.
    pub(crate) body: BodyLength,
    /// The connection can carry another request after this response.
    pub(crate) keep_alive: bool,
    /// How large it is.
    pub(crate) size: Traffic,
}

impl ResponseHead {
    /// A 1xx head other than 101: another head follows.
    pub(crate) fn is_informational(&self) -> bool {
        self.headers.status.is_informational() && self.headers.status != StatusCode::SWITCHING_PROTOCOLS
    }
}

/// Reads the heads of the responses of one connection.
#[derive(Debug, Default)]
pub(crate) struct ResponseReader {
    scan: HeadScan,
}

impl ResponseReader {
    /// Takes one head from the front of `buffer` when it is complete; call again when there are more bytes. `kind` is
    /// that of the request which is answered.
    ///
    /// After an error the connection cannot be used further.
    pub(crate) fn read(
        &mut self,
        buffer: &mut BytesMut,
        limits: &HeadLimits,
        kind: RequestKind,
    ) -> Result<Option<ResponseHead>, CodecError> {
        // Empty lines may come before a request (RFC 9112 section 2.2), but not before a response.
        if matches!(buffer.first(), Some(b'\r' | b'\n')) {
            return Err(CodecError::Malformed);
        }
        match self.scan.scan(buffer, limits, LineEnds::Lenient)? {
            Found::Complete(length) => {
                let head = buffer.split_to(length).freeze();
                parse(&head, limits, kind).map(Some)
            }
            Found::Partial { check: true } => check(buffer),
            Found::Partial { check: false } => Ok(None),
        }
    }
}

fn check(partial: &[u8]) -> Result<Option<ResponseHead>, CodecError> {
    let known = partial.len().min(5);
    if partial[..known] == b"HTTP/"[..known] { Ok(None) } else { Err(CodecError::Malformed) }
}

fn parse(head: &Bytes, limits: &HeadLimits, kind: RequestKind) -> Result<ResponseHead, CodecError> {
    let mut lines = Vec::new();
    // One field more than allowed, so that the limit itself decides.
    lines.resize_with(limits.max_count + 1, MaybeUninit::uninit);
    let mut response = httparse::Response::new(&mut []);
    let mut config = httparse::ParserConfig::default();
    config.allow_obsolete_multiline_headers_in_responses(true);
    match config.parse_response_with_uninit_headers(&mut response, head, &mut lines) {
        Ok(httparse::Status::Complete(length)) if length == head.len() => {}
        Ok(_) => return Err(CodecError::Malformed),
        Err(httparse::Error::TooManyHeaders) => return Err(CodecError::TooManyHeaders),
        Err(httparse::Error::HeaderValue) => return Err(CodecError::InvalidCharacters),
        Err(_) => return Err(CodecError::Malformed),
    }
    if response.headers.len() > limits.max_count {
        return Err(CodecError::TooManyHeaders);
    }
    let is_http10 = response.version == Some(0);
    let status =
        response.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(CodecError::Malformed)?;
    let (fields, facts) = fields::collect(head, response.headers, false)?;
    let mut headers = ResponseHeaders { status, fields };
    let body = framing(&mut headers, &facts, kind)?;
    let keep_alive = !facts.close
        && (!is_http10 || facts.keep_alive)
        && !matches!(body, BodyLength::UntilClose | BodyLength::Raw);
    let mut size = Traffic::default();
    size.add(head.len(), facts.size + RECEIVED_FIELD * response.headers.len());
    Ok(ResponseHead { headers, body, keep_alive, size })
}

/// RFC 9112 section 6.3.
fn framing(
    headers: &mut ResponseHeaders,
    facts: &FieldFacts,
    kind: RequestKind,
) -> Result<BodyLength, CodecError> {
    let status = headers.status;
    let opens_tunnel = kind.opens_tunnel(status);
    if status == StatusCode::SWITCHING_PROTOCOLS && !opens_tunnel {
        return Err(CodecError::Malformed);
    }
    if opens_tunnel || status.is_informational() || status == StatusCode::NO_CONTENT {
        if facts.transfer_encoding {
            return Err(CodecError::TransferEncodingNotAllowed);
        }
        match facts.content_length {
            Some(0) => drop(headers.fields.remove(CONTENT_LENGTH)),
            Some(_) => return Err(CodecError::ContentLengthNotAllowed),
            None => {}
        }
        return Ok(if opens_tunnel { BodyLength::Raw } else { BodyLength::Empty });
    }
    if facts.transfer_encoding && facts.content_length.is_some() {
        return Err(CodecError::ContentLengthAndChunked);
    }
    if kind.is_head() || status == StatusCode::NOT_MODIFIED {
        return Ok(BodyLength::Empty);
    }
    Ok(match (facts.transfer_encoding, facts.content_length) {
        (true, _) => BodyLength::Chunked,
        (false, Some(0)) => BodyLength::Empty,
        (false, Some(length)) => BodyLength::Length(length),
        (false, None) => BodyLength::UntilClose,
    })
}
