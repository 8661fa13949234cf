//! A VirtualService of Istio's, behind a Gateway of Istio's, with HTNN's policies on it (3.7).

use tollgate_testing as support;

use std::{fs, net::TcpListener};

use support::{
    gateway::processor,
    http::{self, Response},
    http1::echo,
    process::Running,
    scratch,
    signature::{Signature, written},
    tollgate,
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
