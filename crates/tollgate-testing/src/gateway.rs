//! A gateway before one upstream, with a processor of its own for each route.

use std::{fmt::Write, fs, net::SocketAddr};

use extproc_server::{ListenAddress, Server, raw::Processor};
use http::HeaderMap;
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{http1::echo, process::Running, scratch, tollgate};

/// Requests that begin with a path are processed by the processor at an address.
#[derive(Debug)]
pub struct Route {
    /// The beginning of the path.
    pub path: &'static str,
    /// Where its processor is.
    pub processor: SocketAddr,
    /// Fields of `ExtProcOverrides` beside the processor, in flow style: `failure_mode_allow: true`.
    pub overrides: String,
}

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    /// The process.
    pub process: Running,
    /// Where it listens.
    pub address: String,
    /// Where its admin server is.
    pub admin: String,
}

impl Gateway {
    /// Starts the echo of [`echo`] and a gateway before it; each answer of a processor may take `message_timeout`.
    pub async fn start(test: &str, message_timeout: &str, routes: &[Route]) -> Self {
        let upstream = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let text = bootstrap(message_timeout, upstream.local_addr().expect("bound"), routes);
        tokio::spawn(echo(upstream));
        let path = scratch(test).join("gateway.yaml");
        fs::write(&path, text).expect("the file is written");
        tokio::task::spawn_blocking(move || {
            let arguments = ["run", "--workers", "2", "--admin-address", "127.0.0.1:0"];
            let mut process = Running::spawn(tollgate().args(arguments).arg(path));
            let address = process.wait_for("listener main at ");
            let admin = process.wait_for("admin server at ");
            process.wait_for("serving");
            Self { process, address, admin }
        })
        .await
        .expect("a gateway")
    }
}

/// Serves processors made by `new` until the task is aborted, which cuts its connections.
pub async fn processor<P: Processor>(
    new: impl Fn(&HeaderMap) -> P + Send + Sync + 'static,
) -> (SocketAddr, JoinHandle<()>) {
    let any: ListenAddress = "127.0.0.1:0".parse().expect("an address");
    let server = Server::raw(new).bind(&any).await.expect("a port");
    let address = server.local_address().to_string().parse().expect("a TCP address");
    (address, tokio::spawn(server.serve(std::future::pending())))
}

fn bootstrap(message_timeout: &str, upstream: SocketAddr, routes: &[Route]) -> String {
    let endpoints = |address: SocketAddr| {
        format!(
            "[{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: {}, port_value: {}}}}}}}}}]}}]",
            address.ip(),
            address.port()
        )
    };
    let (mut rules, mut clusters) = (String::new(), String::new());
    for (number, Route { path, processor, overrides }) in routes.iter().enumerate() {
        let separator = if overrides.is_empty() { "" } else { ", " };
        write!(
            rules,
            r#"
              - match: {{path_separated_prefix: {path}}}
                route: {{cluster: app, timeout: 0s}}
                typed_per_filter_config:
                  ext_proc:
                    "@type": type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute
                    overrides: {{grpc_service: {{envoy_grpc: {{cluster_name: processor{number}}}}}{separator}{overrides}}}"#
        )
        .expect("text");
        write!(
            clusters,
            r#"
  - name: processor{number}
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {{http2_protocol_options: {{}}}}
    load_assignment: {{cluster_name: processor{number}, endpoints: {}}}"#,
            endpoints(*processor)
        )
        .expect("text");
    }
    format!(
        r#"
static_resources:
  listeners:
  - name: main
    address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: main
          http_protocol_options: {{enable_trailers: true}}
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:{rules}
          http_filters:
          - name: ext_proc
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor
              grpc_service: {{envoy_grpc: {{cluster_name: processor0}}}}
              message_timeout: {message_timeout}
          - name: router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:
  - name: app
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {{http_protocol_options: {{enable_trailers: true}}}}
    load_assignment: {{cluster_name: app, endpoints: {upstream}}}{clusters}
"#,
        upstream = endpoints(upstream),
    )
}
