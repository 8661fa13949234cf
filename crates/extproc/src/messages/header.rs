//! Headers on the wire.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{BoolValue, Struct};

/// `envoy.config.core.v3.HeaderValue`: one header.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct HeaderValue {
    /// Name; lower case when we send it (E-1).
    #[prost(string, tag = "1")]
    pub key: String,
    /// Value as text. Never sent (E-1); received, it counts only if `raw_value` is empty.
    #[prost(string, tag = "2")]
    pub value: String,
    /// Value as bytes.
    #[prost(bytes = "bytes", tag = "3")]
    pub raw_value: Bytes,
}

/// `envoy.config.core.v3.HeaderMap`: headers in order, repeated ones as repeated entries.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct HeaderMap {
    /// The entries.
    #[prost(message, repeated, tag = "1")]
    pub headers: Vec<HeaderValue>,
}

/// `envoy.config.core.v3.HeaderValueOption`: a header to set and how.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct HeaderValueOption {
    /// The header; an option without one is skipped (M-4.1).
    #[prost(message, optional, tag = "1")]
    pub header: Option<HeaderValue>,
    /// Add another value instead of overwriting. Default false (M-4.5).
    #[prost(message, optional, tag = "2")]
    pub append: Option<BoolValue>,
    /// One of [`append_action`]; not consulted (M-4.5).
    #[prost(int32, tag = "3")]
    pub append_action: i32,
    /// Not consulted (M-5).
    #[prost(bool, tag = "4")]
    pub keep_empty_value: bool,
}

/// Numbers of `HeaderValueOption.append_action`.
pub mod append_action {
    /// Add a value.
    pub const APPEND_IF_EXISTS_OR_ADD: i32 = 0;
    /// Add unless the header exists.
    pub const ADD_IF_ABSENT: i32 = 1;
    /// Overwrite or add.
    pub const OVERWRITE_IF_EXISTS_OR_ADD: i32 = 2;
    /// Overwrite only.
    pub const OVERWRITE_IF_EXISTS: i32 = 3;
}

/// Changes to a header map: all removals, then all sets (M-2).
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct HeaderMutation {
    /// Headers to set.
    #[prost(message, repeated, tag = "1")]
    pub set_headers: Vec<HeaderValueOption>,
    /// Names of headers to remove.
    #[prost(string, repeated, tag = "2")]
    pub remove_headers: Vec<String>,
}

/// Request or response headers.
#[derive(Clone, PartialEq, prost::Message)]
pub struct HttpHeaders {
    /// Pseudo-headers first (E-2).
    #[prost(message, optional, tag = "1")]
    pub headers: Option<HeaderMap>,
    /// Dead; attributes are in [`ProcessingRequest`](super::ProcessingRequest).
    #[prost(btree_map = "string, message", tag = "2")]
    pub attributes: BTreeMap<String, Struct>,
    /// The message has neither body nor trailers.
    #[prost(bool, tag = "3")]
    pub end_of_stream: bool,
}

/// Request or response trailers.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct HttpTrailers {
    /// The fields.
    #[prost(message, optional, tag = "1")]
    pub trailers: Option<HeaderMap>,
}
