//! `tollgate explain` as people and machines call it.

mod support;

use serde_json::Value;
use support::{root, texts, tollgate};

/// The exit status and the answer for machines.
fn explain(example: &str, options: &[&str], request: &[&str]) -> (Option<i32>, Value) {
    let path = root().join("examples").join(example);
    let output =
        tollgate().args(["explain", "-o", "json"]).args(options).arg(path).arg("--").args(request).output();
    let output = output.expect("it runs");
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or_default())
}

const KGATEWAY: &[&str] = &["--namespace", "kgateway-system"];

#[test]
fn the_route_and_its_processors_are_told_with_their_objects() {
    let (status, answer) = explain("kgateway", KGATEWAY, &["http://extproc.example:8080/headers/a"]);
    assert_eq!(status, Some(0));
    assert_eq!(answer["route"]["object"]["name"], "HTTPRoute kgateway-system/extproc");
    assert_eq!(answer["route"]["rule"]["index"], 0);
    let processor = &answer["processors"][0];
    assert_eq!(processor["enabled_by"]["name"], "TrafficPolicy kgateway-system/extproc");
    assert!(
        processor["defined_by"]["place"].as_str().unwrap().contains("ext-proc.yaml:30:"),
        "{processor:#}"
    );
    assert_eq!(processor["sent"]["request_headers"], "sent");
    assert_eq!(processor["sent"]["request_body"], "not sent");
    // Fail open is this dialect's default, and nobody has written it.
    assert_eq!(processor["settings"][0]["value"], true);
    assert_eq!(processor["settings"][0]["from"], "default");
    assert!(processor["failures"]["any"].as_str().unwrap().contains("without the processor"));
    // The other rule has none.
    let (_, answer) = explain("kgateway", KGATEWAY, &["http://extproc.example:8080/get"]);
    assert_eq!(
        (&answer["route"]["rule"]["index"], &answer["processors"]),
        (&1.into(), &serde_json::json!([]))
    );
}

#[test]
fn processors_come_in_the_order_of_the_request() {
    let (_, answer) = explain("htnn", &[], &["POST", "http://a.example:10000/", "-H", "x-a: b"]);
    let filters: Vec<&str> = answer["processors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|found| found["filter"].as_str().unwrap())
        .collect();
    assert_eq!(filters, ["htnn.filters.http.outerExtProc", "htnn.filters.http.innerExtProc"]);
    assert_eq!(answer["processors"][0]["failures"]["message_timeout"], 504);
    let from = answer["processors"][0]["settings"][0]["from"].as_str();
    assert_eq!(from, Some("default"));
}

#[test]
fn what_does_not_apply_is_told_with_the_reason() {
    let (status, answer) = explain("kgateway", KGATEWAY, &["http://extproc.example:8080/other"]);
    assert_eq!((status, &answer["status"]), (Some(1), &404.into()));
    assert!(answer["why_not"][0].as_str().unwrap().contains("/headers"), "{answer:#}");
    let (status, answer) = explain("kgateway", KGATEWAY, &["http://elsewhere.example:8080/"]);
    assert_eq!(status, Some(1));
    assert!(answer["why_not"][0].as_str().unwrap().contains("extproc.example"), "{answer:#}");
    let (status, answer) = explain("kgateway", KGATEWAY, &["http://extproc.example:81/"]);
    assert_eq!(status, Some(1));
    assert!(answer["why_not"][0].as_str().unwrap().contains("127.0.0.1:8080"), "{answer:#}");
    assert_eq!(explain("kgateway", KGATEWAY, &["extproc.example"]).0, Some(2));
}

#[test]
fn people_get_a_text() {
    let path = root().join("examples/envoy");
    let output =
        tollgate().arg("explain").arg(path).args(["--", "http://localhost:10000/headers"]).output().unwrap();
    let (text, _) = texts(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("processor 1   envoy.filters.http.ext_proc"), "{text}");
    assert!(text.contains("runner-up "), "{text}");
}
