//! The configuration, the same for both gateways.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::cases::{Case, Mode};

/// A processor that listens.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) name: String,
    /// As processors write it: an address and a port, or `unix:PATH`.
    pub(crate) address: String,
    /// The certificate that it has.
    pub(crate) certificate: Option<String>,
}

/// A listener for each mode of each case.
pub(crate) fn bootstrap(upstream: SocketAddr, endpoints: &[Endpoint], cases: &[Case]) -> Value {
    let listeners = cases.iter().flat_map(|case| case.modes.iter().map(|&mode| listener(case, mode)));
    let upstream = cluster("upstream", &socket(&upstream.to_string()));
    let clusters = endpoints.iter().map(processor).chain([upstream]);
    json!({
        "admin": { "address": socket("127.0.0.1:0") },
        "static_resources": {
            "listeners": listeners.collect::<Vec<_>>(),
            "clusters": clusters.collect::<Vec<_>>(),
        },
    })
}

fn socket(address: &str) -> Value {
    let (host, port) = address.rsplit_once(':').expect("an address and a port");
    let port: u16 = port.parse().expect("a port");
    json!({ "socket_address": { "address": host, "port_value": port } })
}

fn cluster(name: &str, address: &Value) -> Value {
    let endpoint = json!({ "endpoint": { "address": address } });
    json!({
        "name": name,
        "type": "STATIC",
        "load_assignment": { "cluster_name": name, "endpoints": [{ "lb_endpoints": [endpoint] }] },
    })
}

fn processor(endpoint: &Endpoint) -> Value {
    let address = match endpoint.address.strip_prefix("unix:") {
        Some(path) => json!({ "pipe": { "path": path.split('?').next() } }),
        None => socket(&endpoint.address),
    };
    let mut cluster = cluster(&endpoint.name, &address);
    cluster["typed_extension_protocol_options"] = json!({
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": { "http2_protocol_options": {} },
        },
    });
    if let Some(certificate) = &endpoint.certificate {
        let validation = json!({ "trusted_ca": { "inline_string": certificate } });
        cluster["transport_socket"] = json!({
            "name": "tls",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
                "sni": "processor",
                "common_tls_context": { "alpn_protocols": ["h2"], "validation_context": validation },
            },
        });
    }
    cluster
}

fn listener(case: &Case, mode: Mode) -> Value {
    let bodies = match mode {
        Mode::None => "NONE",
        Mode::Streamed | Mode::Observed => "STREAMED",
        Mode::Buffered => "BUFFERED",
        Mode::BufferedPartial => "BUFFERED_PARTIAL",
        Mode::FullDuplexStreamed => "FULL_DUPLEX_STREAMED",
    };
    let trailers = if mode == Mode::FullDuplexStreamed { "SEND" } else { "DEFAULT" };
    let ext_proc = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor",
        "grpc_service": { "envoy_grpc": { "cluster_name": case.processor() } },
        "processing_mode": {
            "request_header_mode": "SEND",
            "response_header_mode": "SEND",
            "request_body_mode": bodies,
            "response_body_mode": bodies,
            "request_trailer_mode": trailers,
            "response_trailer_mode": trailers,
        },
        // The machine may be busy.
        "message_timeout": "30s",
        "request_attributes": ["xds.route_name"],
        "allow_mode_override": true,
        "observability_mode": mode == Mode::Observed,
    });
    let route = json!({ "name": "main", "match": { "prefix": "/" }, "route": { "cluster": "upstream" } });
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "main",
        "route_config": { "virtual_hosts": [{ "name": "all", "domains": ["*"], "routes": [route] }] },
        "http_filters": [
            { "name": "ext_proc", "typed_config": ext_proc },
            { "name": "router", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
            } },
        ],
    });
    json!({
        "name": case.listener(mode),
        "address": socket("127.0.0.1:0"),
        "filter_chains": [{ "filters": [{ "name": "hcm", "typed_config": manager }] }],
    })
}
