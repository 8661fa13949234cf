//! Many routes and policies.

#![allow(clippy::print_stdout, reason = "figures for whoever runs it with --nocapture")]

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use tollgate_config::{Source, load};

const ROUTES: usize = 5_000;
const POLICIES: usize = 500;

fn input(routes: usize, policies: usize) -> String {
    let mut text = String::from(
        "apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  gatewayClassName: eg
  listeners: [{name: http, port: 8080, protocol: HTTP}]
---
apiVersion: v1
kind: Service
metadata: {name: processor}
spec: {clusterIP: 10.0.0.1, ports: [{name: grpc, port: 9002}]}
",
    );
    for index in 0..routes {
        write!(
            text,
            "---
apiVersion: v1
kind: Service
metadata: {{name: web-{index}}}
spec: {{ports: [{{name: http, port: 80}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: web-{index}, labels: {{kubernetes.io/service-name: web-{index}}}}}
addressType: IPv4
endpoints: [{{addresses: [10.1.0.1]}}]
ports: [{{name: http, port: 8080}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: web-{index}}}
spec:
  parentRefs: [{{name: edge}}]
  hostnames: [web-{index}.example.com]
  rules:
  - matches: [{{path: {{value: /a}}}}, {{path: {{value: /b}}}}]
    backendRefs: [{{name: web-{index}, port: 80}}]
"
        )
        .expect("text");
    }
    for index in 0..policies {
        write!(
            text,
            "---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyExtensionPolicy
metadata: {{name: policy-{index}}}
spec:
  targetRefs: [{{group: gateway.networking.k8s.io, kind: HTTPRoute, name: web-{index}}}]
  extProc: [{{backendRefs: [{{name: processor, port: 9002}}], processingMode: {{request: {{}}}}}}]
"
        )
        .expect("text");
    }
    text
}

/// The time that loading takes, the best of a few.
fn time(routes: usize, policies: usize) -> Duration {
    let source = Source { path: "scale.yaml".to_owned(), text: input(routes, policies) };
    let once = || {
        let start = Instant::now();
        let outcome = load(std::slice::from_ref(&source));
        let took = Instant::now() - start;
        let snapshot = outcome.snapshot.expect("a snapshot");
        assert_eq!(snapshot.clusters.len(), routes + policies);
        let table = &snapshot.listeners[0].filter_chains[0].http.route_config;
        assert_eq!(table.virtual_hosts.iter().count(), routes + 1);
        took
    };
    (0..2).map(|_| once()).min().expect("a time")
}

#[test]
fn the_time_grows_with_the_number_of_objects_and_not_with_its_square() {
    let small = time(ROUTES / 10, POLICIES / 10);
    let large = time(ROUTES, POLICIES);
    println!("{small:?} for a tenth, {large:?} for {ROUTES} routes with {POLICIES} policies");
    // Ten times as much takes ten times as long, and a square would take a hundred times.
    assert!(large < small * 40, "{small:?} for a tenth, {large:?} for all");
}
