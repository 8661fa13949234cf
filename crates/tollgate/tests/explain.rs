//! `tollgate explain` as people and machines call it.

use tollgate_testing as support;

use serde_json::{Value, json};
use support::{root, scratch, texts, tollgate};

/// The exit status and the answer for machines.
fn explain(example: &str, options: &[&str], request: &[&str]) -> (Option<i32>, Value) {
    let path = root().join("examples").join(example);
    let output =
        tollgate().args(["explain", "-o", "json"]).args(options).arg(path).arg("--").args(request).output();
    let output = output.expect("it runs");
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or_default())
}

/// A setting of a processor.
fn setting<'a>(processor: &'a Value, name: &str) -> &'a Value {
    let settings = processor["settings"].as_array().expect("settings");
    settings.iter().find(|setting| setting["name"] == name).expect("a setting of that name")
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
    assert_eq!(processor["sent"]["request_headers"]["what"], "all headers");
    assert_eq!(processor["endpoints"], json!(["127.0.0.1:18080"]));
    assert_eq!(processor["sent"]["request_body"]["sent"], false);
    // Fail open is this dialect's default, and nobody has written it.
    assert_eq!(
        setting(processor, "failure_mode_allow"),
        &json!({ "name": "failure_mode_allow", "value": true, "from": "default" })
    );
    assert!(setting(processor, "grpc_service")["from"].as_str().unwrap().contains("ext-proc.yaml:38:"));
    assert_eq!(setting(processor, "max_receive_message_length")["from"], "default");
    let failure = |kind: &str| processor["failures"][kind].as_str().unwrap();
    assert_eq!(processor["failure_mode"], "open");
    assert_eq!(failure("unreachable_or_broken"), "goes on without the processor");
    assert!(failure("message_timeout").contains("200ms"), "{processor:#}");
    assert_eq!(failure("refused_mutation"), "500 to the client, even so");
    // The other rule has none.
    let (_, answer) = explain("kgateway", KGATEWAY, &["http://extproc.example:8080/get"]);
    assert_eq!((&answer["route"]["rule"]["index"], &answer["processors"]), (&1.into(), &json!([])));
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
    assert_eq!(late, "504 to the client if there is no answer within 200ms");
    assert_eq!(setting(&answer["processors"][0], "failure_mode_allow")["from"], "default");
}

#[test]
fn what_does_not_apply_is_told_with_the_reason() {
    let (status, answer) = explain("kgateway", KGATEWAY, &["http://extproc.example:8080/other"]);
    assert_eq!((status, &answer["status"]), (Some(1), &404.into()));
    assert_eq!(answer["why_not"], json!(["none of the 2 routes of the virtual host applies"]));
    assert_eq!(answer["nearest"][0]["unmet"], json!(["the path is \"/headers\" or below it"]));
    assert_eq!(answer["processors"], json!([]));
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
    assert_eq!(shares[0]["processors"], json!([]), "{answer:#}");
    assert_eq!((&shares[1]["weight"], &shares[1]["endpoints"][0]), (&3.into(), &"10.0.0.1:8000".into()));
    let processor = &shares[1]["processors"][0];
    assert_eq!(processor["enabled_by"]["name"], "TrafficPolicy default/p");
    assert_eq!(processor["defined_by"]["name"], "GatewayExtension default/a");
}

/// Of an Envoy configuration everything is told with its place, too.
#[test]
fn the_parts_of_an_envoy_configuration_have_places() {
    let at = |value: &Value, line: &str| {
        let place = value.as_str().unwrap_or_else(|| panic!("{value} is no place"));
        assert!(place.contains(&format!("instructions.yaml:{line}:")), "{place} is not line {line}");
    };
    let (status, answer) = explain("envoy", &[], &["http://localhost:10000/headers"]);
    assert_eq!(status, Some(0));
    at(&answer["listener"]["place"], "10");
    at(&answer["virtual_host"]["place"], "21");
    at(&answer["route"]["place"], "24");
    let processor = &answer["processors"][0];
    at(&processor["defined_by"]["place"], "37");
    at(&setting(processor, "grpc_service")["from"], "39");
    at(&setting(processor, "message_timeout")["from"], "41");
    assert_eq!(setting(processor, "allow_mode_override")["from"], "default");
    // The other route, which turns the processor off.
    let (_, answer) = explain("envoy", &[], &["http://localhost:10000/get"]);
    at(&answer["route"]["place"], "27");
    assert_eq!(answer["processors"], json!([]));
    assert_eq!(answer["nearest"][0]["name"], "headers");
    assert_eq!(answer["nearest"][0]["unmet"], json!(["the path is \"/headers\" or below it"]));
    // No route applies: the filter is on in the chain, so it sees the request before the answer.
    let (status, answer) = explain("envoy", &[], &["http://localhost:10000/other"]);
    assert_eq!((status, &answer["status"]), (Some(1), &json!(404)));
    at(&answer["processors"][0]["defined_by"]["place"], "37");
}

/// Answers about a configuration in which every level says something about processors.
fn explain_levels(request: &[&str]) -> Value {
    let path = root().join("crates/tollgate-config/src/envoy/tests/levels.yaml");
    let output = tollgate().args(["explain", "-o", "json"]).arg(path).arg("--").args(request).output();
    serde_json::from_slice(&output.expect("it runs").stdout).expect("JSON")
}

/// A setting is told with the level of `typed_per_filter_config` that overrides it (EN-30).
#[test]
fn levels_that_override_settings_are_told() {
    let answer = explain_levels(&["http://127.0.0.1:10000/orders", "-H", "host: app.example"]);
    let by = |share: usize, processor: usize, name: &str| {
        let setting = setting(&answer["shares"][share]["processors"][processor], name);
        let line = setting["from"].as_str().unwrap().rsplit(':').nth(1).map(str::to_owned);
        (
            setting["value"].clone(),
            setting["level"].as_str().unwrap_or("the filter").to_owned(),
            line.unwrap_or_default(),
        )
    };
    let expected = |value: Value, level: &str, line: &str| (value, level.to_owned(), line.to_owned());
    assert_eq!(by(0, 0, "failure_mode_allow"), expected(json!(true), "virtual host app", "32"));
    assert_eq!(by(1, 0, "failure_mode_allow"), expected(json!(false), "weighted cluster app", "53"));
    assert_eq!(by(0, 0, "grpc_service"), expected(json!("cluster other"), "route orders", "41"));
    assert_eq!(by(0, 0, "message_timeout"), expected(json!("2s"), "the filter", "82"));
    // Of two filters with one name that behind the router is told with what is its own.
    assert_eq!(answer["shares"][0]["processors"][2]["upstream"], true);
    assert_eq!(by(0, 2, "message_timeout"), expected(json!("3s"), "the filter", "101"));
    let late = &answer["shares"][0]["processors"][1];
    assert_eq!(late["enabled_by"]["name"], "the route table");
    // Another service is not called with what the replaced one says.
    assert_eq!(
        setting(&answer["shares"][0]["processors"][0], "max_receive_message_length")["from"],
        "default"
    );
    assert_eq!(answer["shares"][0]["processors"][0]["problem"], "there is no such cluster: every call fails");
}

/// The decision is that of the code that serves: what it refuses is refused, what it makes of a request is told.
#[test]
fn requests_that_may_not_pass_are_told_with_their_answer() {
    let upgrade = [
        "http://app.example:10000/",
        "-H",
        "host: app.example",
        "-H",
        "connection: upgrade",
        "-H",
        "upgrade: websocket",
    ];
    let answer = explain_levels(&upgrade);
    assert_eq!((&answer["status"], &answer["details"]), (&json!(403), &json!("upgrade_failed")));
    assert_eq!(answer["why_not"], json!(["the request is refused: the upgrade is not allowed here"]));
    // The port counts, as it does in Envoy.
    let answer = explain_levels(&["http://app.example:10000/orders"]);
    let reasons = answer["why_not"].as_array().unwrap();
    assert!(reasons[0].as_str().unwrap().contains("\"app.example:10000\""), "{reasons:?}");
    assert!(reasons[1].as_str().unwrap().contains("ignore_port_in_host_matching"), "{reasons:?}");
}

#[test]
fn people_get_a_text() {
    let path = root().join("examples/envoy");
    let output =
        tollgate().arg("explain").arg(path).args(["--", "http://localhost:10000/headers"]).output().unwrap();
    let (text, _) = texts(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("processor 1   envoy.filters.http.ext_proc"), "{text}");
    assert!(text.contains("runner-up     none: no other route applies"), "{text}");
    assert!(text.contains("it would apply if the path is \"/get\" or below it"), "{text}");
    // What somebody has written comes first, with its place.
    let settings = text.split_once("  settings\n").expect("settings").1;
    let (written, defaults): (Vec<_>, Vec<_>) =
        settings.lines().partition(|line| !line.ends_with("[default]"));
    assert_eq!(settings.lines().take(written.len()).collect::<Vec<_>>(), written, "{text}");
    assert!(written.iter().all(|line| line.contains("instructions.yaml:")), "{text}");
    assert!(defaults.iter().any(|line| line.contains("status_on_error")), "{text}");
}

/// What is wrong with the policy of a route is said with the route.
#[test]
fn problems_that_concern_the_route_are_named() {
    let objects = "\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge}
spec: {gatewayClassName: eg, listeners: [{name: http, protocol: HTTP, port: 8080}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: app}
spec: {parentRefs: [{name: edge}]}
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyExtensionPolicy
metadata: {name: policy}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: app}]
  extProc: [{backendRefs: [{name: nowhere, port: 9002}], processingMode: {request: {}}}]
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: Sprocket
metadata: {name: elsewhere}
";
    let file = scratch("explain_problems").join("objects.yaml");
    std::fs::write(&file, objects).unwrap();
    let output =
        tollgate().arg("explain").arg(&file).args(["--", "http://localhost:8080/"]).output().unwrap();
    let (text, _) = texts(&output);
    assert!(text.contains("problems      error: service default/nowhere not found"), "{text}");
    assert!(!text.contains("Sprocket"), "it has nothing to do with the route: {text}");
}
