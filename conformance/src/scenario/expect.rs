//! What must have been seen at the client, the upstream, the processor, in the log and in the counters.

use std::collections::BTreeMap;

use regex::Regex;
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::Value;

use super::text::{Payload, Span, header_text};

/// All expectations of a scenario; what is not mentioned is not checked.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Expect {
    /// The response. Without it a complete response of status 200 is expected.
    pub client: ClientExpect,
    /// The request at the cluster `upstream`.
    pub upstream: Option<UpstreamExpect>,
    /// The same for further clusters, by name.
    pub upstreams: BTreeMap<String, UpstreamExpect>,
    /// What the first processor saw.
    pub processor: Option<ProcessorExpect>,
    /// What each processor saw, in order.
    pub processors: Vec<ProcessorExpect>,
    /// Fields of the last access log entry.
    pub log: BTreeMap<String, ValueExpect>,
    /// Number of access log entries; without it there must be one where `log` is given, and at most one elsewhere.
    pub log_entries: Option<usize>,
    /// Fields of the one entry in the log of connections.
    pub connection_log: BTreeMap<String, ValueExpect>,
    /// ext_proc counters, named as in Envoy's documentation, with the filter's `stat_prefix.` if it has one.
    pub counters: BTreeMap<String, u64>,
    /// Every ext_proc counter that is not listed must be 0.
    pub counters_exact: bool,
    /// Statuses of the responses to the requests that came before.
    pub before: Vec<u16>,
    /// Counters and gauges by their whole names, as `/stats` shows them.
    pub stats: BTreeMap<String, u64>,
}

/// How the exchange ended for the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ClientEnd {
    /// The response came to its end.
    #[default]
    Complete,
    /// The connection or stream was closed or reset inside the response.
    Cut,
    /// It was closed or reset before any response head.
    NoResponse,
    /// The response had not ended when the client gave up (`patience` of the request).
    Hangs,
    /// The client itself closed or reset the connection or stream before the end.
    Left,
}

/// The response as the client saw it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ClientExpect {
    /// Status code; 200 unless given (or unless there must be no response).
    pub status: Option<u16>,
    /// Headers.
    pub headers: HeadersExpect,
    /// These names must appear in this order.
    pub header_order: Vec<String>,
    /// The whole body.
    pub body: Option<BodyExpect>,
    /// The chunks of the body, exactly.
    pub chunks: Option<Vec<Payload>>,
    /// Trailers.
    pub trailers: HeadersExpect,
    /// How it ended.
    pub end: ClientEnd,
    /// Whether the gateway closed the connection after the response.
    pub connection_closed: Option<bool>,
    /// Status codes of the informational heads before the response.
    pub informational: Option<Vec<u16>>,
    /// The response must end no earlier than this after the request began.
    pub after: Option<Span>,
    /// And no later than this.
    pub within: Option<Span>,
}

/// The request as an upstream saw it.
#[derive(Clone, Debug)]
pub(crate) enum UpstreamExpect {
    /// No request head arrived at all.
    NotContacted,
    /// A request arrived.
    Request(Box<UpstreamRequest>),
}

/// How the request ended at the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum UpstreamEnd {
    /// The request came to its end.
    Complete,
    /// The connection or stream was closed or reset inside the request.
    Cut,
    /// It had neither ended nor been cut when the client was done.
    Open,
    /// One or the other, which is a race.
    Any,
}

/// The last request an upstream saw.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct UpstreamRequest {
    /// Method.
    pub method: Option<String>,
    /// Path with query.
    pub path: Option<String>,
    /// Headers (`host` also for HTTP/2).
    pub headers: HeadersExpect,
    /// These names must appear in this order.
    pub header_order: Vec<String>,
    /// The whole body.
    pub body: Option<BodyExpect>,
    /// The chunks of the body, exactly.
    pub chunks: Option<Vec<Payload>>,
    /// Trailers.
    pub trailers: HeadersExpect,
    /// How it ended; complete unless given.
    pub end: Option<UpstreamEnd>,
    /// Bytes behind the end of the request; there must be none unless they are named.
    pub after_end: Payload,
    /// The response was cut by the gateway: connection closed or stream reset before it was complete.
    pub response_cut: Option<bool>,
    /// Number of requests seen.
    pub requests: Option<usize>,
}

impl<'de> Deserialize<'de> for UpstreamExpect {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        if value.as_str() == Some("none") {
            return Ok(Self::NotContacted);
        }
        serde_json::from_value(value)
            .map(|request| Self::Request(Box::new(request)))
            .map_err(D::Error::custom)
    }
}

/// How the gateway ended its stream to the processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StreamEnd {
    /// Half-closed, reset or both (L-5: which one is seen first is a race by default).
    Closed,
    /// Half-closed first.
    HalfClosed,
    /// Reset without a half-close.
    Reset,
    /// Not ended by the gateway when everything else was over.
    Open,
    /// The script itself ended the stream.
    ByProcessor,
}

/// What a processor saw.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ProcessorExpect {
    /// Number of streams opened.
    pub streams: Option<usize>,
    /// Messages of the first stream: all of them, in this order.
    pub messages: Option<Vec<MessageExpect>>,
    /// How the first stream ended.
    pub end: Option<StreamEnd>,
    /// Request headers of the gRPC call of the first stream, pseudo-headers included.
    pub grpc_headers: HeadersExpect,
    /// The same for each stream where there are several.
    pub each: Vec<StreamExpect>,
}

/// What one stream of a processor saw.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct StreamExpect {
    /// Messages: all of them, in this order.
    pub messages: Option<Vec<MessageExpect>>,
    /// How the stream ended.
    pub end: Option<StreamEnd>,
    /// Request headers of the gRPC call.
    pub grpc_headers: HeadersExpect,
}

/// The kinds of messages a processor receives.
pub(crate) const KINDS: [&str; 6] = [
    "request_headers",
    "request_body",
    "request_trailers",
    "response_headers",
    "response_body",
    "response_trailers",
];

/// One message to the processor.
#[derive(Clone, Debug)]
pub(crate) struct MessageExpect {
    /// Its kind, one of [`KINDS`].
    pub kind: String,
    /// What is inside that member.
    pub part: PartExpect,
    /// `protocol_config`, `attributes`, `metadata_context`, `observability_mode` as JSON.
    pub context: BTreeMap<String, ValueExpect>,
    /// Which of those must be absent.
    pub without: Vec<String>,
}

/// The inside of a message: headers, trailers or a body.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PartExpect {
    /// Headers or trailers.
    pub headers: HeadersExpect,
    /// These names must appear in this order.
    pub header_order: Vec<String>,
    /// Exactly these names, in this order, repeated ones repeated.
    pub header_names: Option<Vec<String>>,
    /// The body of this message.
    pub body: Option<BodyExpect>,
    /// The body of this and the following messages of the same kind together.
    pub joined: Option<BodyExpect>,
    /// `end_of_stream` (with `joined`, of the last message).
    pub end_of_stream: Option<bool>,
}

impl<'de> Deserialize<'de> for MessageExpect {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        message(Value::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

fn message(value: Value) -> Result<MessageExpect, String> {
    let mut expect = MessageExpect {
        kind: String::new(),
        part: PartExpect::default(),
        context: BTreeMap::new(),
        without: Vec::new(),
    };
    let members = match value {
        Value::String(kind) => serde_json::Map::from_iter([(kind, Value::Null)]),
        Value::Object(map) => map,
        other => return Err(format!("expected a message kind or a map, got {other}")),
    };
    for (name, value) in members {
        if KINDS.contains(&name.as_str()) {
            if !expect.kind.is_empty() {
                return Err(format!("two kinds in one message: {} and {name}", expect.kind));
            }
            expect.part = part(&name, value)?;
            expect.kind = name;
            continue;
        }
        let read = |error: serde_json::Error| format!("{name}: {error}");
        match name.as_str() {
            "protocol_config" | "attributes" | "metadata_context" | "observability_mode" => {
                expect.context.insert(name.clone(), serde_json::from_value(value).map_err(read)?);
            }
            "without" => expect.without = serde_json::from_value(value).map_err(read)?,
            _ => return Err(format!("a message has one of {KINDS:?} and its context; got {name:?}")),
        }
    }
    if expect.kind.is_empty() { Err(format!("a message needs one of {KINDS:?}")) } else { Ok(expect) }
}

fn part(kind: &str, value: Value) -> Result<PartExpect, String> {
    let short = match &value {
        Value::Null => return Ok(PartExpect::default()),
        Value::Object(map) => {
            !map.is_empty() && map.keys().all(|k| ["hex", "repeat", "count"].contains(&k.as_str()))
        }
        _ => true,
    };
    let body_kind = kind.ends_with("_body");
    let value = if short && body_kind { serde_json::json!({ "body": value }) } else { value };
    let part: PartExpect = serde_json::from_value(value).map_err(|error| format!("{kind}: {error}"))?;
    let has_body = part.body.is_some() || part.joined.is_some();
    if has_body != body_kind && has_body {
        return Err(format!("{kind} has no body"));
    }
    Ok(part)
}

/// An expected body: exact bytes, or `{size: N}`, `{matches: REGEX}`, `{grpc: FIELDS}`.
#[derive(Clone, Debug)]
pub(crate) enum BodyExpect {
    /// Exactly these bytes.
    Exact(Vec<u8>),
    /// Any bytes of this number.
    Size(usize),
    /// Text that matches.
    Matches(Regex),
    /// One message of gRPC with these fields.
    Grpc(Value),
}

impl<'de> Deserialize<'de> for BodyExpect {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        if let Some(size) = value.get("size").and_then(Value::as_u64) {
            return usize::try_from(size).map(Self::Size).map_err(D::Error::custom);
        }
        if let Some(text) = value.get("matches").and_then(Value::as_str) {
            return Regex::new(text).map(Self::Matches).map_err(D::Error::custom);
        }
        if let Some(message) = value.get("grpc") {
            return Ok(Self::Grpc(message.clone()));
        }
        serde_json::from_value::<Payload>(value)
            .map(|payload| Self::Exact(payload.0))
            .map_err(D::Error::custom)
    }
}

/// Expected header fields, by lower-case name.
#[derive(Clone, Debug, Default)]
pub(crate) struct HeadersExpect(pub BTreeMap<String, FieldExpect>);

/// What is expected of one header name.
#[derive(Clone, Debug)]
pub(crate) enum FieldExpect {
    /// No such header (`null`).
    Absent,
    /// At least one value (`{present: true}`).
    Present,
    /// Exactly these values in this order.
    Values(Vec<Vec<u8>>),
    /// One value that matches (`{matches: REGEX}`).
    Matches(Regex),
}

impl<'de> Deserialize<'de> for HeadersExpect {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map = BTreeMap::<String, Value>::deserialize(deserializer)?;
        let mut all = BTreeMap::new();
        for (name, value) in map {
            let expect = field(&value).map_err(|error| D::Error::custom(format!("{name}: {error}")))?;
            all.insert(name.to_ascii_lowercase(), expect);
        }
        Ok(Self(all))
    }
}

fn field(value: &Value) -> Result<FieldExpect, String> {
    if value.is_null() {
        return Ok(FieldExpect::Absent);
    }
    if value.get("present").and_then(Value::as_bool) == Some(true) {
        return Ok(FieldExpect::Present);
    }
    if let Some(text) = value.get("matches").and_then(Value::as_str) {
        return Regex::new(text).map(FieldExpect::Matches).map_err(|error| error.to_string());
    }
    let values = match value {
        Value::Array(values) => values.iter().map(header_text).collect::<Result<Vec<_>, _>>()?,
        one => vec![header_text(one)?],
    };
    Ok(FieldExpect::Values(values))
}

/// An expected JSON value: maps are matched member by member (`null` = absent), `{matches: REGEX}` matches text.
#[derive(Clone, Debug)]
pub(crate) struct ValueExpect(pub Value);

impl<'de> Deserialize<'de> for ValueExpect {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        check_regexes(&value).map_err(D::Error::custom)?;
        Ok(Self(value))
    }
}

fn check_regexes(value: &Value) -> Result<(), String> {
    match value {
        Value::Object(map) => {
            if let (1, Some(text)) = (map.len(), map.get("matches").and_then(Value::as_str)) {
                return Regex::new(text).map(drop).map_err(|error| error.to_string());
            }
            map.values().try_for_each(check_regexes)
        }
        Value::Array(values) => values.iter().try_for_each(check_regexes),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn message_forms() {
        let word = message(json!("request_headers")).expect("word");
        assert_eq!(word.kind, "request_headers");
        let body = message(json!({"request_body": "abc"})).expect("short body");
        assert!(matches!(body.part.body, Some(BodyExpect::Exact(b)) if b == b"abc"));
        let full = message(
            json!({"request_body": {"joined": "abc", "end_of_stream": true}, "without": ["attributes"]}),
        );
        assert_eq!(full.expect("full").part.end_of_stream, Some(true));
        assert!(message(json!({"request_headers": null, "request_body": null})).is_err());
        assert!(message(json!({"request_headers": {"body": "x"}})).is_err());
        assert!(message(json!({"other": {}})).is_err());
    }

    #[test]
    fn header_forms() {
        let all: HeadersExpect = serde_json::from_value(
            json!({"X-A": null, "b": [1, "2"], "c": {"matches": "^x"}, "d": {"present": true}}),
        )
        .expect("headers");
        assert!(matches!(all.0["x-a"], FieldExpect::Absent));
        assert!(matches!(&all.0["b"], FieldExpect::Values(v) if v.len() == 2));
        assert!(matches!(all.0["c"], FieldExpect::Matches(_)));
        assert!(matches!(all.0["d"], FieldExpect::Present));
    }

    #[test]
    fn upstream_forms() {
        assert!(matches!(serde_json::from_value(json!("none")), Ok(UpstreamExpect::NotContacted)));
        assert!(serde_json::from_value::<UpstreamExpect>(json!({"pth": "/"})).is_err());
    }
}
