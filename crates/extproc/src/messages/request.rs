//! From the gateway to the processor.

use std::collections::BTreeMap;

use super::{Metadata, ProtocolConfiguration, Struct};

/// One message to the processor.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ProcessingRequest {
    /// Dynamic metadata; set, if only empty, on every message (L-4).
    #[prost(message, optional, tag = "8")]
    pub metadata_context: Option<Metadata>,
    /// Attributes; on the first message of a direction (section 17).
    #[prost(btree_map = "string, message", tag = "9")]
    pub attributes: BTreeMap<String, Struct>,
    /// No answer is awaited (section 16).
    #[prost(bool, tag = "10")]
    pub observability_mode: bool,
    /// On the first message of the stream (L-3).
    #[prost(message, optional, tag = "11")]
    pub protocol_config: Option<ProtocolConfiguration>,
    /// Window sizes to begin with; inert in Envoy 1.39.
    #[prost(message, optional, tag = "12")]
    pub flow_control_init: Option<FlowControlInit>,
    /// More window for the processor; inert in Envoy 1.39.
    #[prost(message, optional, tag = "13")]
    pub client_window_update: Option<ClientWindowUpdate>,
    /// The part of the HTTP message that is sent.
    #[prost(oneof = "processing_request::Request", tags = "2, 3, 4, 5, 6, 7")]
    pub request: Option<processing_request::Request>,
}

/// The parts of [`ProcessingRequest`].
pub mod processing_request {
    use super::super::{HttpBody, HttpHeaders, HttpTrailers};

    /// A part of an HTTP message.
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum Request {
        /// Request headers.
        #[prost(message, tag = "2")]
        RequestHeaders(HttpHeaders),
        /// Response headers.
        #[prost(message, tag = "3")]
        ResponseHeaders(HttpHeaders),
        /// Request body, or a piece of it.
        #[prost(message, tag = "4")]
        RequestBody(HttpBody),
        /// Response body, or a piece of it.
        #[prost(message, tag = "5")]
        ResponseBody(HttpBody),
        /// Request trailers.
        #[prost(message, tag = "6")]
        RequestTrailers(HttpTrailers),
        /// Response trailers.
        #[prost(message, tag = "7")]
        ResponseTrailers(HttpTrailers),
    }
}

/// Windows in bytes at the start of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct FlowControlInit {
    /// Request body to the processor.
    #[prost(int64, tag = "1")]
    pub initial_window_downstream_to_sidestream: i64,
    /// Request body back from the processor.
    #[prost(int64, tag = "2")]
    pub initial_window_sidestream_to_upstream: i64,
    /// Response body to the processor.
    #[prost(int64, tag = "3")]
    pub initial_window_upstream_to_sidestream: i64,
    /// Response body back from the processor.
    #[prost(int64, tag = "4")]
    pub initial_window_sidestream_to_downstream: i64,
}

/// Bytes to add to the processor's windows; may be negative.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct ClientWindowUpdate {
    /// Request body.
    #[prost(int64, tag = "1")]
    pub window_increment_sidestream_to_upstream: i64,
    /// Response body.
    #[prost(int64, tag = "2")]
    pub window_increment_sidestream_to_downstream: i64,
}
