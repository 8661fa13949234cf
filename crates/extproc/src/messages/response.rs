//! From the processor to the gateway.

use std::collections::BTreeMap;

use super::{Any, BodyMutation, Duration, HeaderMap, HeaderMutation, ProcessingMode, Struct};

/// One message from the processor.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ProcessingResponse {
    /// Values by namespace, to be merged into the dynamic metadata (D-3).
    #[prost(message, optional, tag = "8")]
    pub dynamic_metadata: Option<Struct>,
    /// Typed values by namespace (D-5).
    #[prost(btree_map = "string, message", tag = "13")]
    pub typed_dynamic_metadata: BTreeMap<String, Any>,
    /// Another mode for the rest of the exchange (section 10).
    #[prost(message, optional, tag = "9")]
    pub mode_override: Option<ProcessingMode>,
    /// Declared, deprecated, without behaviour.
    #[prost(bool, tag = "12")]
    pub request_drain: bool,
    /// Declared for request bodies; no gateway implements drains yet.
    #[prost(bool, tag = "15")]
    pub request_drain_requests: bool,
    /// Declared for response bodies; no gateway implements drains yet.
    #[prost(bool, tag = "16")]
    pub request_drain_responses: bool,
    /// Another deadline for the reply that is awaited.
    #[prost(message, optional, tag = "10")]
    pub override_message_timeout: Option<Duration>,
    /// More window for the gateway; inert in Envoy 1.39.
    #[prost(message, optional, tag = "14")]
    pub server_window_update: Option<ServerWindowUpdate>,
    /// The reply.
    #[prost(oneof = "processing_response::Response", tags = "1, 2, 3, 4, 5, 6, 7, 11")]
    pub response: Option<processing_response::Response>,
}

/// The replies of [`ProcessingResponse`].
pub mod processing_response {
    use super::super::{ImmediateResponse, StreamedImmediateResponse};
    use super::{BodyResponse, HeadersResponse, TrailersResponse};

    /// A reply.
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum Response {
        /// To request headers.
        #[prost(message, tag = "1")]
        RequestHeaders(HeadersResponse),
        /// To response headers.
        #[prost(message, tag = "2")]
        ResponseHeaders(HeadersResponse),
        /// To a request body.
        #[prost(message, tag = "3")]
        RequestBody(BodyResponse),
        /// To a response body.
        #[prost(message, tag = "4")]
        ResponseBody(BodyResponse),
        /// To request trailers.
        #[prost(message, tag = "5")]
        RequestTrailers(TrailersResponse),
        /// To response trailers.
        #[prost(message, tag = "6")]
        ResponseTrailers(TrailersResponse),
        /// To anything: the processor's own response (13.1).
        #[prost(message, tag = "7")]
        ImmediateResponse(ImmediateResponse),
        /// To request headers: the processor's own response, piece by piece (13.3).
        #[prost(message, tag = "11")]
        StreamedImmediateResponse(StreamedImmediateResponse),
    }
}

/// Bytes to add to the gateway's windows; may be negative.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct ServerWindowUpdate {
    /// Request body.
    #[prost(int64, tag = "1")]
    pub window_increment_downstream_to_sidestream: i64,
    /// Response body.
    #[prost(int64, tag = "2")]
    pub window_increment_upstream_to_sidestream: i64,
}

/// Reply to headers. Without `response`: continue unchanged (P-6).
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct HeadersResponse {
    /// What to do.
    #[prost(message, optional, tag = "1")]
    pub response: Option<CommonResponse>,
}

/// Reply to a body or a piece of it. Without `response`: continue unchanged (P-6).
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct BodyResponse {
    /// What to do.
    #[prost(message, optional, tag = "1")]
    pub response: Option<CommonResponse>,
}

/// Reply to trailers. Without `header_mutation`: continue unchanged (P-6).
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct TrailersResponse {
    /// Changes to the trailers (T-4).
    #[prost(message, optional, tag = "1")]
    pub header_mutation: Option<HeaderMutation>,
}

/// What to do with headers or a body.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct CommonResponse {
    /// One of [`common_response`]; any other number is CONTINUE (W-1).
    #[prost(int32, tag = "1")]
    pub status: i32,
    /// Changes to the headers.
    #[prost(message, optional, tag = "2")]
    pub header_mutation: Option<HeaderMutation>,
    /// Changes to the body.
    #[prost(message, optional, tag = "3")]
    pub body_mutation: Option<BodyMutation>,
    /// Declared, never applied.
    #[prost(message, optional, tag = "4")]
    pub trailers: Option<HeaderMap>,
    /// Match routes again (section 15).
    #[prost(bool, tag = "5")]
    pub clear_route_cache: bool,
}

/// Numbers of `CommonResponse.status`.
pub mod common_response {
    /// Go on with the message.
    pub const CONTINUE: i32 = 0;
    /// Replace the message's body and be done with this direction (section 9).
    pub const CONTINUE_AND_REPLACE: i32 = 1;
}
