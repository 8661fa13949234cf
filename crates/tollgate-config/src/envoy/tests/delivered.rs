//! Resources that a management server delivers.

use std::collections::BTreeSet;

use super::*;
use crate::{Delivered, Surroundings, diagnostic::Report, read_delivered, schema::wire::encode, yaml};

const CLUSTER: &str = "envoy.config.cluster.v3.Cluster";
const ENDPOINTS: &str = "envoy.config.endpoint.v3.ClusterLoadAssignment";
const LISTENER: &str = "envoy.config.listener.v3.Listener";
const ROUTES: &str = "envoy.config.route.v3.RouteConfiguration";
const SECRET: &str = "envoy.extensions.transport_sockets.tls.v3.Secret";

fn delivered(type_name: &str, name: &str, text: &str) -> Delivered {
    let tree = yaml::parse(text, &Report::new("text")).remove(0);
    let bytes = encode(type_name, &tree).unwrap_or_else(|problem| panic!("{problem:?}"));
    read_delivered(type_name, name, &bytes, &Surroundings::default(), &TestFiles, &Options::default())
}

fn refusal(type_name: &str, text: &str) -> String {
    delivered(type_name, "a", text).refusal().expect("a reason")
}

fn needs(delivered: &Delivered) -> BTreeSet<(&str, &str)> {
    assert_eq!(delivered.refusal(), None);
    delivered.needs.iter().map(|need| (need.message.as_str(), need.name.as_str())).collect()
}

const TLS: &str = "transport_socket: {name: tls, typed_config: {\"@type\": \
    type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, auto_sni_san_validation: true, \
    sni: a, common_tls_context: {tls_certificate_sds_secret_configs: [{name: own, sds_config: {ads: {}}}], \
    validation_context_sds_secret_config: {name: authority, sds_config: {ads: {}, resource_api_version: V3}}}}}";

#[test]
fn a_cluster_needs_endpoints_and_secrets() {
    let text = format!("{{name: a, type: EDS, eds_cluster_config: {{eds_config: {{ads: {{}}}}}}, {TLS}}}");
    let cluster = delivered(CLUSTER, "a", &text);
    assert_eq!(needs(&cluster), [(ENDPOINTS, "a"), (SECRET, "own"), (SECRET, "authority")].into());
    let text = text.replace("eds_config:", "service_name: s, eds_config:");
    assert!(needs(&delivered(CLUSTER, "a", &text)).contains(&(ENDPOINTS, "s")));
    assert_eq!(needs(&delivered(CLUSTER, "a", &cluster_text())), BTreeSet::new());
}

fn cluster_text() -> String {
    cluster("a", "")
}

fn listener(manager: &str) -> String {
    format!(
        "{{name: l, address: {{socket_address: {{address: 127.0.0.1, port_value: 80}}}}, filter_chains: [{{filters: \
         [{{name: hcm, typed_config: {{\"@type\": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, \
         stat_prefix: i, http_filters: [{}, {ROUTER}], {manager}}}}}]}}]}}",
        ext_proc("ext", "")
    )
}

#[test]
fn a_listener_needs_its_routes_and_takes_clusters_as_they_come() {
    let listener_of = |manager: &str| delivered(LISTENER, "l", &listener(manager));
    let rds = listener_of("rds: {route_config_name: r, config_source: {ads: {}}}");
    assert_eq!(needs(&rds), [(ROUTES, "r")].into());
    // The processor's cluster is not there, nor that of the route.
    let inline = listener_of(
        "route_config: {virtual_hosts: [{name: a, domains: ['*'], routes: [{match: {prefix: /}, route: {cluster: x}}]}]}",
    );
    assert_eq!(needs(&inline), BTreeSet::new());
    assert_eq!(inline.diagnostics, []);
}

#[test]
fn what_is_wrong_is_refused_with_its_path() {
    let path = "filter_chains[0].filters[0].typed_config";
    let rds = "rds: {route_config_name: r, config_source: {ads: {}}}";
    // What stands behind routes that are not there yet is looked at, too.
    assert_eq!(
        refusal(LISTENER, &listener(&format!("{rds}, codec_type: HTTP3"))),
        format!("{path}.codec_type: \"HTTP3\" is not supported")
    );
    let csrf = listener(rds).replace(
        "http_filters: [",
        "http_filters: [{name: csrf, typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.http.csrf.v3.CsrfPolicy}}, ",
    );
    assert!(refusal(LISTENER, &csrf).contains("envoy.extensions.filters.http.csrf.v3.CsrfPolicy"));
    assert_eq!(
        refusal(CLUSTER, "{name: a, type: EDS}"),
        "\"eds_cluster_config\" is missing: it says where the endpoints are"
    );
    assert_eq!(
        refusal(
            ENDPOINTS,
            "{cluster_name: a, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: a.example.com, port_value: 1}}}}]}]}"
        ),
        "endpoints[0].lb_endpoints[0].endpoint.address: \"a.example.com\" is not an IP address"
    );
    assert_eq!(
        refusal("envoy.type.v3.Percent", "{}"),
        "resources of the type envoy.type.v3.Percent are not supported"
    );
    let unknown = read_delivered(
        CLUSTER,
        "a",
        b"\x0a\x01a\xc2\x3e\x00",
        &Surroundings::default(),
        &TestFiles,
        &Options::default(),
    );
    assert_eq!(unknown.refusal().unwrap(), "1000: unknown field number 1000 in Cluster");
    let broken =
        read_delivered(CLUSTER, "a", b"\x0a", &Surroundings::default(), &TestFiles, &Options::default());
    assert_eq!(broken.refusal().unwrap(), "the message ends too early");
}

#[test]
fn routes_endpoints_and_secrets_need_nothing() {
    let accepted =
        |type_name: &str, text: &str| assert_eq!(needs(&delivered(type_name, "a", text)), BTreeSet::new());
    accepted(
        ROUTES,
        "{name: a, virtual_hosts: [{name: a, domains: ['*'], routes: [{match: {prefix: /}, route: {cluster: x}}]}]}",
    );
    accepted(ENDPOINTS, &format!("{{cluster_name: a, endpoints: [{{lb_endpoints: [{ENDPOINT}]}}]}}"));
    accepted(
        SECRET,
        "{name: a, tls_certificate: {certificate_chain: {filename: certificate.pem}, private_key: {filename: key.pem}}}",
    );
    accepted(SECRET, "{name: a, validation_context: {trusted_ca: {filename: ca.pem}}}");
    assert_eq!(
        refusal(SECRET, "{name: a, tls_certificate: {certificate_chain: {inline_string: x}, private_key: {filename: key.pem}}}")
            .split(':')
            .next(),
        Some("tls_certificate.certificate_chain")
    );
}

#[test]
fn extensions_that_only_tell_others_about_the_gateway_are_left_out() {
    let manager = |filters: &str| {
        listener("rds: {route_config_name: r, config_source: {ads: {}}}")
            .replace("http_filters: [", &format!("http_filters: [{filters}, "))
    };
    let told = |type_url: &str| {
        format!(
            "{{name: told, typed_config: {{\"@type\": type.googleapis.com/udpa.type.v1.TypedStruct, type_url: \
             type.googleapis.com/{type_url}, value: {{}}}}}}"
        )
    };
    for type_url in ["stats.PluginConfig", "io.istio.http.peer_metadata.Config"] {
        let read = delivered(LISTENER, "l", &manager(&told(type_url)));
        assert_eq!(read.refusal(), None);
        assert!(read.diagnostics[0].message.contains(type_url), "{:?}", read.diagnostics);
    }
    // What nobody here knows may protect something.
    assert!(refusal(LISTENER, &manager(&told("io.istio.http.other.Config"))).contains("other"));
    let exchange = told("envoy.tcp.metadataexchange.config.MetadataExchange");
    assert_eq!(delivered(CLUSTER, "a", &cluster("a", &format!("filters: [{exchange}]"))).refusal(), None);
    let other = cluster("a", &format!("filters: [{}]", told("envoy.tcp.other.Config")));
    assert!(refusal(CLUSTER, &other).contains("unsupported network filter of a cluster"));
}

#[test]
fn a_resource_names_servers_in_clusters_of_the_bootstrap() {
    let api = "api_config_source: {api_type: GRPC, transport_api_version: V3, grpc_services: [{envoy_grpc: {cluster_name: sds}}]}";
    let text = format!(
        "{{name: a, {}}}",
        TLS.replace("sds_config: {ads: {}}", &format!("sds_config: {{{api}, initial_fetch_timeout: 0s}}"))
    );
    let surroundings =
        |bootstrap: &str| crate::read_with(&source(bootstrap), &TestFiles, &Options::default()).surroundings;
    let read = |surroundings: &Surroundings| {
        let tree = yaml::parse(&text, &Report::new("text")).remove(0);
        read_delivered(
            CLUSTER,
            "a",
            &encode(CLUSTER, &tree).unwrap(),
            surroundings,
            &TestFiles,
            &Options::default(),
        )
    };
    let refused = read(&Surroundings::default());
    assert!(refused.refusal().unwrap().contains("\"sds\" of a management server is not in the bootstrap"));
    let bootstrap = format!("static_resources: {{clusters: [{}]}}", cluster("sds", ""));
    let taken = read(&surroundings(&bootstrap));
    assert_eq!(taken.refusal(), None);
    let own: Vec<_> =
        taken.needs.iter().map(|need| (need.name.as_str(), need.source.initial_fetch_timeout)).collect();
    assert_eq!(own, [("authority", Some(std::time::Duration::from_secs(15))), ("own", None)]);
}

#[test]
fn what_a_bootstrap_says_holds_for_delivered_resources() {
    let bootstrap = "header_prefix: x-edge\nlayered_runtime: {layers: [{name: a, static_layer: \
        {envoy.resource_limits.listener.l.connection_limit: 3}}]}\n\
        dynamic_resources: {ads_config: {api_type: GRPC, transport_api_version: V3, grpc_services: \
        [{envoy_grpc: {cluster_name: c}}]}, lds_config: {ads: {}, resource_api_version: V3}}\n\
        static_resources: {clusters: [";
    let bootstrap = format!("{bootstrap}{}]}}", cluster("c", ""));
    let reading = crate::read_with(&source(&bootstrap), &TestFiles, &Options::default());
    let text = listener("rds: {route_config_name: r, config_source: {ads: {}}}");
    let tree = yaml::parse(&text, &Report::new("text")).remove(0);
    let bytes = encode(LISTENER, &tree).unwrap();
    let read = read_delivered(LISTENER, "l", &bytes, &reading.surroundings, &TestFiles, &Options::default());
    let Some(crate::Part::Listener { listener, .. }) = read.part else { panic!("{:?}", read.diagnostics) };
    assert_eq!(listener.limits.max_connections, Some(3));
    assert_eq!(listener.filter_chains[0].http.header_prefix, "x-edge");
}
