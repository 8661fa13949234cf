//! A scenario as it is written in a file, see `conformance/README.md`.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::{Map, Value};

pub(crate) mod condition;
pub(crate) mod expect;
pub(crate) mod load;
pub(crate) mod reply;
pub(crate) mod steps;
pub(crate) mod structs;
pub(crate) mod text;
pub(crate) mod wire;

use expect::Expect;
use steps::{ProcessorAction, ProcessorStep, SendStep};
use text::{Fields, Payload, Span};

/// One scenario, with the overlay of one gateway applied.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    /// Rule and what it says, for example `B-4.4 whole body before the header reply`.
    pub name: String,
    /// Play it in a gateway process of its own.
    #[serde(default)]
    pub alone: bool,
    /// Longest wait of any single step; 5 s unless given.
    #[serde(default = "default_deadline")]
    pub deadline: Span,
    /// The configuration must be refused with a message that contains this text. Nothing is played.
    pub refused: Option<String>,
    /// The configuration must be accepted. Nothing is played.
    #[serde(default)]
    pub loads: bool,
    /// The one ext_proc filter.
    pub filter: Option<Value>,
    /// Several HTTP filters, in order (the router is added).
    #[serde(default)]
    pub filters: Vec<Filter>,
    /// Laid over the HTTP connection manager.
    #[serde(default)]
    pub hcm: Map<String, Value>,
    /// Laid over the listener.
    #[serde(default)]
    pub listener: Map<String, Value>,
    /// Further filter chains, in front of the one with all of this.
    #[serde(default)]
    pub filter_chains: Vec<Value>,
    /// The routes of the one virtual host.
    pub routes: Option<Vec<Value>>,
    /// All virtual hosts.
    pub virtual_hosts: Option<Vec<Value>>,
    /// Laid over clusters, by name (`upstream`, `processor`, `processor2`...); an unknown name adds a cluster.
    #[serde(default)]
    pub clusters: BTreeMap<String, Map<String, Value>>,
    /// Runtime values, in one static layer.
    #[serde(default)]
    pub runtime: Map<String, Value>,
    /// Laid over the whole bootstrap.
    #[serde(default)]
    pub bootstrap: Map<String, Value>,
    /// Further fields of the JSON access log: name and operator.
    #[serde(default)]
    pub log_format: BTreeMap<String, String>,
    /// The filter of the access log.
    pub log_filter: Option<Value>,
    /// Fields of the JSON log of the listener, which has a line for each connection: name and operator.
    #[serde(default)]
    pub connection_log: BTreeMap<String, String>,
    /// Requests that clients send before, one after the other, each on a connection of its own.
    #[serde(default)]
    pub before: Vec<Request>,
    /// What the client sends.
    #[serde(default)]
    pub request: Request,
    /// What the upstream answers: the n-th request gets the n-th entry, the last one repeats.
    #[serde(default)]
    pub upstream: Upstreams,
    /// Further upstream clusters, by name.
    #[serde(default)]
    pub upstreams: BTreeMap<String, Upstreams>,
    /// What the processor does.
    pub processor: Option<ProcessorScript>,
    /// The same for several processors (`$processor`, `$processor2`...), one a filter unless a filter says otherwise.
    #[serde(default)]
    pub processors: Vec<ProcessorScript>,
    /// What must be seen.
    #[serde(default)]
    pub expect: Expect,
}

fn default_deadline() -> Span {
    Span(std::time::Duration::from_secs(5))
}

impl Scenario {
    /// Whether only loading is tested.
    pub(crate) fn only_config(&self) -> bool {
        self.loads || self.refused.is_some()
    }

    /// The HTTP filters in order.
    pub(crate) fn filters(&self) -> Vec<Filter> {
        if self.filters.is_empty() {
            vec![Filter { config: self.filter.clone().unwrap_or_default(), ..Filter::default() }]
        } else {
            self.filters.clone()
        }
    }

    /// The processors that run: one a filter, or as many as have a script.
    pub(crate) fn processors(&self) -> Vec<ProcessorScript> {
        let mut scripts = self.processors.clone();
        if let (true, Some(script)) = (scripts.is_empty(), &self.processor) {
            scripts.push(script.clone());
        }
        let filters = self.filters().iter().filter(|filter| filter.typed_config.is_none()).count();
        while scripts.len() < filters.max(1) {
            scripts.push(ProcessorScript::default());
        }
        scripts
    }

    fn check(&self) -> Result<(), String> {
        if self.filter.is_some() && !self.filters.is_empty() {
            return Err("both filter and filters".to_owned());
        }
        if self.processor.is_some() && !self.processors.is_empty() {
            return Err("both processor and processors".to_owned());
        }
        if self.routes.is_some() && self.virtual_hosts.is_some() {
            return Err("both routes and virtual_hosts".to_owned());
        }
        if self.request.body.is_some() && self.request.send.is_some() {
            return Err("request: both body and send".to_owned());
        }
        Ok(())
    }
}

/// One entry of the HTTP filter chain.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Filter {
    /// Name in the chain; `envoy.filters.http.ext_proc` for the first, with `.2`, `.3`... for the others.
    pub name: Option<String>,
    /// `disabled` of the chain entry.
    pub disabled: Option<bool>,
    /// The `ExternalProcessor`, without `grpc_service` in the usual case.
    pub config: Value,
    /// Another filter: the whole `typed_config`.
    pub typed_config: Option<Value>,
    /// It runs behind the router, for each attempt.
    pub upstream: bool,
}

/// Protocol spoken with the gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Protocol {
    /// HTTP/1.1, with every byte under control.
    #[default]
    Http1,
    /// HTTP/2 with prior knowledge.
    Http2,
}

/// What the client sends.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Method.
    pub method: String,
    /// Request target.
    pub path: String,
    /// Headers; `host: example.com` is added if there is none.
    pub headers: Fields,
    /// The whole body, sent with the head in one write.
    pub body: Option<Payload>,
    /// Use chunked encoding instead of a content-length (HTTP/1.1).
    pub chunked: bool,
    /// Trailers; they imply `chunked`.
    pub trailers: Fields,
    /// The steps, when everything at once is not what is wanted.
    pub send: Option<Vec<SendStep>>,
    /// Protocol.
    pub protocol: Protocol,
    /// How long to wait for the end of the response; the deadline unless given.
    pub patience: Option<Span>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawRequest {
    line: Option<String>,
    headers: Fields,
    body: Option<Payload>,
    chunked: bool,
    trailers: Fields,
    send: Option<Vec<SendStep>>,
    protocol: Protocol,
    patience: Option<Span>,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            method: "GET".to_owned(),
            path: "/".to_owned(),
            headers: Fields::default(),
            body: None,
            chunked: false,
            trailers: Fields::default(),
            send: None,
            protocol: Protocol::default(),
            patience: None,
        }
    }
}

impl<'de> Deserialize<'de> for Request {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = match Value::deserialize(deserializer)? {
            Value::String(line) => RawRequest { line: Some(line), ..RawRequest::default() },
            other => serde_json::from_value(other).map_err(D::Error::custom)?,
        };
        let has_body = raw.body.is_some() || raw.send.is_some() || !raw.trailers.0.is_empty();
        let line =
            raw.line.unwrap_or_else(|| if has_body { "POST /".to_owned() } else { "GET /".to_owned() });
        let (method, path) =
            line.split_once(' ').ok_or_else(|| D::Error::custom("a request line is `METHOD /path`"))?;
        Ok(Self {
            method: method.to_owned(),
            path: path.to_owned(),
            headers: raw.headers,
            body: raw.body,
            chunked: raw.chunked || !raw.trailers.0.is_empty(),
            trailers: raw.trailers,
            send: raw.send,
            protocol: raw.protocol,
            patience: raw.patience,
        })
    }
}

/// When an upstream begins to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Respond {
    /// When the request has come to its end.
    Complete,
    /// As soon as the request head is there.
    Head,
}

/// What an upstream answers to one request.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Upstream {
    /// Status code.
    pub status: u16,
    /// Headers.
    pub headers: Fields,
    /// The whole body.
    pub body: Payload,
    /// Use chunked encoding instead of a content-length.
    pub chunked: bool,
    /// Trailers; they imply `chunked`.
    pub trailers: Fields,
    /// Answer with the body of the request.
    pub echo: bool,
    /// When to begin: after the whole request, or with its head if there are steps.
    pub respond: Option<Respond>,
    /// The steps, when everything at once is not what is wanted.
    pub send: Option<Vec<SendStep>>,
    /// Protocol; also configures the cluster.
    pub protocol: Protocol,
    /// Nothing listens.
    pub down: bool,
    /// It answers before the gateway is ready, which may wait for that.
    pub early: bool,
}

impl Default for Upstream {
    fn default() -> Self {
        Self {
            status: 200,
            headers: Fields::default(),
            body: Payload(b"ok".to_vec()),
            chunked: false,
            trailers: Fields::default(),
            echo: false,
            respond: None,
            send: None,
            protocol: Protocol::default(),
            down: false,
            early: false,
        }
    }
}

/// The answers of one upstream to its first, second... request.
#[derive(Clone, Debug)]
pub(crate) struct Upstreams(pub Vec<Upstream>);

impl Default for Upstreams {
    fn default() -> Self {
        Self(vec![Upstream::default()])
    }
}

impl<'de> Deserialize<'de> for Upstreams {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let all: Vec<Upstream> = match Value::deserialize(deserializer)? {
            Value::Array(many) => serde_json::from_value(Value::Array(many)).map_err(D::Error::custom)?,
            Value::String(word) if word == "down" => vec![Upstream { down: true, ..Upstream::default() }],
            one => vec![serde_json::from_value(one).map_err(D::Error::custom)?],
        };
        if all.is_empty() { Err(D::Error::custom("an upstream without answers")) } else { Ok(Self(all)) }
    }
}

/// What a processor does on its first, second... stream; the last script repeats.
#[derive(Clone, Debug)]
pub(crate) struct ProcessorScript {
    /// One script a stream.
    pub streams: Vec<Vec<ProcessorStep>>,
    /// Nothing listens.
    pub down: bool,
    /// No stream may be opened.
    pub never: bool,
}

impl Default for ProcessorScript {
    fn default() -> Self {
        let auto = ProcessorStep { action: Some(ProcessorAction::Auto), ..ProcessorStep::default() };
        Self { streams: vec![vec![auto]], down: false, never: false }
    }
}

impl<'de> Deserialize<'de> for ProcessorScript {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Streams {
            streams: Vec<Vec<ProcessorStep>>,
        }
        match Value::deserialize(deserializer)? {
            Value::String(word) => match word.as_str() {
                "auto" => Ok(Self::default()),
                "silent" => Ok(Self { streams: vec![Vec::new()], down: false, never: false }),
                "down" => Ok(Self { streams: vec![Vec::new()], down: true, never: false }),
                // What is asked nevertheless is answered, so that it is the one failure.
                "never" => Ok(Self { never: true, ..Self::default() }),
                _ => Err(D::Error::custom(
                    "a processor is auto, silent, down, never, a list of steps or {streams: [...]}",
                )),
            },
            Value::Array(steps) => {
                let steps = serde_json::from_value(Value::Array(steps)).map_err(D::Error::custom)?;
                Ok(Self { streams: vec![steps], down: false, never: false })
            }
            other => {
                let Streams { streams } = serde_json::from_value(other).map_err(D::Error::custom)?;
                Ok(Self { streams, down: false, never: false })
            }
        }
    }
}
