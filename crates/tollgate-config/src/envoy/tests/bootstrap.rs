//! The bootstrap itself.

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
fn management_servers_are_named_in_full() {
    let said = |dynamic: &str| with(&format!("dynamic_resources: {dynamic}")).said();
    assert_eq!(said("{}"), [""; 0]);
    assert_eq!(said("{ads_config: {api_type: GRPC}}"), ["error: \"grpc_services\" has to name one server"]);
    assert_eq!(
        said("{ads_config: {api_type: GRPC, grpc_services: [{envoy_grpc: {cluster_name: nowhere}}]}}"),
        [
            "error: the cluster \"nowhere\" has to be in static_resources",
            "warning: there is no cluster \"nowhere\"; every exchange with this processor will fail \
             [add the cluster to static_resources.clusters]"
        ]
    );
    assert_eq!(
        said("{ads_config: {api_type: REST, grpc_services: [{envoy_grpc: {cluster_name: app}}]}}")[0],
        "error: \"REST\" is not supported [supported: GRPC, DELTA_GRPC]"
    );
    assert_eq!(said("{cds_config: {ads: {}}}"), ["error: there is no dynamic_resources.ads_config"]);
}

#[test]
fn what_a_bootstrap_itself_needs_of_a_server_is_known() {
    let text = "dynamic_resources: {ads_config: {api_type: GRPC, grpc_services: [{envoy_grpc: {cluster_name: a}}]}}\n\
        static_resources: {clusters: [{name: a}, {name: b, type: EDS, eds_cluster_config: {eds_config: {ads: {}}}}]}";
    let reading = crate::read_with(&source(text), &TestFiles, &Options::default());
    let management = reading.resources.unwrap().process.management.unwrap();
    let needs: Vec<_> =
        management.needs.iter().map(|need| (need.message.as_str(), need.name.as_str())).collect();
    assert_eq!(needs, [("envoy.config.endpoint.v3.ClusterLoadAssignment", "b")]);
    // Without a server there is nobody to ask.
    let text =
        "static_resources: {clusters: [{name: b, type: EDS, eds_cluster_config: {eds_config: {ads: {}}}}]}";
    let refused = crate::read_with(&source(text), &TestFiles, &Options::default());
    assert!(refused.resources.is_none());
    assert!(refused.diagnostics.iter().any(|one| one.message.contains("there is none")));
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
