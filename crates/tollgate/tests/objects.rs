//! Kubernetes objects in force: beside listeners of an Envoy configuration (CF-30), and with their generations (CF-10).

use tollgate_testing as support;

use std::{fs, net::TcpListener, path::Path};

use serde_json::Value;
use support::{http::get, process::Running, scratch, tollgate};

/// A Gateway at a port that redirects everything.
fn gateway(port: u16, location: &str) -> String {
    format!(
        "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: edge}}
spec:
  gatewayClassName: eg
  addresses: [{{value: 127.0.0.1}}]
  listeners: [{{name: http, port: {port}, protocol: HTTP}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: away}}
spec:
  parentRefs: [{{name: edge}}]
  rules: [{{filters: [{{type: RequestRedirect, requestRedirect: {{hostname: {location}}}}}]}}]
"
    )
}

/// Listeners that answer with their name.
fn native(listeners: &[(&str, u16)]) -> String {
    let listeners = listeners.iter().map(|(name, port)| {
        format!(
            r#"
  - name: {name}
    address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: {name}
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes: [{{match: {{prefix: /}}, direct_response: {{status: 200, body: {{inline_string: "{name}"}}}}}}]
          http_filters:
          - name: router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}"#
        )
    });
    format!("static_resources:\n  listeners:{}\n", listeners.collect::<String>())
}

fn run(directory: &Path) -> Running {
    Running::spawn(
        tollgate().args(["run", "--workers", "1", "--admin-address", "127.0.0.1:0"]).arg(directory),
    )
}

/// A port that nobody has at the moment.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

/// An object of the configuration in force.
fn object(admin: &str, kind: &str) -> Value {
    let config = get(admin, "/config", &[]).json();
    let objects = config["objects"].as_array().expect("objects");
    objects.iter().find(|object| object["kind"] == kind).unwrap_or_else(|| panic!("{config:#}")).clone()
}

/// CF-30: the listener at the port of a Gateway is left out, and the others keep serving.
#[test]
fn listeners_of_an_envoy_configuration_serve_beside_a_gateway() {
    let directory = scratch("objects_mixed");
    let (port, other) = (free_port(), free_port());
    fs::write(directory.join("native.yaml"), native(&[("loses", port), ("stays", 0)])).unwrap();
    fs::write(directory.join("gateway.yaml"), gateway(port, "a.example")).unwrap();
    let mut process = run(&directory);
    process.wait_for("the listener \"loses\" is left out");
    let stays = process.wait_for("listener stays at ");
    process.wait_for("serving");
    let gateway_address = format!("127.0.0.1:{port}");
    let location = format!("http://a.example:{port}/");
    assert_eq!(get(&gateway_address, "/", &[]).header("location"), Some(&*location));
    assert_eq!(get(&stays, "/", &[]).body, "stays");

    // The Gateway moves away: the port is that of the Envoy configuration again, and nobody else notices.
    fs::write(directory.join("gateway.yaml"), gateway(other, "a.example")).unwrap();
    process.wait_for("in force: ");
    process.wait_for(&format!("listener loses at {gateway_address}"));
    assert_eq!(get(&gateway_address, "/", &[]).body, "loses");
    assert_eq!(get(&format!("127.0.0.1:{other}"), "/", &[]).status, 302);
    assert_eq!(get(&stays, "/", &[]).body, "stays");
}

/// CF-10: an object whose spec changes has the next generation, in its conditions as well.
#[test]
fn generations_are_raised_by_another_spec() {
    let directory = scratch("objects_generation");
    let port = free_port();
    let file = directory.join("gateway.yaml");
    fs::write(&file, gateway(port, "a.example")).unwrap();
    let mut process = run(&directory);
    let admin = process.wait_for("admin server at ");
    process.wait_for("serving");
    let observed = |kind: &str| {
        let object = object(&admin, kind);
        let conditions = match kind {
            "Gateway" => object["status"]["conditions"].clone(),
            _ => object["status"]["parents"][0]["conditions"].clone(),
        };
        assert!(!conditions.as_array().unwrap().is_empty(), "{object:#}");
        for condition in conditions.as_array().unwrap() {
            assert_eq!(condition["observedGeneration"], object["generation"], "{object:#}");
        }
        object["generation"].as_i64().unwrap()
    };
    assert_eq!((observed("Gateway"), observed("HTTPRoute")), (1, 1));

    fs::write(&file, gateway(port, "b.example")).unwrap();
    process.wait_for("in force: ");
    assert_eq!((observed("Gateway"), observed("HTTPRoute")), (1, 2));

    // Labels are no part of the spec, and nothing else changes either.
    fs::write(&file, gateway(port, "b.example").replace("{name: away}", "{name: away, labels: {a: b}}"))
        .unwrap();
    process.wait_for("files changed, but the configuration is the same");
    assert_eq!((observed("Gateway"), observed("HTTPRoute")), (1, 2));

    // What cannot be read is no version of anything.
    fs::write(&file, "kind: [").unwrap();
    process.wait_for("the previous configuration stays in force");
    fs::write(&file, gateway(port, "c.example")).unwrap();
    process.wait_for("in force: ");
    assert_eq!((observed("Gateway"), observed("HTTPRoute")), (1, 3));
    let location = format!("http://c.example:{port}/");
    assert_eq!(get(&format!("127.0.0.1:{port}"), "/", &[]).header("location"), Some(&*location));
}
