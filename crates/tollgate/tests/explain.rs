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
    assert_eq!(processor["sent"]["request_headers"], "all headers");
    assert_eq!(processor["endpoints"], serde_json::json!(["127.0.0.1:18080"]));
    assert_eq!(processor["sent"]["request_body"], "not sent");
    // Fail open is this dialect's default, and nobody has written it.
    assert_eq!(processor["settings"][0]["value"], true);
    assert_eq!(processor["settings"][0]["from"], "default");
    let failure = |kind: &str| processor["failures"][kind].as_str().unwrap();
    assert_eq!(failure("unreachable_or_broken"), "the request goes on without the processor");
    assert!(failure("message_timeout").contains("200ms"), "{processor:#}");
    assert_eq!(failure("refused_mutation"), "500, even so");
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
    let late = &answer["processors"][0]["failures"]["message_timeout"];
    assert_eq!(late, "without an answer within 200ms: 504");
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

/// Each share of the requests is told with the processors that are its own (KG-12).
#[test]
fn shares_have_processors_of_their_own() {
    let folder = root().join("crates/tollgate-config/src/kgateway/tests");
    let paths = [folder.join("base.yaml"), folder.join("inputs/kg_12_backend.yaml")];
    let mut command = tollgate();
    command.args(["explain", "-o", "json"]).args(paths).args(["--", "http://extra.example:8080/headers"]);
    let output = command.output().unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let shares = answer["shares"].as_array().unwrap();
    assert_eq!(shares[0]["processors"], serde_json::json!([]), "{answer:#}");
    assert_eq!((&shares[1]["weight"], &shares[1]["endpoints"][0]), (&3.into(), &"10.0.0.1:8000".into()));
    let processor = &shares[1]["processors"][0];
    assert_eq!(processor["enabled_by"]["name"], "TrafficPolicy default/p");
    assert_eq!(processor["defined_by"]["name"], "GatewayExtension default/a");
}

/// Of an Envoy configuration it is told what is written there and what is a default.
#[test]
fn an_envoy_configuration_has_no_objects() {
    let (_, answer) = explain("envoy", &[], &["http://localhost:10000/headers"]);
    let settings = answer["processors"][0]["settings"].as_array().unwrap();
    let from = |name: &str| settings.iter().find(|setting| setting["name"] == name).unwrap()["from"].clone();
    assert_eq!(from("message_timeout"), "the Envoy configuration");
    assert_eq!(from("allow_mode_override"), "default");
    // The route before the chosen one, and what it lacks.
    let (_, answer) = explain("envoy", &[], &["http://localhost:10000/get"]);
    assert_eq!(answer["passed_over"][0]["name"], "headers");
    assert_eq!(answer["passed_over"][0]["unmet"], "the path is \"/headers\" or below it");
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
