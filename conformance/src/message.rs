//! A message as a processor received it, decoded with the public protobuf definitions.

use envoy_types::pb::envoy::{
    config::core::v3::HeaderMap,
    extensions::filters::http::ext_proc::v3::processing_mode::BodySendMode,
    service::ext_proc::v3::{
        HttpBody, HttpHeaders, HttpTrailers, ProcessingRequest, processing_request::Request,
    },
};
use serde_json::{Map, Value, json};

use crate::scenario::{
    structs::from_struct,
    text::{Field, from_latin1, show},
};

/// One `ProcessingRequest`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Message {
    /// Name of the member of the oneof, or `nothing`.
    pub kind: String,
    /// Headers or trailers.
    pub headers: Vec<Field>,
    /// Body.
    pub body: Vec<u8>,
    /// `end_of_stream`; false for trailers, which have no such field.
    pub end_of_stream: bool,
    /// The members around the oneof that are set, as JSON.
    pub context: Map<String, Value>,
    /// A header came in `value` instead of `raw_value`, which must never be (E-1).
    pub uses_value: bool,
}

impl Message {
    /// Takes a decoded message apart.
    pub(crate) fn new(request: &ProcessingRequest) -> Self {
        let mut message = match &request.request {
            None => Self { kind: "nothing".to_owned(), ..Self::default() },
            Some(Request::RequestHeaders(headers)) => Self::headers("request_headers", headers),
            Some(Request::ResponseHeaders(headers)) => Self::headers("response_headers", headers),
            Some(Request::RequestBody(body)) => Self::body("request_body", body),
            Some(Request::ResponseBody(body)) => Self::body("response_body", body),
            Some(Request::RequestTrailers(trailers)) => Self::trailers("request_trailers", trailers),
            Some(Request::ResponseTrailers(trailers)) => Self::trailers("response_trailers", trailers),
        };
        message.context = context(request);
        message
    }

    fn map(kind: &str, map: Option<&HeaderMap>) -> Self {
        let entries = map.map_or(&[][..], |map| &map.headers);
        Self {
            kind: kind.to_owned(),
            headers: entries.iter().map(|entry| (entry.key.clone(), entry.raw_value.clone())).collect(),
            uses_value: entries.iter().any(|entry| !entry.value.is_empty()),
            ..Self::default()
        }
    }

    fn headers(kind: &str, headers: &HttpHeaders) -> Self {
        Self { end_of_stream: headers.end_of_stream, ..Self::map(kind, headers.headers.as_ref()) }
    }

    fn trailers(kind: &str, trailers: &HttpTrailers) -> Self {
        Self::map(kind, trailers.trailers.as_ref())
    }

    fn body(kind: &str, body: &HttpBody) -> Self {
        Self {
            kind: kind.to_owned(),
            body: body.body.clone(),
            end_of_stream: body.end_of_stream,
            ..Self::default()
        }
    }

    /// One line for the transcript.
    pub(crate) fn describe(&self) -> String {
        let end = if self.end_of_stream { " end_of_stream" } else { "" };
        let inside = if self.kind.ends_with("_body") {
            show(&self.body)
        } else {
            let fields: Vec<String> =
                self.headers.iter().map(|(name, value)| format!("{name}: {}", from_latin1(value))).collect();
            let text = fields.join(", ");
            if text.len() > 1000 { format!("{} headers", fields.len()) } else { format!("[{text}]") }
        };
        let context =
            if self.context.is_empty() { String::new() } else { format!(" {}", json!(self.context)) };
        format!("{} {inside}{end}{context}", self.kind)
    }
}

fn mode(number: i32) -> Value {
    BodySendMode::try_from(number).map_or_else(|_| json!(number), |mode| json!(mode.as_str_name()))
}

fn context(request: &ProcessingRequest) -> Map<String, Value> {
    let mut context = Map::new();
    if let Some(config) = &request.protocol_config {
        let value = json!({
            "request_body_mode": mode(config.request_body_mode),
            "response_body_mode": mode(config.response_body_mode),
            "send_body_without_waiting_for_header_response": config.send_body_without_waiting_for_header_response,
        });
        context.insert("protocol_config".to_owned(), value);
    }
    if !request.attributes.is_empty() {
        let all: Map<String, Value> =
            request.attributes.iter().map(|(key, fields)| (key.clone(), from_struct(fields))).collect();
        context.insert("attributes".to_owned(), Value::Object(all));
    }
    if let Some(metadata) = &request.metadata_context {
        let mut value = Map::new();
        if !metadata.filter_metadata.is_empty() {
            let plain: Map<String, Value> = metadata
                .filter_metadata
                .iter()
                .map(|(key, fields)| (key.clone(), from_struct(fields)))
                .collect();
            value.insert("filter_metadata".to_owned(), Value::Object(plain));
        }
        if !metadata.typed_filter_metadata.is_empty() {
            let typed: Map<String, Value> = metadata
                .typed_filter_metadata
                .iter()
                .map(|(key, any)| {
                    (key.clone(), json!({"@type": any.type_url, "value": from_latin1(&any.value)}))
                })
                .collect();
            value.insert("typed_filter_metadata".to_owned(), Value::Object(typed));
        }
        context.insert("metadata_context".to_owned(), Value::Object(value));
    }
    if request.observability_mode {
        context.insert("observability_mode".to_owned(), Value::Bool(true));
    }
    context
}
