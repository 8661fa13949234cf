//! Body pieces and what to do with them.

use bytes::Bytes;

/// A piece of a body, to the processor.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct HttpBody {
    /// The bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub body: Bytes,
    /// Last piece, and no trailers follow.
    #[prost(bool, tag = "2")]
    pub end_of_stream: bool,
    /// Body mode GRPC only: the end came without a message.
    #[prost(bool, tag = "3")]
    pub end_of_stream_without_message: bool,
    /// Body mode GRPC only: the message is compressed.
    #[prost(bool, tag = "4")]
    pub grpc_message_compressed: bool,
    /// The drain the processor asked for is complete. No gateway implements drains yet.
    #[prost(bool, tag = "5")]
    pub drain_complete: bool,
}

/// A piece of a body, from the processor.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct StreamedBodyResponse {
    /// The bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub body: Bytes,
    /// Last piece, and no trailers follow.
    #[prost(bool, tag = "2")]
    pub end_of_stream: bool,
    /// Body mode GRPC only: the end comes without a message.
    #[prost(bool, tag = "3")]
    pub end_of_stream_without_message: bool,
    /// Body mode GRPC only: the message is compressed.
    #[prost(bool, tag = "4")]
    pub grpc_message_compressed: bool,
    /// Last piece of a drain. No gateway implements drains yet.
    #[prost(bool, tag = "5")]
    pub drain_complete: bool,
}

/// What becomes of a body or of a piece of it.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct BodyMutation {
    /// The choice; none of them leaves the body as it is.
    #[prost(oneof = "body_mutation::Mutation", tags = "1, 2, 3")]
    pub mutation: Option<body_mutation::Mutation>,
}

/// The choices of [`BodyMutation`].
pub mod body_mutation {
    use bytes::Bytes;

    /// What becomes of a body or of a piece of it.
    #[derive(Clone, PartialEq, Eq, Hash, prost::Oneof)]
    pub enum Mutation {
        /// It is replaced.
        #[prost(bytes = "bytes", tag = "1")]
        Body(Bytes),
        /// If true, it becomes empty.
        #[prost(bool, tag = "2")]
        ClearBody(bool),
        /// Another piece; body mode FULL_DUPLEX_STREAMED only.
        #[prost(message, tag = "3")]
        StreamedResponse(super::StreamedBodyResponse),
    }
}
