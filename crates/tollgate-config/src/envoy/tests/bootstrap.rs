//! The bootstrap itself (dialects 5.2).

use super::*;

fn with(fields: &str) -> Gateway {
    Gateway { bootstrap: fields.into(), ..Gateway::default() }
}

#[test]
fn node_and_admin_are_read() {
    let snapshot =
        with("node: {id: a, cluster: b}\nadmin: {address: {socket_address: {address: 127.0.0.1, port_value: 9901}}}")
            .snapshot();
    assert_eq!((snapshot.node.id.as_str(), snapshot.node.cluster.as_str()), ("a", "b"));
    assert_eq!(snapshot.admin_address, Some("127.0.0.1:9901".parse().unwrap()));
    let said = with("admin: {address: {pipe: {path: /tmp/admin}}, access_log_path: /dev/null}").said();
    assert_eq!(
        said,
        [
            "error: the admin server listens on TCP only",
            "warning: \"access_log_path\" is not implemented [requests to the admin server are not logged]"
        ]
    );
}

#[test]
fn runtime_keys_that_would_change_something_are_refused() {
    // Z-4
    let layer = |keys: &str| {
        with(&format!("layered_runtime: {{layers: [{{name: a, static_layer: {{{keys}}}}}]}}")).said()
    };
    assert_eq!(layer("envoy.reloadable_features.ext_proc_return_stop_iteration: true"), Vec::<String>::new());
    assert_eq!(
        layer("envoy.reloadable_features.ext_proc_return_stop_iteration: false"),
        ["error: \"envoy.reloadable_features.ext_proc_return_stop_iteration\" cannot be changed \
          [only its default, true, is supported]"]
    );
    assert_eq!(
        layer("re2: {max_program_size: {error_level: 5}}"),
        ["info: the runtime key \"re2.max_program_size.error_level\" has no effect \
          [no setting here depends on it]"]
    );
    assert_eq!(
        with("layered_runtime: {layers: [{name: a, disk_layer: {}}]}").said(),
        ["error: \"disk_layer\" is not supported [use static_layer]"]
    );
    assert_eq!(
        with("layered_runtime: {layers: [{name: a, admin_layer: {}}, {name: a, admin_layer: {}}]}").said(),
        ["error: there are two layers named \"a\"", "error: there can be one admin_layer at most"]
    );
}

#[test]
fn dynamic_resources_come_from_files_alone() {
    assert_eq!(with("dynamic_resources: {}").said(), [""; 0]);
    assert_eq!(
        with("dynamic_resources: {ads_config: {api_type: GRPC}}").said(),
        ["error: \"ads_config\" is not supported [no management server is asked; use path_config_source]"]
    );
}

#[test]
fn what_has_no_effect_is_refused_when_strict() {
    let text = with("stats_flush_interval: 1s").to_string();
    assert_eq!(
        said(&text),
        ["info: \"stats_flush_interval\" has no effect [metrics are always on at the admin address]"]
    );
    let strict = load_with(&source(&text), &TestFiles, &Options { strict: true, ..Options::default() });
    assert!(strict.snapshot.is_none());
    assert_eq!(strict.diagnostics[0].message, "\"stats_flush_interval\" has no effect (refused by strict)");
}
