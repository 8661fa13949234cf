//! TLS contexts (dialects 5.6).

use tollgate_model::tls::{DownstreamTls, UpstreamTls};

use crate::protobuf::{Schema, Value, read};

pub(super) static TRANSPORT_SOCKET: Schema = Schema {
    name: "envoy.config.core.v3.TransportSocket",
    fields: &[
        read("name", "", "Any name. Required."),
        read("typed_config", "", "A TLS context or RawBuffer. Required."),
    ],
    unsupported: &[],
};

/// Reads the transport socket of a filter chain; `None` is cleartext.
pub(super) fn read_downstream_transport_socket(value: &Value<'_>) -> Option<DownstreamTls> {
    value.error("transport sockets are not supported yet");
    None
}

/// Reads the transport socket of a cluster; `None` is cleartext.
pub(super) fn read_upstream_transport_socket(value: &Value<'_>, _alpn: &str) -> Option<UpstreamTls> {
    value.error("transport sockets are not supported yet");
    None
}
