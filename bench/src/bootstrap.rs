//! The file that both gateways run.

use std::{fmt::Write as _, net::SocketAddr, path::PathBuf};

use crate::case::{Balancing, Case, Filter};

/// Where a processor is.
#[derive(Debug, Clone)]
pub(crate) enum Endpoint {
    Tcp(SocketAddr),
    /// With the file of the authority that signed its certificate.
    Tls(SocketAddr, PathBuf),
    Unix(PathBuf),
}

/// The name in the certificates of processors.
pub(crate) const PROCESSOR_NAME: &str = "processor.example.com";

/// Writes the configuration of a case.
pub(crate) fn bootstrap(case: &Case, port: u16, upstream: SocketAddr, processors: &[Endpoint]) -> String {
    let mut hosts = String::new();
    for index in 0..case.routes {
        let _ = writeln!(
            hosts,
            "            - {{name: other-{index}, domains: [other-{index}.example.com], \
             routes: [{{match: {{prefix: /}}, route: {{cluster: upstream}}}}]}}"
        );
    }
    let mut filters = String::new();
    for index in 0..processors.len() {
        let _ = writeln!(filters, "{}", filter(case.filter, index));
    }
    let mut clusters = cluster("upstream", &socket_address(upstream), "", balancing(case.balancing));
    for (index, processor) in processors.iter().enumerate() {
        clusters.push_str(&processor_cluster(index, processor));
    }
    format!(
        r#"static_resources:
  listeners:
  - name: http
    address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: ingress
          codec_type: AUTO
          route_config:
            virtual_hosts:
{hosts}            - {{name: bench, domains: [bench.example.com], routes: [{{match: {{prefix: /}}, route: {{cluster: upstream}}}}]}}
          http_filters:
{filters}          - name: envoy.filters.http.router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:
{clusters}"#
    )
}

fn filter(filter: Filter, index: usize) -> String {
    let body = match filter {
        Filter::Headers | Filter::Observability | Filter::Immediate => "",
        Filter::Buffered => ", request_body_mode: BUFFERED, response_body_mode: BUFFERED",
        Filter::Streamed => ", request_body_mode: STREAMED, response_body_mode: STREAMED",
        Filter::Duplex => {
            ", request_body_mode: FULL_DUPLEX_STREAMED, response_body_mode: FULL_DUPLEX_STREAMED, \
             request_trailer_mode: SEND, response_trailer_mode: SEND"
        }
    };
    let observability = filter == Filter::Observability;
    format!(
        r#"          - name: ext-proc-{index}
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor
              grpc_service: {{envoy_grpc: {{cluster_name: processor-{index}}}}}
              message_timeout: 10s
              observability_mode: {observability}
              processing_mode: {{request_header_mode: SEND, response_header_mode: SEND{body}}}"#
    )
}

fn socket_address(address: SocketAddr) -> String {
    format!("socket_address: {{address: {}, port_value: {}}}", address.ip(), address.port())
}

fn processor_cluster(index: usize, processor: &Endpoint) -> String {
    let http2 = r#"
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}"#;
    let name = format!("processor-{index}");
    match processor {
        Endpoint::Tcp(address) => cluster(&name, &socket_address(*address), http2, ""),
        Endpoint::Unix(path) => cluster(&name, &format!("pipe: {{path: {}}}", path.display()), http2, ""),
        Endpoint::Tls(address, authority) => {
            let tls = format!(
                r#"
    transport_socket:
      name: envoy.transport_sockets.tls
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
        sni: {PROCESSOR_NAME}
        common_tls_context:
          validation_context: {{trusted_ca: {{filename: {}}}}}"#,
                authority.display()
            );
            cluster(&name, &socket_address(*address), http2, &tls)
        }
    }
}

/// How the cluster of the upstream looks after its endpoints.
fn balancing(balancing: Balancing) -> &'static str {
    match balancing {
        Balancing::Plain => "",
        Balancing::Health => {
            r#"
    health_checks:
    - {timeout: 1s, interval: 0.1s, unhealthy_threshold: 3, healthy_threshold: 1, tcp_health_check: {}}
    outlier_detection: {consecutive_5xx: 5, interval: 1s}"#
        }
        Balancing::Picked => {
            r#"
    load_balancing_policy:
      policies:
      - typed_extension_config:
          name: envoy.load_balancing_policies.override_host
          typed_config:
            "@type": type.googleapis.com/envoy.extensions.load_balancing_policies.override_host.v3.OverrideHost
            override_host_sources: [{header: x-gateway-destination-endpoint}]
            fallback_policy:
              policies:
              - typed_extension_config:
                  name: envoy.load_balancing_policies.round_robin
                  typed_config:
                    "@type": type.googleapis.com/envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin"#
        }
    }
}

fn cluster(name: &str, address: &str, http2: &str, tls: &str) -> String {
    // No limit of a cluster may be reached by many clients.
    let limits = "max_connections: 100000, max_pending_requests: 100000, max_requests: 100000";
    format!(
        r#"  - name: {name}{http2}{tls}
    circuit_breakers: {{thresholds: [{{{limits}}}]}}
    load_assignment:
      cluster_name: {name}
      endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{{address}}}}}}}]}}]
"#
    )
}
