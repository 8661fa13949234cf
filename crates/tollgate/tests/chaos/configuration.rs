//! The file that the gateway serves, in generations, each of which shows in every answer.

use std::{
    fmt::Write,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// A route: requests that begin with `path`, and how their processor works.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub(crate) path: &'static str,
    /// `None`: there is no processor.
    pub(crate) body_mode: Option<&'static str>,
    /// A processor that fails is passed by.
    pub(crate) fails_open: bool,
    /// The upstream speaks HTTP/2.
    pub(crate) http2: bool,
}

pub(crate) const KINDS: [Kind; 5] = [
    Kind { path: "/plain", body_mode: None, fails_open: false, http2: false },
    Kind { path: "/headers", body_mode: Some("NONE"), fails_open: false, http2: true },
    Kind { path: "/buffered", body_mode: Some("BUFFERED"), fails_open: false, http2: false },
    Kind { path: "/streamed", body_mode: Some("STREAMED"), fails_open: true, http2: true },
    Kind { path: "/duplex", body_mode: Some("FULL_DUPLEX_STREAMED"), fails_open: false, http2: false },
];

/// The peers of the gateway.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peers {
    pub(crate) processor: SocketAddr,
    pub(crate) http1: SocketAddr,
    pub(crate) http2: SocketAddr,
}

/// Writes generation after generation into a file.
#[derive(Debug)]
pub(crate) struct Writer {
    path: PathBuf,
    peers: Peers,
    generation: u64,
}

impl Writer {
    /// Writes the first generation.
    pub(crate) fn new(path: &Path, peers: Peers) -> Self {
        let mut writer = Self { path: path.to_owned(), peers, generation: 0 };
        writer.replace();
        writer
    }

    /// Writes the next generation beside the file and renames it. Gives its number.
    pub(crate) fn replace(&mut self) -> u64 {
        self.generation += 1;
        let beside = self.path.with_extension("new");
        fs::write(&beside, text(self.generation, self.peers)).expect("the file is written");
        fs::rename(&beside, &self.path).expect("the file is renamed");
        self.generation
    }

    /// The next step: a generation by renaming or in place, or something that is no configuration.
    pub(crate) fn step(&mut self, step: u64) {
        let whole = text(self.generation + 1, self.peers);
        match step % 4 {
            0 => {
                self.replace();
            }
            1 => fs::write(&self.path, &whole[..whole.len() / 2]).expect("the file is written"),
            2 => {
                self.generation += 1;
                fs::write(&self.path, &whole).expect("the file is written");
            }
            _ => {
                let broken = whole.replace("cluster: http1", "cluster: nobody");
                fs::write(&self.path, broken).expect("the file is written");
            }
        }
    }
}

fn endpoint(address: SocketAddr) -> String {
    let (ip, port) = (address.ip(), address.port());
    format!(
        "[{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: {ip}, port_value: {port}}}}}}}}}]}}]"
    )
}

const HTTP2: &str = r#"
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}"#;

fn route(kind: Kind, generation: u64) -> String {
    let cluster = if kind.http2 { "http2" } else { "http1" };
    let settings = match kind.body_mode {
        None => "disabled: true".to_owned(),
        Some(body) => {
            let trailers = if body == "FULL_DUPLEX_STREAMED" { "SEND" } else { "SKIP" };
            format!(
                "overrides: {{failure_mode_allow: {}, processing_mode: {{request_header_mode: SEND, \
                 response_header_mode: SEND, request_body_mode: {body}, response_body_mode: {body}, \
                 request_trailer_mode: {trailers}, response_trailer_mode: {trailers}}}}}",
                kind.fails_open
            )
        }
    };
    format!(
        r#"
              - match: {{prefix: {path}}}
                route: {{cluster: {cluster}, timeout: 5s}}
                request_headers_to_add: [{{header: {{key: x-generation, value: "{generation}"}}}}]
                response_headers_to_add: [{{header: {{key: x-response-generation, value: "{generation}"}}}}]
                typed_per_filter_config:
                  ext_proc:
                    "@type": type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute
                    {settings}"#,
        path = kind.path
    )
}

fn text(generation: u64, peers: Peers) -> String {
    let mut routes = String::new();
    for kind in KINDS {
        routes += &route(kind, generation);
    }
    let mut clusters = String::new();
    for (name, address, more) in
        [("http1", peers.http1, ""), ("http2", peers.http2, HTTP2), ("processor", peers.processor, HTTP2)]
    {
        write!(
            clusters,
            r#"
  - name: {name}
    connect_timeout: 1s{more}
    load_assignment: {{cluster_name: {name}, endpoints: {}}}"#,
            endpoint(address)
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
          request_timeout: 20s
          request_headers_timeout: 5s
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:{routes}
          http_filters:
          - name: ext_proc
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor
              grpc_service: {{envoy_grpc: {{cluster_name: processor}}}}
              message_timeout: 1s
          - name: router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:{clusters}
"#
    )
}
