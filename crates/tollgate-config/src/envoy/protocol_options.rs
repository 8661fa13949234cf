//! Settings of HTTP/1 and HTTP/2, the same for clients and upstreams.

use std::time::Duration;

use tollgate_model::http_connection_manager::{FrameLimits, Http1Options, Http2Keepalive, Http2Options};

use crate::schema::{Schema, Value, harmless, read, refused};

const LIMITED: &str = "the limit is built in";

pub(super) static COMMON_HTTP_PROTOCOL_OPTIONS: Schema = Schema {
    name: "envoy.config.core.v3.HttpProtocolOptions",
    title: "HttpProtocolOptions of clients",
    fields: &[
        read("idle_timeout", "3600s", "A connection without requests is closed after this; 0 = never."),
        read("max_connection_duration", "none", "Maximum lifetime of a client's connection; 0 = no limit."),
        read("max_headers_count", "100", "Most header fields of a request; more: 431."),
        read("max_stream_duration", "none", "Maximum lifetime of a request; 0 = no limit."),
        read(
            "headers_with_underscores_action",
            "ALLOW",
            "Header names with an underscore: ALLOW, REJECT_REQUEST (400) or DROP_HEADER.",
        ),
        read(
            "max_requests_per_connection",
            "unlimited",
            "Maximum number of requests on one connection; 0 = unlimited.",
        ),
        harmless("max_response_headers_kb", LIMITED),
    ],
    unsupported: &["max_connection_duration_jitter"],
};

pub(super) static HTTP1_PROTOCOL_OPTIONS: Schema = Schema {
    name: "envoy.config.core.v3.Http1ProtocolOptions",
    title: "Http1ProtocolOptions of clients",
    fields: &[
        read("enable_trailers", "false", "Pass trailers on."),
        read("accept_http_10", "false", "Accept HTTP/1.0 requests; otherwise 426."),
        read("default_host_for_http_10", "", "Host of HTTP/1.0 requests that have none."),
        harmless("allow_absolute_url", "absolute request targets are always accepted"),
        harmless("use_balsa_parser", "there is one parser"),
        refused("allow_chunked_length", "content-length beside transfer-encoding is always refused"),
        refused("header_key_format", "header names are lower case"),
    ],
    unsupported: &[
        "override_stream_error_on_invalid_http_message",
        "send_fully_qualified_url",
        "allow_custom_methods",
        "ignore_http_11_upgrade",
    ],
};

pub(super) static HTTP2_PROTOCOL_OPTIONS: Schema = Schema {
    name: "envoy.config.core.v3.Http2ProtocolOptions",
    title: "",
    fields: &[
        read("max_concurrent_streams", "1024", "Maximum number of concurrent streams. 1 to 2147483647."),
        read(
            "initial_stream_window_size",
            "262144",
            "Window of a stream, bytes. 65535 to 2147483647. Of a client: also the limit of buffered bodies (16 MiB where it is not given).",
        ),
        read(
            "initial_connection_window_size",
            "4194304",
            "Window of a connection, bytes. 65535 to 2147483647.",
        ),
        read("connection_keepalive", "none", "PINGs that find peers that have disappeared."),
        harmless("hpack_table_size", LIMITED),
        read("max_outbound_frames", "10000", "Most frames that may wait for the peer to take them."),
        read(
            "max_outbound_control_frames",
            "1000",
            "The same of PING, SETTINGS and RST_STREAM frames alone.",
        ),
        read(
            "max_consecutive_inbound_frames_with_empty_payload",
            "1",
            "Most HEADERS, CONTINUATION and DATA frames in a row that are empty and end nothing.",
        ),
        read("max_inbound_priority_frames_per_stream", "100", "Most PRIORITY frames for each stream opened."),
        read(
            "max_inbound_window_update_frames_per_data_frame_sent",
            "10",
            "Most WINDOW_UPDATE frames for each DATA frame sent, twice as many for both windows.",
        ),
        harmless("use_oghttp2_codec", "there is one codec"),
        harmless("enable_huffman_encoding", "the codec decides"),
        read(
            "stream_reset_burst",
            "1000",
            "Maximum number of RST_STREAM frames that a client may send in a burst.",
        ),
        read("stream_reset_rate", "33", "RST_STREAM frames a second that a client may send all the time."),
    ],
    unsupported: &[
        "allow_connect",
        "allow_metadata",
        "stream_error_on_invalid_http_messaging",
        "override_stream_error_on_invalid_http_message",
        "custom_settings_parameters",
        "max_metadata_size",
        "max_header_field_size_kb",
        "disallow_obs_text",
    ],
};

pub(super) static KEEPALIVE_SETTINGS: Schema = Schema {
    name: "envoy.config.core.v3.KeepaliveSettings",
    title: "",
    fields: &[
        read("interval", "none", "Time between PINGs, 0.001s or more."),
        read(
            "timeout",
            "",
            "A connection on which nothing is received for so long after a PING is closed; 0.001s or more. Required.",
        ),
        read("interval_jitter", "15%", "Up to so much of the interval is added at random."),
        read(
            "connection_idle_interval",
            "none",
            "A PING goes ahead of a request when nothing was received for so long, 0.001s or more; upstreams only.",
        ),
    ],
    unsupported: &[],
};

pub(super) static PERCENT: Schema = Schema {
    name: "envoy.type.v3.Percent",
    title: "",
    fields: &[read("value", "0", "0 to 100.")],
    unsupported: &[],
};

/// The schemas of this module.
pub(super) static SCHEMAS: [&Schema; 5] = [
    &COMMON_HTTP_PROTOCOL_OPTIONS,
    &HTTP1_PROTOCOL_OPTIONS,
    &HTTP2_PROTOCOL_OPTIONS,
    &KEEPALIVE_SETTINGS,
    &PERCENT,
];

/// Largest window and stream count of HTTP/2.
const LARGEST: i64 = 0x7fff_ffff;

/// Reads HTTP/1 settings; defaults when there are none.
pub(super) fn read_http1_options(value: Option<&Value<'_>>) -> Http1Options {
    let Some(message) = value.and_then(|value| value.message(&HTTP1_PROTOCOL_OPTIONS)) else {
        return Http1Options::default();
    };
    Http1Options {
        enable_trailers: message.boolean("enable_trailers", false),
        accept_http_10: message.boolean("accept_http_10", false),
        default_host_for_http_10: message.header_text("default_host_for_http_10"),
        refuse_query: false,
    }
}

/// Reads HTTP/2 settings; defaults when there are none.
pub(super) fn read_http2_options(value: Option<&Value<'_>>) -> Http2Options {
    let defaults = Http2Options::default();
    let Some(message) = value.and_then(|value| value.message(&HTTP2_PROTOCOL_OPTIONS)) else {
        return defaults;
    };
    let number = |name, lowest| {
        message
            .get(name)
            .and_then(|value| value.integer(lowest..=LARGEST))
            .and_then(|number| u32::try_from(number).ok())
    };
    let window = number("initial_stream_window_size", 65_535);
    let limits = defaults.frame_limits;
    let frame_limits = FrameLimits {
        max_outbound_frames: number("max_outbound_frames", 1).unwrap_or(limits.max_outbound_frames),
        max_outbound_control_frames: number("max_outbound_control_frames", 1)
            .unwrap_or(limits.max_outbound_control_frames),
        max_consecutive_inbound_frames_with_empty_payload: number(
            "max_consecutive_inbound_frames_with_empty_payload",
            0,
        )
        .unwrap_or(limits.max_consecutive_inbound_frames_with_empty_payload),
        max_inbound_priority_frames_per_stream: number("max_inbound_priority_frames_per_stream", 0)
            .unwrap_or(limits.max_inbound_priority_frames_per_stream),
        max_inbound_window_update_frames_per_data_frame_sent: number(
            "max_inbound_window_update_frames_per_data_frame_sent",
            1,
        )
        .unwrap_or(limits.max_inbound_window_update_frames_per_data_frame_sent),
        stream_reset_burst: number("stream_reset_burst", 0).unwrap_or(limits.stream_reset_burst),
        stream_reset_rate: number("stream_reset_rate", 0).unwrap_or(limits.stream_reset_rate),
    };
    Http2Options {
        max_concurrent_streams: number("max_concurrent_streams", 1)
            .unwrap_or(defaults.max_concurrent_streams),
        initial_stream_window_size: window.unwrap_or(defaults.initial_stream_window_size),
        initial_connection_window_size: number("initial_connection_window_size", 65_535)
            .unwrap_or(defaults.initial_connection_window_size),
        stream_buffer_limit: window.map_or(defaults.stream_buffer_limit, |bytes| bytes as usize),
        keepalive: message.get("connection_keepalive").and_then(|value| read_keepalive(&value)),
        frame_limits,
    }
}

fn read_keepalive(value: &Value<'_>) -> Option<Http2Keepalive> {
    let message = value.message(&KEEPALIVE_SETTINGS)?;
    let at_least_a_millisecond = |value: Value<'_>| {
        let duration = value.duration()?;
        if duration < Duration::from_millis(1) {
            value.error("must be 0.001s or more");
            return None;
        }
        Some(duration)
    };
    let jitter = message
        .message("interval_jitter", &PERCENT)
        .map(|percent| percent.get("value").and_then(|value| value.number(0.0..=100.0)).unwrap_or(0.0));
    Some(Http2Keepalive {
        interval: message.get("interval").and_then(at_least_a_millisecond),
        connection_idle_interval: message.get("connection_idle_interval").and_then(at_least_a_millisecond),
        interval_jitter: jitter.unwrap_or(15.0),
        timeout: message.required("timeout").and_then(at_least_a_millisecond)?,
    })
}
