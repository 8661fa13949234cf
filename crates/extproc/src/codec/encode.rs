//! `ProcessingRequest`s written straight from the data plane's messages, without message structs or strings between.
//!
//! Two passes, sizes and then bytes, into one buffer of exactly the right size. The result starts with the gRPC prefix.

use bytes::{BufMut, BytesMut};
use http::HeaderMap;
use prost::Message;
use smallvec::SmallVec;

use super::wire::{bytes_len, field_len, put_bytes, put_field, put_small, small_len};
use crate::{
    forward::ForwardRules,
    http_message::{Direction, RequestHeaders, ResponseHeaders},
    messages::Struct,
    metadata::MetadataContext,
    mode::BodySendMode,
    slices::Slices,
};

/// The key of the attributes, whatever the filter's name.
const ATTRIBUTES_KEY: &str = "envoy.filters.http.ext_proc";
/// Body pieces of this size and more travel behind the message instead of being copied into it.
const SEPARATE_PAYLOAD: usize = 16 * 1024;
/// gRPC: compressed flag and length.
const PREFIX: usize = 5;

/// A head to encode.
#[derive(Debug, Clone, Copy)]
pub enum HeadersRef<'a> {
    /// Of a request of HTTP/1.
    Request(&'a RequestHeaders),
    /// Of a request of HTTP/2, whose pseudo-headers stand in another order: the one in which most clients send them.
    Http2Request(&'a RequestHeaders),
    /// Of a response.
    Response(&'a ResponseHeaders),
}

/// What the processor is told of the configuration with the first message (L-3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProtocolConfig {
    /// Request body mode in force.
    pub request_body_mode: BodySendMode,
    /// Response body mode in force.
    pub response_body_mode: BodySendMode,
    /// STREAMED bodies are sent before the header reply.
    pub send_body_without_waiting_for_header_response: bool,
}

/// What goes with every message (L-3, L-4).
#[derive(Debug, Clone)]
pub struct Envelope<'a> {
    /// On the first message only.
    pub protocol_config: Option<ProtocolConfig>,
    /// On the first message of a direction only.
    pub attributes: Option<&'a Struct>,
    /// On every message, possibly empty.
    pub metadata_context: MetadataContext<'a>,
    /// True on every message in observability mode.
    pub observability_mode: bool,
}

/// Appends a framed headers message: pseudo-headers first, then the fields in their order, raw values only (E-1, E-2).
pub fn encode_headers(
    out: &mut BytesMut,
    direction: Direction,
    head: HeadersRef<'_>,
    end_of_stream: bool,
    rules: &ForwardRules,
    envelope: &Envelope<'_>,
) {
    let entries = Entries::of_head(head, rules);
    let map_len = entries.encoded_len();
    let content = field_len(map_len) + small_len(u8::from(end_of_stream));
    let tag = match direction {
        Direction::Request => 2,
        Direction::Response => 3,
    };
    start(out, tag, content, envelope, 0);
    put_field(out, 1, map_len);
    entries.put(out);
    put_small(out, 3, u8::from(end_of_stream));
}

/// Appends a framed trailers message.
pub fn encode_trailers(
    out: &mut BytesMut,
    direction: Direction,
    trailers: &HeaderMap,
    rules: &ForwardRules,
    envelope: &Envelope<'_>,
) {
    let mut entries = Entries::default();
    entries.add_fields(trailers, rules);
    let map_len = entries.encoded_len();
    let tag = match direction {
        Direction::Request => 6,
        Direction::Response => 7,
    };
    start(out, tag, field_len(map_len), envelope, 0);
    put_field(out, 1, map_len);
    entries.put(out);
}

/// Appends a framed body message. Large bodies are not copied: they are given back, to be sent behind what was
/// appended. Otherwise the result is empty.
#[must_use = "the payload must be sent behind the message"]
pub fn encode_body(
    out: &mut BytesMut,
    direction: Direction,
    body: Slices,
    end_of_stream: bool,
    envelope: &Envelope<'_>,
) -> Slices {
    let length = body.len();
    let content = bytes_len(length) + small_len(u8::from(end_of_stream));
    let tag = match direction {
        Direction::Request => 4,
        Direction::Response => 5,
    };
    let separate = length >= SEPARATE_PAYLOAD;
    // The order of fields is free: with the flag before the bytes these can stand at the very end.
    start(out, tag, content, envelope, if separate { length } else { 0 });
    put_small(out, 2, u8::from(end_of_stream));
    if separate {
        put_field(out, 1, length);
        return body;
    }
    if length > 0 {
        put_field(out, 1, length);
        body.iter().for_each(|slice| out.put_slice(slice));
    }
    Slices::new()
}

/// Writes the gRPC prefix, the envelope and the start of the part, which comes last. `outside` bytes of the content are
/// sent from elsewhere.
fn start(out: &mut BytesMut, tag: u32, content: usize, envelope: &Envelope<'_>, outside: usize) {
    let metadata = metadata_len(&envelope.metadata_context);
    let attributes = envelope.attributes.map(|attributes| {
        let values = attributes.encoded_len();
        (attributes, values, field_len(ATTRIBUTES_KEY.len()) + field_len(values))
    });
    let config = envelope.protocol_config.map(|config| {
        let members = [
            config.request_body_mode as u8,
            config.response_body_mode as u8,
            u8::from(config.send_body_without_waiting_for_header_response),
        ];
        (members, members.iter().map(|member| small_len(*member)).sum::<usize>())
    });
    let length = field_len(content)
        + field_len(metadata)
        + attributes.map_or(0, |(.., entry)| field_len(entry))
        + small_len(u8::from(envelope.observability_mode))
        + config.map_or(0, |(_, members)| field_len(members));
    out.reserve(PREFIX + length - outside);
    out.put_u8(0);
    // A message is bounded by the buffer limits, far below 4 GiB.
    out.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    put_field(out, 8, metadata);
    put_metadata(out, &envelope.metadata_context);
    if let Some((attributes, values, entry)) = attributes {
        put_field(out, 9, entry);
        put_bytes(out, 1, ATTRIBUTES_KEY.as_bytes());
        put_field(out, 2, values);
        put_message(out, attributes);
    }
    put_small(out, 10, u8::from(envelope.observability_mode));
    if let Some((members, length)) = config {
        put_field(out, 11, length);
        for (tag, member) in (1..).zip(members) {
            put_small(out, tag, member);
        }
    }
    put_field(out, tag, content);
}

fn put_message(out: &mut BytesMut, message: &impl Message) {
    // Fails only without room, and `BytesMut` grows.
    let encoded = message.encode(out);
    debug_assert!(encoded.is_ok());
}

/// Bytes of a `Metadata`.
fn metadata_len(context: &MetadataContext<'_>) -> usize {
    let namespace = |name: &str, value| field_len(namespace_len(name, value));
    let untyped = context.untyped().iter().map(|(name, values)| namespace(name, values.encoded_len()));
    let typed = context.typed().iter().map(|(name, value)| namespace(name, value.encoded_len()));
    untyped.chain(typed).sum()
}

/// `Metadata { filter_metadata = 1, typed_filter_metadata = 2 }`.
fn put_metadata(out: &mut BytesMut, context: &MetadataContext<'_>) {
    for (name, values) in context.untyped() {
        put_namespace(out, 1, name, *values);
    }
    for (name, value) in context.typed() {
        put_namespace(out, 2, name, *value);
    }
}

/// Bytes of an entry of a map: a name and an encoded value.
const fn namespace_len(name: &str, value: usize) -> usize {
    bytes_len(name.len()) + bytes_len(value)
}

/// An entry of a map; an empty value is absent in it.
fn put_namespace(out: &mut BytesMut, tag: u32, name: &str, value: &impl Message) {
    let length = value.encoded_len();
    put_field(out, tag, namespace_len(name, length));
    put_bytes(out, 1, name.as_bytes());
    if length > 0 {
        put_field(out, 2, length);
        put_message(out, value);
    }
}

/// What goes to the processor of a header map. The rules are asked once for each header, they may be regular expressions.
#[derive(Default)]
struct Entries<'h>(SmallVec<[(&'h str, &'h [u8]); 32]>);

impl<'h> Entries<'h> {
    fn of_head(head: HeadersRef<'h>, rules: &ForwardRules) -> Self {
        let mut entries = Self::default();
        match head {
            HeadersRef::Request(request) | HeadersRef::Http2Request(request) => {
                let authority = (":authority", request.authority.as_bytes());
                let path = (":path", request.path.as_bytes());
                let method = (":method", request.method.as_str().as_bytes());
                let scheme = (":scheme", request.scheme.as_bytes());
                // E-2
                let order = match head {
                    HeadersRef::Http2Request(_) => [method, scheme, authority, path],
                    _ => [authority, path, method, scheme],
                };
                entries.0.extend(order.into_iter().filter(|(name, _)| rules.forwards(name)));
                entries.add_fields(&request.fields, rules);
            }
            HeadersRef::Response(response) => {
                if rules.forwards(":status") {
                    entries.0.push((":status", response.status.as_str().as_bytes()));
                }
                entries.add_fields(&response.fields, rules);
            }
        }
        entries
    }

    fn add_fields(&mut self, fields: &'h HeaderMap, rules: &ForwardRules) {
        for (name, value) in fields {
            if rules.forwards(name.as_str()) {
                self.0.push((name.as_str(), value.as_bytes()));
            }
        }
    }

    fn encoded_len(&self) -> usize {
        self.0.iter().map(|(name, value)| entry_field_len(name, value)).sum()
    }

    fn put(&self, out: &mut BytesMut) {
        for (name, value) in &self.0 {
            put_entry(out, name, value);
        }
    }
}

/// `HeaderValue { key = 1, raw_value = 3 }` as an entry of `HeaderMap.headers = 1`.
const fn entry_field_len(name: &str, value: &[u8]) -> usize {
    field_len(bytes_len(name.len()) + bytes_len(value.len()))
}

/// Runs for each header of each message.
#[inline]
fn put_entry(out: &mut BytesMut, name: &str, value: &[u8]) {
    put_field(out, 1, bytes_len(name.len()) + bytes_len(value.len()));
    put_bytes(out, 1, name.as_bytes());
    put_bytes(out, 3, value);
}

#[cfg(test)]
mod tests;
