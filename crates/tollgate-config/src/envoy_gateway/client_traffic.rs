//! ClientTrafficPolicy: of it the limit of buffered bodies, which decides what processors can be sent (EG-37).

use super::targets::{Targets, read_targets};
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
        no_effect("clientIPDetection", OF_THE_GATEWAY),
        no_effect("tls", "write it in the listener"),
        no_effect("path", OF_THE_GATEWAY),
        no_effect("headers", OF_THE_GATEWAY),
        no_effect("timeout", OF_THE_GATEWAY),
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
        no_effect("connectionLimit", "connections are not limited"),
        no_effect("socketBufferLimit", "the settings of the operating system hold"),
        no_effect("maxAcceptPerSocketEvent", "connections are accepted one by one"),
    ],
    unsupported: &[],
};

pub(super) fn read_client_traffic_policy(value: &Value<'_>) -> Option<ClientTrafficPolicy> {
    let spec = value.message(&SPEC)?;
    let limit = spec.message("connection", &CONNECTION).and_then(|connection| connection.get("bufferLimit"));
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
