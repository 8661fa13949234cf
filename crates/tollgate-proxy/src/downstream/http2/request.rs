//! Heads of HTTP/2 requests.

use extproc::{RequestHeaders, remove_fields};
use h2::Reason;
use http::{
    HeaderMap, HeaderValue, Method, Uri,
    header::{COOKIE, EXPECT, HOST},
    request::Parts,
};
use tollgate_model::http_connection_manager::HttpConnectionManager;

use crate::{
    handler::Rejection,
    http1::{has_one_content_length, is_valid_authority},
    stream_info::ConnectionInfo,
};

/// A head that can be served.
pub(super) struct Accepted {
    pub(super) headers: RequestHeaders,
    pub(super) expects_continue: bool,
    /// Bytes of names and values.
    pub(super) size: usize,
}

/// A head that cannot.
pub(super) enum Refusal {
    /// It is answered.
    Reject(Box<Rejection>),
    /// It breaks the protocol or a limit; the stream is reset.
    Reset(Reason),
}

/// Pseudo-headers and fields of a request. `:authority` or else `host` is the authority (RFC 9113 section 8.3.1).
pub(super) fn head(
    parts: Parts,
    connection: &ConnectionInfo,
    http: &HttpConnectionManager,
) -> Result<Accepted, Refusal> {
    let Parts { method, uri, mut headers, .. } = parts;
    let is_connect = method == Method::CONNECT;
    if headers.get_all(HOST).iter().nth(1).is_some() || !has_one_content_length(&mut headers) {
        return Err(Refusal::Reset(Reason::PROTOCOL_ERROR));
    }
    let host = headers.get(HOST).cloned();
    remove_fields(&mut headers, &[HOST]);
    let authority = match uri.authority() {
        Some(authority) => Some(value(authority.as_str())?),
        None => host,
    };
    let pseudo_headers = 2 + usize::from(!is_connect) * 2 - usize::from(authority.is_none());
    // The limits are those of what the client sent: each part of its cookies counts.
    let size = method.as_str().len() + uri_size(&uri) + fields_size(&headers);
    if headers.len() + pseudo_headers > http.max_headers_count || size > http.max_request_headers_kb * 1024 {
        return Err(Refusal::Reset(Reason::INTERNAL_ERROR));
    }
    join_cookies(&mut headers);
    if !is_valid(&headers) || authority.as_ref().is_some_and(|name| !is_valid_authority(name.as_bytes())) {
        return Err(Refusal::Reset(Reason::PROTOCOL_ERROR));
    }
    let scheme = match uri.scheme_str() {
        // There is one without `:authority`, but the library does not show it.
        None if !is_connect && uri.authority().is_some() => {
            return Err(Refusal::Reset(Reason::PROTOCOL_ERROR));
        }
        Some("") => return Err(Refusal::Reset(Reason::PROTOCOL_ERROR)),
        Some(scheme) if is_http(scheme) => value(scheme)?,
        _ => HeaderValue::from_static(if connection.tls.is_some() { "https" } else { "http" }),
    };
    let path = match uri.path_and_query() {
        Some(path) if !is_connect => value(path.as_str())?,
        _ => HeaderValue::from_static(""),
    };
    let mut expectations = headers.get_all(EXPECT).iter();
    let expects_continue =
        expectations.next().is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
            && expectations.next().is_none();
    let has_authority = authority.is_some();
    let authority = authority.unwrap_or_else(|| HeaderValue::from_static(""));
    let headers = RequestHeaders { method, scheme, authority, path, fields: headers };
    if !has_authority {
        return Err(Refusal::Reject(Box::new(Rejection::missing_host(headers))));
    }
    Ok(Accepted { headers, expects_continue, size })
}

/// Names and values of the pseudo-headers but that of `:method`.
fn uri_size(uri: &Uri) -> usize {
    const NAMES: usize = ":method:scheme:authority:path".len();
    let scheme = uri.scheme_str().map_or(0, str::len);
    let authority = uri.authority().map_or(0, |authority| authority.as_str().len());
    let path = uri.path_and_query().map_or(0, |path| path.as_str().len());
    NAMES + scheme + authority + path
}

fn fields_size(fields: &HeaderMap) -> usize {
    fields.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

fn value(text: &str) -> Result<HeaderValue, Refusal> {
    HeaderValue::from_str(text).map_err(|_| Refusal::Reset(Reason::PROTOCOL_ERROR))
}

/// Fields that would change the framing if they were passed on to HTTP/1 (RFC 9113 section 8.2.2).
fn is_valid(fields: &HeaderMap) -> bool {
    !fields.contains_key(http::header::TRANSFER_ENCODING) && !fields.contains_key(http::header::UPGRADE)
}

fn is_http(scheme: &str) -> bool {
    scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
}

/// Cookies that a client has split are one field before anybody looks at them (RFC 9113 section 8.2.3), behind the others as
/// in Envoy.
fn join_cookies(fields: &mut HeaderMap) {
    let mut values = fields.get_all(COOKIE).iter();
    let Some(first) = values.next() else { return };
    let mut joined = first.clone();
    if values.next().is_some() {
        let all: Vec<_> = fields.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
        // Parts of values make a value.
        let Ok(value) = HeaderValue::from_bytes(&all.join(&b"; "[..])) else { return };
        joined = value;
    }
    remove_fields(fields, &[COOKIE]);
    fields.insert(COOKIE, joined);
}
