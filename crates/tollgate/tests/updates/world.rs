//! Generations of a configuration, each of which can be told by everything that a request meets.

use std::{
    convert::Infallible,
    fmt::Write,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use extproc_server::{
    ListenAddress, Server, Status,
    raw::{
        Processor, continue_with,
        messages::{
            CommonResponse, HeaderMutation, HeaderValue, HeaderValueOption, ProcessingRequest,
            ProcessingResponse, processing_request::Request as Part,
        },
    },
};
use http::HeaderMap;
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use tokio::net::{TcpListener, TcpStream};
use tollgate_config::{Before, FileSystem, Options, Source, load_after};
use tollgate_ir::Compiled;

/// Endpoints that the cluster `app` has in turn.
pub(crate) const UPSTREAMS: usize = 4;
/// Endpoints that the cluster `processor` has in turn.
const PROCESSORS: usize = 2;

/// Everything around the gateway.
pub(crate) struct World {
    upstreams: Vec<SocketAddr>,
    processors: Vec<SocketAddr>,
    /// Never changes in any generation, and counts its connections.
    steady_upstream: Counted,
    steady_processor: Counted,
    pub(crate) certificates: Vec<CertifiedKey<KeyPair>>,
    /// Where the listener is that comes and goes.
    pub(crate) extra: SocketAddr,
    /// Keeps the port of `extra` when there is no such listener.
    _reserved: tokio::net::TcpSocket,
}

struct Counted {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl World {
    pub(crate) async fn new() -> Self {
        let (mut upstreams, mut processors) = (Vec::new(), Vec::new());
        for index in 0..UPSTREAMS {
            upstreams.push(upstream(index).await);
        }
        for index in 0..PROCESSORS {
            processors.push(processor(index).await);
        }
        let certificate = || generate_simple_self_signed(["gateway.example".to_owned()]).unwrap();
        let reserved = tokio::net::TcpSocket::new_v4().unwrap();
        reserved.set_reuseaddr(true).unwrap();
        reserved.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Self {
            steady_upstream: counted(upstream(UPSTREAMS).await).await,
            steady_processor: counted(processor(PROCESSORS).await).await,
            upstreams,
            processors,
            certificates: vec![certificate(), certificate()],
            extra: reserved.local_addr().unwrap(),
            _reserved: reserved,
        }
    }

    /// Connections that were made to what never changes.
    pub(crate) fn steady_connections(&self) -> (usize, usize) {
        (self.steady_upstream.connections.load(Relaxed), self.steady_processor.connections.load(Relaxed))
    }

    /// The configuration of a generation: its number is in header rules of the route, in the policy of the processor, in
    /// the name of the server, and in which endpoints there are. Only what is different from the one before is compiled.
    pub(crate) fn generation(&self, generation: u64, before: Option<&Compiled>) -> Compiled {
        let index = usize::try_from(generation).unwrap();
        let certificate = &self.certificates[index % self.certificates.len()];
        let pem = |text: String| text.replace('\n', "\\n");
        let tls = format!(
            r#"
      transport_socket:
        name: tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          common_tls_context:
            alpn_protocols: [h2, http/1.1]
            tls_certificates:
            - certificate_chain: {{inline_string: "{}"}}
              private_key: {{inline_string: "{}"}}"#,
            pem(certificate.cert.pem()),
            pem(certificate.signing_key.serialize_pem())
        );
        let any = "127.0.0.1:0".parse().unwrap();
        let mut listeners = listener("plain", any, "", generation) + &listener("tls", any, &tls, generation);
        if index % 6 < 3 {
            listeners += &listener("extra", self.extra, "", generation);
        }
        let clusters = [
            cluster("app", self.upstreams[index % UPSTREAMS], ""),
            cluster("steady", self.steady_upstream.address, ""),
            cluster("processor", self.processors[index % PROCESSORS], HTTP2),
            cluster("steady-processor", self.steady_processor.address, HTTP2),
        ]
        .concat();
        let text = format!("static_resources:\n  listeners:{listeners}\n  clusters:{clusters}\n");
        let source = Source { path: "generation".into(), text };
        let before = Before { snapshot: before, ..Before::default() };
        let outcome = load_after(before, &[source], &FileSystem, &Options::default());
        outcome.snapshot.unwrap_or_else(|| panic!("{:?}", outcome.diagnostics))
    }
}

const HTTP2: &str = r#"
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}"#;

fn address_of(address: SocketAddr) -> String {
    format!("{{socket_address: {{address: {}, port_value: {}}}}}", address.ip(), address.port())
}

fn cluster(name: &str, endpoint: SocketAddr, more: &str) -> String {
    let address = address_of(endpoint);
    format!(
        r#"
  - name: {name}{more}
    load_assignment: {{cluster_name: {name}, endpoints: [{{lb_endpoints: [{{endpoint: {{address: {address}}}}}]}}]}}"#
    )
}

fn listener(name: &str, address: SocketAddr, tls: &str, generation: u64) -> String {
    let address = address_of(address);
    let mut filters = String::new();
    for (name, cluster) in [("changing", "processor"), ("steady", "steady-processor")] {
        write!(
            filters,
            r#"
          - name: {name}
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor
              message_timeout: 20s
              grpc_service:
                envoy_grpc: {{cluster_name: {cluster}}}
                initial_metadata: [{{key: x-policy, value: "{generation}"}}, {{key: x-filter, value: {name}}}]"#
        )
        .unwrap();
    }
    let route = |prefix: &str, cluster: &str| {
        format!(
            r#"
              - match: {{prefix: {prefix}}}
                route: {{cluster: {cluster}}}
                request_headers_to_add: [{{header: {{key: x-route, value: "{generation}"}}}}]
                response_headers_to_add: [{{header: {{key: x-response-route, value: "{generation}"}}}}]"#
        )
    };
    format!(
        r#"
  - name: {name}
    address: {address}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: {name}
          server_name: "{generation}"
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:{}{}
          http_filters:{filters}
          - name: router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}{tls}"#,
        route("/steady", "steady"),
        route("/", "app"),
    )
}

/// Answers with its number and the fields `x-...` of the request, after as many milliseconds as the field `x-delay` says.
async fn upstream(index: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = move |request: Request<Incoming>| async move {
        let delay = request.headers().get("x-delay").and_then(|delay| delay.to_str().ok()?.parse().ok());
        tokio::time::sleep(Duration::from_millis(delay.unwrap_or_default())).await;
        let mut response = Response::new("answer".to_owned());
        for (name, value) in request.headers() {
            if let Some(name) = name.as_str().strip_prefix("x-") {
                response.headers_mut().append(
                    hyper::header::HeaderName::try_from(format!("got-{name}")).unwrap(),
                    value.clone(),
                );
            }
        }
        response.headers_mut().insert("x-upstream", index.into());
        Ok::<_, Infallible>(response)
    };
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer));
            tokio::spawn(async move {
                let _ = connection.await;
            });
        }
    });
    address
}

/// Notes the policy that an exchange came with, and where.
struct Note {
    index: usize,
    policy: String,
    filter: String,
}

impl Processor for Note {
    async fn process(&mut self, request: ProcessingRequest) -> Result<ProcessingResponse, Status> {
        let side = match request.request {
            Some(Part::ResponseHeaders(_)) => "response",
            _ => "request",
        };
        let set_headers = [("policy", self.policy.clone()), ("processor", self.index.to_string())]
            .map(|(name, value)| {
                let key = format!("x-{side}-{name}-{}", self.filter);
                let header = HeaderValue { key, raw_value: value.into(), ..Default::default() };
                HeaderValueOption { header: Some(header), ..Default::default() }
            })
            .into();
        let header_mutation = Some(HeaderMutation { set_headers, ..Default::default() });
        continue_with(&request, CommonResponse { header_mutation, ..Default::default() })
    }
}

async fn processor(index: usize) -> SocketAddr {
    let text = |metadata: &HeaderMap, name: &str| {
        metadata.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    let new = move |metadata: &HeaderMap| Note {
        index,
        policy: text(metadata, "x-policy"),
        filter: text(metadata, "x-filter"),
    };
    let any: ListenAddress = "127.0.0.1:0".parse().unwrap();
    let server = Server::raw(new).bind(&any).await.unwrap();
    let address = server.local_address().to_string().parse().unwrap();
    tokio::spawn(server.serve(std::future::pending()));
    address
}

/// Passes connections on and counts them.
async fn counted(target: SocketAddr) -> Counted {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let count = connections.clone();
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            count.fetch_add(1, Relaxed);
            tokio::spawn(async move {
                let Ok(mut server) = TcpStream::connect(target).await else { return };
                let _ = (client.set_nodelay(true), server.set_nodelay(true));
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    Counted { address, connections }
}
