//! A `ProcessingResponse` written as YAML: proto field names in snake_case, with short forms for the common cases.

use std::collections::BTreeMap;

use envoy_types::pb::{
    envoy::{
        config::core::v3::{HeaderMap, HeaderValue, HeaderValueOption},
        extensions::filters::http::ext_proc::v3::{
            ProcessingMode,
            processing_mode::{BodySendMode, HeaderSendMode},
        },
        service::ext_proc::v3::{
            BodyMutation, BodyResponse, CommonResponse, GrpcStatus, HeaderMutation, HeadersResponse,
            HttpHeaders, ImmediateResponse, ProcessingResponse, StreamedBodyResponse,
            StreamedImmediateResponse, TrailersResponse, body_mutation::Mutation,
            processing_response::Response, streamed_immediate_response,
        },
        r#type::v3::HttpStatus,
    },
    google::protobuf::{Any, BoolValue, Duration},
};
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::Value;

use super::{
    structs,
    text::{Field, Fields, HeaderText, Payload},
};

mod describe;

pub(crate) use describe::describe;

/// One reply of a scripted processor.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// "Continue unchanged" for the message received last, whatever its kind.
    Continue,
    /// Exactly this message.
    Message(Box<ProcessingResponse>),
}

impl<'de> Deserialize<'de> for Reply {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(word) if word == "continue" => Ok(Self::Continue),
            Value::String(kind) => {
                let empty = serde_json::json!({ kind: {} });
                read(empty).map_err(D::Error::custom)
            }
            other => read(other).map_err(D::Error::custom),
        }
    }
}

fn read(value: Value) -> Result<Reply, String> {
    let raw: RawReply = serde_json::from_value(value).map_err(|error| error.to_string())?;
    Ok(Reply::Message(Box::new(raw.message()?)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawReply {
    request_headers: Option<Common>,
    response_headers: Option<Common>,
    request_body: Option<Common>,
    response_body: Option<Common>,
    request_trailers: Option<Mutations>,
    response_trailers: Option<Mutations>,
    immediate_response: Option<Immediate>,
    streamed_immediate_response: Option<Streamed>,
    dynamic_metadata: Option<Value>,
    #[serde(default)]
    typed_dynamic_metadata: BTreeMap<String, TypedValue>,
    mode_override: Option<Mode>,
    override_message_timeout: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TypedValue {
    #[serde(rename = "@type")]
    type_url: String,
    #[serde(default)]
    value: Payload,
}

/// `HeadersResponse` and `BodyResponse`: either `response: {CommonResponse}` or its members directly.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Common {
    response: Option<Box<Self>>,
    status: Option<Value>,
    header_mutation: Option<RawHeaderMutation>,
    set: Option<Fields>,
    append: Option<Fields>,
    remove: Option<Vec<String>>,
    body_mutation: Option<RawBodyMutation>,
    body: Option<Payload>,
    clear_body: Option<bool>,
    streamed_response: Option<RawStreamedBody>,
    trailers: Option<Fields>,
    clear_route_cache: Option<bool>,
}

/// `TrailersResponse` and `HeaderMutation`: `header_mutation: {...}` or the short forms.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mutations {
    header_mutation: Option<RawHeaderMutation>,
    set: Option<Fields>,
    append: Option<Fields>,
    remove: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHeaderMutation {
    #[serde(default)]
    set_headers: Vec<RawOption>,
    #[serde(default)]
    remove_headers: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOption {
    header: Option<RawHeader>,
    append: Option<bool>,
    append_action: Option<Value>,
    #[serde(default)]
    keep_empty_value: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHeader {
    #[serde(default)]
    key: String,
    #[serde(default)]
    value: String,
    #[serde(default)]
    raw_value: HeaderText,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBodyMutation {
    body: Option<Payload>,
    clear_body: Option<bool>,
    streamed_response: Option<RawStreamedBody>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStreamedBody {
    #[serde(default)]
    body: Payload,
    #[serde(default)]
    end_of_stream: bool,
    #[serde(default)]
    end_of_stream_without_message: bool,
    #[serde(default)]
    grpc_message_compressed: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Immediate {
    status: Option<Value>,
    headers: Option<Mutations>,
    #[serde(default)]
    body: Payload,
    grpc_status: Option<Value>,
    #[serde(default)]
    details: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Streamed {
    headers_response: Option<StreamedHeaders>,
    body_response: Option<RawStreamedBody>,
    trailers_response: Option<Fields>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StreamedHeaders {
    headers: Option<Fields>,
    #[serde(default)]
    end_of_stream: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mode {
    request_header_mode: Option<Value>,
    response_header_mode: Option<Value>,
    request_body_mode: Option<Value>,
    response_body_mode: Option<Value>,
    request_trailer_mode: Option<Value>,
    response_trailer_mode: Option<Value>,
}

/// An enum written by name or by number; numbers may be undefined on purpose.
fn number(value: Option<Value>, by_name: impl Fn(&str) -> Option<i32>) -> Result<i32, String> {
    match value {
        None => Ok(0),
        Some(Value::String(name)) => by_name(&name).ok_or_else(|| format!("unknown enum value {name:?}")),
        Some(other) => other
            .as_i64()
            .and_then(|n| i32::try_from(n).ok())
            .ok_or_else(|| format!("not an enum value: {other}")),
    }
}

fn header_value((key, raw_value): Field) -> HeaderValue {
    HeaderValue { key, value: String::new(), raw_value }
}

#[allow(
    deprecated,
    reason = "`append` is deprecated in the API, and the only field the client consults (M-4.5)"
)]
fn option(field: Field, append: bool) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(header_value(field)),
        append: append.then_some(BoolValue { value: true }),
        append_action: 0,
        keep_empty_value: false,
    }
}

impl RawOption {
    #[allow(deprecated, reason = "see `option`")]
    fn message(self) -> Result<HeaderValueOption, String> {
        let action = number(self.append_action, |name| match name {
            "APPEND_IF_EXISTS_OR_ADD" => Some(0),
            "ADD_IF_ABSENT" => Some(1),
            "OVERWRITE_IF_EXISTS_OR_ADD" => Some(2),
            "OVERWRITE_IF_EXISTS" => Some(3),
            _ => None,
        })?;
        Ok(HeaderValueOption {
            header: self.header.map(|h| HeaderValue { key: h.key, value: h.value, raw_value: h.raw_value.0 }),
            append: self.append.map(|value| BoolValue { value }),
            append_action: action,
            keep_empty_value: self.keep_empty_value,
        })
    }
}

impl Mutations {
    fn message(self) -> Result<Option<HeaderMutation>, String> {
        let short = self.set.is_some() || self.append.is_some() || self.remove.is_some();
        match self.header_mutation {
            Some(_) if short => Err("header_mutation together with set, append or remove".to_owned()),
            Some(full) => {
                let set_headers: Result<Vec<_>, _> =
                    full.set_headers.into_iter().map(RawOption::message).collect();
                Ok(Some(HeaderMutation { set_headers: set_headers?, remove_headers: full.remove_headers }))
            }
            None if !short => Ok(None),
            None => {
                let set = self.set.unwrap_or_default().0.into_iter().map(|field| option(field, false));
                let append = self.append.unwrap_or_default().0.into_iter().map(|field| option(field, true));
                Ok(Some(HeaderMutation {
                    set_headers: set.chain(append).collect(),
                    remove_headers: self.remove.unwrap_or_default(),
                }))
            }
        }
    }
}

impl RawStreamedBody {
    fn message(self) -> StreamedBodyResponse {
        StreamedBodyResponse {
            body: self.body.0,
            end_of_stream: self.end_of_stream,
            end_of_stream_without_message: self.end_of_stream_without_message,
            grpc_message_compressed: self.grpc_message_compressed,
            ..StreamedBodyResponse::default()
        }
    }
}

impl Common {
    fn message(self) -> Result<Option<CommonResponse>, String> {
        if let Some(inner) = self.response {
            return Ok(Some(inner.message()?.unwrap_or_default()));
        }
        let status = number(self.status.clone(), |name| match name {
            "CONTINUE" => Some(0),
            "CONTINUE_AND_REPLACE" => Some(1),
            _ => None,
        })?;
        let mutations = Mutations {
            header_mutation: self.header_mutation,
            set: self.set,
            append: self.append,
            remove: self.remove,
        };
        let header_mutation = mutations.message()?;
        let long = self.body_mutation.is_some();
        let raw = self.body_mutation.unwrap_or(RawBodyMutation {
            body: self.body,
            clear_body: self.clear_body,
            streamed_response: self.streamed_response,
        });
        let mutation = match (raw.body, raw.clear_body, raw.streamed_response) {
            (None, None, None) => None,
            (Some(body), None, None) => Some(Mutation::Body(body.0)),
            (None, Some(clear), None) => Some(Mutation::ClearBody(clear)),
            (None, None, Some(streamed)) => Some(Mutation::StreamedResponse(streamed.message())),
            _ => return Err("more than one of body, clear_body and streamed_response".to_owned()),
        };
        let body_mutation = (long || mutation.is_some()).then_some(BodyMutation { mutation });
        let trailers = self
            .trailers
            .map(|fields| HeaderMap { headers: fields.0.into_iter().map(header_value).collect() });
        let given = self.status.is_some()
            || header_mutation.is_some()
            || body_mutation.is_some()
            || trailers.is_some()
            || self.clear_route_cache.is_some();
        Ok(given.then(|| CommonResponse {
            status,
            header_mutation,
            body_mutation,
            trailers,
            clear_route_cache: self.clear_route_cache.unwrap_or(false),
        }))
    }
}

fn headers_response(common: Common) -> Result<HeadersResponse, String> {
    Ok(HeadersResponse { response: common.message()? })
}

fn body_response(common: Common) -> Result<BodyResponse, String> {
    Ok(BodyResponse { response: common.message()? })
}

fn trailers_response(mutations: Mutations) -> Result<TrailersResponse, String> {
    Ok(TrailersResponse { header_mutation: mutations.message()? })
}

/// `{code: 403}` or `403`; codes outside the enum are kept as they are.
fn code(value: &Value, member: &str) -> Result<i32, String> {
    value
        .get(member)
        .unwrap_or(value)
        .as_i64()
        .and_then(|n| i32::try_from(n).ok())
        .ok_or_else(|| format!("not a status: {value}"))
}

impl Immediate {
    fn message(self) -> Result<ImmediateResponse, String> {
        let status = self.status.map(|value| code(&value, "code")).transpose()?;
        let grpc = self.grpc_status.map(|value| code(&value, "status")).transpose()?;
        Ok(ImmediateResponse {
            status: status.map(|code| HttpStatus { code }),
            headers: self.headers.unwrap_or_default().message()?,
            body: self.body.0,
            grpc_status: grpc
                .map(|status| u32::try_from(status).map(|status| GrpcStatus { status }))
                .transpose()
                .map_err(|_| "negative grpc_status".to_owned())?,
            details: self.details,
        })
    }
}

impl Streamed {
    fn message(self) -> Result<StreamedImmediateResponse, String> {
        use streamed_immediate_response::Response as Part;
        let map = |fields: Fields| HeaderMap { headers: fields.0.into_iter().map(header_value).collect() };
        let headers = self.headers_response.map(|headers| {
            Part::HeadersResponse(HttpHeaders {
                headers: headers.headers.map(map),
                end_of_stream: headers.end_of_stream,
                ..HttpHeaders::default()
            })
        });
        let body = self.body_response.map(|body| Part::BodyResponse(body.message()));
        let trailers = self.trailers_response.map(|fields| Part::TrailersResponse(map(fields)));
        let mut parts: Vec<Part> = headers.into_iter().chain(body).chain(trailers).collect();
        let response = parts.pop();
        if parts.is_empty() {
            Ok(StreamedImmediateResponse { response })
        } else {
            Err("two streamed parts".into())
        }
    }
}

impl Mode {
    fn message(self) -> Result<ProcessingMode, String> {
        let header =
            |value| number(value, |name| HeaderSendMode::from_str_name(name).map(|mode| mode as i32));
        let body = |value| number(value, |name| BodySendMode::from_str_name(name).map(|mode| mode as i32));
        Ok(ProcessingMode {
            request_header_mode: header(self.request_header_mode)?,
            response_header_mode: header(self.response_header_mode)?,
            request_body_mode: body(self.request_body_mode)?,
            response_body_mode: body(self.response_body_mode)?,
            request_trailer_mode: header(self.request_trailer_mode)?,
            response_trailer_mode: header(self.response_trailer_mode)?,
        })
    }
}

/// A protobuf duration (`0.2s`, `-1s`, `0.0005s`).
fn duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("not a protobuf duration: {text:?}");
    let number = text.strip_suffix('s').ok_or_else(bad)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let seconds: i64 = whole.parse().map_err(|_| bad())?;
    let nanos: i32 = format!("{fraction:0<9}").parse().map_err(|_| bad())?;
    Ok(Duration { seconds, nanos: if whole.starts_with('-') { -nanos } else { nanos } })
}

impl RawReply {
    fn message(self) -> Result<ProcessingResponse, String> {
        let mut parts: Vec<Response> = Vec::new();
        if let Some(common) = self.request_headers {
            parts.push(Response::RequestHeaders(headers_response(common)?));
        }
        if let Some(common) = self.response_headers {
            parts.push(Response::ResponseHeaders(headers_response(common)?));
        }
        if let Some(common) = self.request_body {
            parts.push(Response::RequestBody(body_response(common)?));
        }
        if let Some(common) = self.response_body {
            parts.push(Response::ResponseBody(body_response(common)?));
        }
        if let Some(mutations) = self.request_trailers {
            parts.push(Response::RequestTrailers(trailers_response(mutations)?));
        }
        if let Some(mutations) = self.response_trailers {
            parts.push(Response::ResponseTrailers(trailers_response(mutations)?));
        }
        if let Some(immediate) = self.immediate_response {
            parts.push(Response::ImmediateResponse(immediate.message()?));
        }
        if let Some(streamed) = self.streamed_immediate_response {
            parts.push(Response::StreamedImmediateResponse(streamed.message()?));
        }
        let response = parts.pop();
        if !parts.is_empty() {
            return Err("a reply has one of request_headers, request_body, immediate_response...".to_owned());
        }
        Ok(ProcessingResponse {
            dynamic_metadata: self.dynamic_metadata.as_ref().map(structs::to_struct).transpose()?,
            typed_dynamic_metadata: self
                .typed_dynamic_metadata
                .into_iter()
                .map(|(key, typed)| (key, Any { type_url: typed.type_url, value: typed.value.0 }))
                .collect(),
            mode_override: self.mode_override.map(Mode::message).transpose()?,
            override_message_timeout: self.override_message_timeout.as_deref().map(duration).transpose()?,
            response,
            ..ProcessingResponse::default()
        })
    }
}

#[cfg(test)]
mod tests;
