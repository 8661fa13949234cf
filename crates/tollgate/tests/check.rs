//! `tollgate check`.

use tollgate_testing as support;

use std::{fs, io::Write};

use support::{root, scratch, texts, tollgate};

const WRONG: &str = "\
static_resources:
  listenerz: []
  clusters:
  - name: a
    connect_timeout: soon
";

#[test]
fn examples_are_accepted() {
    for entry in fs::read_dir(root().join("examples/envoy")).unwrap() {
        let file = entry.unwrap().path();
        let output = tollgate().arg("check").arg(&file).output().unwrap();
        let (report, _) = texts(&output);
        assert!(output.status.success(), "{report}");
        assert!(report.ends_with(": accepted\n"), "{report}");
    }
}

#[test]
fn every_problem_is_told_with_its_place() {
    let file = scratch("check_problems").join("wrong.yaml");
    fs::write(&file, WRONG).unwrap();
    let output = tollgate().arg("check").arg(&file).output().unwrap();
    let (report, errors) = texts(&output);
    assert_eq!(output.status.code(), Some(1), "{report}");
    assert_eq!(errors, "");
    assert!(report.contains(&format!("{}:2:3 (static_resources.listenerz)", file.display())), "{report}");
    assert!(report.contains("listeners"), "a suggestion: {report}");
    assert!(report.contains(&format!("{}:5:22", file.display())), "{report}");
    assert!(report.ends_with("wrong.yaml: refused: 2 errors, 1 warning\n"), "{report}");
}

#[test]
fn machines_get_one_document() {
    let file = scratch("check_json").join("wrong.yaml");
    fs::write(&file, WRONG).unwrap();
    let output = tollgate().args(["check", "-o", "json"]).arg(&file).output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(report["accepted"], false);
    assert_eq!(report["file"], file.display().to_string());
    let first = &report["diagnostics"][0];
    assert_eq!((&first["line"], &first["column"]), (&2.into(), &3.into()));
    assert_eq!(first["severity"], "error");
    assert_eq!(first["path"], "static_resources.listenerz");

    let example = root().join("examples/envoy/instructions.yaml");
    let output = tollgate().args(["check", "-o", "json"]).arg(example).output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(output.status.success());
    assert_eq!((&report["accepted"], &report["diagnostics"]), (&true.into(), &serde_json::json!([])));
}

#[test]
fn what_has_no_effect_is_noted_or_refused() {
    let file = scratch("check_strict").join("noted.yaml");
    fs::write(&file, "static_resources: {}\nstats_flush_interval: 5s\n").unwrap();
    let check = |arguments: &[&str]| {
        let output = tollgate().arg("check").args(arguments).arg(&file).output().unwrap();
        (output.status.code(), texts(&output).0)
    };
    let (status, report) = check(&[]);
    assert_eq!(status, Some(0), "{report}");
    assert!(report.ends_with("accepted: 1 note\n"), "{report}");
    let (status, report) = check(&["--strict"]);
    assert_eq!(status, Some(1), "{report}");
    assert!(report.ends_with("refused: 1 error\n"), "{report}");
}

#[test]
fn a_file_that_is_not_there_is_refused() {
    let output = tollgate().args(["check", "no/such/file.yaml"]).output().unwrap();
    let (report, _) = texts(&output);
    assert_eq!(output.status.code(), Some(2));
    assert!(report.contains("cannot be read"), "{report}");
}

#[test]
fn kubernetes_objects_are_told_with_their_status() {
    let example = root().join("examples/kgateway");
    let check = |arguments: &[&str]| {
        let output = tollgate().arg("check").args(arguments).arg(&example).output().unwrap();
        (output.status.code(), texts(&output).0)
    };
    let (status, report) = check(&["--namespace", "kgateway-system"]);
    assert_eq!(status, Some(0), "{report}");
    let line =
        |start: &str| report.lines().find(|line| line.starts_with(start)).unwrap_or_default().to_owned();
    assert!(
        line("Gateway ").contains("kgateway-system/http ") && line("Gateway ").ends_with(" accepted"),
        "{report}"
    );
    assert!(line("  listener").ends_with("accepted, attached routes: 1"), "{report}");
    assert!(line("TrafficPolicy").ends_with("accepted"), "{report}");
    // Without the namespace the reference to the policy leads nowhere (CF-8).
    let (status, report) = check(&[]);
    assert_eq!(status, Some(1), "{report}");
    assert!(report.contains("RefNotPermitted"), "{report}");

    let (status, objects) = check(&["--namespace", "kgateway-system", "-o", "yaml"]);
    assert_eq!(status, Some(0));
    assert!(objects.contains("    reason: Attached\n"), "{objects}");
    // What is written can be read again, and says the same.
    let file = scratch("check_yaml").join("objects.yaml");
    fs::write(&file, &objects).unwrap();
    let again = tollgate()
        .args(["check", "-o", "yaml", "--namespace", "kgateway-system"])
        .arg(&file)
        .output()
        .unwrap();
    assert_eq!(texts(&again).0, objects);
}

/// Istio gives its objects no status; what is said of them stands in the table all the same.
#[test]
fn objects_of_istio_are_told_without_a_status() {
    const OBJECTS: &str = "\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: lost}
spec: {hosts: ['*'], gateways: [edge, nowhere, elsewhere], http: [{redirect: {uri: /}}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec: {servers: [{name: web, port: {number: 8080, name: http, protocol: HTTP}, hosts: ['*']}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: api}
spec: {hosts: [api.example.com], ports: [{number: 80, name: http}], resolution: DNS, location: MESH_EXTERNAL}
";
    let file = scratch("check_istio").join("objects.yaml");
    fs::write(&file, OBJECTS).unwrap();
    let output = tollgate().arg("check").arg(&file).output().unwrap();
    let (report, _) = texts(&output);
    let table = "
Gateway         default/edge  accepted
VirtualService  default/lost  Gateway default/nowhere not found (and 1 more)
ServiceEntry    default/api   accepted: \"location\" has no effect
";
    assert!(report.contains(table), "{report}");
    let output = tollgate().args(["check", "-o", "yaml"]).arg(&file).output().unwrap();
    assert!(!texts(&output).0.contains("status:"));
}

/// A Gateway with an address of this machine, and with one of TEST-NET-3, which is of nobody.
const ADDRESSES: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  gatewayClassName: eg
  addresses: [{value: 127.0.0.1}, {value: 203.0.113.1}]
  listeners: [{name: http, port: 8080, protocol: HTTP}]
";

#[test]
fn an_address_of_another_machine_is_told() {
    let file = scratch("check_addresses").join("gateway.yaml");
    fs::write(&file, ADDRESSES).unwrap();
    let output = tollgate().args(["check", "-o", "json"]).arg(&file).output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["accepted"], true, "{report}");
    let objects = report["objects"].as_array().unwrap();
    let status = &objects.iter().find(|object| object["kind"] == "Gateway").unwrap()["status"];
    let conditions = status["conditions"].as_array().unwrap();
    let programmed = conditions.iter().find(|condition| condition["type"] == "Programmed").unwrap();
    assert_eq!(programmed["status"], "False", "{status}");
    assert_eq!(programmed["reason"], "AddressNotUsable", "{status}");
    let addresses = serde_json::json!([{ "type": "IPAddress", "value": "127.0.0.1" }]);
    assert_eq!(status["addresses"], addresses, "{status}");
    let said = report["diagnostics"][0]["message"].as_str().unwrap();
    assert!(said.contains("203.0.113.1"), "{report}");
}

#[test]
fn folders_without_a_file_are_named() {
    let directory = scratch("check_empty");
    fs::write(directory.join("notes.txt"), "a: b").unwrap();
    let output = tollgate().arg("check").arg(&directory).output().unwrap();
    let (report, _) = texts(&output);
    assert_eq!(output.status.code(), Some(2), "{report}");
    let problem =
        format!("error: there is no YAML or JSON file in this folder\n --> {}\n", directory.display());
    assert!(report.starts_with(&problem), "{report}");
}

#[test]
fn a_text_that_is_not_yaml_makes_the_rest_unusable() {
    let file = scratch("check_unusable").join("broken.yaml");
    fs::write(&file, "a: [\n").unwrap();
    assert_eq!(tollgate().arg("check").arg(&file).output().unwrap().status.code(), Some(2));
}

#[test]
fn a_reader_may_leave_early() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let example = root().join("examples/envoy/instructions.yaml");
    let status = tollgate().arg("check").arg(example).stdout(writer).status().unwrap();
    assert!(status.success());
}

/// What comes through a pipe.
#[test]
fn standard_input_is_read() {
    let check = |path: &str, input: &str| {
        let mut process = tollgate()
            .args(["check", path])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        process.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = process.wait_with_output().unwrap();
        (output.status.code(), texts(&output).0)
    };
    for path in ["-", "/dev/stdin"] {
        assert_eq!(check(path, "static_resources: {}\n").0, Some(0), "{path}");
    }
    let (status, report) = check("-", WRONG);
    assert_eq!(status, Some(1), "{report}");
    assert!(report.contains("--> standard input:2:3"), "{report}");
}

/// Envoy's own option.
#[test]
fn envoys_option_names_a_file() {
    let example = root().join("examples/envoy/instructions.yaml");
    for option in ["-c", "--config-path"] {
        let output = tollgate().args(["check", option]).arg(&example).output().unwrap();
        assert!(output.status.success(), "{}", texts(&output).0);
    }
}

/// A policy with a mistake, and the route that it is for.
const MISTAKE: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge}
spec: {gatewayClassName: eg, listeners: [{name: http, protocol: HTTP, port: 80}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: app}
spec: {parentRefs: [{name: edge}], rules: [{matches: [{path: {value: /a}}]}, {matches: [{path: {value: /b}}]}]}
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyExtensionPolicy
metadata: {name: policy}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: app}]
  extProc: [{backendRefs: [{name: nowhere, port: 9002}], processingMode: {request: {}}}]
---
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: grant}
spec: {from: [{group: a, kind: b, namespace: c}], to: [{group: '', kind: Service}]}
";

#[test]
fn causes_come_first_and_every_object_has_a_row() {
    let file = scratch("check_causes").join("objects.yaml");
    fs::write(&file, MISTAKE).unwrap();
    let output = tollgate().arg("check").arg(&file).output().unwrap();
    let (report, _) = texts(&output);
    assert_eq!(output.status.code(), Some(1), "{report}");
    assert!(report.starts_with("error: service default/nowhere not found"), "{report}");
    assert!(report.contains("= note: 2 rules answer 500 because of this: "), "{report}");
    assert_eq!(report.matches("error: ").count(), 1, "{report}");
    assert!(report.ends_with("objects.yaml: served in part: 1 error\n"), "{report}");
    for row in ["Gateway  ", "HTTPRoute  ", "EnvoyExtensionPolicy  ", "ReferenceGrant  "] {
        assert!(report.lines().any(|line| line.starts_with(row)), "{row}: {report}");
    }
    let exposed = scratch("check_exposed").join("objects.yaml");
    fs::write(&exposed, MISTAKE.replace("kind: EnvoyExtensionPolicy", "kind: EnvoyExtentionPolicy")).unwrap();
    let output = tollgate().arg("check").arg(&exposed).output().unwrap();
    let (report, _) = texts(&output);
    assert!(report.contains("did you mean \"EnvoyExtensionPolicy\"?"), "{report}");
    assert!(report.trim_end().rsplit('\n').next().unwrap().contains("objects.yaml: refused: "), "{report}");
}

/// A secret is in no message and in no excerpt.
#[test]
fn secrets_are_not_shown() {
    let file = scratch("check_secret").join("secret.yaml");
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: {password: 81726354}\n";
    fs::write(&file, secret).unwrap();
    let output = tollgate().arg("check").arg(&file).output().unwrap();
    let (report, _) = texts(&output);
    assert_eq!(output.status.code(), Some(1), "{report}");
    assert!(report.contains("stringData") && !report.contains("81726354"), "{report}");
}

/// However much is wrong, the report has an end, and comes soon.
#[test]
fn many_problems_are_counted() {
    let file = scratch("check_many").join("many.yaml");
    let mut text = "static_resources:\n  clusters:\n".to_owned();
    for index in 0..50_000 {
        text += &format!("  - {{name: c{index}, connect_timeout: soon}}\n");
    }
    fs::write(&file, text).unwrap();
    let output = tollgate().arg("check").arg(&file).output().unwrap();
    let (report, _) = texts(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(report.contains("49000 more errors are not listed"), "{}", report.len());
    assert!(report.ends_with("many.yaml: refused: 50000 errors, 50000 warnings\n"), "{}", report.len());
    assert!(report.len() < 2_000_000, "{}", report.len());
}
