//! The program under the name `envoy`: its flags, and what it says.

use tollgate_testing as support;

mod admin;
mod delivered;

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{Duration, Instant},
};

use serde_json::Value;
use support::{DEADLINE, http::get, process::Running, scratch, texts, tollgate};

const BOOTSTRAP: &str = r#"
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}
static_resources:
  listeners:
  - name: main
    address: {socket_address: {address: 127.0.0.1, port_value: 0}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: main
          route_config:
            virtual_hosts: [{name: all, domains: ["*"], routes: [{match: {prefix: /}, direct_response: {status: 204}}]}]
          http_filters:
          - {name: router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
"#;

/// A folder with a bootstrap, and the program as `envoy`.
struct Place {
    folder: PathBuf,
}

impl Place {
    fn new(test: &str) -> Self {
        let folder = scratch(&format!("as_envoy_{test}"));
        fs::write(folder.join("envoy.yaml"), BOOTSTRAP).expect("the file is written");
        symlink(env!("CARGO_BIN_EXE_tollgate"), folder.join("envoy")).expect("a link");
        Self { folder }
    }

    fn envoy(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.folder.join("envoy"));
        command.current_dir(&self.folder).args(arguments);
        command
    }

    fn output(&self, arguments: &[&str]) -> Output {
        self.envoy(arguments).output().expect("the program runs")
    }

    /// Starts it and waits for a file to have something in it.
    fn start(&self, arguments: &[&str], file: &str) -> (Running, String) {
        let running = Running::spawn(&mut self.envoy(arguments));
        (running, content(&self.folder.join(file)))
    }
}

fn content(path: &Path) -> String {
    let deadline = Instant::now() + DEADLINE;
    loop {
        match fs::read_to_string(path) {
            Ok(text) if !text.is_empty() => return text,
            _ => assert!(Instant::now() < deadline, "{} stays empty", path.display()),
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

#[test]
fn the_name_and_the_command_are_the_same() {
    let place = Place::new("name");
    let (by_name, _) = texts(&place.output(&["--version"]));
    let (by_command, _) = texts(&tollgate().args(["envoy", "--version"]).output().expect("it runs"));
    let after = |text: &str| text.split_once("version: ").expect("a version").1.to_owned();
    assert_eq!(after(&by_name), after(&by_command));
    assert!(after(&by_name).contains("/1.40.0/"), "{by_name}");
    let (help, _) = texts(&place.output(&["--help"]));
    assert!(help.contains("--service-node <string>"), "{help}");
    let (_, aside) = texts(&place.output(&["--hot-restart-version"]));
    assert_eq!(aside, "disabled");
}

#[test]
fn what_envoy_refuses_ends_with_1() {
    let place = Place::new("refused");
    for (arguments, expected) in [
        (&["--bogus"] as &[_], "PARSE ERROR: Argument: --bogus\n"),
        (&["--mode", "foo"], "error: unknown mode 'foo'\n"),
        (&["-c", "envoy.yaml", "--restart-epoch", "1"], "there is no hot restart"),
        (&[], "At least one of --config-path or --config-yaml should be non-empty"),
        (&["-c", "missing.yaml"], "Invalid path: missing.yaml"),
        (&["-c", "envoy.yaml", "--config-yaml", "admin: {bogus: 1}"], "bogus"),
        (
            &["--mode", "validate", "-c", "envoy.yaml", "--config-yaml", "{"],
            "error initializing configuration 'envoy.yaml'",
        ),
        (
            &["-c", "envoy.yaml", "--log-path", "no/such/folder/log"],
            "Failed to open log-file 'no/such/folder/log'",
        ),
    ] {
        let output = place.output(arguments);
        let (said, complained) = texts(&output);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}{complained}");
        assert!(complained.contains(expected), "{arguments:?}: {complained}");
    }
}

#[test]
fn a_bootstrap_is_read_without_being_served() {
    let place = Place::new("validate");
    let output = place.output(&["--mode", "validate", "-c", "envoy.yaml", "-l", "off"]);
    let (said, complained) = texts(&output);
    assert!(output.status.success(), "{complained}");
    assert_eq!((said.as_str(), complained.as_str()), ("configuration 'envoy.yaml' OK\n", ""));
    let output = place.output(&["--mode", "init_only", "-c", "envoy.yaml"]);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_management_server_needs_to_know_who_asks() {
    let place = Place::new("node");
    let server = "
dynamic_resources:
  ads_config: {api_type: GRPC, transport_api_version: V3, grpc_services: [{envoy_grpc: {cluster_name: xds}}]}
  lds_config: {resource_api_version: V3, ads: {}}
static_resources: {clusters: [{name: xds, load_assignment: {cluster_name: xds}, typed_extension_protocol_options: {
  envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {
    \"@type\": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions,
    explicit_http_config: {http2_protocol_options: {}}}}}]}
";
    let validate = ["--mode", "validate", "--config-yaml", server];
    let (_, complained) = texts(&place.output(&validate));
    assert!(complained.contains("node 'id' and 'cluster' are required."), "{complained}");
    let named =
        place.output(&[&validate as &[_], &["--service-node", "n", "--service-cluster", "c"]].concat());
    assert!(named.status.success(), "{named:?}");
}

#[test]
fn flags_count_and_a_signal_ends_it() {
    let place = Place::new("flags");
    let over = "node: {id: of-text, cluster: of-text, locality: {region: r, zone: z}, metadata: {a: b}}";
    let arguments = [
        "-c",
        "envoy.yaml",
        "--config-yaml",
        over,
        "--service-node",
        "of-flag",
        "--service-zone",
        "zone-of-flag",
        "--admin-address-path",
        "admin",
        "--base-id",
        "7",
        "--base-id-path",
        "base-id",
        "--concurrency",
        "1",
        "--stats-tag",
        "pod:p-1",
        "--log-path",
        "log",
        "--log-format",
        "<%l|%n> %v",
        "--component-log-level",
        "misc:error",
        "--drain-time-s",
        "60",
        "--drain-strategy",
        "immediate",
        "--cpuset-threads",
        "--",
        "--run-id",
        "1",
    ];
    let (running, admin) = place.start(&arguments, "admin");
    assert_eq!(content(&place.folder.join("base-id")), "7");
    let info = get(&admin, "/server_info", &[]).json();
    assert_eq!(info["node"]["id"], "of-flag");
    assert_eq!(info["node"]["cluster"], "of-text");
    assert_eq!(info["node"]["locality"], serde_json::json!({"region": "r", "zone": "zone-of-flag"}));
    assert_eq!(info["node"]["metadata"]["a"], "b");
    let options = &info["command_line_options"];
    let expected: [(&str, Value); 5] = [
        ("concurrency", 1.into()),
        ("config_path", "envoy.yaml".into()),
        ("drain_time", "60s".into()),
        ("drain_strategy", "Immediate".into()),
        ("stats_tag", vec!["pod:p-1"].into()),
    ];
    for (field, expected) in expected {
        assert_eq!(options[field], expected, "{field}");
    }
    let metrics = get(&admin, "/stats/prometheus", &[]).body;
    let values = metrics.lines().filter(|line| !line.starts_with('#'));
    for line in values {
        assert!(line.contains("{pod=\"p-1\""), "{line}");
    }
    let deadline = Instant::now() + Duration::from_secs(10);
    running.signal("TERM");
    let (status, said) = running.wait();
    assert_eq!((status.code(), said.as_str()), (Some(0), ""));
    assert!(Instant::now() < deadline);
    let log = content(&place.folder.join("log"));
    assert!(log.contains("<info|main> admin server at "), "{log}");
}

/// Envoy Gateway writes listeners in this way.
#[test]
fn a_listener_may_have_a_default_filter_chain_alone() {
    let place = Place::new("default_chain");
    let text = BOOTSTRAP.replace("filter_chains:\n    - filters:", "default_filter_chain:\n      filters:");
    assert!(text.contains("default_filter_chain"));
    let mut running = Running::spawn(&mut place.envoy(&["--config-yaml", &text]));
    let listener = running.wait_for("listener main at ");
    running.wait_for("serving");
    assert_eq!(get(&listener, "/", &[]).status, 204);
}

#[test]
fn without_an_admin_block_there_is_no_admin_server() {
    let place = Place::new("no_admin");
    let text = BOOTSTRAP.lines().filter(|line| !line.starts_with("admin:")).collect::<Vec<_>>().join("\n");
    let mut running = Running::spawn(&mut place.envoy(&["--config-yaml", &text]));
    let listener = running.wait_for("listener main at ");
    running.wait_for("serving");
    assert_eq!(get(&listener, "/", &[]).status, 204);
    running.signal("TERM");
    let (status, said) = running.wait();
    assert!(status.success() && !said.contains("admin server"), "{said}");
}
