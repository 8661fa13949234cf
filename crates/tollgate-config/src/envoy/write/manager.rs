//! The HTTP connection manager.

use std::{sync::Arc, time::Duration};

use serde_json::Value;
use tollgate_ir::{FilterChain, HttpConnectionManager, Origin};
use tollgate_model::http_connection_manager::{
    CodecType, ForwardClientCert, HeadersWithUnderscoresAction, Http1Options, Http2Keepalive, Http2Options,
    PathWithEscapedSlashesAction, ProxyName, ProxyStatus, ServerHeaderTransformation,
};
use tollgate_model::ip_detection::{IpDetection, TrustedProxies};
use tollgate_model::local_reply::{BodyFormat, LocalReplies, ReplyMapper};

use super::{
    Writer,
    access_log::{access_log, filter, format_string},
    action::data_source,
    filters::Filters,
    listener::range,
    matchers::header_addition,
    out::{Out, duration, extension},
    route::table,
};
use crate::envoy::{
    cluster::TYPED_EXTENSION_CONFIG,
    http_connection_manager::{
        CODEC_TYPE, FORWARD_CLIENT_CERT_DETAILS, HEADERS_WITH_UNDERSCORES_ACTION, HTTP_CONNECTION_MANAGER,
        INTERNAL_ADDRESS_CONFIG, PATH_WITH_ESCAPED_SLASHES_ACTION, PROXY_STATUS_CONFIG,
        SERVER_HEADER_TRANSFORMATION, SET_CURRENT_CLIENT_CERT_DETAILS, UPGRADE_CONFIG,
    },
    ip_detection::{CUSTOM_HEADER_CONFIG, XFF_CONFIG, XFF_TRUSTED_CIDRS},
    local_reply::{BODY_FORMAT, LOCAL_REPLY_CONFIG, RESPONSE_MAPPER},
    protocol_options::{
        COMMON_HTTP_PROTOCOL_OPTIONS, HTTP1_PROTOCOL_OPTIONS, HTTP2_PROTOCOL_OPTIONS, KEEPALIVE_SETTINGS,
        PERCENT,
    },
    status::HTTP_STATUS,
};

const HOUR: Duration = Duration::from_secs(3600);

pub(super) fn manager(writer: &Writer<'_>, chain: &FilterChain, origin: &Arc<Origin>) -> Value {
    let http = &*chain.http;
    let usual = HttpConnectionManager::new(String::new(), String::new(), Vec::new());
    let mut out = Out::new(&HTTP_CONNECTION_MANAGER);
    out.set("stat_prefix", &*http.stat_prefix);
    out.name("codec_type", &CODEC_TYPE, &http.codec_type, &CodecType::Auto);
    out.unless("server_name", &*http.server_name, &*usual.server_name);
    out.name(
        "server_header_transformation",
        &SERVER_HEADER_TRANSFORMATION,
        &http.server_header_transformation,
        &ServerHeaderTransformation::Overwrite,
    );
    let mut internal = Out::new(&INTERNAL_ADDRESS_CONFIG);
    internal.unless("unix_sockets", http.internal_addresses.unix_sockets, false);
    internal.list("cidr_ranges", http.internal_addresses.ranges.iter().map(range).collect());
    out.unless_empty("internal_address_config", internal);
    out.unless("use_remote_address", http.use_remote_address, false);
    out.unless("xff_num_trusted_hops", http.xff_num_trusted_hops, 0);
    out.unless("skip_xff_append", http.skip_xff_append, false);
    out.list("original_ip_detection_extensions", http.ip_detection.iter().map(ip_detection).collect());
    out.text("via", &http.via);
    out.unless("generate_request_id", http.generate_request_id, true);
    out.unless("preserve_external_request_id", http.preserve_external_request_id, false);
    out.unless("always_set_request_id_in_response", http.always_set_request_id_in_response, false);
    out.unless("append_x_forwarded_port", http.append_x_forwarded_port, false);
    out.unless("max_request_headers_kb", http.max_request_headers_kb, usual.max_request_headers_kb);
    out.timeout("stream_idle_timeout", http.stream_idle_timeout, usual.stream_idle_timeout);
    out.timeout("request_timeout", http.request_timeout, None);
    out.timeout("request_headers_timeout", http.request_headers_timeout, None);
    out.timeout("drain_timeout", Some(http.drain_timeout), Some(usual.drain_timeout));
    out.timeout("delayed_close_timeout", http.delayed_close_timeout, usual.delayed_close_timeout);
    out.unless("normalize_path", http.normalize_path, false);
    out.unless("merge_slashes", http.merge_slashes, false);
    out.name(
        "path_with_escaped_slashes_action",
        &PATH_WITH_ESCAPED_SLASHES_ACTION,
        &http.path_with_escaped_slashes_action,
        &PathWithEscapedSlashesAction::KeepUnchanged,
    );
    out.unless("strip_matching_host_port", http.strip_matching_host_port, false);
    out.unless("strip_any_host_port", http.strip_any_host_port, false);
    out.unless("proxy_100_continue", http.proxy_100_continue, false);
    out.unless_empty("common_http_protocol_options", common_options(http));
    out.unless_empty("http_protocol_options", http1_options(&http.http1));
    out.unless_empty(
        "http2_protocol_options",
        http2_options(&http.http2, |limit| {
            let what = format!(
                "HTTP/2 bodies are held up to {limit} bytes: in Envoy the limit is the window of a stream"
            );
            writer.cannot(origin, what);
        }),
    );
    let upgrades = http.upgrade_types.iter().map(|name| {
        let mut out = Out::new(&UPGRADE_CONFIG);
        out.set("upgrade_type", &**name);
        out.done()
    });
    out.list("upgrade_configs", upgrades.collect());
    let usual = ForwardClientCert::Sanitize;
    out.name("forward_client_cert_details", &FORWARD_CLIENT_CERT_DETAILS, &http.forward_client_cert, &usual);
    let details = http.client_cert_details;
    let mut wanted = Out::new(&SET_CURRENT_CLIENT_CERT_DETAILS);
    for (name, is_wanted) in [
        ("subject", details.subject),
        ("cert", details.cert),
        ("chain", details.chain),
        ("dns", details.dns),
        ("uri", details.uri),
    ] {
        wanted.unless(name, is_wanted, false);
    }
    out.unless_empty("set_current_client_cert_details", wanted);
    out.some("local_reply_config", http.local_replies.as_ref().map(|replies| local_replies(replies)));
    out.some("proxy_status_config", http.proxy_status.as_ref().map(proxy_status));
    out.list("access_log", http.access_log.iter().map(|log| access_log(log)).collect());
    let written = writer.resources.route_tables.get(&http.route_config);
    let filters = Filters::new(writer, http, written.map(Arc::as_ref));
    out.list("http_filters", filters.written(http));
    let fallback = tollgate_ir::RouteTable::default();
    let routes = written.map_or(&fallback, |table| table);
    out.set("route_config", table(writer, routes, chain, &filters, origin));
    out.any()
}

fn local_replies(replies: &LocalReplies) -> Value {
    let mapper = |mapper: &ReplyMapper| {
        let mut out = Out::new(&RESPONSE_MAPPER);
        out.set("filter", filter(&mapper.filter));
        out.some("status_code", mapper.status.map(|status| status.as_u16()));
        out.some("body", mapper.body.as_ref().map(|body| data_source(body)));
        out.some("body_format_override", mapper.body_format.as_ref().map(body_format));
        out.list("headers_to_add", mapper.headers.iter().map(header_addition).collect());
        out.done()
    };
    let mut out = Out::new(&LOCAL_REPLY_CONFIG);
    out.list("mappers", replies.mappers.iter().map(mapper).collect());
    out.some("body_format", replies.body_format.as_ref().map(body_format));
    out.done()
}

pub(super) fn body_format(body: &BodyFormat) -> Value {
    let mut out = format_string(&BODY_FORMAT, &body.format);
    out.some("content_type", body.content_type.as_deref());
    out.done()
}

fn ip_detection(detection: &IpDetection) -> Value {
    let (config, name) = match detection {
        IpDetection::ForwardedFor { trusted, skip_append } => {
            let mut out = Out::new(&XFF_CONFIG);
            match trusted {
                TrustedProxies::Hops(hops) => out.unless("xff_num_trusted_hops", *hops, 0),
                TrustedProxies::At(ranges) => {
                    let mut cidrs = Out::new(&XFF_TRUSTED_CIDRS);
                    cidrs.list("cidrs", ranges.iter().map(range).collect());
                    out.set("xff_trusted_cidrs", cidrs.done());
                }
            }
            out.set("skip_xff_append", *skip_append);
            (out, "envoy.http.original_ip_detection.xff")
        }
        IpDetection::Header { name, trusted, reject } => {
            let mut out = Out::new(&CUSTOM_HEADER_CONFIG);
            out.set("header_name", name.as_str());
            out.unless("allow_extension_to_set_address_as_trusted", *trusted, false);
            if let Some(status) = reject {
                let mut reply = Out::new(&HTTP_STATUS);
                reply.set("code", status.as_u16());
                out.set("reject_with_status", reply.done());
            }
            (out, "envoy.http.original_ip_detection.custom_header")
        }
    };
    extension(&TYPED_EXTENSION_CONFIG, name, config.any())
}

fn proxy_status(status: &ProxyStatus) -> Value {
    let mut out = Out::new(&PROXY_STATUS_CONFIG);
    match &status.name {
        ProxyName::ServerName => {}
        ProxyName::NodeId => out.set("use_node_id", true),
        ProxyName::Literal(name) => out.set("literal_proxy_name", &**name),
    }
    out.unless("remove_details", status.remove_details, false);
    let no_termination = status.remove_connection_termination_details;
    out.unless("remove_connection_termination_details", no_termination, false);
    out.unless("remove_response_flags", status.remove_response_flags, false);
    out.unless("set_recommended_response_code", status.set_recommended_response_code, false);
    out.done()
}

fn common_options(http: &HttpConnectionManager) -> Out {
    let mut out = Out::new(&COMMON_HTTP_PROTOCOL_OPTIONS);
    out.timeout("idle_timeout", http.idle_timeout, Some(HOUR));
    out.timeout("max_connection_duration", http.max_connection_duration, None);
    out.timeout("max_stream_duration", http.max_stream_duration, None);
    out.unless("max_headers_count", http.max_headers_count, 100);
    out.some("max_requests_per_connection", http.max_requests_per_connection);
    out.name(
        "headers_with_underscores_action",
        &HEADERS_WITH_UNDERSCORES_ACTION,
        &http.headers_with_underscores_action,
        &HeadersWithUnderscoresAction::Allow,
    );
    out
}

fn http1_options(options: &Http1Options) -> Out {
    let mut out = Out::new(&HTTP1_PROTOCOL_OPTIONS);
    out.unless("enable_trailers", options.enable_trailers, false);
    out.unless("accept_http_10", options.accept_http_10, false);
    out.text("default_host_for_http_10", &options.default_host_for_http_10);
    out
}

/// HTTP/2 settings; `other_limit` hears of a limit of bodies that is not the window.
pub(super) fn http2_options(options: &Http2Options, other_limit: impl FnOnce(usize)) -> Out {
    let usual = Http2Options::default();
    let mut out = Out::new(&HTTP2_PROTOCOL_OPTIONS);
    out.unless("max_concurrent_streams", options.max_concurrent_streams, usual.max_concurrent_streams);
    let window = options.initial_stream_window_size;
    if options.stream_buffer_limit == window as usize {
        // Where it is written the window is the limit, too.
        out.set("initial_stream_window_size", window);
    } else {
        out.unless("initial_stream_window_size", window, usual.initial_stream_window_size);
        if window != usual.initial_stream_window_size
            || options.stream_buffer_limit != usual.stream_buffer_limit
        {
            other_limit(options.stream_buffer_limit);
        }
    }
    out.unless(
        "initial_connection_window_size",
        options.initial_connection_window_size,
        usual.initial_connection_window_size,
    );
    out.some("connection_keepalive", options.keepalive.as_ref().map(keepalive));
    let (limits, usual) = (options.frame_limits, usual.frame_limits);
    for (name, value, usual) in [
        ("max_outbound_frames", limits.max_outbound_frames, usual.max_outbound_frames),
        (
            "max_outbound_control_frames",
            limits.max_outbound_control_frames,
            usual.max_outbound_control_frames,
        ),
        (
            "max_consecutive_inbound_frames_with_empty_payload",
            limits.max_consecutive_inbound_frames_with_empty_payload,
            usual.max_consecutive_inbound_frames_with_empty_payload,
        ),
        (
            "max_inbound_priority_frames_per_stream",
            limits.max_inbound_priority_frames_per_stream,
            usual.max_inbound_priority_frames_per_stream,
        ),
        (
            "max_inbound_window_update_frames_per_data_frame_sent",
            limits.max_inbound_window_update_frames_per_data_frame_sent,
            usual.max_inbound_window_update_frames_per_data_frame_sent,
        ),
        ("stream_reset_burst", limits.stream_reset_burst, usual.stream_reset_burst),
        ("stream_reset_rate", limits.stream_reset_rate, usual.stream_reset_rate),
    ] {
        out.unless(name, value, usual);
    }
    out
}

fn keepalive(keepalive: &Http2Keepalive) -> Value {
    let mut out = Out::new(&KEEPALIVE_SETTINGS);
    out.some("interval", keepalive.interval.map(duration));
    out.set("timeout", duration(keepalive.timeout));
    if (keepalive.interval_jitter - 15.0).abs() > f64::EPSILON {
        let mut percent = Out::new(&PERCENT);
        percent.set("value", keepalive.interval_jitter);
        out.set("interval_jitter", percent.done());
    }
    out.some("connection_idle_interval", keepalive.connection_idle_interval.map(duration));
    out.done()
}
