//! The HTTP connection manager.

use std::{sync::Arc, time::Duration};

use tollgate_model::{
    http_connection_manager::{CodecType, HttpConnectionManager},
    route::PathParameters,
};

use super::*;

fn with(fields: &str) -> Gateway {
    Gateway { manager: format!("{fields},"), ..Gateway::default() }
}

fn read(gateway: &Gateway) -> Arc<HttpConnectionManager> {
    Arc::clone(&gateway.snapshot().listeners[0].filter_chains[0].http)
}

fn refused(fields: &str) -> String {
    let said = with(fields).said();
    assert_eq!(said.len(), 1, "{said:?}");
    said[0].clone()
}

#[test]
fn defaults_are_envoys() {
    let manager = read(&Gateway::default());
    assert_eq!(manager.codec_type, CodecType::Auto);
    assert_eq!(manager.server_name, "envoy");
    assert_eq!((manager.max_headers_count, manager.max_request_headers_kb), (100, 60));
    assert_eq!(manager.idle_timeout, Some(Duration::from_secs(3600)));
    assert_eq!(manager.stream_idle_timeout, Some(Duration::from_secs(300)));
    assert_eq!((manager.request_timeout, manager.request_headers_timeout), (None, None));
    assert_eq!(manager.drain_timeout, Duration::from_secs(5));
    assert_eq!(manager.delayed_close_timeout, Some(Duration::from_secs(1)));
    assert!(manager.generate_request_id && !manager.use_remote_address && !manager.normalize_path);
    assert_eq!(manager.header_prefix, "x-envoy");
    assert_eq!(manager.http2.max_concurrent_streams, 1024);
    assert!(!manager.http1.enable_trailers && manager.upgrade_types.is_empty());
    assert!(!manager.http1.refuse_query && !manager.keep_dot_segment_parameters);
}

#[test]
fn runtime_guards_of_methods_and_paths_are_read() {
    let layer = |key: &str, value: bool| {
        let keys = format!("envoy.reloadable_features.{key}: {value}");
        let gateway = Gateway {
            bootstrap: format!("layered_runtime: {{layers: [{{name: a, static_layer: {{{keys}}}}}]}}"),
            manager: "http_protocol_options: {enable_trailers: true},".into(),
            ..Gateway::default()
        };
        assert_eq!(gateway.said(), [""; 0], "{key}");
        let manager = read(&gateway);
        assert!(manager.http1.enable_trailers);
        (manager.http1.refuse_query, manager.keep_dot_segment_parameters)
    };
    assert_eq!(layer("http1_allow_query_method", false), (true, false));
    assert_eq!(layer("http1_allow_query_method", true), (false, false));
    assert_eq!(layer("strip_dotdot_segments_with_parameters", false), (false, true));
    assert_eq!(layer("strip_dotdot_segments_with_parameters", true), (false, false));
}

/// Path parameters count unless the table says otherwise; a guard says how much does not count then.
#[test]
fn path_parameters() {
    let read_with = |ignore: bool, per_segment: bool| {
        let key = format!("envoy.reloadable_features.strip_path_parameters_per_segment: {per_segment}");
        let gateway = Gateway {
            bootstrap: format!("layered_runtime: {{layers: [{{name: a, static_layer: {{{key}}}}}]}}"),
            table: format!("ignore_path_parameters_in_path_matching: {ignore},"),
            ..Gateway::default()
        };
        assert_eq!(gateway.said(), [""; 0]);
        read(&gateway).route_config.path_parameters
    };
    assert_eq!(read_with(false, false), PathParameters::Kept);
    assert_eq!(read_with(true, true), PathParameters::Ignored);
    assert_eq!(read_with(true, false), PathParameters::EndThePath);
}

#[test]
fn zero_turns_timeouts_off() {
    let manager = read(&with(
        "stream_idle_timeout: 0s, delayed_close_timeout: 0s, common_http_protocol_options: {idle_timeout: 0s}",
    ));
    assert_eq!(manager.stream_idle_timeout, None);
    assert_eq!(manager.delayed_close_timeout, None);
    assert_eq!(manager.idle_timeout, None);
}

#[test]
fn upgrades_are_listed_in_lower_case() {
    let manager =
        read(&with("upgrade_configs: [{upgrade_type: WebSocket}, {upgrade_type: x, enabled: false}]"));
    assert_eq!(manager.upgrade_types, ["websocket"]);
    assert_eq!(
        refused("upgrade_configs: [{upgrade_type: a}, {upgrade_type: A}]"),
        "error: the upgrade type \"a\" is given twice"
    );
    assert_eq!(
        refused("upgrade_configs: [{upgrade_type: CONNECT}]"),
        "error: the upgrade type \"connect\" is not supported"
    );
}

#[test]
fn the_router_comes_last_and_once() {
    let filters = |text: &str| Gateway { filters: text.into(), ..Gateway::default() }.said();
    assert_eq!(
        filters(&ROUTER.replace("name: router", "name: first")),
        ["error: the router has to be the last HTTP filter"]
    );
    let without = Gateway::default().to_string().replace(&format!(", {ROUTER}"), "");
    assert_eq!(said(&without), ["error: the last HTTP filter has to be the router"]);
    let unknown = "{name: wasm, typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm}}";
    assert_eq!(
        filters(unknown),
        ["error: unsupported HTTP filter \"envoy.extensions.filters.http.wasm.v3.Wasm\" \
          [supported: envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor, \
          envoy.extensions.filters.http.router.v3.Router]"]
    );
    // EN-3
    let optional = |type_name: &str| {
        let filter = unknown.replace("name: wasm,", "name: wasm, is_optional: true,");
        filters(&filter.replace("envoy.extensions.filters.http.wasm.v3.Wasm", type_name))
    };
    assert_eq!(
        optional("envoy.extensions.filters.http.tap.v3.Tap"),
        [
            "warning: the HTTP filter \"wasm\" is left out: its type is not supported [is_optional allows this]"
        ]
    );
    // Envoy knows its own filters, so that the flag leaves none of them out; what it does not know may protect something, too.
    for protecting in [
        "basic_auth.v3.BasicAuth",
        "api_key_auth.v3.ApiKeyAuth",
        "oauth2.v3.OAuth2",
        "csrf.v3.CsrfPolicy",
        "ip_tagging.v3.IPTagging",
        "composite.v3.Composite",
        "wasm.v3.Wasm",
    ] {
        let said = optional(&format!("envoy.extensions.filters.http.{protecting}"));
        assert!(said.len() == 1 && said[0].starts_with("error: the HTTP filter"), "{protecting}: {said:?}");
    }
    let said = optional("com.example.Auth");
    assert!(said[0].contains("is_optional leaves no filter out that may protect routes"), "{said:?}");
    // EN-5
    let old = "{name: old, typed_config: {\"@type\": type.googleapis.com/envoy.config.filter.http.router.v2.Router}}";
    assert_eq!(
        filters(old),
        ["error: unsupported HTTP filter \"envoy.config.filter.http.router.v2.Router\" \
          [this is a type of the v2 API, which Envoy does not accept any more; use its v3 form]"]
    );
}

#[test]
fn the_prefix_of_our_headers_reaches_everyone() {
    let gateway = Gateway { bootstrap: "header_prefix: X-Mine".into(), ..Gateway::default() };
    assert_eq!(read(&gateway).header_prefix, "x-mine");
}

#[test]
fn other_settings_are_refused_or_have_no_effect() {
    assert_eq!(refused("max_request_headers_kb: 0"), "error: 0 is not between 1 and 8192");
    assert_eq!(
        refused("strip_any_host_port: true, strip_matching_host_port: true"),
        "error: \"strip_matching_host_port\" and \"strip_any_host_port\" cannot be given together"
    );
    assert_eq!(
        refused("codec_type: HTTP3"),
        "error: \"HTTP3\" is not supported [supported: AUTO, HTTP1, HTTP2]"
    );
    assert_eq!(refused("server_name: \"a\\nb\""), "error: must not contain line ends or NUL");
    assert_eq!(refused("rds: {}"), "error: \"route_config\" and \"rds\" cannot be given together");
    assert_eq!(
        refused("path_normalization_options: {}"),
        "error: \"path_normalization_options\" is not supported"
    );
    assert_eq!(
        with("add_user_agent: true").said(),
        ["warning: \"add_user_agent\" is not implemented [`user-agent` stays as it is]"]
    );
    assert_eq!(
        with("tracing: {}").said(),
        ["warning: \"tracing\" is not implemented [no spans are exported]"]
    );
    assert_eq!(
        refused("http2_protocol_options: {initial_stream_window_size: 65534}"),
        "error: 65534 is not between 65535 and 2147483647"
    );
}

/// KG-32: filters behind the router, which routes know by their names as well.
#[test]
fn filters_behind_the_router() {
    const CODEC: &str = "{name: codec, typed_config: \
        {\"@type\": type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec}}";
    let text = |upstream: &str| {
        let router = ROUTER.replace("v3.Router", &format!("v3.Router, upstream_http_filters: [{upstream}]"));
        Gateway::default().to_string().replace(ROUTER, &router)
    };
    let processor = "{name: behind, typed_config: {\"@type\": \
        type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor, \
        grpc_service: {envoy_grpc: {cluster_name: processor}}}}";
    let snapshot = snapshot(&text(&format!("{processor}, {CODEC}")));
    let manager = &snapshot.listeners[0].filter_chains[0].http;
    let names = |filters: &[Arc<tollgate_model::processor::HttpFilter>]| {
        filters.iter().map(|filter| filter.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(&manager.http_filters).len(), 1);
    assert_eq!(names(&manager.upstream_http_filters), ["behind"]);
    let route = manager.route_config.virtual_hosts.iter().flat_map(|host| &host.routes).next();
    assert_eq!(route.map(|route| route.filters.dense().count()), Some(2));
    assert_eq!(said(&text(processor)), ["error: the last HTTP filter has to be the upstream codec"]);
    assert_eq!(
        said(&text(&format!("{CODEC}, {processor}, {CODEC}"))),
        ["error: the upstream codec has to be the last HTTP filter"]
    );
    assert_eq!(
        said(&text(&format!("{ROUTER}, {CODEC}"))),
        ["error: unsupported HTTP filter \"envoy.extensions.filters.http.router.v3.Router\" \
          [supported: envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor, \
          envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec]"]
    );
}
