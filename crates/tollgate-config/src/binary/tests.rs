//! A bootstrap goes through bytes and comes back.

use super::*;
use crate::{FileSystem, Options, read_with, write_bootstrap};

const TEXT: &str = "
node: {id: gateway}
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 9901}}}
static_resources:
  clusters:
  - name: app
    type: STRICT_DNS
    connect_timeout: 0.25s
    load_assignment:
      cluster_name: app
      endpoints:
      - lb_endpoints:
        - endpoint: {address: {socket_address: {address: app.example.com, port_value: 80}}}
";

#[test]
fn a_bootstrap_is_the_same_in_bytes() {
    let sources = [Source { path: "envoy.yaml".to_owned(), text: TEXT.to_owned() }];
    let resources = read_with(&sources, &FileSystem, &Options::default()).resources.unwrap();
    let bytes = write_bootstrap(&resources).to_protobuf().unwrap();
    let folder = std::env::temp_dir().join(format!("tollgate-binary-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("envoy.pb");
    std::fs::write(&path, bytes).unwrap();
    let source = Source::open(&path);
    std::fs::remove_dir_all(&folder).unwrap();
    let again = read_with(&[source.unwrap()], &FileSystem, &Options::default());
    assert_eq!(again.resources.as_ref(), Some(&resources), "{:?}", again.diagnostics);
}

#[test]
fn what_is_no_bootstrap_is_refused_with_its_place() {
    assert_eq!(text_of_bootstrap(b"\x0a").unwrap_err(), "the message ends too early");
    // node: {id: not a text}
    assert_eq!(text_of_bootstrap(b"\x0a\x03\x0a\x01\xff").unwrap_err(), "node.id: a text that is not UTF-8");
    let unknown = text_of_bootstrap(b"\xc2\x3e\x00").unwrap_err();
    assert_eq!(unknown, "1000: unknown field number 1000 in Bootstrap");
    assert_eq!(text_of_bootstrap(b"").unwrap(), "{}\n");
}

fn merged(base: &str, over: &str) -> Result<Value, String> {
    let source = |path: &str, text: &str| Source { path: path.to_owned(), text: text.to_owned() };
    let merged = merge_bootstraps(&source("base.yaml", base), &source("--config-yaml", over))?;
    assert_eq!(merged.path, "base.yaml with --config-yaml");
    Ok(serde_json::from_str(&merged.text).unwrap())
}

#[test]
fn a_bootstrap_is_merged_over_another_one_as_messages_are() {
    let base = r#"
node: {id: a, cluster: c, metadata: {x: {deep: 1}, y: 2}}
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 9901}}}
static_resources: {clusters: [{name: one, connect_timeout: 2s}]}
"#;
    let over = r#"
node: {id: b, metadata: {x: {other: 3}}}
admin: {address: {socketAddress: {port_value: 0, address: 127.0.0.2}}}
static_resources: {clusters: [{name: two}]}
"#;
    assert_eq!(
        merged(base, over).unwrap(),
        serde_json::json!({
            // An entry of a map counts as a whole.
            "node": {"id": "b", "cluster": "c", "metadata": {"x": {"other": 3}, "y": 2}},
            // Of the members of a oneof the last one counts.
            "admin": {"address": {"socket_address": {"address": "127.0.0.2", "port_value": 0}}},
            "static_resources": {"clusters": [{"name": "one", "connect_timeout": "2s"}, {"name": "two"}]},
        })
    );
    assert!(merged(base, "admin: {bogus: 1}").unwrap_err().contains("bogus"));
    assert!(merged("admin: [", "").unwrap_err().starts_with("base.yaml: "));
    assert_eq!(merged("{}", "").unwrap(), serde_json::json!({}));
}
