//! Processing modes on the wire.

/// `ProcessingMode` (section 1.2); the numbers are those of [`HeaderSendMode`](crate::HeaderSendMode) and
/// [`BodySendMode`](crate::BodySendMode).
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct ProcessingMode {
    /// Request headers.
    #[prost(int32, tag = "1")]
    pub request_header_mode: i32,
    /// Response headers.
    #[prost(int32, tag = "2")]
    pub response_header_mode: i32,
    /// Request body.
    #[prost(int32, tag = "3")]
    pub request_body_mode: i32,
    /// Response body.
    #[prost(int32, tag = "4")]
    pub response_body_mode: i32,
    /// Request trailers.
    #[prost(int32, tag = "5")]
    pub request_trailer_mode: i32,
    /// Response trailers.
    #[prost(int32, tag = "6")]
    pub response_trailer_mode: i32,
}

/// What the processor should know of the filter's configuration; on the first message only (L-3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct ProtocolConfiguration {
    /// Number of a [`BodySendMode`](crate::BodySendMode).
    #[prost(int32, tag = "1")]
    pub request_body_mode: i32,
    /// Number of a [`BodySendMode`](crate::BodySendMode).
    #[prost(int32, tag = "2")]
    pub response_body_mode: i32,
    /// STREAMED pieces are sent before the header reply (B-4.7).
    #[prost(bool, tag = "3")]
    pub send_body_without_waiting_for_header_response: bool,
}
