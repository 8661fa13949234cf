//! Attributes that the HTTP messages themselves tell.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::{
    grpc_status::grpc_status,
    path::{AttributePath, RequestAttribute, ResponseAttribute},
    value::AttributeValue,
};
use crate::{
    http_message::{Messages, RequestHeaders, ResponseHeaders},
    messages::{Struct, Value},
};

/// The value of an attribute that the heads and trailers tell: of `request`, all but `time`, `protocol`, `duration`,
/// `size` and `total_size`; of `response`, `code`, `grpc_status`, `headers` and `trailers`. `None` for all others and
/// where there is no value.
#[must_use]
pub fn of_messages(path: &AttributePath, messages: &Messages) -> Option<AttributeValue> {
    match path {
        AttributePath::Request(attribute) => request_attribute(*attribute, &messages.request),
        AttributePath::RequestHeader(name) => {
            request_header(name, &messages.request).map(AttributeValue::String)
        }
        AttributePath::Response(attribute) => response_attribute(*attribute, messages),
        AttributePath::ResponseHeader(name) => {
            let response = messages.response.as_ref()?;
            if name == ":status" {
                return Some(AttributeValue::String(response.status.as_str().to_owned()));
            }
            field(&response.fields, name)
        }
        AttributePath::ResponseTrailer(name) => field(messages.response_trailers.as_ref()?, name.as_str()),
        _ => None,
    }
}

/// Bytes of the names and values of a request head, pseudo-headers included; what `request.total_size` counts besides
/// the body.
#[must_use]
pub fn header_bytes(request: &RequestHeaders) -> usize {
    let pseudo: usize = pseudo_headers(request).iter().map(|(name, value)| name.len() + value.len()).sum();
    pseudo + request.fields.iter().map(|(name, value)| name.as_str().len() + value.len()).sum::<usize>()
}

fn request_attribute(attribute: RequestAttribute, request: &RequestHeaders) -> Option<AttributeValue> {
    use RequestAttribute as Attribute;
    let text = |value: &[u8]| Some(AttributeValue::Bytes(value.to_vec()));
    let path = request.path.as_bytes();
    let end_of_path = path.iter().position(|byte| *byte == b'?').unwrap_or(path.len());
    match attribute {
        Attribute::Path => text(path),
        Attribute::UrlPath => text(&path[..end_of_path]),
        Attribute::Query => text(path.get(end_of_path + 1..).unwrap_or_default()),
        Attribute::Host => text(request.authority.as_bytes()),
        Attribute::Scheme => text(request.scheme.as_bytes()),
        Attribute::Method => text(request.method.as_str().as_bytes()),
        Attribute::Referer => field(&request.fields, header::REFERER.as_str()),
        Attribute::UserAgent => field(&request.fields, header::USER_AGENT.as_str()),
        Attribute::Id => field(&request.fields, "x-request-id"),
        Attribute::Headers => {
            let mut headers = map(&request.fields);
            for (name, value) in pseudo_headers(request) {
                headers.fields.insert(name.to_owned(), Value::string(String::from_utf8_lossy(value)));
            }
            Some(AttributeValue::Map(headers))
        }
        Attribute::Time
        | Attribute::Protocol
        | Attribute::Duration
        | Attribute::Size
        | Attribute::TotalSize
        | Attribute::HeadersBytes => None,
    }
}

fn response_attribute(attribute: ResponseAttribute, messages: &Messages) -> Option<AttributeValue> {
    use ResponseAttribute as Attribute;
    let response = messages.response.as_ref();
    match attribute {
        Attribute::Code => Some(AttributeValue::Int(response?.status.as_u16().into())),
        Attribute::GrpcStatus => {
            Some(AttributeValue::Int(grpc_status(response?, messages.response_trailers.as_ref())))
        }
        Attribute::Headers => Some(AttributeValue::Map(response.map(response_map).unwrap_or_default())),
        Attribute::Trailers => {
            Some(AttributeValue::Map(messages.response_trailers.as_ref().map(map).unwrap_or_default()))
        }
        Attribute::CodeDetails
        | Attribute::Flags
        | Attribute::Size
        | Attribute::TotalSize
        | Attribute::HeadersBytes
        | Attribute::BackendLatency => None,
    }
}

fn pseudo_headers(request: &RequestHeaders) -> [(&'static str, &[u8]); 4] {
    [
        (":authority", request.authority.as_bytes()),
        (":path", request.path.as_bytes()),
        (":method", request.method.as_str().as_bytes()),
        (":scheme", request.scheme.as_bytes()),
    ]
}

fn request_header(name: &str, request: &RequestHeaders) -> Option<String> {
    let name = if name == "host" { ":authority" } else { name };
    let pseudo = pseudo_headers(request).into_iter().find(|(pseudo, _)| *pseudo == name);
    match pseudo {
        Some((_, value)) => Some(String::from_utf8_lossy(value).into_owned()),
        None => joined(&request.fields, name),
    }
}

fn response_map(response: &ResponseHeaders) -> Struct {
    let mut headers = map(&response.fields);
    headers.fields.insert(":status".to_owned(), Value::string(response.status.as_str()));
    headers
}

fn map(fields: &HeaderMap) -> Struct {
    let entry = |name: &HeaderName| {
        (name.as_str().to_owned(), Value::string(joined(fields, name.as_str()).unwrap_or_default()))
    };
    Struct { fields: fields.keys().map(entry).collect() }
}

fn field(fields: &HeaderMap, name: &str) -> Option<AttributeValue> {
    joined(fields, name).map(AttributeValue::String)
}

/// All values of a header, joined with commas.
fn joined(fields: &HeaderMap, name: &str) -> Option<String> {
    let mut values = fields.get_all(name).iter();
    let mut joined = values.next()?.as_bytes().to_vec();
    values.map(HeaderValue::as_bytes).for_each(|value| {
        joined.push(b',');
        joined.extend_from_slice(value);
    });
    Some(String::from_utf8_lossy(&joined).into_owned())
}
