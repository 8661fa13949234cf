//! `circuitBreaker`, `timeout`, `connection`, `dns` and `http2`.

use std::ops::RangeInclusive;

use tollgate_model::{
    cluster::DnsLookupFamily,
    http_connection_manager::{Http2Keepalive, Http2Options},
    socket::TcpKeepalive,
};

use super::{BackendSettings, duration};
use crate::{
    kubernetes::values::{parse_gateway_duration, parse_go_duration, quantity},
    schema::{Enumeration, Message, Schema, Value, harmless, read, unimplemented},
};

static CIRCUIT_BREAKER: Schema = Schema {
    name: "CircuitBreaker",
    title: "",
    fields: &[
        read("maxConnections", "1024", "Most connections."),
        read("maxPendingRequests", "1024", "Maximum number of streams that wait for a connection."),
        read("maxParallelRequests", "1024", "Maximum number of concurrent streams."),
        unimplemented("maxParallelRetries", "tries of a stream are limited by retry.numRetries alone"),
        read(
            "maxRequestsPerConnection",
            "unlimited",
            "Maximum number of streams in the lifetime of a connection.",
        ),
        unimplemented("perEndpoint", "limits hold for all endpoints together"),
        unimplemented("retryBudget", "tries of a stream are limited by retry.numRetries alone"),
    ],
    unsupported: &[],
};

pub(super) fn read_circuit_breaker(value: &Value<'_>, settings: &mut BackendSettings) {
    let Some(message) = value.message(&CIRCUIT_BREAKER) else { return };
    let breakers = &mut settings.circuit_breakers;
    for (name, limit) in [
        ("maxConnections", &mut breakers.max_connections),
        ("maxPendingRequests", &mut breakers.max_pending_requests),
        ("maxParallelRequests", &mut breakers.max_requests),
    ] {
        *limit = message.u32(name).unwrap_or(*limit);
    }
    settings.max_requests_per_connection = message.u32("maxRequestsPerConnection").filter(|most| *most > 0);
}

static TIMEOUT: Schema = Schema {
    name: "Timeout",
    title: "",
    fields: &[read("tcp", "{}", "Of connections."), read("http", "{}", "Of HTTP.")],
    unsupported: &[],
};

static TCP_TIMEOUT: Schema = Schema {
    name: "TCPTimeout",
    title: "",
    fields: &[read("connectTimeout", "10s", "Time for TCP and TLS to be established.")],
    unsupported: &[],
};

static HTTP_TIMEOUT: Schema = Schema {
    name: "HTTPTimeout",
    title: "",
    fields: &[
        read("connectionIdleTimeout", "1h", "A connection without streams is closed after this; 0s = never."),
        unimplemented("maxConnectionDuration", "connections live as long as they are used"),
        harmless("requestTimeout", "a stream to a processor lasts as long as the request that it serves"),
        harmless("maxStreamDuration", "a stream to a processor lasts as long as the request that it serves"),
        unimplemented("streamIdleTimeout", "messageTimeout limits each answer of a processor"),
    ],
    unsupported: &[],
};

pub(super) fn read_timeout(value: &Value<'_>, settings: &mut BackendSettings) {
    let Some(message) = value.message(&TIMEOUT) else { return };
    if let Some(tcp) = message.message("tcp", &TCP_TIMEOUT)
        && let Some(value) = tcp.get("connectTimeout")
    {
        let text = value.string().unwrap_or_default();
        match parse_gateway_duration(&text).or_else(|| parse_go_duration(&text)) {
            Some(timeout) if !timeout.is_zero() => settings.connect_timeout = timeout,
            Some(_) => value.error("must be more than zero"),
            None => value.error(format!("Timeout: invalid ConnectTimeout value {text}.")),
        }
    }
    if let Some(http) = message.message("http", &HTTP_TIMEOUT)
        && let Some(idle) = http.get("connectionIdleTimeout").and_then(|value| duration(&value))
    {
        settings.idle_timeout = Some(idle).filter(|idle| !idle.is_zero());
    }
}

static CONNECTION: Schema = Schema {
    name: "BackendConnection",
    title: "",
    fields: &[
        unimplemented("bufferLimit", "what waits for a processor is bounded by flow control"),
        harmless("socketBufferLimit", "the settings of the operating system hold"),
        harmless("preconnect", "connections are made when they are needed"),
    ],
    unsupported: &[],
};

/// Nothing of it has a counterpart, which is said of each field.
pub(super) fn read_connection(value: &Value<'_>) {
    value.message(&CONNECTION);
}

static DNS: Schema = Schema {
    name: "DNS",
    title: "",
    fields: &[
        read("dnsRefreshRate", "30s", "How often names are looked up again."),
        read("respectDnsTtl", "true", "Use the answer's time to live instead."),
        read("lookupFamily", "IPv4Preferred", "Which addresses are asked for."),
    ],
    unsupported: &[],
};

static LOOKUP_FAMILY: Enumeration<DnsLookupFamily> = Enumeration {
    values: &[
        ("IPv4", 0, Some(DnsLookupFamily::V4Only)),
        ("IPv6", 1, Some(DnsLookupFamily::V6Only)),
        ("IPv4Preferred", 2, Some(DnsLookupFamily::V4Preferred)),
        ("IPv6Preferred", 3, Some(DnsLookupFamily::Auto)),
        ("IPv4AndIPv6", 4, Some(DnsLookupFamily::All)),
    ],
};

pub(super) fn read_dns(value: &Value<'_>, settings: &mut BackendSettings) {
    let Some(message) = value.message(&DNS) else { return };
    if let Some(value) = message.get("dnsRefreshRate")
        && let Some(rate) = duration(&value)
    {
        if rate.is_zero() {
            value.error("must be more than zero");
        }
        settings.dns.refresh_rate = rate;
    }
    settings.dns.respect_dns_ttl = message.boolean("respectDnsTtl", settings.dns.respect_dns_ttl);
    settings.lookup_family = message.get("lookupFamily").and_then(|value| value.enumeration(&LOOKUP_FAMILY));
}

static TCP_KEEPALIVE: Schema = Schema {
    name: "TCPKeepalive",
    title: "",
    fields: &[
        read("probes", "the system's", "Unanswered probes that end a connection, 1 to 127."),
        read("idleTime", "the system's", "Time without traffic before a probe, 1s to 32767s."),
        read("interval", "the system's", "Time between probes, 1s to 32767s."),
    ],
    unsupported: &[],
};

/// Whole seconds that the system takes.
const SECONDS: RangeInclusive<u64> = 1..=32_767;

pub(in crate::envoy_gateway) fn read_tcp_keepalive(value: &Value<'_>) -> Option<TcpKeepalive> {
    let message = value.message(&TCP_KEEPALIVE)?;
    let seconds = |name| {
        let value = message.get(name)?;
        let seconds = duration(&value)?.as_secs();
        if !SECONDS.contains(&seconds) {
            value.error(format!("{seconds}s is outside of {}s to {}s", SECONDS.start(), SECONDS.end()));
        }
        u32::try_from(seconds).ok()
    };
    let probes = message.get("probes").and_then(|value| value.integer(1..=127));
    Some(TcpKeepalive {
        probes: probes.and_then(|probes| u32::try_from(probes).ok()),
        time: seconds("idleTime"),
        interval: seconds("interval"),
    })
}

static HTTP2: Schema = Schema {
    name: "HTTP2Settings",
    title: "",
    fields: &[
        read("initialStreamWindowSize", "64Ki", "Window of a stream, at least 65535 bytes."),
        read("initialConnectionWindowSize", "1Mi", "Window of a connection, at least 65535 bytes."),
        read("maxConcurrentStreams", "100", "Maximum number of streams on a connection."),
        unimplemented("onInvalidMessage", "an invalid message ends its stream"),
        read("connectionKeepalive", "none", "PINGs that find peers that have disappeared."),
    ],
    unsupported: &[],
};

/// Smallest and largest window.
const WINDOWS: RangeInclusive<u64> = 65_535..=0x7fff_ffff;

fn window(value: &Value<'_>) -> Option<u32> {
    let bytes = quantity(value)?;
    if !WINDOWS.contains(&bytes) {
        value.error(format!("{bytes} is outside of {} to {}", WINDOWS.start(), WINDOWS.end()));
    }
    u32::try_from(bytes).ok()
}

static KEEPALIVE: Schema = Schema {
    name: "HTTP2KeepaliveSettings",
    title: "",
    fields: &[
        read("interval", "none", "Time between PINGs."),
        read("timeout", "", "Time for an answer. Required."),
        read("intervalJitter", "15", "Percentage that is added to the interval at random."),
        read("idleInterval", "none", "A PING goes ahead of a request after so much silence."),
    ],
    unsupported: &[],
};

/// PINGs of a connection; Envoy asks for a timeout.
pub(in crate::envoy_gateway) fn read_http2_keepalive(value: &Value<'_>) -> Option<Http2Keepalive> {
    let message = value.message(&KEEPALIVE)?;
    let time = |name| message.get(name).and_then(|value| duration(&value)).filter(|time| !time.is_zero());
    let jitter = message.get("intervalJitter").and_then(|value| value.integer(0..=100));
    let timeout = time("timeout");
    if timeout.is_none() {
        value.error("\"timeout\" is missing: how long an answer may take");
    }
    Some(Http2Keepalive {
        interval: time("interval"),
        timeout: timeout?,
        interval_jitter: jitter.map_or(15.0, |percent| percent as f64),
        connection_idle_interval: time("idleInterval"),
    })
}

/// Settings of HTTP/2 with clients: everything that is not said has this dialect's default.
pub(in crate::envoy_gateway) fn read_client_http2<'a>(
    value: &Value<'a>,
) -> Option<(Http2Options, Option<Value<'a>>)> {
    let message = value.message(&HTTP2)?;
    let mut options = super::http2_defaults();
    read_options(&message, &mut options);
    // Envoy holds as much of a body as the window of its stream lets in.
    options.stream_buffer_limit = options.initial_stream_window_size as usize;
    Some((options, message.get("connectionKeepalive")))
}

pub(super) fn read_http2(value: &Value<'_>, settings: &mut BackendSettings) {
    let Some(message) = value.message(&HTTP2) else { return };
    read_options(&message, &mut settings.http2);
    let keepalive = message.get("connectionKeepalive");
    settings.http2.keepalive = keepalive.and_then(|value| read_http2_keepalive(&value));
}

fn read_options(message: &Message<'_>, http2: &mut Http2Options) {
    let streams = message.get("maxConcurrentStreams").and_then(|value| value.integer(1..=0x7fff_ffff));
    if let Some(streams) = streams.and_then(|streams| u32::try_from(streams).ok()) {
        http2.max_concurrent_streams = streams;
    }
    for (name, size) in [
        ("initialStreamWindowSize", &mut http2.initial_stream_window_size),
        ("initialConnectionWindowSize", &mut http2.initial_connection_window_size),
    ] {
        *size = message.get(name).and_then(|value| window(&value)).unwrap_or(*size);
    }
}
