//! `tollgate demo`: what it prints works.

use tollgate_testing as support;

use std::net::TcpListener;

use serde_json::json;
use support::{http::get, process::Running, texts, tollgate};

const ADD: (&str, &str) = ("instructions", r#"{"addHeaders":{"extproc":"true"}}"#);

#[test]
fn requests_to_headers_stop_at_the_processor_and_requests_to_get_do_not() {
    let mut demo = Running::spawn(tollgate().args(["demo", "--port", "0"]));
    let gateway = demo.wait_for("  gateway    http://");
    let admin = demo.wait_for("  admin      http://");

    let headers = get(&gateway, "/headers", &[ADD]);
    assert_eq!(headers.status, 200);
    assert_eq!(headers.json()["headers"]["Extproc"], json!(["true"]));
    assert_eq!(headers.json()["headers"]["Instructions"], json!([ADD.1]), "nothing removes it");

    let untouched = get(&gateway, "/get", &[ADD]);
    assert_eq!(untouched.status, 200);
    assert_eq!(untouched.json()["headers"].get("Extproc"), None);
    assert_eq!(untouched.json()["headers"]["Host"], json!([gateway]));

    let remove = r#"{"addHeaders":{"header3":"value3"},"removeHeaders":["instructions","user-agent"]}"#;
    let removed = get(&gateway, "/headers", &[("instructions", remove), ("user-agent", "test")]).json();
    assert_eq!(removed["headers"]["Header3"], json!(["value3"]));
    assert_eq!(removed["headers"].get("Instructions"), None);
    assert_eq!(removed["headers"].get("User-Agent"), None);

    let failed_open = get(&gateway, "/headers", &[("instructions", "nonsense")]);
    assert_eq!(failed_open.status, 200);
    assert_eq!(failed_open.json()["headers"]["Instructions"], json!(["nonsense"]));

    assert_eq!(get(&gateway, "/elsewhere", &[]).status, 404, "and the processor was asked before");

    let stats = get(&admin, "/stats?filter=ext_proc", &[]).body;
    for counter in ["streams_started: 4", "failure_mode_allowed: 1"] {
        assert!(stats.contains(&format!("http.ingress.ext_proc.{counter}\n")), "{stats}");
    }
    assert!(stats.lines().all(|line| line.contains("ext_proc")), "{stats}");
    let metrics = get(&admin, "/metrics", &[]).body;
    assert!(
        metrics.contains("tollgate_http_ext_proc_streams_started_total{http_conn_manager_prefix=\"ingress\",ext_proc_prefix=\"\"} 4"),
        "{metrics}"
    );
    assert_eq!(get(&admin, "/listeners", &[]).body, format!("http::{gateway}\n"));

    demo.signal("INT");
    let (status, output) = demo.wait();
    assert_eq!(status.code(), Some(0), "{output}");
}

/// The same traffic, however the gateway is told about it.
#[test]
fn every_dialect_does_the_same() {
    for dialect in ["envoy", "envoy-gateway", "kgateway", "htnn"] {
        let mut demo = Running::spawn(tollgate().args(["demo", "--port", "0", "--dialect", dialect]));
        let gateway = demo.wait_for("  gateway    http://");
        let admin = demo.wait_for("  admin      http://");

        let headers = get(&gateway, "/headers", &[ADD]);
        assert_eq!(headers.json()["headers"]["Extproc"], json!(["true"]), "{dialect}");
        assert_eq!(get(&gateway, "/get", &[ADD]).json()["headers"].get("Extproc"), None, "{dialect}");
        let failed_open = get(&gateway, "/headers", &[("instructions", "nonsense")]);
        assert_eq!(failed_open.json()["headers"]["Instructions"], json!(["nonsense"]), "{dialect}");

        let stats = get(&admin, "/stats?filter=ext_proc.*(streams_started|failure_mode_allowed)", &[]).body;
        for counter in ["streams_started: 2", "failure_mode_allowed: 1"] {
            assert!(stats.contains(counter), "{dialect}: {stats}");
        }
        demo.signal("INT");
        assert_eq!(demo.wait().0.code(), Some(0), "{dialect}");
    }
}

#[test]
fn the_configuration_can_be_read() {
    let output = tollgate().args(["demo", "--dialect", "kgateway", "--print"]).output().unwrap();
    assert_eq!(
        texts(&output),
        (include_str!("../../../examples/demo/kgateway.yaml").to_owned(), String::new())
    );
}

#[test]
fn a_port_in_use_is_named() {
    let occupied = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = occupied.local_addr().unwrap();
    let output = tollgate().args(["demo", "--port", &address.port().to_string()]).output().unwrap();
    let (printed, errors) = texts(&output);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(printed, "");
    assert!(errors.contains(&address.to_string()) && errors.contains("--port"), "{errors}");
}
