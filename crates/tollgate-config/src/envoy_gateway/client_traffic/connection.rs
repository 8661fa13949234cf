//! `connection` and `timeout`.

use super::limit;
use crate::{
    envoy_gateway::ClientSettings,
    kubernetes::values::quantity,
    schema::{Schema, Value, harmless, read, unimplemented},
};

static CONNECTION: Schema = Schema {
    name: "ClientConnection",
    title: "",
    fields: &[
        read("bufferLimit", "32Ki", "Limit of buffered bodies of HTTP/1, bytes."),
        read("connectionLimit", "{}", "How many connections there may be, and how long they may live."),
        harmless("socketBufferLimit", "the settings of the operating system hold"),
        harmless("maxAcceptPerSocketEvent", "connections are accepted one by one"),
    ],
    unsupported: &[],
};

static CONNECTION_LIMIT: Schema = Schema {
    name: "ConnectionLimit",
    title: "",
    fields: &[
        read("value", "any number", "Maximum number of connections; further ones are closed."),
        unimplemented("closeDelay", "connections over the limit are closed immediately"),
        read("maxConnectionDuration", "unlimited", "Maximum lifetime of a connection."),
        read("maxRequestsPerConnection", "unlimited", "Maximum number of requests on a connection."),
        read("maxStreamDuration", "unlimited", "Maximum lifetime of a request."),
    ],
    unsupported: &[],
};

pub(super) fn read_connection(value: &Value<'_>, settings: &mut ClientSettings) {
    let Some(message) = value.message(&CONNECTION) else { return };
    settings.buffer_limit = message.get("bufferLimit").and_then(|limit| {
        let bytes = quantity(&limit)?;
        let bytes = u32::try_from(bytes).ok().and_then(|bytes| usize::try_from(bytes).ok());
        if bytes.is_none() {
            limit.error(format!("must be at most {} bytes", u32::MAX));
        }
        bytes
    });
    let Some(limits) = message.message("connectionLimit", &CONNECTION_LIMIT) else { return };
    let most = limits.get("value").and_then(|value| value.integer(1..=i64::MAX));
    settings.max_connections = most.and_then(|most| u64::try_from(most).ok());
    settings.http.max_connection_duration = limit(&limits, "maxConnectionDuration");
    settings.http.max_stream_duration = limit(&limits, "maxStreamDuration");
    settings.http.max_requests_per_connection =
        limits.u32("maxRequestsPerConnection").filter(|most| *most > 0);
}

static TIMEOUT: Schema = Schema {
    name: "ClientTimeout",
    title: "",
    fields: &[read("tcp", "{}", "Of connections."), read("http", "{}", "Of HTTP.")],
    unsupported: &[],
};

static TCP_TIMEOUT: Schema = Schema {
    name: "TCPClientTimeout",
    title: "",
    fields: &[
        harmless("idleTimeout", "it is for listeners of TCP and TLS"),
        read("tlsHandshakeTimeout", "15s", "Time for a TLS handshake."),
        read("connectionInspectionTimeout", "15s", "Time for the first bytes of a connection with TLS."),
    ],
    unsupported: &[],
};

static HTTP_TIMEOUT: Schema = Schema {
    name: "HTTPClientTimeout",
    title: "",
    fields: &[
        read("requestReceivedTimeout", "none", "Time for a whole request to arrive."),
        read("requestHeadersReceivedTimeout", "none", "Time for the head of a request to arrive."),
        read("idleTimeout", "1h", "A connection without requests is closed after this."),
        read("streamIdleTimeout", "5m", "A request on which nothing moves is ended after this."),
    ],
    unsupported: &[],
};

pub(super) fn read_timeout(value: &Value<'_>, settings: &mut ClientSettings) {
    let Some(message) = value.message(&TIMEOUT) else { return };
    if let Some(tcp) = message.message("tcp", &TCP_TIMEOUT) {
        settings.handshake_timeout = limit(&tcp, "tlsHandshakeTimeout");
        settings.inspection_timeout = limit(&tcp, "connectionInspectionTimeout");
    }
    if let Some(message) = message.message("http", &HTTP_TIMEOUT) {
        let http = &mut settings.http;
        http.request_timeout = limit(&message, "requestReceivedTimeout");
        http.request_headers_timeout = limit(&message, "requestHeadersReceivedTimeout");
        http.idle_timeout = limit(&message, "idleTimeout");
        http.stream_idle_timeout = limit(&message, "streamIdleTimeout");
    }
}
