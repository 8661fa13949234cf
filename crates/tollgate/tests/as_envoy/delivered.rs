//! What a management server has delivered, in `/config_dump`.

use std::time::Instant;

use serde_json::{Value, json};
use tollgate_xds::{Kind, Variant, server::Management};

use crate::{
    Place,
    support::{DEADLINE, http::get},
};

const BOOTSTRAP: &str = r#"
dynamic_resources:
  ads_config: {api_type: DELTA_GRPC, transport_api_version: V3, grpc_services: [{envoy_grpc: {cluster_name: xds}}]}
  cds_config: {resource_api_version: V3, ads: {}}
  lds_config: {resource_api_version: V3, ads: {}}
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}
static_resources:
  clusters:
  - name: xds
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
    load_assignment:
      cluster_name: xds
      endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: PORT}}}}]}]
"#;

const LISTENER: &str = r#"
name: main
address: {socket_address: {address: 127.0.0.1, port_value: 0}}
filter_chains:
- filters:
  - name: hcm
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
      stat_prefix: main
      rds: {route_config_name: routes, config_source: {ads: {}, resource_api_version: V3}}
      http_filters:
      - name: router
        typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
"#;

const CLUSTER: &str =
    "{name: app, type: EDS, eds_cluster_config: {eds_config: {ads: {}, resource_api_version: V3}}}";
const ENDPOINTS: &str = "{cluster_name: app, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: \
                         {address: 127.0.0.1, port_value: 9}}}}]}]}";
const ROUTES: &str = "{name: routes, virtual_hosts: [{name: all, domains: ['*'], routes: [{match: {prefix: /}, route: \
                      {cluster: app}}]}]}";

fn dump(admin: &str, resource: &str) -> Vec<Value> {
    let dump = get(admin, &format!("/config_dump?include_eds&resource={resource}"), &[]).json();
    dump["configs"].as_array().cloned().unwrap_or_default()
}

#[test]
fn a_dump_has_what_was_delivered_and_what_was_refused() {
    let server = Management::start(Variant::Delta, None).expect("a port");
    let put = |kind: Kind, name: &str, text: &str| {
        let body = tollgate_config::encode_message(kind.message(), text).expect("a message");
        server.put(kind, name, body.into());
    };
    put(Kind::Listener, "main", LISTENER);
    put(Kind::Routes, "routes", ROUTES);
    put(Kind::Cluster, "app", CLUSTER);
    put(Kind::Endpoints, "app", ENDPOINTS);
    let place = Place::new("delivered");
    let bootstrap = BOOTSTRAP.replace("PORT", &server.address().port().to_string());
    let arguments = ["--config-yaml", &bootstrap, "--service-node", "n", "--service-cluster", "c"];
    let (_running, admin) =
        place.start(&[&arguments as &[_], &["--admin-address-path", "admin"]].concat(), "admin");
    let deadline = Instant::now() + DEADLINE;
    while get(&admin, "/ready", &[]).status != 200 {
        assert!(Instant::now() < deadline, "{}", get(&admin, "/xds", &[]).body);
    }
    let listeners = dump(&admin, "dynamic_listeners");
    let [listener] = listeners.as_slice() else { panic!("{listeners:?}") };
    assert_eq!(listener["name"], "main");
    let active = &listener["active_state"];
    assert_eq!(active["listener"]["@type"], "type.googleapis.com/envoy.config.listener.v3.Listener");
    let manager = &active["listener"]["filter_chains"][0]["filters"][0]["typed_config"];
    assert_eq!(manager["rds"]["route_config_name"], "routes");
    assert!(active["version_info"].is_string() && active["last_updated"].is_string(), "{active}");
    let clusters = dump(&admin, "dynamic_active_clusters");
    assert_eq!(clusters[0]["@type"], "type.googleapis.com/envoy.admin.v3.ClustersConfigDump.DynamicCluster");
    assert_eq!(clusters[0]["cluster"]["eds_cluster_config"]["eds_config"]["ads"], json!({}));
    let routes = dump(&admin, "dynamic_route_configs");
    assert_eq!(routes[0]["route_config"]["virtual_hosts"][0]["routes"][0]["route"]["cluster"], "app");
    let endpoints = dump(&admin, "dynamic_endpoint_configs");
    let address = &endpoints[0]["endpoint_config"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"];
    assert_eq!(address["socket_address"]["port_value"], 9);
    assert_eq!(dump(&admin, "static_clusters")[0]["cluster"]["name"], "xds");
    assert!(get(&admin, "/clusters", &[]).body.contains("app::added_via_api::true\n"));

    put(
        Kind::Listener,
        "main",
        &LISTENER.replace("stat_prefix: main", "stat_prefix: main\n      codec_type: HTTP3"),
    );
    let nonce = server.push_kind(Kind::Listener).expect("it is asked for");
    let reason = server.answer(Kind::Listener, &nonce).unwrap_or_else(|said| panic!("{said}"));
    assert!(reason.is_some_and(|reason| reason.contains("HTTP3")));
    let deadline = Instant::now() + DEADLINE;
    let refused = loop {
        let listeners = dump(&admin, "dynamic_listeners");
        if listeners[0].get("error_state").is_some() {
            break listeners[0].clone();
        }
        assert!(Instant::now() < deadline, "{listeners:?}");
    };
    assert!(refused["error_state"]["details"].as_str().is_some_and(|why| why.contains("HTTP3")), "{refused}");
    for kept in ["listener", "version_info"] {
        assert_eq!(refused["active_state"][kept], active[kept], "{kept}");
    }
}
