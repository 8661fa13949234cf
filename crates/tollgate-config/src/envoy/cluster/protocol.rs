//! What is spoken with a cluster: `HttpProtocolOptions` and its old spelling.

use std::time::Duration;

use tollgate_model::cluster::{EitherVersion, UpstreamProtocol};

use super::schema::{
    AUTO_HTTP_CONFIG, EXPLICIT_HTTP_CONFIG, HTTP_PROTOCOL_OPTIONS, UPSTREAM_COMMON_HTTP_PROTOCOL_OPTIONS,
    UPSTREAM_HTTP1_PROTOCOL_OPTIONS, USE_DOWNSTREAM_HTTP_CONFIG,
};
use crate::{
    envoy::protocol_options::read_http2_options,
    schema::{Message, Schema, Value},
};

pub(super) struct Protocol<'a> {
    pub(super) protocol: UpstreamProtocol,
    pub(super) idle_timeout: Option<Duration>,
    pub(super) max_requests_per_connection: Option<u32>,
    /// Filters behind the router, not yet read.
    pub(super) http_filters: Option<Value<'a>>,
    /// What is said about server names, not yet read.
    pub(super) upstream_options: Option<Value<'a>>,
}

impl Default for Protocol<'_> {
    fn default() -> Self {
        Self {
            protocol: UpstreamProtocol::Http1 { enable_trailers: false },
            idle_timeout: Some(Duration::from_secs(3600)),
            max_requests_per_connection: None,
            http_filters: None,
            upstream_options: None,
        }
    }
}

/// Which version is spoken: one of them.
const HOW: [&str; 3] = ["explicit_http_config", "auto_config", "use_downstream_protocol_config"];
const OLD_FIELDS: [&str; 3] =
    ["http2_protocol_options", "http_protocol_options", "common_http_protocol_options"];

/// Reads what is spoken with a cluster.
pub(super) fn read_protocol<'a>(cluster: &Message<'a>) -> Protocol<'a> {
    let mut protocol = Protocol::default();
    let mut options = None;
    for (key, value) in cluster.map("typed_extension_protocol_options") {
        let Some(any) = value.any() else { continue };
        if any.type_name == HTTP_PROTOCOL_OPTIONS.name {
            if key != HTTP_PROTOCOL_OPTIONS.name {
                value.error(format!("the key must be \"{}\"", HTTP_PROTOCOL_OPTIONS.name));
            }
            options = Some(any.value);
        } else {
            any.unsupported("protocol options", &[HTTP_PROTOCOL_OPTIONS.name]);
        }
    }
    match options {
        Some(options) => {
            for old in OLD_FIELDS {
                if let Some(value) = cluster.get(old) {
                    value.no_effect(format!("\"{old}\""), "HttpProtocolOptions say what counts");
                }
            }
            read_http_protocol_options(&options, &mut protocol);
        }
        None => read_old_fields(cluster, &mut protocol),
    }
    let most = cluster.u32("max_requests_per_connection").filter(|requests| *requests > 0);
    protocol.max_requests_per_connection = protocol.max_requests_per_connection.or(most);
    protocol
}

fn read_http_protocol_options<'a>(value: &Value<'a>, protocol: &mut Protocol<'a>) {
    let Some(message) = value.message(&HTTP_PROTOCOL_OPTIONS) else { return };
    protocol.http_filters = message.get("http_filters");
    protocol.upstream_options = message.get("upstream_http_protocol_options");
    if let Some(common) = message.get("common_http_protocol_options") {
        read_common(&common, protocol);
    }
    let Some((how, value)) = message.required_one_of(&HOW) else { return };
    let read = match how {
        "auto_config" => read_either(&value, &AUTO_HTTP_CONFIG).map(UpstreamProtocol::Negotiated),
        "use_downstream_protocol_config" => {
            read_either(&value, &USE_DOWNSTREAM_HTTP_CONFIG).map(UpstreamProtocol::OfClient)
        }
        _ => read_explicit(&value),
    };
    if let Some(read) = read {
        protocol.protocol = read;
    }
}

/// What `explicit_http_config` says.
fn read_explicit(value: &Value<'_>) -> Option<UpstreamProtocol> {
    let explicit = value.message(&EXPLICIT_HTTP_CONFIG)?;
    match explicit.required_one_of(&["http_protocol_options", "http2_protocol_options"])? {
        ("http2_protocol_options", value) => Some(UpstreamProtocol::Http2(read_http2_options(Some(&value)))),
        (_, value) => Some(UpstreamProtocol::Http1 { enable_trailers: read_http1(&value) }),
    }
}

/// What `auto_config` or `use_downstream_protocol_config` say about both versions.
fn read_either(value: &Value<'_>, schema: &'static Schema) -> Option<EitherVersion> {
    let message = value.message(schema)?;
    Some(EitherVersion {
        enable_trailers: message.get("http_protocol_options").is_some_and(|value| read_http1(&value)),
        http2: message.get("http2_protocol_options").map(|value| read_http2_options(Some(&value))),
    })
}

fn read_old_fields(cluster: &Message<'_>, protocol: &mut Protocol<'_>) {
    if let Some(common) = cluster.get("common_http_protocol_options") {
        read_common(&common, protocol);
    }
    let http1 = cluster
        .get("http_protocol_options")
        .map(|value| UpstreamProtocol::Http1 { enable_trailers: read_http1(&value) });
    match cluster.get("http2_protocol_options") {
        Some(value) => {
            if http1.is_some() {
                value.error(
                    "\"http_protocol_options\" and \"http2_protocol_options\" cannot be given together",
                );
            }
            protocol.protocol = UpstreamProtocol::Http2(read_http2_options(Some(&value)));
        }
        None => protocol.protocol = http1.unwrap_or_else(|| Protocol::default().protocol),
    }
}

fn read_common(value: &Value<'_>, protocol: &mut Protocol<'_>) {
    let Some(message) = value.message(&UPSTREAM_COMMON_HTTP_PROTOCOL_OPTIONS) else { return };
    protocol.idle_timeout = message.timeout("idle_timeout", protocol.idle_timeout);
    protocol.max_requests_per_connection =
        message.u32("max_requests_per_connection").filter(|requests| *requests > 0);
}

/// Whether trailers are passed on.
fn read_http1(value: &Value<'_>) -> bool {
    value
        .message(&UPSTREAM_HTTP1_PROTOCOL_OPTIONS)
        .is_some_and(|message| message.boolean("enable_trailers", false))
}
