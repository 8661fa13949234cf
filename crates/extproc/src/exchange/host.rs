//! What an exchange needs from the one that drives it.

use crate::{
    attributes::Attributes,
    http_message::{Direction, Messages},
    messages::{Metadata, Struct},
    metadata::DynamicMetadata,
};

/// The transaction an exchange works on: its messages, its metadata and what is known about it.
pub trait Host {
    /// The request and response heads and trailers.
    fn messages(&self) -> &Messages;

    /// The same, to change.
    fn messages_mut(&mut self) -> &mut Messages;

    /// The dynamic metadata of the request.
    fn metadata(&self) -> &DynamicMetadata;

    /// The same, to change.
    fn metadata_mut(&mut self) -> &mut DynamicMetadata;

    /// The static metadata of the cluster the request goes to, once there is one (D-1).
    fn cluster_metadata(&self) -> Option<&Metadata> {
        None
    }

    /// The values of attributes at this moment, by expression. There is no `response.headers` unless the head of
    /// the response was shown to the processor.
    fn attributes(&self, wanted: &Attributes, response_headers_shown: bool) -> Struct;

    /// Most bytes of a body to hold, per direction (section 7, "limit").
    fn buffer_limit(&self, direction: Direction) -> usize;

    /// Limits of a header map after mutation (M-1, M-8).
    fn header_limits(&self, direction: Direction) -> HeaderLimits;

    /// Whether the request asks for an upgrade: behind its head comes another protocol (B-3.9).
    fn is_upgrade(&self) -> bool;

    /// Whether the client speaks HTTP/2, which decides about the order of pseudo-headers (E-2).
    fn is_http2(&self) -> bool {
        false
    }
}

/// Limits of a header map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeaderLimits {
    /// Most entries, pseudo-headers included.
    pub max_count: usize,
    /// Most bytes.
    pub max_bytes: usize,
}

impl HeaderLimits {
    /// Of response headers and trailers: those Envoy reads responses of HTTP/1 with.
    pub const HTTP1_RESPONSE: Self = Self { max_count: 100, max_bytes: 80 * 1024 };
    /// Of response headers and trailers: those Envoy reads responses of HTTP/2 with.
    pub const HTTP2_RESPONSE: Self = Self { max_count: 100, max_bytes: 60 * 1024 };
}

impl Default for HeaderLimits {
    /// Of request headers where the connection manager has no other ones.
    fn default() -> Self {
        Self { max_count: 100, max_bytes: 60 * 1024 }
    }
}
