//! What policies mean: for each input the processors of every route, the clusters, the statuses and what is said.

use std::{sync::Arc, time::Duration};

use tollgate_model::{
    http_connection_manager::{HeadersWithUnderscoresAction, PathWithEscapedSlashesAction},
    listener::Listener,
    route::Action,
    socket::TcpKeepalive,
};

use crate::{
    Options, Severity, Source,
    files::FileSystem,
    golden::{translate, translate_with_base, written_goldens},
    load_with,
    schema::coverage,
};

const BASE: &str = include_str!("tests/base.yaml");

/// Translates what a file adds to the base.
fn golden(name: &str, text: &str) {
    insta::with_settings!({ snapshot_path => "tests/snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, translate_with_base(BASE, text));
    });
}

#[test]
fn every_field_that_is_listed_is_read() {
    let text = include_str!("tests/everything.yaml").to_owned();
    let source = Source { path: "everything.yaml".to_owned(), text };
    assert!(load_with(&[source], &FileSystem, &Options::default()).snapshot.is_some());
    let own = |field: &String| !["Object", "ObjectMeta"].contains(&field.split('.').next().unwrap());
    assert_eq!(coverage::unread().into_iter().filter(own).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn proxies_say_how_many_threads_serve_requests() {
    // 6.9: the greatest number counts, and only that of proxies that a gateway refers to.
    let proxies = [("one", "0"), ("many", "3"), ("unused", "8")];
    let gateways = [("first", "one"), ("second", "many")];
    let mut text = String::new();
    for (name, threads) in proxies {
        text += &format!(
            "{{apiVersion: gateway.envoyproxy.io/v1alpha1, kind: EnvoyProxy, metadata: {{name: {name}}}, \
             spec: {{concurrency: {threads}}}}}\n---\n"
        );
    }
    let threads = |text: String| {
        let source = Source { path: "gateways.yaml".to_owned(), text };
        load_with(&[source], &FileSystem, &Options::default()).snapshot.unwrap().concurrency
    };
    assert_eq!(threads(text.clone()), None);
    for (number, (name, proxy)) in gateways.into_iter().enumerate() {
        text += &format!(
            "{{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {{name: {name}}}, \
             spec: {{gatewayClassName: eg, infrastructure: {{parametersRef: \
             {{group: gateway.envoyproxy.io, kind: EnvoyProxy, name: {proxy}}}}}, \
             listeners: [{{name: http, protocol: HTTP, port: {}}}]}}}}\n---\n",
            8080 + number
        );
        assert_eq!(threads(text.clone()).map(usize::from), Some([1, 3][number]));
    }
}

#[test]
fn policies_for_clients_limit_what_is_buffered() {
    // EG-37: of the listener, or else of the Gateway; what says nothing leaves the limit of the dialect.
    let policy = |name: &str, section: &str, spec: &str| {
        format!(
            "---\n{{apiVersion: gateway.envoyproxy.io/v1alpha1, kind: ClientTrafficPolicy, metadata: {{name: {name}}}, \
             spec: {{targetRefs: [{{group: gateway.networking.k8s.io, kind: Gateway, name: eg{section}}}]{spec}}}}}\n"
        )
    };
    let limits = |policies: &[String]| -> Vec<usize> {
        let source = Source { path: "input.yaml".to_owned(), text: format!("{BASE}{}", policies.concat()) };
        let snapshot = load_with(&[source], &FileSystem, &Options::default()).snapshot.unwrap();
        snapshot.listeners.iter().map(|listener| listener.per_connection_buffer_limit_bytes).collect()
    };
    let whole = policy("whole", "", ", connection: {bufferLimit: 1Mi}");
    let newer = policy("newer", "", ", connection: {bufferLimit: 2Mi}");
    let section = policy("section", ", sectionName: internal", ", connection: {bufferLimit: 65536}");
    let silent = policy("silent", ", sectionName: internal", "");
    let wrong = policy("wrong", "", ", connection: {bufferLimit: much}");
    assert_eq!(limits(&[]), [32 << 10, 32 << 10]);
    assert_eq!(limits(&[whole.clone(), newer]), [1 << 20, 1 << 20]);
    assert_eq!(limits(&[whole.clone(), section]), [1 << 20, 64 << 10]);
    assert_eq!(limits(&[whole, silent]), [1 << 20, 32 << 10]);
    assert_eq!(limits(&[wrong]), [32 << 10, 32 << 10]);
}

/// What the first listener of a gateway is, with a policy for its clients.
fn with_client_policy(base: &str, spec: &str) -> Arc<Listener> {
    let policy = format!(
        "---\n{{apiVersion: gateway.envoyproxy.io/v1alpha1, kind: ClientTrafficPolicy, metadata: {{name: p}}, \
         spec: {{targetRefs: [{{group: gateway.networking.k8s.io, kind: Gateway, name: eg}}], {spec}}}}}\n"
    );
    let source = Source { path: "input.yaml".to_owned(), text: format!("{base}{policy}") };
    let loaded = load_with(&[source], &FileSystem, &Options::default());
    let errors: Vec<_> =
        loaded.diagnostics.iter().filter(|found| found.severity == Severity::Error).collect();
    assert!(errors.is_empty(), "{errors:?}");
    Arc::clone(&loaded.snapshot.unwrap().listeners[0])
}

#[test]
fn policies_for_clients_say_how_long_and_how_many() {
    let listener = with_client_policy(
        BASE,
        "connection: {connectionLimit: {value: 10, maxConnectionDuration: 1h, maxRequestsPerConnection: 100, \
         maxStreamDuration: 10m}}, tcpKeepalive: {probes: 3, idleTime: 30s, interval: 5s}, \
         timeout: {tcp: {connectionInspectionTimeout: 2s}, http: {requestReceivedTimeout: 5s, \
         requestHeadersReceivedTimeout: 1s, idleTimeout: 1m, streamIdleTimeout: 0s}}",
    );
    let seconds = Duration::from_secs;
    assert_eq!(listener.limits.max_connections, Some(10));
    assert_eq!(listener.listener_filters_timeout, Some(seconds(2)));
    let keepalive = TcpKeepalive { probes: Some(3), time: Some(30), interval: Some(5) };
    assert_eq!(listener.tcp.keepalive, Some(keepalive));
    let http = &listener.filter_chains[0].http;
    assert_eq!(http.max_connection_duration, Some(seconds(3600)));
    assert_eq!(http.max_requests_per_connection, Some(100));
    assert_eq!(http.max_stream_duration, Some(seconds(600)));
    assert_eq!(http.request_timeout, Some(seconds(5)));
    assert_eq!(http.request_headers_timeout, Some(seconds(1)));
    assert_eq!((http.idle_timeout, http.stream_idle_timeout), (Some(seconds(60)), None));
}

#[test]
fn policies_for_clients_say_what_requests_may_be() {
    let listener = with_client_policy(
        BASE,
        "path: {escapedSlashesAction: RejectRequest, disableMergeSlashes: true}, \
         headers: {enableEnvoyHeaders: true, withUnderscoresAction: DropHeader, requestID: Preserve}, \
         http1: {enableTrailers: true, http10: {}}, http2: {maxConcurrentStreams: 10, \
         initialStreamWindowSize: 128Ki, connectionKeepalive: {interval: 10s, timeout: 2s}}",
    );
    let http = &listener.filter_chains[0].http;
    assert_eq!(http.path_with_escaped_slashes_action, PathWithEscapedSlashesAction::RejectRequest);
    assert!(!http.merge_slashes && http.normalize_path);
    assert_eq!(http.headers_with_underscores_action, HeadersWithUnderscoresAction::DropHeader);
    assert!(!http.suppress_envoy_headers && !http.generate_request_id && http.preserve_external_request_id);
    assert!(http.http1.enable_trailers && http.http1.accept_http_10);
    assert_eq!((http.http2.max_concurrent_streams, http.http2.stream_buffer_limit), (10, 128 * 1024));
    assert_eq!(http.http2.initial_connection_window_size, 1024 * 1024);
    assert_eq!(http.http2.keepalive.unwrap().timeout, Duration::from_secs(2));
    // What is not said stays as the controller has it.
    let plain = with_client_policy(BASE, "path: {}");
    let http = &plain.filter_chains[0].http;
    assert_eq!(http.path_with_escaped_slashes_action, PathWithEscapedSlashesAction::UnescapeAndRedirect);
    assert!(http.merge_slashes && http.suppress_envoy_headers);
}

/// Listeners of cleartext at one port are served together: a policy for one of them cannot hold.
#[test]
fn policies_for_clients_cannot_hold_for_a_part_of_a_port() {
    let both = BASE.replace("port: 8080", "port: 80\n      hostname: other.example.com");
    assert_eq!(with_client_policy(&both, "path: {disableMergeSlashes: true}").filter_chains.len(), 1);
    let text = format!(
        "{both}---\n{{apiVersion: gateway.envoyproxy.io/v1alpha1, kind: ClientTrafficPolicy, metadata: {{name: p}}, \
         spec: {{targetRefs: [{{group: gateway.networking.k8s.io, kind: Gateway, name: eg, sectionName: http}}], \
         timeout: {{http: {{requestReceivedTimeout: 5s}}}}}}}}\n"
    );
    let loaded =
        load_with(&[Source { path: "input.yaml".to_owned(), text }], &FileSystem, &Options::default());
    let said: Vec<&str> = loaded.diagnostics.iter().map(|found| found.message.as_str()).collect();
    assert!(
        said.contains(
            &"ClientTrafficPolicy default/p would also apply to other listeners of port 80: internal"
        ),
        "{said:?}"
    );
    let snapshot = loaded.snapshot.unwrap();
    let http = &snapshot.listeners[0].filter_chains[0].http;
    assert_eq!(http.request_timeout, None);
    let host = |name: &[u8]| http.route_config.virtual_hosts.find(name).unwrap().1.routes[0].clone();
    assert!(
        matches!(&host(b"www.example.com").action, Action::DirectResponse(answer) if answer.status == 500)
    );
}

/// A folder of examples as a whole.
fn example(name: &str, files: &[(&str, &str)]) {
    let sources: Vec<Source> = files
        .iter()
        .map(|(path, text)| Source { path: (*path).to_owned(), text: (*text).to_owned() })
        .collect();
    insta::with_settings!({ snapshot_path => "tests/snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, translate(&sources, &Options::default()));
    });
}

macro_rules! files {
    ($folder:literal: $($name:literal),*) => {
        &[$(($name, include_str!(concat!("../../../../examples/", $folder, "/", $name)))),*]
    };
}

#[test]
fn the_example_without_certificates() {
    // 6.10: a missing ConfigMap makes the policy invalid, and its route answers 500.
    example("example", files!("envoy-gateway": "gateway.yaml", "myapp.yaml", "ext-proc.yaml"));
}

#[test]
fn the_example_of_a_sidecar() {
    example(
        "example_of_a_sidecar",
        files!("envoy-gateway-sidecar": "gateway.yaml", "myapp.yaml", "envoy-gateway.yaml", "ext-proc.yaml"),
    );
}

macro_rules! golden {
    ($($name:ident),* $(,)?) => {$(
        #[test]
        fn $name() {
            golden(stringify!($name), include_str!(concat!("tests/inputs/", stringify!($name), ".yaml")));
        }
    )*};
}

golden! {
    eg_1_no_target,
    eg_1_both_forms,
    eg_2_target_group,
    eg_3_target_kind,
    eg_4_merge_type_on_gateway,
    eg_5_merge_type_replace,
    eg_6_backend_ref,
    eg_7_backend_kind,
    eg_8_backend_group,
    eg_9_full_duplex_fail_open,
    eg_10_shadow_mode_buffered,
    eg_11_writable_namespaces,
    eg_12_object_for_list,
    eg_12_object_for_list_strict,
    eg_13_backend_ref,
    eg_20_no_processing_mode,
    eg_20_neither_side,
    eg_21_headers_only,
    eg_22_trailers,
    eg_24_no_processing_mode_strict,
    every_field_of_an_entry,
    shadow_mode,
    wrong_values_of_an_entry,
    unknown_field,
    unknown_field_strict,
    eg_31_unix_backend,
    eg_32_host_names,
    eg_33_weights_and_fallback,
    eg_33_only_fallbacks,
    eg_34_order,
    eg_35_filter_order,
    backend_settings,
    backend_settings_without_effect,
    backend_settings_without_effect_strict,
    backend_settings_wrong,
    eg_40_levels,
    eg_41_conflict,
    eg_41_conflict_of_sections,
    eg_42_opting_out,
    eg_42_other_extensions,
    eg_42_conflicted_shadows_nothing,
    eg_43_merge,
    eg_43_merge_by_ancestor,
    eg_43_merge_replaces_lists,
    eg_43_nothing_to_merge_with,
    eg_44_missing_targets,
    eg_44_targets_that_are_not_served,
    eg_45_other_routes,
    eg_46_loopback,
    eg_48_no_grant,
    eg_48_grant,
    eg_48_grant_for_another_group,
    eg_49_backend_without_group,
    eg_49_backend_without_group_strict,
    eg_50_fail_closed,
    eg_50_fail_open,
    eg_50_on_a_gateway,
    eg_50_order_of_messages,
    eg_51_services,
    eg_51_backends,
    eg_52_nobody_ready,
    eg_53_order_of_checks,
    backends_refused,
    backends_refused_strict,
    backend_tls,
    backend_tls_without_certificates,
    backend_tls_differs,
    eg_70_sidecar,
    eg_71_backends_turned_off,
    eg_71_controller_name,
    eg_72_two_configurations,
    selectors,
    selectors_of_namespaces,
    deprecated_target_ref,
    many_ancestors,
    security_policy,
    security_refused,
    kinds_without_effect,
    patch_closed,
    patch_disabled,
    patch_ext_proc,
    patch_paths,
    patch_refused,
    client_traffic_policy,
    client_traffic_policy_refused,
    eg_63_missing_certificates,
    eg_64_backend_tls_policy,
    eg_64_policy_before_backend,
    eg_65_cluster_trust_bundle,
    gateway_settings,
    merged_gateways,
    merged_gateways_of_one_gateway,
    eg_64_client_certificate,
    eg_64_routes,
    eg_54_backends_of_routes,
    eg_54_backends_of_routes_strict,
    envoy_proxy_without_effect,
    eg_40_listener_sets,
    eg_43_merge_below_listener_sets,
    grpc_routes,
    eg_43_refused_parent,
}

written_goldens! {
    BASE;
    security_origins,
    security_service_of_grpc,
    security_service_of_http,
    security_tokens_and_rules,
}
