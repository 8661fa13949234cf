//! An HTTP request and its response as the data plane holds them while an exchange works on them.

use http::{HeaderMap, HeaderValue, Method, StatusCode};

/// Which way a message travels. Each direction has its own state machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the client to the upstream.
    Request,
    /// From the upstream (or a local reply) to the client.
    Response,
}

/// The head of a request: pseudo-headers and fields. `host` is never among the fields, it is the authority (E-2).
#[derive(Debug, Clone)]
pub struct RequestHeaders {
    /// `:method`.
    pub method: Method,
    /// `:scheme`.
    pub scheme: HeaderValue,
    /// `:authority`.
    pub authority: HeaderValue,
    /// `:path`, with the query.
    pub path: HeaderValue,
    /// All other header fields, in arrival order.
    pub fields: HeaderMap,
}

/// The head of a response.
#[derive(Debug, Clone)]
pub struct ResponseHeaders {
    /// `:status`.
    pub status: StatusCode,
    /// All other header fields, in arrival order.
    pub fields: HeaderMap,
}

/// One HTTP request and its response, as far as they have arrived. Bodies are not here: they pass by in pieces.
#[derive(Debug)]
pub struct Messages {
    /// The request head; changed in place by mutations.
    pub request: RequestHeaders,
    /// The request's trailers once they arrived.
    pub request_trailers: Option<HeaderMap>,
    /// The response head once there is one.
    pub response: Option<ResponseHeaders>,
    /// The response's trailers once they arrived.
    pub response_trailers: Option<HeaderMap>,
}
