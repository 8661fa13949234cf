//! Responses the processor gives itself (section 13).

use bytes::Bytes;

use super::HeaderMutation;

/// `envoy.type.v3.HttpStatus`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct HttpStatus {
    /// The code; zero = unset.
    #[prost(int32, tag = "1")]
    pub code: i32,
}

/// The gRPC status of an immediate response.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct GrpcStatus {
    /// The code.
    #[prost(uint32, tag = "1")]
    pub status: u32,
}

/// A complete response instead of the upstream's (13.1).
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct ImmediateResponse {
    /// Absent or below 200 means 200 (I-2).
    #[prost(message, optional, tag = "1")]
    pub status: Option<HttpStatus>,
    /// Changes to the headers the gateway builds (I-4).
    #[prost(message, optional, tag = "2")]
    pub headers: Option<HeaderMutation>,
    /// The body.
    #[prost(bytes = "bytes", tag = "3")]
    pub body: Bytes,
    /// For gRPC requests only (I-6).
    #[prost(message, optional, tag = "4")]
    pub grpc_status: Option<GrpcStatus>,
    /// Becomes the response code details (I-5).
    #[prost(string, tag = "5")]
    pub details: String,
}

/// A response instead of the upstream's, piece by piece (13.3).
#[derive(Clone, PartialEq, prost::Message)]
pub struct StreamedImmediateResponse {
    /// The piece.
    #[prost(oneof = "streamed_immediate_response::Response", tags = "1, 2, 3")]
    pub response: Option<streamed_immediate_response::Response>,
}

/// The pieces of [`StreamedImmediateResponse`].
pub mod streamed_immediate_response {
    /// One piece of the response.
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum Response {
        /// The start.
        #[prost(message, tag = "1")]
        HeadersResponse(super::super::HttpHeaders),
        /// A piece of the body.
        #[prost(message, tag = "2")]
        BodyResponse(super::super::StreamedBodyResponse),
        /// The end, with trailers.
        #[prost(message, tag = "3")]
        TrailersResponse(super::super::HeaderMap),
    }
}
