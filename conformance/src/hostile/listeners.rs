//! The gateway of the corpus: one bootstrap with a listener for each setting that matters.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::upstream::OWN;
use crate::{
    gateway::{bootstrap::FILTER, types},
    prepare::{Reserved, reserve},
    scenario::load::lay_over,
};

/// Ports of the parties around the gateway.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ports {
    /// HTTP/1 upstream of most routes.
    pub open: u16,
    /// HTTP/1 upstream of what is secured.
    pub secure: u16,
    /// HTTP/2 upstream.
    pub http2: u16,
    /// HTTP/2 upstream that answers with raw frames.
    pub raw: u16,
    /// The processor.
    pub processor: u16,
}

/// Listeners by name, and their ports.
#[derive(Debug)]
pub(super) struct Plan {
    /// The bootstrap.
    pub bootstrap: Value,
    /// The admin server's port.
    pub admin: u16,
    /// The listeners' ports.
    pub listeners: BTreeMap<&'static str, u16>,
}

/// Name, connection manager, cluster and body mode of each listener.
fn settings() -> Vec<(&'static str, Value, &'static str, Option<&'static str>)> {
    let normal = |more: Value| {
        let mut settings = json!({"normalize_path": true});
        lay_over(&mut settings, &more);
        settings
    };
    let upgrades = json!({"upgrade_configs": [{"upgrade_type": "websocket"}, {"upgrade_type": "other"}]});
    let underscores =
        |action: &str| json!({"common_http_protocol_options": {"headers_with_underscores_action": action}});
    let escapes =
        |action: &str| normal(json!({"path_with_escaped_slashes_action": action, "merge_slashes": true}));
    vec![
        ("plain", json!({}), "open", None),
        ("upgrade", upgrades.clone(), "open", None),
        ("strip", json!({"strip_any_host_port": true}), "open", None),
        ("normalize", normal(json!({})), "open", None),
        ("merge", normal(json!({"merge_slashes": true})), "open", None),
        ("forward", escapes("UNESCAPE_AND_FORWARD"), "open", None),
        ("redirect", escapes("UNESCAPE_AND_REDIRECT"), "open", None),
        ("reject", escapes("REJECT_REQUEST"), "open", None),
        ("no_underscores", underscores("REJECT_REQUEST"), "open", None),
        ("drop_underscores", underscores("DROP_HEADER"), "open", None),
        ("http2", json!({}), "http2", None),
        ("http2_upgrade", upgrades.clone(), "http2", None),
        ("headers", upgrades.clone(), "open", Some("NONE")),
        ("buffered", json!({}), "open", Some("BUFFERED")),
        ("streamed", upgrades, "open", Some("STREAMED")),
        ("duplex", json!({}), "open", Some("FULL_DUPLEX_STREAMED")),
        ("headers_http2", json!({}), "http2", Some("NONE")),
        ("http2_raw", json!({}), "raw", None),
        ("headers_raw", json!({}), "raw", Some("NONE")),
        ("routing", json!({}), "open", Some("NONE")),
        ("routing_http2", json!({}), "http2", Some("NONE")),
        ("streamed_http2", json!({}), "http2", Some("STREAMED")),
    ]
}

/// Plans a gateway around these ports.
///
/// # Errors
/// There is no port.
pub(super) fn plan(ports: Ports) -> Result<(Plan, Vec<Reserved>), String> {
    let admin = reserve()?;
    let mut reserved = Vec::new();
    let mut names = BTreeMap::new();
    let mut listeners = Vec::new();
    for (name, settings, cluster, body_mode) in settings() {
        let port = reserve()?;
        names.insert(name, port.port);
        listeners.push(listener(name, port.port, &settings, cluster, body_mode));
        reserved.push(port);
    }
    let mut bootstrap = json!({
        "admin": {"address": address(admin.port)},
        "static_resources": {
            "listeners": listeners,
            "clusters": [
                cluster("open", ports.open, false),
                cluster("secure", ports.secure, false),
                cluster("http2", ports.http2, true),
                cluster("raw", ports.raw, true),
                cluster("processor", ports.processor, true),
            ],
        },
    });
    types::write_out(&mut bootstrap);
    let admin_port = admin.port;
    reserved.push(admin);
    Ok((Plan { bootstrap, admin: admin_port, listeners: names }, reserved))
}

fn address(port: u16) -> Value {
    json!({"socket_address": {"address": "127.0.0.1", "port_value": port}})
}

fn listener(name: &str, port: u16, settings: &Value, cluster: &str, body_mode: Option<&str>) -> Value {
    let crumbs = json!([{"name": "cookie", "string_match": {"contains": "b=2; secure=1"}}]);
    let to = |cluster: &str| json!({"cluster": cluster, "timeout": "1s"});
    let mut filters = Vec::new();
    if let Some(mode) = body_mode {
        let trailers = if mode == "FULL_DUPLEX_STREAMED" { "SEND" } else { "SKIP" };
        let routing_may_change = name.starts_with("routing");
        filters.push(json!({"name": FILTER, "typed_config": {
            "@type": "ExternalProcessor",
            "grpc_service": "processor",
            "message_timeout": "2s",
            "allow_mode_override": true,
            "mutation_rules": {"allow_all_routing": routing_may_change},
            "processing_mode": {
                "request_header_mode": "SEND", "response_header_mode": "SEND",
                "request_body_mode": mode, "response_body_mode": mode,
                "request_trailer_mode": trailers, "response_trailer_mode": trailers,
            },
        }}));
    }
    filters.push(json!({"name": "envoy.filters.http.router", "typed_config": {"@type": "Router"}}));
    let mut manager = json!({
        "@type": "HttpConnectionManager",
        "stat_prefix": name,
        "http_protocol_options": {"enable_trailers": true, "accept_http_10": true},
        "delayed_close_timeout": "0.1s",
        "stream_idle_timeout": "1.5s",
        "route_config": {"name": name, "virtual_hosts": [
            {"name": "secure", "domains": ["secure.test"], "routes": [{"match": {"prefix": "/"}, "route": to("secure")}]},
            {"name": "open", "domains": ["*"], "routes": [
                {"match": {"prefix": "/", "headers": crumbs}, "route": to("secure")},
                {"match": {"prefix": "/secure"}, "route": to("secure")},
                {"match": {"prefix": OWN}, "route": to(if cluster == "raw" { "open" } else { cluster })},
                {"match": {"prefix": "/"}, "route": to(cluster)},
            ]},
        ]},
        "http_filters": filters,
    });
    lay_over(&mut manager, settings);
    json!({
        "name": name,
        "address": address(port),
        "filter_chains": [{"filters": [
            {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager},
        ]}],
    })
}

fn cluster(name: &str, port: u16, http2: bool) -> Value {
    let options = if http2 {
        json!({"http2_protocol_options": {}})
    } else {
        json!({"http_protocol_options": {"enable_trailers": true}})
    };
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "2s",
        "typed_extension_protocol_options": {
            types::HTTP_OPTIONS: {"@type": types::url("HttpProtocolOptions"), "explicit_http_config": options},
        },
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(port)}}]}],
        },
    })
}
