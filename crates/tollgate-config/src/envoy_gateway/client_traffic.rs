//! ClientTrafficPolicy: of it the limit of buffered bodies, which decides what processors can be sent (EG-37).

use super::{
    others::not_left_out,
    targets::{Targets, read_targets},
};
use crate::{
    kubernetes::values::quantity,
    protobuf::{Schema, Value, no_effect, read},
};

/// How listeners treat clients.
#[derive(Debug)]
pub(crate) struct ClientTrafficPolicy {
    pub(super) targets: Targets,
    /// Bytes; `None` = that of the gateway.
    pub(super) buffer_limit: Option<usize>,
}

const OF_THE_GATEWAY: &str = "the settings of the gateway itself hold";
const NOT_LEFT_OUT: &str =
    "Not implemented: a policy that has it is invalid, and what it is for answers 500.";

/// Fields that protect or limit something; what is left out would be open. With the fields in which they stand.
const PROTECTING: [(&str, &str); 6] = [
    ("tls", ""),
    ("path", ""),
    ("headers", ""),
    ("clientIPDetection", ""),
    ("timeout", ""),
    ("connectionLimit", "connection"),
];

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
        no_effect("mergeType", OF_THE_GATEWAY),
        no_effect("tcpKeepalive", "the settings of the operating system hold"),
        no_effect("enableProxyProtocol", "connections begin without a PROXY header"),
        no_effect("proxyProtocol", "connections begin without a PROXY header"),
        read("clientIPDetection", "", NOT_LEFT_OUT),
        read("tls", "", NOT_LEFT_OUT),
        read("path", "", NOT_LEFT_OUT),
        read("headers", "", NOT_LEFT_OUT),
        read("timeout", "", NOT_LEFT_OUT),
        no_effect("http1", OF_THE_GATEWAY),
        no_effect("http2", OF_THE_GATEWAY),
        no_effect("http3", "HTTP/3 is not served"),
        no_effect("healthCheck", OF_THE_GATEWAY),
        no_effect("scheme", OF_THE_GATEWAY),
    ],
    unsupported: &[],
};

static CONNECTION: Schema = Schema {
    name: "ClientConnection",
    title: "",
    fields: &[
        read("bufferLimit", "32Ki", "Limit of buffered bodies of HTTP/1, bytes."),
        read("connectionLimit", "", NOT_LEFT_OUT),
        no_effect("socketBufferLimit", "the settings of the operating system hold"),
        no_effect("maxAcceptPerSocketEvent", "connections are accepted one by one"),
    ],
    unsupported: &[],
};

pub(super) fn read_client_traffic_policy(value: &Value<'_>) -> Option<ClientTrafficPolicy> {
    let spec = value.message(&SPEC)?;
    let connection = spec.message("connection", &CONNECTION);
    for (name, within) in PROTECTING {
        let message = if within.is_empty() { Some(&spec) } else { connection.as_ref() };
        if let Some(field) = message.and_then(|message| message.get(name)) {
            not_left_out(name, &field);
        }
    }
    let limit = connection.and_then(|connection| connection.get("bufferLimit"));
    let limit = limit.and_then(|limit| {
        let bytes = quantity(&limit)?;
        let bytes = u32::try_from(bytes).ok().and_then(|bytes| usize::try_from(bytes).ok());
        if bytes.is_none() {
            limit.error(format!("must be at most {} bytes", u32::MAX));
        }
        bytes
    });
    Some(ClientTrafficPolicy { targets: read_targets(&spec), buffer_limit: limit })
}
