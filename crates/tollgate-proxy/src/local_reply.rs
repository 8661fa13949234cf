//! Responses that the gateway gives itself: what they look like, and why they were given.

use std::borrow::Cow;

use bytes::Bytes;
use extproc::{Direction, RequestHeaders, ResponseHeaders, remove_fields};
use http::{
    HeaderMap, HeaderValue, Method, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, LOCATION},
};
use tollgate_model::route::{DirectResponse, is_grpc};

use crate::{
    handler::Rejection, http1::reason_phrase, stream_info::ResponseFlags, upstream::UpstreamFailure,
};

/// gRPC's status of what took too long.
const DEADLINE_EXCEEDED: u32 = 4;

/// A response that the gateway gives itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LocalReply {
    /// HTTP status.
    pub(crate) status: StatusCode,
    /// Fields beyond those that follow from status and body.
    pub(crate) fields: HeaderMap,
    /// Body; `text/plain` unless `fields` says otherwise.
    pub(crate) body: Bytes,
    /// gRPC status for gRPC requests; `None` = derived from `status` (I-6).
    pub(crate) grpc_status: Option<u32>,
    /// `%RESPONSE_CODE_DETAILS%`.
    pub(crate) details: Cow<'static, str>,
    /// `%RESPONSE_FLAGS%` it adds.
    pub(crate) flags: ResponseFlags,
}

/// Who is to see a reply.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AskedBy<'a> {
    /// The request, as it is now.
    pub(crate) request: &'a RequestHeaders,
    /// The client speaks gRPC-Web: that the request is gRPC now is the work of a filter, which makes what the client
    /// understands of the reply.
    pub(crate) grpc_web: bool,
}

impl AskedBy<'_> {
    fn is_grpc(self) -> bool {
        !self.grpc_web && is_grpc(self.request)
    }
}

impl LocalReply {
    fn new(status: StatusCode, body: &'static str, details: &'static str, flags: ResponseFlags) -> Self {
        Self {
            status,
            fields: HeaderMap::new(),
            body: Bytes::from_static(body.as_bytes()),
            grpc_status: None,
            details: Cow::Borrowed(details),
            flags,
        }
    }

    /// A request that was refused before it became one.
    pub(crate) fn rejection(rejection: &Rejection) -> Self {
        let flags = if rejection.protocol_error {
            ResponseFlags::DOWNSTREAM_PROTOCOL_ERROR
        } else {
            ResponseFlags::default()
        };
        Self::new(rejection.status, rejection.body, rejection.details, flags)
    }

    /// A CONNECT that no client has sent.
    pub(crate) fn not_a_tunnel() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "missing required header: :protocol",
            "filter_removed_required_request_headers{missing_required_header:_:protocol}",
            ResponseFlags::default(),
        )
    }

    /// An upgrade that is not allowed.
    pub(crate) fn upgrade_failed() -> Self {
        Self::new(StatusCode::FORBIDDEN, "", "upgrade_failed", ResponseFlags::default())
    }

    /// A request that the connection manager does not let pass.
    pub(crate) fn refused(status: StatusCode, details: &'static str) -> Self {
        Self::new(status, "", details, ResponseFlags::default())
    }

    /// A script that cannot be loaded lets nothing pass.
    pub(crate) fn script_broken() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "", "lua_script_broken", ResponseFlags::default())
    }

    /// A load shed point turns requests away that are about to be sent.
    pub(crate) fn overloaded() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "envoy overloaded", "overload", ResponseFlags::default())
    }

    /// The host of the request has no address.
    pub(crate) fn host_not_found() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "DNS resolution failure",
            "dns_resolution_failure{no_address}",
            ResponseFlags::DNS_RESOLUTION_FAILED,
        )
    }

    /// Requests are for more hosts than may be looked up.
    pub(crate) fn too_many_hosts() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "DNS cache overflow",
            "dns_cache_overflow",
            ResponseFlags::default(),
        )
    }

    /// No route applies.
    pub(crate) fn route_not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "", "route_not_found", ResponseFlags::NO_ROUTE_FOUND)
    }

    /// The route's cluster does not exist.
    pub(crate) fn cluster_not_found(status: StatusCode) -> Self {
        Self::new(status, "", "cluster_not_found", ResponseFlags::NO_CLUSTER_FOUND)
    }

    /// A route that forwards nothing was reached without an answer of a filter; Envoy then misses a cluster.
    pub(crate) fn non_forwarding() -> Self {
        Self::cluster_not_found(StatusCode::SERVICE_UNAVAILABLE)
    }

    /// The route answers itself.
    pub(crate) fn direct(direct: &DirectResponse) -> Self {
        let body = direct.body.clone();
        Self { body, ..Self::new(direct.status, "", "direct_response", ResponseFlags::default()) }
    }

    /// The route redirects.
    pub(crate) fn redirect(status: StatusCode, location: HeaderValue) -> Self {
        let mut reply = Self::new(status, "", "direct_response", ResponseFlags::default());
        reply.fields.insert(LOCATION, location);
        reply
    }

    /// The client is to come again with the normal form of its path.
    pub(crate) fn normalized_path(location: HeaderValue) -> Self {
        let none = ResponseFlags::default();
        let mut reply = Self::new(StatusCode::TEMPORARY_REDIRECT, "", "path_normalization_failed", none);
        reply.fields.insert(LOCATION, location);
        reply
    }

    /// The answer of the CORS filter to a preflight request.
    pub(crate) fn preflight(fields: HeaderMap) -> Self {
        Self { fields, ..Self::new(StatusCode::OK, "", "cors_response", ResponseFlags::default()) }
    }

    /// A buffered body beyond the limit (B-3.6).
    pub(crate) fn payload_too_large(direction: Direction) -> Self {
        let none = ResponseFlags::default();
        match direction {
            Direction::Request => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "Payload Too Large",
                "request_payload_too_large",
                none,
            ),
            Direction::Response => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "Internal Server Error",
                "response_payload_too_large",
                none,
            ),
        }
    }

    /// Memory is short, and the request holds much of it.
    pub(crate) fn buffers_full() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "buffers are full",
            "buffers_full",
            ResponseFlags::OVERLOAD_MANAGER,
        )
    }

    /// The client broke the protocol behind the head.
    pub(crate) fn bad_request(details: &'static str) -> Self {
        let status = match details {
            "http1.too_many_headers" | "http1.headers_too_large" => {
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            _ => StatusCode::BAD_REQUEST,
        };
        Self::new(status, reason_phrase(status), details, ResponseFlags::DOWNSTREAM_PROTOCOL_ERROR)
    }

    /// The route's timeout has passed, or that of a try.
    pub(crate) fn upstream_timeout(details: &'static str) -> Self {
        Self::new(
            StatusCode::GATEWAY_TIMEOUT,
            "upstream request timeout",
            details,
            ResponseFlags::UPSTREAM_REQUEST_TIMEOUT,
        )
    }

    /// The stream lived too long: 408 while the request is incomplete. Envoy sets no flag.
    pub(crate) fn stream_lived_too_long(request_ended: bool) -> Self {
        let status = if request_ended { StatusCode::GATEWAY_TIMEOUT } else { StatusCode::REQUEST_TIMEOUT };
        let none = ResponseFlags::default();
        let reply = Self::new(status, "downstream duration timeout", "max_duration_timeout", none);
        Self { grpc_status: Some(DEADLINE_EXCEEDED), ..reply }
    }

    /// Nothing moved for the stream idle timeout: 408 while the request is incomplete.
    pub(crate) fn stream_timeout(request_ended: bool, details: &'static str) -> Self {
        let status = if request_ended { StatusCode::GATEWAY_TIMEOUT } else { StatusCode::REQUEST_TIMEOUT };
        let flags = match details {
            // Failures of processors never set a flag (F-2).
            "processor_idle" => ResponseFlags::default(),
            _ => ResponseFlags::STREAM_IDLE_TIMEOUT,
        };
        Self::new(status, "stream timeout", details, flags)
    }

    /// The request did not arrive completely in time.
    pub(crate) fn request_timeout() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "request timeout",
            "request_overall_timeout",
            ResponseFlags::default(),
        )
    }

    /// The upstream gave no response.
    pub(crate) fn upstream_failure(failure: &UpstreamFailure, retried: bool) -> Self {
        let body = match failure.body(retried) {
            Cow::Borrowed(text) => Bytes::from_static(text.as_bytes()),
            Cow::Owned(text) => Bytes::from(text),
        };
        let flags = ResponseFlags::from_short_name(failure.response_flag());
        let mut reply =
            Self { body, details: failure.details(false), ..Self::new(failure.status(), "", "", flags) };
        if failure.overloaded() {
            reply
                .fields
                .insert(HeaderName::from_static("x-envoy-overloaded"), HeaderValue::from_static("true"));
        }
        reply
    }

    /// Head and body as the client of `request` is to see them: gRPC clients get a gRPC status (I-6), HEAD requests no
    /// body but its headers (I-3).
    pub(crate) fn into_response(mut self, client: AskedBy<'_>) -> (ResponseHeaders, Bytes) {
        if !client.is_grpc() && !self.body.is_empty() {
            self.fields.entry(CONTENT_TYPE).or_insert_with(|| HeaderValue::from_static("text/plain"));
        }
        self.into_response_as_it_is(client)
    }

    /// The same without a content type of its own.
    pub(crate) fn into_response_as_it_is(self, client: AskedBy<'_>) -> (ResponseHeaders, Bytes) {
        if client.is_grpc() {
            return (self.into_grpc(), Bytes::new());
        }
        let mut fields = self.fields;
        if self.body.is_empty() {
            remove_fields(&mut fields, &[CONTENT_LENGTH, CONTENT_TYPE]);
        } else {
            fields.insert(CONTENT_LENGTH, HeaderValue::from(self.body.len()));
        }
        let body = if client.request.method == Method::HEAD { Bytes::new() } else { self.body };
        (ResponseHeaders { status: self.status, fields }, body)
    }

    fn into_grpc(self) -> ResponseHeaders {
        let mut fields = self.fields;
        let code = self.grpc_status.unwrap_or_else(|| grpc_status_of(self.status));
        fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        // A status among the headers of the reply comes first.
        fields.entry("grpc-status").or_insert_with(|| HeaderValue::from(code));
        if !self.body.is_empty()
            && let Ok(message) = HeaderValue::from_str(&percent_encode(&self.body))
        {
            fields.insert(HeaderName::from_static("grpc-message"), message);
        }
        remove_fields(&mut fields, &[CONTENT_LENGTH]);
        ResponseHeaders { status: StatusCode::OK, fields }
    }
}

/// The gRPC status of an HTTP status (I-6).
pub(crate) fn grpc_status_of(status: StatusCode) -> u32 {
    match status.as_u16() {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => 2,
    }
}

/// gRPC's percent-encoding of messages: everything but printable ASCII without `%`.
pub(crate) fn percent_encode(message: &[u8]) -> String {
    use std::fmt::Write;

    let mut encoded = String::with_capacity(message.len());
    for byte in message {
        match byte {
            b' '..=b'~' if *byte != b'%' => encoded.push(char::from(*byte)),
            // Writing to a string cannot fail.
            _ => _ = write!(encoded, "%{byte:02X}"),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: Method, content_type: Option<&'static str>) -> RequestHeaders {
        let mut fields = HeaderMap::new();
        if let Some(content_type) = content_type {
            fields.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        RequestHeaders {
            method,
            scheme: HeaderValue::from_static("http"),
            authority: HeaderValue::from_static("a"),
            path: HeaderValue::from_static("/"),
            fields,
        }
    }

    fn asked(request: &RequestHeaders) -> AskedBy<'_> {
        AskedBy { request, grpc_web: false }
    }

    fn field<'a>(head: &'a ResponseHeaders, name: &str) -> Option<&'a str> {
        head.fields.get(name).and_then(|value| value.to_str().ok())
    }

    /// I-3: body, type and length; HEAD has the headers of the full reply.
    #[test]
    fn plain() {
        for method in [Method::GET, Method::HEAD] {
            let head_request = method == Method::HEAD;
            let (head, body) = LocalReply::payload_too_large(Direction::Request)
                .into_response(asked(&request(method, None)));
            assert_eq!(head.status, 413);
            assert_eq!(field(&head, "content-length"), Some("17"));
            assert_eq!(field(&head, "content-type"), Some("text/plain"));
            assert_eq!(body.is_empty(), head_request);
        }
        let (head, body) = LocalReply::route_not_found().into_response(asked(&request(Method::GET, None)));
        assert_eq!((head.status.as_u16(), head.fields.len(), body.len()), (404, 0, 0));
    }

    /// I-6.
    #[test]
    fn grpc() {
        let reply = LocalReply::new(StatusCode::FORBIDDEN, "50% \u{e9}", "", ResponseFlags::default());
        let (head, body) = reply.into_response(asked(&request(Method::POST, Some("application/grpc+proto"))));
        assert_eq!((head.status.as_u16(), body.len()), (200, 0));
        assert_eq!(field(&head, "grpc-status"), Some("7"));
        assert_eq!(field(&head, "grpc-message"), Some("50%25 %C3%A9"));
        assert_eq!(field(&head, "content-type"), Some("application/grpc"));
    }
}
