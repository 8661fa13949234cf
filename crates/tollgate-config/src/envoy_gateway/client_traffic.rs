//! ClientTrafficPolicy: how listeners treat clients.

mod connection;
mod headers;
mod http;

use std::sync::Arc;

use super::{
    ClientSettings,
    client_settings::Limit,
    others::{NOT_LEFT_OUT, REFUSED},
    settings::read_tcp_keepalive,
    targets::read_targets,
};
use crate::{
    policies::Targets,
    schema::{Message, Schema, Value, protects, read, unimplemented},
};

/// How listeners treat clients.
#[derive(Debug)]
pub(crate) struct ClientTrafficPolicy {
    pub(super) targets: Targets,
    pub(super) settings: Arc<ClientSettings>,
}

const OF_THE_GATEWAY: &str = "the settings of the gateway itself hold";

static SPEC: Schema = Schema {
    name: "ClientTrafficPolicySpec",
    title: "",
    fields: &[
        read("targetRef", "", "Deprecated: one target."),
        read(
            "targetRefs",
            "[]",
            "What the policy is attached to: Gateways, ListenerSets and their listeners.",
        ),
        read("targetSelectors", "[]", "The same, by labels."),
        read("connection", "{}", "Connections of clients."),
        unimplemented("mergeType", OF_THE_GATEWAY),
        read("tcpKeepalive", "60s, then 4 probes every 15s", "Probes of connections without traffic."),
        unimplemented("enableProxyProtocol", "connections begin without a PROXY header"),
        unimplemented("proxyProtocol", "connections begin without a PROXY header"),
        protects("tls", REFUSED),
        protects("clientIPDetection", REFUSED),
        read("path", "{}", "How paths are made uniform."),
        read("headers", "{}", "How headers are handled."),
        read("timeout", "{}", "How long things may take."),
        read("http1", "{}", "Settings of HTTP/1."),
        read("http2", "{}", "Settings of HTTP/2."),
        unimplemented("http3", "HTTP/3 is not served"),
        unimplemented("grpc", "gRPC-Web is not translated"),
        unimplemented("healthCheck", OF_THE_GATEWAY),
        unimplemented("scheme", "requests keep the scheme of their client"),
    ],
    unsupported: &[],
};

pub(super) fn read_client_traffic_policy(value: &Value<'_>) -> Option<ClientTrafficPolicy> {
    let spec = value.message(&SPEC)?;
    spec.refuse_protections(NOT_LEFT_OUT);
    let mut settings = ClientSettings::default();
    if let Some(value) = spec.get("connection") {
        connection::read_connection(&value, &mut settings);
    }
    if let Some(value) = spec.get("timeout") {
        connection::read_timeout(&value, &mut settings);
    }
    settings.tcp_keepalive = spec.get("tcpKeepalive").and_then(|value| read_tcp_keepalive(&value));
    if let Some(value) = spec.get("path") {
        http::read_path(&value, &mut settings.http);
    }
    if let Some(value) = spec.get("headers") {
        headers::read_headers(&value, &mut settings.http);
    }
    if let Some(value) = spec.get("http1") {
        http::read_http1(&value, &mut settings.http);
    }
    if let Some(value) = spec.get("http2") {
        http::read_http2(&value, &mut settings.http);
    }
    Some(ClientTrafficPolicy { targets: read_targets(&spec), settings: Arc::new(settings) })
}

/// A time; 0 is no limit.
fn limit(message: &Message<'_>, name: &'static str) -> Limit {
    let value = message.get(name)?;
    let limit = super::settings::duration(&value)?;
    Some((!limit.is_zero()).then_some(limit))
}
