//! What depends on the controller of a Gateway, and on options (2.2, EG-37, 4.9).

use std::time::Duration;

use tollgate_config::{FileSystem, Options, Source, load_with};
use tollgate_ir::Compiled;
use tollgate_model::{
    Snapshot,
    cluster::LbPolicy,
    http_connection_manager::{
        HeadersWithUnderscoresAction, HttpConnectionManager, ServerHeaderTransformation,
    },
    listener::BindAddress,
    route::Action,
};

fn snapshot(class: &str, options: &Options) -> Compiled {
    load(class, "", options)
}

/// With further settings of the rule that forwards.
fn load(class: &str, settings: &str, options: &Options) -> Compiled {
    let text = format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: edge}}
spec:
  gatewayClassName: {class}
  listeners: [{{name: http, port: 80, protocol: HTTP}}]
---
apiVersion: v1
kind: Service
metadata: {{name: web}}
spec: {{clusterIP: 10.0.0.1, ports: [{{port: 80}}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: web}}
spec:
  parentRefs: [{{name: edge}}]
  rules:
  - matches: [{{path: {{value: /route}}}}]
    backendRefs: [{{name: web, port: 80}}]
{settings}  - filters: [{{type: RequestRedirect, requestRedirect: {{hostname: a.test}}}}]
"
    );
    let source = Source { path: "test.yaml".to_owned(), text };
    load_with(&[source], &FileSystem, options).snapshot.expect("a snapshot")
}

fn http(snapshot: &Snapshot) -> &HttpConnectionManager {
    &snapshot.listeners[0].filter_chains[0].http
}

#[test]
fn gateways_behave_as_their_controllers_do() {
    let options = Options::default();
    let [own, envoy_gateway, kgateway, istio] =
        ["tollgate", "eg", "kgateway", "istio"].map(|class| snapshot(class, &options));
    let buffers = [&own, &envoy_gateway, &kgateway, &istio]
        .map(|snapshot| snapshot.listeners[0].per_connection_buffer_limit_bytes >> 10);
    assert_eq!(buffers, [1024, 32, 1024, 1024]);
    let clusters = [&own, &envoy_gateway, &kgateway, &istio]
        .map(|snapshot| snapshot.clusters.values().next().expect("a cluster"));
    assert_eq!(
        clusters.map(|cluster| cluster.name.as_str()),
        [
            "default/web:80",
            "httproute/default/web/rule/0/backend/0",
            "kube_default_web_80",
            "outbound|80||web.default.svc.cluster.local"
        ]
    );
    let connect_timeouts = clusters.map(|cluster| cluster.connect_timeout);
    assert_eq!(connect_timeouts, [5, 10, 5, 10].map(Duration::from_secs));
    let least_request = clusters.map(|cluster| cluster.lb_policy == LbPolicy::LEAST_REQUEST);
    assert_eq!(least_request, [false, true, false, true]);
    assert_eq!(
        [&own, &envoy_gateway, &kgateway, &istio].map(|it| http(it).normalize_path),
        [true, true, true, true]
    );
    assert_eq!(
        [&own, &envoy_gateway, &kgateway, &istio].map(|it| http(it).merge_slashes),
        [true, true, true, false]
    );
    let remote = [&own, &envoy_gateway, &kgateway, &istio].map(|it| http(it).use_remote_address);
    assert_eq!(remote, [true, true, true, true]);
    let manager = http(&envoy_gateway);
    assert_eq!(manager.headers_with_underscores_action, HeadersWithUnderscoresAction::RejectRequest);
    assert_eq!(manager.server_header_transformation, ServerHeaderTransformation::PassThrough);
    assert!(manager.suppress_envoy_headers);
    assert_eq!(manager.http2.max_concurrent_streams, 100);
    assert_eq!(manager.http2.initial_stream_window_size, 64 << 10);
    assert_eq!(manager.http2.initial_connection_window_size, 1 << 20);
    assert!(
        [&own, &envoy_gateway, &kgateway, &istio]
            .iter()
            .all(|it| http(it).route_config.ignore_port_in_host_matching)
    );
}

#[test]
fn options_say_where_listeners_are_bound() {
    let bound = |options: &Options| {
        let snapshot = snapshot("tollgate", options);
        let addresses = snapshot.listeners[0].addresses.iter().map(|address| match address {
            BindAddress::Socket(address) => address.to_string(),
            BindAddress::Pipe { .. } => panic!("{address:?}"),
        });
        addresses.collect::<Vec<_>>().join(" ")
    };
    // A socket of IPv6 takes no connections of IPv4.
    assert_eq!(bound(&Options::default()), "0.0.0.0:80 [::]:80");
    let address = std::net::Ipv4Addr::LOCALHOST.into();
    let options = Options { bind_address: address, shift_privileged_ports: true, ..Options::default() };
    assert_eq!(bound(&options), "127.0.0.1:10080");
}

/// A limit that is lifted is not the same as one that is not mentioned, although both are nothing in what `/config` shows.
#[test]
fn streams_of_unlimited_requests_may_be_idle_under_envoy_gateway() {
    let idle = |class: &str| {
        let snapshot = load(class, "    timeouts: {request: 0s}\n", &Options::default());
        let routes = http(&snapshot).route_config.virtual_hosts.iter().flat_map(|host| &host.routes);
        let actions = routes.filter_map(|route| match &route.action {
            Action::Route(action) => Some(action.idle_timeout),
            _ => None,
        });
        actions.collect::<Vec<_>>()
    };
    assert_eq!(idle("eg"), [Some(None)]);
    assert_eq!(idle("tollgate"), [None]);
}
