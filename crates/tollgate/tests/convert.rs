//! `tollgate convert`.

use tollgate_testing as support;

use std::fs;

use support::{root, scratch, texts, tollgate};

const OBJECTS: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge}
spec: {gatewayClassName: eg, listeners: [{name: http, port: 8080, protocol: HTTP}]}
---
apiVersion: v1
kind: Service
metadata: {name: app}
spec: {clusterIP: 10.0.0.1, ports: [{port: 80}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: app}
spec:
  parentRefs: [{name: edge}]
  rules:
  - matches: [{path: {value: /app}}]
    filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}]
    backendRefs: [{name: app, port: 80}]
";

/// What the rule says on top when Envoy cannot say it.
const PERSISTENCE: &str = "    sessionPersistence: {sessionName: session}\n";

#[test]
fn objects_become_a_bootstrap_that_says_the_same() {
    let folder = scratch("convert_objects");
    let (objects, bootstrap) = (folder.join("objects.yaml"), folder.join("envoy.yaml"));
    fs::write(&objects, OBJECTS).unwrap();
    let output = tollgate().arg("convert").arg(&objects).output().unwrap();
    let (written, said) = texts(&output);
    assert_eq!((output.status.code(), &*said), (Some(0), ""), "{written}");
    assert!(written.contains("regex_rewrite:") && written.contains("10.0.0.1"), "{written}");
    // It is a configuration itself, and stays as it is.
    fs::write(&bootstrap, &written).unwrap();
    let output = tollgate().arg("convert").arg(&bootstrap).output().unwrap();
    let (again, said) = texts(&output);
    assert_eq!((output.status.code(), again), (Some(0), written), "{said}");
    let output = tollgate().args(["convert", "-o", "json"]).arg(&objects).output().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["static_resources"]["listeners"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_bootstrap_in_bytes_is_read_as_the_one_in_text() {
    let folder = scratch("convert_bytes");
    let (objects, bytes) = (folder.join("objects.yaml"), folder.join("envoy.pb"));
    fs::write(&objects, OBJECTS).unwrap();
    let output = tollgate().args(["convert", "-o", "protobuf"]).arg(&objects).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    fs::write(&bytes, &output.stdout).unwrap();
    let json = |path| tollgate().args(["convert", "-o", "json"]).arg(path).output().unwrap().stdout;
    assert_eq!(String::from_utf8(json(&bytes)), String::from_utf8(json(&objects)));
    fs::write(&bytes, b"\xc2\x3e\x00").unwrap();
    let output = tollgate().arg("check").arg(&bytes).output().unwrap();
    let (written, said) = texts(&output);
    assert!(!output.status.success());
    assert!(format!("{written}{said}").contains("unknown field number 1000 in Bootstrap"), "{written}{said}");
}

#[test]
fn what_envoy_cannot_express_has_its_place_and_shows_in_the_exit_status() {
    let file = scratch("convert_missing").join("objects.yaml");
    fs::write(&file, format!("{OBJECTS}{PERSISTENCE}")).unwrap();
    let output = tollgate().arg("convert").arg(&file).output().unwrap();
    let (written, said) = texts(&output);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(written.contains("static_resources:"), "{written}");
    let place = format!("not in Envoy: {}:17: HTTPRoute default/app: session persistence", file.display());
    assert!(said.contains(&place), "{said}");
}

#[test]
fn what_would_not_be_served_is_not_written() {
    let folder = scratch("convert_refused");
    let (open, wrong, nothing) =
        (folder.join("open.yaml"), folder.join("wrong.yaml"), folder.join("nothing.yaml"));
    // A policy that nobody knows may protect the route.
    let unknown =
        "---\napiVersion: gateway.envoyproxy.io/v1alpha1\nkind: SecurityPolicies\nmetadata: {name: p}\n";
    fs::write(&open, format!("{OBJECTS}{unknown}")).unwrap();
    fs::write(&wrong, "static_resources: {clusters: [{name: a, connect_timeout: soon}]}\n").unwrap();
    for (path, status) in [(&open, 1), (&wrong, 1), (&nothing, 2)] {
        let output = tollgate().arg("convert").arg(path).output().unwrap();
        let (written, said) = texts(&output);
        assert_eq!((output.status.code(), &*written), (Some(status), ""), "{said}");
        assert!(!said.is_empty());
    }
}

#[test]
fn examples_become_bootstraps() {
    for (name, options) in [
        ("envoy", &[][..]),
        ("envoy-gateway-sidecar", &["--shift-privileged-ports"]),
        ("htnn", &[]),
        ("kgateway", &["--namespace", "kgateway-system"]),
    ] {
        let folder = root().join("examples").join(name);
        let output = tollgate().arg("convert").arg(folder).args(options).output().unwrap();
        let (written, said) = texts(&output);
        assert_eq!(output.status.code(), Some(0), "{name}: {said}");
        assert!(written.contains("envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor"), "{written}");
    }
}
