//! gRPC services of processors (section 23, EN-20 to EN-24, CF-20, CF-21).

use std::time::Duration;

use tollgate_model::{
    cluster::{Discovery, EndpointAddress, UpstreamProtocol},
    processor::{FilterOverride, GrpcService, GrpcTarget},
};

use super::*;

fn with(service: &str) -> Gateway {
    Gateway {
        filters: ext_proc_with(&format!("grpc_service: {{{service}}}"), "ext", ""),
        ..Gateway::default()
    }
}

fn service_of(gateway: &Gateway) -> GrpcService {
    let snapshot = gateway.snapshot();
    match &snapshot.listeners[0].filter_chains[0].http.http_filters[0].default {
        FilterOverride::ExtProc(filter) => filter.grpc_service.clone(),
        other => panic!("{other:?}"),
    }
}

fn service(text: &str) -> GrpcService {
    service_of(&with(text))
}

#[test]
fn envoy_grpc_has_defaults() {
    // EN-20, EN-23
    let service = service("envoy_grpc: {cluster_name: processor}");
    assert!(matches!(&service.target, GrpcTarget::EnvoyGrpc(name) if name == "processor"));
    assert_eq!(service.authority, "processor");
    assert_eq!(service.max_receive_message_length, 64 << 20);
    assert!(
        !service.skip_envoy_headers && service.retry_policy.is_none() && service.initial_metadata.is_empty()
    );
}

#[test]
fn envoy_grpc_settings_arrive() {
    let service = service(
        "envoy_grpc: {cluster_name: processor, authority: 'a.example:80', max_receive_message_length: 1000, \
         skip_envoy_headers: true}, timeout: 3s, initial_metadata: [{key: X-User, value: 'u-%REQ(x-user)%'}, {key: empty}]",
    );
    assert_eq!(service.authority, "a.example:80");
    assert_eq!(service.max_receive_message_length, 1000);
    assert!(service.skip_envoy_headers);
    let metadata: Vec<_> =
        service.initial_metadata.iter().map(|(key, value)| (key.as_str(), value.source())).collect();
    assert_eq!(metadata, [("X-User", "u-%REQ(x-user)%"), ("empty", "")]);
}

#[test]
fn a_length_of_zero_is_the_safe_bound() {
    // EN-23
    let service = service("envoy_grpc: {cluster_name: processor, max_receive_message_length: 0}");
    assert_eq!(service.max_receive_message_length, 64 << 20);
}

#[test]
fn a_cluster_that_does_not_exist_is_a_warning() {
    // F-9
    let gateway = with("envoy_grpc: {cluster_name: nowhere}");
    assert_eq!(
        gateway.said(),
        ["warning: there is no cluster \"nowhere\"; every exchange with this processor will fail \
          [add the cluster to static_resources.clusters]"]
    );
    assert_eq!(service_of(&gateway).authority, "nowhere");
}

#[test]
fn a_cluster_without_http2_is_warned_about() {
    // CF-21, EN-15
    assert_eq!(
        with("envoy_grpc: {cluster_name: app}").said(),
        ["warning: the cluster \"app\" is not configured for HTTP/2; Tollgate uses HTTP/2 anyway \
          [Envoy would fail: add http2_protocol_options to the cluster's HttpProtocolOptions]"]
    );
}

#[test]
fn a_cluster_name_that_is_no_authority_is_replaced() {
    // CF-20
    let with_cluster = |cluster: &str| {
        let name = "'outbound|8080||processor'";
        let gateway = Gateway {
            clusters: format!("{}, {}", super::cluster("app", ""), cluster.replace("NAME", name)),
            ..with(&format!("envoy_grpc: {{cluster_name: {name}}}"))
        };
        service_of(&gateway).authority
    };
    let fields = "name: NAME, http2_protocol_options: {}";
    let named = "endpoint: {address: {socket_address: {address: p.example, port_value: 9}}}";
    let assignment = |endpoint: &str| {
        format!("load_assignment: {{cluster_name: x, endpoints: [{{lb_endpoints: [{{{endpoint}}}]}}]}}")
    };
    assert_eq!(
        with_cluster(&format!("{{{fields}, type: STRICT_DNS, {}}}", assignment(named))),
        "p.example:9"
    );
    let pipe = "endpoint: {address: {pipe: {path: /tmp/p.sock}}}";
    assert_eq!(with_cluster(&format!("{{{fields}, {}}}", assignment(pipe))), "processor");
}

#[test]
fn reopening_streams_is_read() {
    // N-5
    let policy = |text: &str| {
        service(&format!("envoy_grpc: {{cluster_name: processor}}, retry_policy: {{{text}}}"))
            .retry_policy
            .unwrap()
    };
    let default = policy("retry_on: 'unavailable, cancelled'");
    assert_eq!(default.retriable_codes, [14, 1]);
    assert_eq!(default.num_retries, 1);
    assert_eq!(
        (default.base_interval, default.max_interval),
        (Duration::from_millis(25), Duration::from_millis(250))
    );
    let http = policy("retry_on: '5xx,connect-failure,refused-stream'");
    assert_eq!(http.retriable_statuses, [500..=599]);
    assert!(http.connect_failure && http.reset && http.refused_stream);
    assert!(!default.connect_failure && !default.reset && !default.refused_stream);
    let other = policy("num_retries: 4, retry_back_off: {base_interval: 0.1s}");
    assert_eq!(other.num_retries, 4);
    assert_eq!(
        (other.base_interval, other.max_interval),
        (Duration::from_millis(100), Duration::from_secs(1))
    );
}

#[test]
fn google_grpc_is_a_target_of_its_own() {
    // EN-24
    let service = service("google_grpc: {target_uri: 'localhost:18080', stat_prefix: p}");
    assert_eq!(service.authority, "localhost:18080");
    assert!(service.skip_envoy_headers);
    let GrpcTarget::GoogleGrpc(cluster) = &service.target else { panic!() };
    assert_eq!(cluster.name, "google_grpc.p");
    assert!(matches!(cluster.discovery, Discovery::LogicalDns(_)));
    assert!(matches!(cluster.protocol, UpstreamProtocol::Http2(_)));
    assert!(cluster.tls.is_none());
    let address = EndpointAddress::Dns { host: "localhost".into(), port: 18080 };
    assert_eq!(cluster.endpoints[0].address, address);
}

#[test]
fn google_grpc_speaks_tls_and_sends_tokens() {
    let service = service(
        "initial_metadata: [{key: a, value: b}], google_grpc: {target_uri: 'ipv4:127.0.0.1:18080', stat_prefix: p, \
         channel_credentials: {ssl_credentials: {root_certs: {filename: ca.pem}}}, call_credentials: [{access_token: t%t}]}",
    );
    let GrpcTarget::GoogleGrpc(cluster) = &service.target else { panic!() };
    assert!(cluster.tls.is_some());
    let metadata: Vec<_> =
        service.initial_metadata.iter().map(|(key, value)| (key.as_str(), value.as_literal())).collect();
    assert_eq!(metadata, [("a", Some("b")), ("authorization", Some("Bearer t%t"))]);
}

#[test]
fn services_that_cannot_work_are_refused() {
    let refused = |text: &str| {
        let said = with(text).said();
        assert_eq!(said.len(), 1, "{said:?}");
        said[0].clone()
    };
    assert_eq!(refused(""), "error: one of \"envoy_grpc\", \"google_grpc\" is missing");
    assert_eq!(refused("envoy_grpc: {}"), "error: \"cluster_name\" is missing");
    assert_eq!(refused("envoy_grpc: {cluster_name: ''}"), "error: must not be empty");
    assert_eq!(
        refused("envoy_grpc: {cluster_name: processor}, google_grpc: {target_uri: a, stat_prefix: b}"),
        "error: \"envoy_grpc\" and \"google_grpc\" cannot be given together"
    );
    assert_eq!(
        refused("envoy_grpc: {cluster_name: processor, authority: 'a|b'}"),
        "error: \"a|b\" is not an authority"
    );
    assert_eq!(refused("google_grpc: {target_uri: a}"), "error: \"stat_prefix\" is missing");
    assert!(
        refused("google_grpc: {target_uri: 'xds:///a', stat_prefix: p}")
            .contains("\"xds\" are not supported")
    );
    assert_eq!(
        refused("google_grpc: {target_uri: a, stat_prefix: p, call_credentials: [{access_token: t}]}"),
        "error: call credentials are only sent over TLS or a Unix socket [add channel_credentials.ssl_credentials, or local_credentials for a Unix socket]"
    );
    assert_eq!(
        refused("envoy_grpc: {cluster_name: processor}, initial_metadata: [{key: a, value: '%FOO%'}]"),
        "error: not a format string: unknown operator FOO"
    );
}

#[test]
fn conditions_that_never_hold_are_named() {
    let said = |retry_on: &str| {
        with(&format!("envoy_grpc: {{cluster_name: processor}}, retry_policy: {{retry_on: '{retry_on}'}}"))
            .said()
    };
    assert_eq!(
        said("unavailabel"),
        [
            "warning: the condition \"unavailabel\" is not known; it has no effect [did you mean \"unavailable\"?]"
        ]
    );
    assert_eq!(
        said("retriable-headers"),
        ["info: the condition \"retriable-headers\" has no effect [a stream to a processor never meets it]"]
    );
}
