//! What is spoken with a cluster: `HttpProtocolOptions` and its old spelling.

use std::time::Duration;

use tollgate_model::cluster::UpstreamProtocol;

use super::schema::{
    EXPLICIT_HTTP_CONFIG, HTTP_PROTOCOL_OPTIONS, UPSTREAM_COMMON_HTTP_PROTOCOL_OPTIONS,
    UPSTREAM_HTTP1_PROTOCOL_OPTIONS,
};
use crate::{
    envoy::protocol_options::read_http2_options,
    schema::{Message, Value},
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
    let Some(explicit) = message
        .required_one_of(&["explicit_http_config"])
        .and_then(|(_, explicit)| explicit.message(&EXPLICIT_HTTP_CONFIG))
    else {
        return;
    };
    match explicit.required_one_of(&["http_protocol_options", "http2_protocol_options"]) {
        Some(("http2_protocol_options", value)) => {
            protocol.protocol = UpstreamProtocol::Http2(read_http2_options(Some(&value)));
        }
        Some((_, value)) => protocol.protocol = read_http1(&value),
        None => {}
    }
}

fn read_old_fields(cluster: &Message<'_>, protocol: &mut Protocol<'_>) {
    if let Some(common) = cluster.get("common_http_protocol_options") {
        read_common(&common, protocol);
    }
    let http1 = cluster.get("http_protocol_options").map(|value| read_http1(&value));
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

fn read_http1(value: &Value<'_>) -> UpstreamProtocol {
    let enable_trailers = value
        .message(&UPSTREAM_HTTP1_PROTOCOL_OPTIONS)
        .is_some_and(|message| message.boolean("enable_trailers", false));
    UpstreamProtocol::Http1 { enable_trailers }
}
