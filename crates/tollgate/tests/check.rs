//! `tollgate check`.

mod support;

use std::fs;

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
