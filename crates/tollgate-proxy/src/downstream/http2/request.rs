//! Heads of HTTP/2 requests.

use extproc::{RequestHeaders, remove_fields};
use h2::Reason;
use http::{
    HeaderMap, HeaderValue, Method, Uri,
    header::{EXPECT, HOST},
    request::Parts,
};
use tollgate_model::http_connection_manager::HttpConnectionManager;

use crate::{
    handler::Rejection,
    http1::{has_token, is_authority_byte},
    stream_info::ConnectionInfo,
};

/// A head that can be served.
pub(super) struct Accepted {
    pub(super) headers: RequestHeaders,
    pub(super) expects_continue: bool,
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
    let host = headers.get(HOST).cloned();
    remove_fields(&mut headers, &[HOST]);
    let authority = match uri.authority() {
        Some(authority) => Some(value(authority.as_str())?),
        None => host,
    };
    let pseudo_headers = 2 + usize::from(!is_connect) * 2 - usize::from(authority.is_none());
    let size = method.as_str().len() + uri_size(&uri) + fields_size(&headers);
    if headers.len() + pseudo_headers > http.max_headers_count || size > http.max_request_headers_kb * 1024 {
        return Err(Refusal::Reset(Reason::INTERNAL_ERROR));
    }
    if !is_valid(&headers)
        || authority.as_ref().is_some_and(|name| !name.as_bytes().iter().copied().all(is_authority_byte))
    {
        return Err(Refusal::Reset(Reason::PROTOCOL_ERROR));
    }
    let scheme = match uri.scheme_str() {
        Some(scheme) => value(scheme)?,
        None => HeaderValue::from_static(if connection.tls.is_some() { "https" } else { "http" }),
    };
    let path = match uri.path_and_query() {
        Some(path) if !is_connect => value(path.as_str())?,
        _ => HeaderValue::from_static(""),
    };
    let expects_continue = has_token(&headers, &EXPECT, b"100-continue");
    let has_authority = authority.is_some();
    let authority = authority.unwrap_or_else(|| HeaderValue::from_static(""));
    let headers = RequestHeaders { method, scheme, authority, path, fields: headers };
    if !has_authority {
        return Err(Refusal::Reject(Box::new(Rejection::missing_host(headers))));
    }
    Ok(Accepted { headers, expects_continue })
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
