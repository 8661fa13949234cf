//! Heads of HTTP/2 requests.

use extproc::RequestHeaders;
use http::{
    HeaderMap, HeaderValue, Method,
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
    /// It breaks the protocol; the stream is reset.
    Reset,
}

/// Pseudo-headers and fields of a request. `:authority` or else `host` is the authority (RFC 9113 section 8.3.1).
pub(super) fn head(
    parts: Parts,
    connection: &ConnectionInfo,
    http: &HttpConnectionManager,
) -> Result<Accepted, Refusal> {
    let Parts { method, uri, mut headers, .. } = parts;
    let is_connect = method == Method::CONNECT;
    let host = headers.remove(HOST);
    let authority = match uri.authority() {
        Some(authority) => Some(value(authority.as_str())?),
        None => host,
    };
    let pseudo_headers = 2 + usize::from(!is_connect) * 2 - usize::from(authority.is_none());
    if headers.len() + pseudo_headers > http.max_headers_count {
        return Err(Refusal::Reset);
    }
    if !is_valid(&headers)
        || authority.as_ref().is_some_and(|name| !name.as_bytes().iter().copied().all(is_authority_byte))
    {
        return Err(Refusal::Reset);
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

fn value(text: &str) -> Result<HeaderValue, Refusal> {
    HeaderValue::from_str(text).map_err(|_| Refusal::Reset)
}

/// Fields that would change the framing if they were passed on to HTTP/1 (RFC 9113 section 8.2.2).
fn is_valid(fields: &HeaderMap) -> bool {
    !fields.contains_key(http::header::TRANSFER_ENCODING) && !fields.contains_key(http::header::UPGRADE)
}
