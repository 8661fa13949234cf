//! The messages of `envoy.service.ext_proc.v3.ExternalProcessor` (section 2), and the few types of
//! `envoy.config.core.v3`, `envoy.type.v3` and `google.protobuf` they are made of.
//!
//! Bodies and header values are [`bytes::Bytes`]: a message decoded from one buffer shares it. Strings are strings, so
//! a message with invalid UTF-8 in one does not parse. Enumerations stay `i32`: an undefined number is not an error,
//! every rule says what it means (W-1). Maps are ordered, so that equal messages have equal bytes.

mod body;
mod header;
mod immediate;
mod metadata;
mod mode;
mod request;
mod response;
mod well_known;

pub use body::{BodyMutation, HttpBody, StreamedBodyResponse, body_mutation};
pub use header::{
    HeaderMap, HeaderMutation, HeaderValue, HeaderValueOption, HttpHeaders, HttpTrailers, append_action,
};
pub use immediate::{
    GrpcStatus, HttpStatus, ImmediateResponse, StreamedImmediateResponse, streamed_immediate_response,
};
pub use metadata::Metadata;
pub use mode::{ProcessingMode, ProtocolConfiguration};
pub use request::{ClientWindowUpdate, FlowControlInit, ProcessingRequest, processing_request};
pub use response::{
    BodyResponse, CommonResponse, HeadersResponse, ProcessingResponse, ServerWindowUpdate, TrailersResponse,
    common_response, processing_response,
};
pub use well_known::{Any, BoolValue, Duration, ListValue, Struct, Value, value};
