//! Gateways of Kubernetes have an access log without being asked.

use std::{fs, net::TcpListener, path::PathBuf};

use crate::support::{http::get, process::Running, scratch, tollgate};

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|bound| bound.local_addr()).expect("a port").port()
}

/// A gateway of some class that redirects; `more` are further objects.
fn objects(test: &str, port: u16, class: &str, more: &str) -> PathBuf {
    let directory = scratch(test);
    let text = format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: gateway}}
spec:
  gatewayClassName: {class}
  listeners: [{{name: http, protocol: HTTP, port: {port}}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: route}}
spec:
  parentRefs: [{{name: gateway}}]
  rules:
  - filters: [{{type: RequestRedirect, requestRedirect: {{hostname: elsewhere.test}}}}]
{more}"
    );
    fs::write(directory.join("objects.yaml"), text).expect("written");
    directory
}

fn serve(arguments: &[&str], directory: &PathBuf) -> Running {
    let fixed = ["run", "--admin-address", "127.0.0.1:0", "--bind-address", "127.0.0.1"];
    let mut process = Running::spawn(tollgate().args(fixed).args(arguments).arg(directory));
    process.wait_for("serving");
    process
}

#[test]
fn a_gateway_of_any_class_logs_json_on_standard_output() {
    let port = free_port();
    let mut process = serve(&[], &objects("logged_json", port, "some-class", ""));
    assert_eq!(get(&format!("127.0.0.1:{port}"), "/a", &[("user-agent", "test")]).status, 302);
    let rest = process.wait_for("{\":authority\":");
    assert!(
        rest.contains("\"response_code\":302")
            && rest.contains("\"response_code_details\":\"direct_response\""),
        "{rest}"
    );
    assert!(rest.contains("\"method\":\"GET\"") && rest.contains("\"user-agent\":\"test\""), "{rest}");
    process.signal("TERM");
    assert!(process.wait().0.success());
}

#[test]
fn the_command_line_chooses_text_or_nothing() {
    let port = free_port();
    let directory = objects("logged_text", port, "some-class", "");
    let mut process = serve(&["--access-log", "text"], &directory);
    assert_eq!(get(&format!("127.0.0.1:{port}"), "/a", &[]).status, 302);
    process.wait_for("\"GET /a HTTP/1.1\"");
    process.signal("TERM");
    assert!(process.wait().0.success());
    let process = serve(&["--access-log", "off"], &directory);
    assert_eq!(get(&format!("127.0.0.1:{port}"), "/a", &[]).status, 302);
    process.signal("TERM");
    let (_, text) = process.wait();
    assert!(!text.contains("/a"), "{text}");
}

#[test]
fn an_envoy_proxy_chooses_file_and_format() {
    let port = free_port();
    let file = scratch("logged_file").join("access.log");
    let more = format!(
        "---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {{name: eg}}
spec:
  controllerName: gateway.envoyproxy.io/gatewayclass-controller
  parametersRef: {{group: gateway.envoyproxy.io, kind: EnvoyProxy, name: proxy, namespace: default}}
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyProxy
metadata: {{name: proxy}}
spec:
  telemetry:
    accessLog:
      settings:
      - format: {{type: Text, text: 'seen %REQ(:PATH)%'}}
        sinks: [{{type: File, file: {{path: {}}}}}]
",
        file.display()
    );
    let process = serve(&[], &objects("logged_proxy", port, "eg", &more));
    assert_eq!(get(&format!("127.0.0.1:{port}"), "/b", &[]).status, 302);
    process.signal("TERM");
    let (_, text) = process.wait();
    assert_eq!(fs::read_to_string(&file).unwrap_or_default(), "seen /b\n", "{text}");
}
