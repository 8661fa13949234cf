//! A VirtualService of Istio's, behind a Gateway of Istio's, with HTNN's policies on it (3.7), and with EnvoyFilters.

use tollgate_testing as support;

use std::{fs, net::TcpListener};

use support::{
    gateway::processor,
    http::{self, Response},
    http1::echo,
    process::Running,
    scratch,
    signature::{Signature, written},
    tollgate, wait_for,
};
use tokio::task::block_in_place;

const CONFIGURATION: &str = r#"
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  selector: {istio: ingressgateway}
  servers:
  - {name: web, bind: 127.0.0.1, port: {number: PORT, name: http, protocol: HTTP}, hosts: ["*.example"]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: web
  annotations:
    htnn.mosn.io/filterpolicy: |
      {"apiVersion": "htnn.mosn.io/v1", "kind": "FilterPolicy", "spec": {"subPolicies": [{"sectionName": "inner", "filters":
        {"innerExtProc": {"config": {"grpcService": {"envoyGrpc": {"clusterName": "outbound|9000||inner.example.com"}}}}}}]}}
spec:
  hosts: [web.example]
  gateways: [edge]
  http:
  - name: inner
    match: [{uri: {prefix: /inner}}]
    rewrite: {uri: /new}
    headers: {response: {set: {x-route: inner}}}
    route: [{destination: {host: web}}]
  - name: lost
    match: [{uri: {prefix: /lost}}]
    route: [{destination: {host: lost}}]
  - name: others
    route: [{destination: {host: web.default.svc.cluster.local, port: {number: 80}}}]
---
apiVersion: htnn.mosn.io/v1
kind: FilterPolicy
metadata: {name: outer}
spec:
  targetRef: {group: networking.istio.io, kind: VirtualService, name: web}
  filters:
    outerExtProc: {config: {grpcService: {envoyGrpc: {clusterName: "outbound|9000||outer.default.svc.cluster.local"}}}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: outer}
spec: {ports: [{name: grpc, port: 9000}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: inner}
spec:
  hosts: [inner.example.com]
  ports: [{number: 9000, name: grpc, protocol: GRPC}]
  resolution: STATIC
  endpoints: [{address: 127.0.0.1, ports: {grpc: INNER}}]
"#;

fn get(port: u16, host: &str, path: &str) -> Response {
    block_in_place(|| {
        let mut stream = http::connect(&format!("127.0.0.1:{port}"));
        http::send(&mut stream, host, path, &[("connection", "close")]);
        http::receive(stream)
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_virtual_service_is_served_with_its_policies() {
    let upstream = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let web = upstream.local_addr().unwrap();
    tokio::spawn(echo(upstream));
    let (outer, _) = processor(|_| Signature("outer")).await;
    let (inner, _) = processor(|_| Signature("inner")).await;
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let text = CONFIGURATION.replace("PORT", &port.to_string()).replace("INNER", &inner.port().to_string());
    let directory = scratch("istio");
    fs::write(directory.join("all.yaml"), text).unwrap();
    let mut command = tollgate();
    command.args(["run", "--admin-address", "127.0.0.1:0"]);
    command.arg(format!("--resolve=default/web:80={web}"));
    command.arg(format!("--resolve=default/outer:9000={outer}")).arg(&directory);
    let mut gateway = Running::spawn(&mut command);
    block_in_place(|| gateway.wait_for("serving"));

    let both = get(port, "web.example", "/inner/a");
    assert_eq!((both.status, both.header("x-route")), (200, Some("inner")), "{both:?}");
    assert_eq!(both.header("x-envoy-original-path"), Some("/inner/a"), "{both:?}");
    assert_eq!(written(&both, "x-request"), ["outer", "inner"]);
    assert_eq!(written(&both, "x-response"), ["inner", "outer"]);

    let outer_only = get(port, "web.example", "/");
    assert_eq!(written(&outer_only, "x-request"), ["outer"]);
    assert_eq!(written(&outer_only, "x-response"), ["outer"]);

    let lost = get(port, "web.example", "/lost");
    assert_eq!((lost.status, written(&lost, "x-response")), (503, vec!["outer"]), "{lost:?}");

    let elsewhere = get(port, "other.example", "/");
    assert_eq!((elsewhere.status, written(&elsewhere, "x-response")), (404, vec![]), "{elsewhere:?}");
}

const FILTERED: &str = r#"
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: istio-system}
spec:
  selector: {istio: ingressgateway}
  servers:
  - {bind: 127.0.0.1, port: {number: PORT, name: http, protocol: HTTP}, hosts: [web.example]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web}
spec:
  hosts: [web.example]
  gateways: [istio-system/edge]
  http:
  - name: plain
    match: [{uri: {prefix: /plain}}]
    route: [{destination: {host: web}}]
  - name: others
    route: [{destination: {host: web}}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: outer}
spec: {ports: [{name: grpc, port: 9000}]}
---
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: processors, namespace: istio-system}
spec:
  workloadSelector: {labels: {istio: ingressgateway}}
  configPatches:
  - applyTo: CLUSTER
    match: {context: GATEWAY}
    patch:
      operation: ADD
      value:
        name: inner
        connect_timeout: 1s
        typed_extension_protocol_options:
          envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
            "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
            explicit_http_config: {http2_protocol_options: {}}
        load_assignment:
          cluster_name: inner
          endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: INNER}}}}]}]
  - applyTo: HTTP_FILTER
    match:
      context: GATEWAY
      listener: {filterChain: {filter: {name: envoy.filters.network.http_connection_manager, subFilter: {name: envoy.filters.http.router}}}}
    patch:
      operation: INSERT_BEFORE
      value:
        name: outer
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.http.FILTER
          grpc_service: {envoy_grpc: {cluster_name: outbound|9000||outer.default.svc.cluster.local}}
          processing_mode: {response_header_mode: SEND}
  - applyTo: HTTP_FILTER
    match:
      context: GATEWAY
      listener:
        portNumber: PORT
        filterChain: {filter: {name: envoy.filters.network.http_connection_manager, subFilter: {name: envoy.filters.http.router}}}
    patch:
      operation: INSERT_BEFORE
      value:
        name: inner
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor
          grpc_service: {envoy_grpc: {cluster_name: inner}}
  - applyTo: HTTP_ROUTE
    match: {context: GATEWAY, routeConfiguration: {vhost: {name: "web.example:PORT", route: {name: plain}}}}
    patch:
      operation: MERGE
      value:
        typed_per_filter_config:
          outer: {"@type": type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute, disabled: true}
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_envoy_filter_puts_processors_in_front_of_a_gateway() {
    let upstream = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let web = upstream.local_addr().unwrap();
    tokio::spawn(echo(upstream));
    let (outer, _) = processor(|_| Signature("outer")).await;
    let (inner, _) = processor(|_| Signature("inner")).await;
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let text = FILTERED.replace("PORT", &port.to_string()).replace("INNER", &inner.port().to_string());
    let directory = scratch("envoy_filter");
    let file = directory.join("all.yaml");
    fs::write(&file, text.replace("http.FILTER", "http.ext_proc.v3.ExternalProcessor")).unwrap();
    let mut command = tollgate();
    command.args(["run", "--admin-address", "127.0.0.1:0"]);
    command.arg(format!("--resolve=default/web:80={web}"));
    command.arg(format!("--resolve=default/outer:9000={outer}")).arg(&directory);
    let mut gateway = Running::spawn(&mut command);
    block_in_place(|| gateway.wait_for("serving"));

    let both = get(port, "web.example", "/");
    assert_eq!(both.status, 200, "{both:?}");
    assert_eq!(written(&both, "x-request"), ["outer", "inner"]);
    assert_eq!(written(&both, "x-response"), ["inner", "outer"]);
    assert_eq!(written(&get(port, "web.example", "/plain"), "x-request"), ["inner"]);

    // A filter that nobody knows: nothing passes without it.
    fs::write(&file, text.replace("http.FILTER", "http.unknown.v3.Unknown")).unwrap();
    block_in_place(|| {
        wait_for(
            "the gateway closes",
            || get(port, "web.example", "/plain"),
            |response| response.status == 500,
        )
    });
    let closed = get(port, "web.example", "/");
    assert_eq!((closed.status, written(&closed, "x-response")), (500, vec![]), "{closed:?}");
}
