//! `tollgate run`: from the file to the exit status.

use tollgate_testing as support;

use std::{
    fs,
    io::Write,
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
};

use support::{
    http::{connect, get, read_request, receive, send},
    process::Running,
    scratch, texts, tollgate,
};

/// A gateway on a free port before an upstream.
fn file(test: &str, listener: SocketAddr, upstream: SocketAddr, more: &str) -> PathBuf {
    let address = |address: SocketAddr| {
        format!("{{socket_address: {{address: {}, port_value: {}}}}}", address.ip(), address.port())
    };
    let (listener, upstream) = (address(listener), address(upstream));
    let text = format!(
        r#"
static_resources:
  listeners:
  - name: main
    address: {listener}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: main
          route_config:
            virtual_hosts:
            - {{name: all, domains: ["*"], routes: [{{match: {{prefix: /}}, route: {{cluster: app}}}}]}}
          http_filters:
          - name: router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:
  - name: app
    load_assignment:
      cluster_name: app
      endpoints: [{{lb_endpoints: [{{endpoint: {{address: {upstream}}}}}]}}]
{more}"#
    );
    let path = scratch(test).join("gateway.yaml");
    fs::write(&path, text).expect("the file is written");
    path
}

fn any() -> SocketAddr {
    "127.0.0.1:0".parse().expect("an address")
}

fn occupied() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(any()).expect("a port");
    let address = listener.local_addr().expect("bound");
    (listener, address)
}

/// A gateway that serves, where it listens, and where its admin server does.
fn run(path: &PathBuf) -> (Running, String, String) {
    let arguments = ["run", "--workers", "2", "--admin-address", "127.0.0.1:0"];
    let mut gateway = Running::spawn(tollgate().args(arguments).arg(path));
    let listener = gateway.wait_for("listener main at ");
    let admin = gateway.wait_for("admin server at ");
    gateway.wait_for("serving");
    (gateway, listener, admin)
}

#[test]
fn a_refused_file_binds_nothing_and_tells_every_problem() {
    let (_listener, address) = occupied();
    let path = file("run_refused", address, address, "  listenerz: []\nnodes: {}\n");
    let output = tollgate().arg("run").arg(path).output().unwrap();
    let (printed, errors) = texts(&output);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(printed, "");
    assert!(errors.contains("listenerz") && errors.contains("nodes"), "{errors}");
    assert!(errors.contains("refused: 2 errors"), "{errors}");
    assert!(!errors.contains("bound"), "it did not try: {errors}");
}

#[test]
fn problems_are_events_in_a_json_log() {
    let (_listener, address) = occupied();
    let path = file("run_refused_json", address, address, "  listenerz: []\n");
    let output = tollgate().args(["run", "--log-format", "json"]).arg(path).output().unwrap();
    let (_, errors) = texts(&output);
    let events: Vec<serde_json::Value> =
        errors.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(events.iter().any(|event| event["path"] == "static_resources.listenerz"), "{errors}");
    assert!(events.iter().all(|event| event["level"] == "ERROR"), "{errors}");
}

#[test]
fn an_address_in_use_is_named_with_its_listener() {
    let (_listener, address) = occupied();
    let path = file("run_in_use", address, address, "");
    let output = tollgate().args(["run", "--admin-address", "127.0.0.1:0"]).arg(path).output().unwrap();
    let (_, errors) = texts(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(errors.contains("main") && errors.contains(&address.to_string()), "{errors}");
}

#[test]
fn an_admin_address_in_use_is_named() {
    let (_listener, address) = occupied();
    let path = file("run_admin_in_use", any(), address, "");
    let output =
        tollgate().args(["run", "--admin-address", &address.to_string()]).arg(path).output().unwrap();
    let (_, errors) = texts(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(errors.contains("admin server") && errors.contains(&address.to_string()), "{errors}");
    assert!(errors.contains("--admin-address"), "{errors}");
}

#[test]
fn the_admin_block_of_the_file_wins() {
    let (_listener, address) = occupied();
    let admin = "admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}\n";
    let path = file("run_admin_block", any(), address, admin);
    let arguments = ["run", "--admin-address", &address.to_string()];
    let mut gateway = Running::spawn(tollgate().args(arguments).arg(path));
    let listener = gateway.wait_for("listener main at ");
    let admin = gateway.wait_for("admin server at ");
    assert_ne!(admin, address.to_string());
    assert_eq!(get(&admin, "/ready", &[]).body, "LIVE\n");
    assert_eq!(get(&admin, "/listeners", &[]).body, format!("main::{listener}\n"));
    assert_eq!(get(&admin, "/config", &[]).json()["listeners"][0]["name"], "main");
    assert_eq!(get(&admin, "/nothing", &[]).status, 404);
}

#[test]
fn the_first_signal_lets_requests_end() {
    let (upstream, address) = occupied();
    let (mut gateway, listener, admin) = run(&file("run_drain", any(), address, ""));
    let mut client = connect(&listener);
    send(&mut client, "app.example", "/slow", &[]);
    let (mut answering, _) = upstream.accept().unwrap();
    let (line, _) = read_request(&answering);
    assert_eq!(line, "GET /slow HTTP/1.1");

    gateway.signal("TERM");
    gateway.wait_for("draining");
    let ready = get(&admin, "/ready", &[]);
    assert_eq!((ready.status, ready.body.as_str()), (503, "DRAINING\n"));
    while TcpStream::connect(&listener).is_ok() {}

    answering.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone").unwrap();
    let response = receive(client);
    assert_eq!((response.status, response.body.as_str()), (200, "done"));
    assert_eq!(response.header("connection"), Some("close"));
    let (status, output) = gateway.wait();
    assert_eq!(status.code(), Some(0), "{output}");
}

#[test]
fn the_second_signal_does_not_wait() {
    let (upstream, address) = occupied();
    let (mut gateway, listener, _) = run(&file("run_hurry", any(), address, ""));
    let mut client = connect(&listener);
    send(&mut client, "app.example", "/never", &[]);
    let (answering, _) = upstream.accept().unwrap();
    read_request(&answering);
    gateway.signal("TERM");
    gateway.wait_for("draining");
    gateway.signal("INT");
    let (status, output) = gateway.wait();
    assert_eq!(status.code(), Some(130), "{output}");
}

/// A policy of a kind that does not exist, and the route that it would be for.
const EXPOSED: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  gatewayClassName: eg
  addresses: [{type: IPAddress, value: 127.0.0.1}]
  listeners: [{name: http, protocol: HTTP, port: PORT}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: app}
spec: {parentRefs: [{name: edge}]}
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyExtentionPolicy
metadata: {name: policy}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: app}]
  extProc: []
";

#[test]
fn what_may_be_open_is_served_only_on_request() {
    let path = scratch("run_exposed").join("objects.yaml");
    let (listener, address) = occupied();
    drop(listener);
    fs::write(&path, EXPOSED.replace("PORT", &address.port().to_string())).unwrap();
    let output = tollgate().arg("run").arg(&path).output().unwrap();
    let (_, errors) = texts(&output);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("did you mean \"EnvoyExtensionPolicy\"?"), "{errors}");
    assert!(errors.contains("serve the rest with --permissive"), "{errors}");

    let arguments = ["run", "--permissive", "--workers", "1", "--admin-address", "127.0.0.1:0"];
    let mut gateway = Running::spawn(tollgate().args(arguments).arg(&path));
    let listener = gateway.wait_for("listener default/edge/http at ");
    gateway.wait_for("serving");
    assert_eq!(get(&listener, "/", &[]).status, 500, "what the policy would protect is closed");
}

#[test]
fn notes_are_one_line() {
    let path = file("run_notes", any(), any(), "stats_flush_interval: 5s\nenable_dispatcher_stats: true\n");
    let (gateway, ..) = run(&path);
    gateway.signal("TERM");
    let (_, output) = gateway.wait();
    assert!(output.contains("2 notes about the configuration; `tollgate check` shows them"), "{output}");
    assert!(!output.contains("stats_flush_interval"), "{output}");
}

#[test]
fn standard_input_cannot_be_served() {
    let output = tollgate().args(["run", "-"]).output().unwrap();
    let (_, errors) = texts(&output);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("name a file"), "{errors}");
}
