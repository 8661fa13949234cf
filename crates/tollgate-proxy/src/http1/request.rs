//! Heads of requests.

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use extproc::RequestHeaders;
use http::{HeaderValue, Method, header::EXPECT};

use crate::meter::{RECEIVED_FIELD, Traffic};

use super::{
    BodyLength, CodecError, HeadLimits, RequestKind,
    authority::is_valid_authority,
    fields::{self, FieldFacts},
    scan::{Found, HeadScan, LineEnds},
};

/// Most fields that are parsed without an allocation of their own.
const INLINE_FIELDS: usize = 128;

/// The head of a request and what it means for the connection.
#[derive(Debug)]
pub(crate) struct RequestHead {
    /// Method, target and fields. `scheme` is empty unless the target is an absolute URL; `path` is empty for CONNECT.
    pub(crate) headers: RequestHeaders,
    /// HTTP/1.0 (otherwise 1.1).
    pub(crate) is_http10: bool,
    /// The client named the host, in the target or a `host` field; the name may be empty.
    pub(crate) has_host: bool,
    /// How the body is framed.
    pub(crate) body: BodyLength,
    /// What the response's framing has to know.
    pub(crate) kind: RequestKind,
    /// The client is ready for another request after this one.
    pub(crate) keep_alive: bool,
    /// `expect: 100-continue`: the client waits before it sends the body.
    pub(crate) expect_continue: bool,
    /// How large it is.
    pub(crate) size: Traffic,
}

/// Reads the heads of the requests of one connection.
#[derive(Debug, Default)]
pub(crate) struct RequestReader {
    scan: HeadScan,
}

impl RequestReader {
    /// Takes one head from the front of `buffer` when it is complete; call again when there are more bytes.
    ///
    /// After an error the connection cannot be used further.
    pub(crate) fn read(
        &mut self,
        buffer: &mut BytesMut,
        limits: &HeadLimits,
        accept_http10: bool,
    ) -> Result<Option<RequestHead>, CodecError> {
        let found = self.scan.scan(buffer, limits, LineEnds::Strict).map_err(|error| match error {
            // Of several mistakes the first counts, however the bytes come.
            CodecError::Malformed => {
                check(self.scan.before_mistake(buffer), limits).err().unwrap_or(CodecError::Malformed)
            }
            other => other,
        })?;
        match found {
            Found::Complete(length) => {
                let head = buffer.split_to(length).freeze();
                parse(&head, limits, accept_http10).map(Some)
            }
            Found::Partial { check: true } => check(buffer, limits).map(|()| None),
            Found::Partial { check: false } => Ok(None),
        }
    }
}

fn check(partial: &[u8], limits: &HeadLimits) -> Result<(), CodecError> {
    with_fields(limits, |fields| {
        let mut request = httparse::Request::new(&mut []);
        match request.parse_with_uninit_headers(partial, fields) {
            Ok(_) | Err(httparse::Error::TooManyHeaders) => Ok(()),
            Err(error) => Err(refusal(error, partial)),
        }
    })
}

fn parse(head: &Bytes, limits: &HeadLimits, accept_http10: bool) -> Result<RequestHead, CodecError> {
    with_fields(limits, |fields| {
        let mut request = httparse::Request::new(&mut []);
        match request.parse_with_uninit_headers(head, fields) {
            Ok(httparse::Status::Complete(length)) if length == head.len() => {}
            Ok(_) => return Err(CodecError::Malformed),
            Err(error) => return Err(refusal(error, head)),
        }
        let is_http10 = request.version == Some(0);
        if is_http10 && !accept_http10 {
            return Err(CodecError::LowVersion);
        }
        if request.headers.len() > limits.max_count {
            return Err(CodecError::TooManyHeaders);
        }
        let method = method(request.method.unwrap_or_default())?;
        let target = head.slice_ref(request.path.unwrap_or_default().as_bytes());
        let (fields, facts) = fields::collect(head, request.headers, true)?;
        let mut size = Traffic::default();
        size.add(head.len(), facts.size + RECEIVED_FIELD * request.headers.len());
        assemble(method, &target, fields, facts, is_http10).map(|head| RequestHead { size, ..head })
    })
}

/// Runs `parse` with room for one field more than allowed, so that the limit itself decides.
fn with_fields<'b, T>(
    limits: &HeadLimits,
    parse: impl FnOnce(&mut [MaybeUninit<httparse::Header<'b>>]) -> T,
) -> T {
    if limits.max_count < INLINE_FIELDS {
        parse(&mut [const { MaybeUninit::uninit() }; INLINE_FIELDS])
    } else {
        let mut fields = Vec::new();
        fields.resize_with(limits.max_count + 1, MaybeUninit::uninit);
        parse(&mut fields)
    }
}

fn refusal(error: httparse::Error, head: &[u8]) -> CodecError {
    match error {
        httparse::Error::TooManyHeaders => CodecError::TooManyHeaders,
        httparse::Error::HeaderValue => CodecError::InvalidCharacters,
        httparse::Error::Version if names_a_version(head) => CodecError::LowVersion,
        _ if lacks_version(head) => CodecError::LowVersion,
        _ => CodecError::Malformed,
    }
}

/// The third word is another version of HTTP, and not the rest of a target with a space in it.
fn names_a_version(head: &[u8]) -> bool {
    request_line(head).split(|byte| *byte == b' ').nth(2).is_some_and(|word| word.starts_with(b"HTTP/"))
}

fn request_line(head: &[u8]) -> &[u8] {
    head[..memchr::memchr(b'\n', head).unwrap_or(head.len())].trim_ascii_end()
}

/// `METHOD target` and the end of the line: HTTP/0.9.
fn lacks_version(head: &[u8]) -> bool {
    if !head.contains(&b'\n') {
        return false;
    }
    let mut parts = request_line(head).split(|byte| *byte == b' ');
    matches!(
        (parts.next(), parts.next(), parts.next()),
        (Some(method), Some(target), None)
            if method.iter().all(u8::is_ascii_uppercase) && target.starts_with(b"/")
    )
}

/// Envoy refuses methods it does not know; so the same list.
fn method(name: &str) -> Result<Method, CodecError> {
    const KNOWN: &[&str] = &[
        "ACL",
        "BIND",
        "CHECKOUT",
        "CONNECT",
        "COPY",
        "DELETE",
        "GET",
        "HEAD",
        "LINK",
        "LOCK",
        "MERGE",
        "MKACTIVITY",
        "MKCALENDAR",
        "MKCOL",
        "MOVE",
        "MSEARCH",
        "NOTIFY",
        "OPTIONS",
        "PATCH",
        "POST",
        "PROPFIND",
        "PROPPATCH",
        "PURGE",
        "PUT",
        "QUERY",
        "REBIND",
        "REPORT",
        "SEARCH",
        "SOURCE",
        "SUBSCRIBE",
        "TRACE",
        "UNBIND",
        "UNLINK",
        "UNLOCK",
        "UNSUBSCRIBE",
    ];
    match name {
        "GET" => Ok(Method::GET),
        "POST" => Ok(Method::POST),
        _ if KNOWN.contains(&name) => Method::from_bytes(name.as_bytes()).map_err(|_| CodecError::Malformed),
        _ => Err(CodecError::Malformed),
    }
}

fn assemble(
    method: Method,
    target: &Bytes,
    mut fields: http::HeaderMap,
    facts: FieldFacts,
    is_http10: bool,
) -> Result<RequestHead, CodecError> {
    let target = Target::parse(&method, target)?;
    if facts.upgrade && is_http10 {
        // RFC 9110 section 7.8: HTTP/1.0 knows no upgrades.
        fields::remove_upgrade(&mut fields);
    }
    let kind = RequestKind::of(&method, facts.upgrade && !is_http10);
    if facts.transfer_encoding && facts.content_length.is_some() {
        return Err(CodecError::ContentLengthAndChunked);
    }
    let body = match kind {
        RequestKind::Connect if facts.transfer_encoding => return Err(CodecError::InvalidTransferEncoding),
        RequestKind::Connect if facts.content_length.is_some_and(|length| length > 0) => {
            return Err(CodecError::BodyDisallowed);
        }
        _ if kind.asks_for_tunnel() => BodyLength::Raw,
        _ => match (facts.transfer_encoding, facts.content_length) {
            (true, _) => BodyLength::Chunked,
            (false, None | Some(0)) => BodyLength::Empty,
            (false, Some(length)) => BodyLength::Length(length),
        },
    };
    if is_http10 && facts.expect_continue {
        // RFC 9110 section 10.1.1: HTTP/1.0 knows no expectations. As HTTP/1.1 it would make the upstream wait.
        fields.remove(EXPECT);
    }
    let host = target.authority.or(facts.host);
    let has_host = host.is_some();
    let authority = host.unwrap_or_else(|| HeaderValue::from_static(""));
    if !is_valid_authority(authority.as_bytes()) {
        return Err(CodecError::InvalidAuthority);
    }
    // RFC 9112 section 6.1: the framing of an HTTP/1.0 message with a transfer coding is not to be trusted.
    let keep_alive = !facts.close && (!is_http10 || (facts.keep_alive && !facts.transfer_encoding));
    Ok(RequestHead {
        headers: RequestHeaders { method, scheme: target.scheme, authority, path: target.path, fields },
        is_http10,
        has_host,
        body,
        kind,
        keep_alive,
        expect_continue: facts.expect_continue && !is_http10,
        size: Traffic::default(),
    })
}

struct Target {
    scheme: HeaderValue,
    authority: Option<HeaderValue>,
    path: HeaderValue,
}

impl Target {
    /// The four forms of RFC 9112 section 3.2.
    fn parse(method: &Method, target: &Bytes) -> Result<Self, CodecError> {
        let none = HeaderValue::from_static("");
        if !target.is_ascii() {
            return Err(CodecError::Malformed);
        }
        if *method == Method::CONNECT {
            if !target.contains(&b':') || target.contains(&b'/') || target.contains(&b'?') {
                return Err(CodecError::InvalidUrl);
            }
            return Ok(Self { scheme: none.clone(), authority: Some(value(target.clone())?), path: none });
        }
        if target.starts_with(b"/") || (target.as_ref() == b"*" && *method == Method::OPTIONS) {
            return Ok(Self { scheme: none, authority: None, path: value(target.clone())? });
        }
        let Some(colon) = find(target, b"://") else {
            return Err(if target.as_ref() == b"*" { CodecError::InvalidUrl } else { CodecError::Malformed });
        };
        let scheme = if target[..colon].eq_ignore_ascii_case(b"http") {
            HeaderValue::from_static("http")
        } else if target[..colon].eq_ignore_ascii_case(b"https") {
            HeaderValue::from_static("https")
        } else {
            return Err(CodecError::InvalidScheme);
        };
        let rest = target.slice(colon + 3..);
        let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
        if end == 0 {
            return Err(CodecError::InvalidUrl);
        }
        if rest[..end].iter().any(|byte| matches!(byte, b'%' | b',')) || rest.get(end) == Some(&b'#') {
            return Err(CodecError::InvalidUrl);
        }
        let path = if end == rest.len() { HeaderValue::from_static("/") } else { value(rest.slice(end..))? };
        Ok(Self { scheme, authority: Some(value(rest.slice(..end))?), path })
    }
}

fn value(bytes: Bytes) -> Result<HeaderValue, CodecError> {
    HeaderValue::from_maybe_shared(bytes).map_err(|_| CodecError::Malformed)
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
