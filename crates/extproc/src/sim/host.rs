//! A transaction that is nothing but its messages.

use http::{HeaderMap, HeaderValue, Method};

use crate::{
    Attributes, Direction, Messages, RequestHeaders,
    exchange::{HeaderLimits, Host},
    messages::Struct,
    metadata::DynamicMetadata,
};

/// What an exchange works on.
#[derive(Debug)]
pub struct Transaction {
    /// The messages as they are now.
    pub messages: Messages,
    /// The dynamic metadata of the request.
    pub metadata: DynamicMetadata,
    /// The values of attributes, whatever is asked for. Default none.
    pub attributes: Struct,
    /// The largest number of bytes to hold of a body. Default 1 MiB.
    pub limit: usize,
    /// Limits of header maps after mutations.
    pub header_limits: HeaderLimits,
    /// The request asks for an upgrade. Default false.
    pub upgrade: bool,
    /// The client speaks HTTP/2. Default false.
    pub http2: bool,
}

impl Default for Transaction {
    /// `POST http://example.com/` without fields.
    fn default() -> Self {
        let request = RequestHeaders {
            method: Method::POST,
            scheme: HeaderValue::from_static("http"),
            authority: HeaderValue::from_static("example.com"),
            path: HeaderValue::from_static("/"),
            fields: HeaderMap::new(),
        };
        Self {
            messages: Messages { request, request_trailers: None, response: None, response_trailers: None },
            metadata: DynamicMetadata::default(),
            attributes: Struct::default(),
            limit: 1 << 20,
            header_limits: HeaderLimits::default(),
            upgrade: false,
            http2: false,
        }
    }
}

impl Host for Transaction {
    fn messages(&self) -> &Messages {
        &self.messages
    }
    fn messages_mut(&mut self) -> &mut Messages {
        &mut self.messages
    }
    fn metadata(&self) -> &DynamicMetadata {
        &self.metadata
    }
    fn metadata_mut(&mut self) -> &mut DynamicMetadata {
        &mut self.metadata
    }
    fn attributes(&self, _wanted: &Attributes, _response_headers_shown: bool) -> Struct {
        self.attributes.clone()
    }
    fn buffer_limit(&self, _direction: Direction) -> usize {
        self.limit
    }
    fn header_limits(&self, _direction: Direction) -> HeaderLimits {
        self.header_limits
    }
    fn is_upgrade(&self) -> bool {
        self.upgrade
    }
    fn is_http2(&self) -> bool {
        self.http2
    }
}
