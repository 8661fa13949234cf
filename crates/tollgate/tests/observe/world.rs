//! One gateway whose routes go wrong in every way.

use std::{fmt::Write as _, fs, net::SocketAddr};

use extproc_server::{ListenAddress, Server};

use crate::{
    peers::{self, Puppet},
    support::{process::Running, scratch, tollgate},
};

/// A route: what precedes its path, what it does, and what `ext_proc` does there; without the latter it is off.
pub(crate) type Route = (&'static str, &'static str, Option<&'static str>);

const HEADERS: &str = "processing_mode: {request_header_mode: SEND, response_header_mode: SKIP}";

/// The routes; those of clusters with other names go wrong behind the processors.
pub(crate) const ROUTES: &[Route] = &[
    (
        "/processor/down",
        "route: {cluster: app}",
        Some("grpc_service: {envoy_grpc: {cluster_name: down-processor}}"),
    ),
    (
        "/processor/tls",
        "route: {cluster: app}",
        Some("grpc_service: {envoy_grpc: {cluster_name: tls-processor}}"),
    ),
    ("/processor/open", "route: {cluster: app}", Some("failure_mode_allow: true")),
    (
        "/processor/buffered",
        "route: {cluster: app}",
        Some("processing_mode: {request_body_mode: BUFFERED, response_header_mode: SKIP}"),
    ),
    (
        "/processor/everything",
        "route: {cluster: app}",
        Some(
            "processing_mode: {request_body_mode: STREAMED, response_body_mode: STREAMED, \
             request_trailer_mode: SEND, response_trailer_mode: SEND}",
        ),
    ),
    (
        "/processor/buffered-response",
        "route: {cluster: app}",
        Some("processing_mode: {response_body_mode: BUFFERED}"),
    ),
    (
        "/processor/duplex",
        "route: {cluster: app}",
        Some(
            "processing_mode: {request_body_mode: FULL_DUPLEX_STREAMED, request_trailer_mode: SEND, \
             response_header_mode: SKIP}",
        ),
    ),
    ("/processor", "route: {cluster: app}", Some(HEADERS)),
    ("/upstream/down", "route: {cluster: down}", None),
    ("/upstream/tls", "route: {cluster: tls}", None),
    ("/upstream/name", "route: {cluster: name}", None),
    ("/upstream/mute", "route: {cluster: mute}", None),
    ("/upstream/retried", "route: {cluster: app, retry_policy: {retry_on: 5xx, num_retries: 1}}", None),
    (
        "/upstream/no-retries",
        "route: {cluster: no-retries, retry_policy: {retry_on: 5xx, num_retries: 1}}",
        None,
    ),
    (
        "/upstream/per-try",
        "route: {cluster: app, retry_policy: {retry_on: 5xx, num_retries: 0, per_try_timeout: 0.05s}}",
        None,
    ),
    ("/upstream/in-time", "route: {cluster: app, timeout: 0.05s}", None),
    ("/upstream/narrow", "route: {cluster: narrow}", None),
    ("/upstream/full", "route: {cluster: full}", None),
    ("/upstream/resets", "route: {cluster: resets}", None),
    ("/upstream/idle", "route: {cluster: app, idle_timeout: 0.05s, timeout: 0s}", None),
    ("/upstream", "route: {cluster: app}", None),
    ("/direct", "direct_response: {status: 200}", None),
    ("/redirect", "redirect: {path_redirect: /direct}", None),
    ("/missing-cluster", "route: {cluster_header: x-cluster}", None),
];

/// A running gateway.
pub(crate) struct World {
    pub(crate) process: Running,
    pub(crate) listener: String,
    pub(crate) admin: String,
    /// Addresses of further listeners, by name.
    pub(crate) others: Vec<(&'static str, String)>,
}

/// Names and options of further listeners: those of the connection manager, of the filter chain, of the listener.
pub(crate) const LISTENERS: &[(&str, &str)] = &[
    ("hurried", "common_http_protocol_options: {idle_timeout: 0.05s}, request_headers_timeout: 0.05s"),
    ("impatient", "request_timeout: 0.05s"),
    ("short-lived", "common_http_protocol_options: {max_stream_duration: 0.05s}"),
];

impl World {
    /// Starts the peers, and the gateway before them. `resets` is an upstream of HTTP/2.
    pub(crate) async fn start(test: &str, resets: SocketAddr) -> Self {
        let any: ListenAddress = "127.0.0.1:0".parse().expect("an address");
        let server = Server::raw(|_| Puppet::default()).bind(&any).await.expect("a port");
        let puppet = server.local_address().to_string().parse().expect("an address");
        tokio::spawn(server.serve(std::future::pending()));
        let directory = scratch(test);
        let (tls, certificate) = peers::tls("the-name-it-has.test");
        let trusted = directory.join("ca.pem");
        fs::write(&trusted, certificate).expect("written");
        let own = rcgen::generate_simple_self_signed(["own.test".to_owned()]).expect("a certificate");
        fs::write(directory.join("own.crt"), own.cert.pem()).expect("written");
        fs::write(directory.join("own.key"), own.signing_key.serialize_pem()).expect("written");
        let trusted = trusted.display().to_string();
        let tls_options = format!(
            "transport_socket: {{name: tls, typed_config: {{\"@type\": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, \
             sni: asked-for.test, common_tls_context: {{validation_context: {{trusted_ca: {{filename: {trusted}}}, \
             match_typed_subject_alt_names: [{{san_type: DNS, matcher: {{exact: asked-for.test}}}}]}}}}}}}}"
        );
        let http2 = "typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {\"@type\": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, explicit_http_config: {http2_protocol_options: {}}}}";
        let trailers = "typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {\"@type\": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, common_http_protocol_options: {idle_timeout: 0.3s}, explicit_http_config: {http_protocol_options: {enable_trailers: true}}}}";
        let breakers = |limits: &str| format!("circuit_breakers: {{thresholds: [{{{limits}}}]}}");
        let app = peers::upstream();
        let clusters = [
            cluster("app", app, trailers),
            cluster("puppet", puppet, http2),
            cluster("down-processor", peers::down(), http2),
            cluster("tls-processor", tls, &format!("{http2}\n    {tls_options}")),
            cluster("down", peers::down(), ""),
            cluster("tls", tls, &tls_options),
            cluster("mute", peers::mute(), &format!("connect_timeout: 0.2s\n    {tls_options}")),
            cluster("no-retries", app, &breakers("max_retries: 0")),
            cluster("narrow", app, &breakers("max_connections: 1")),
            cluster("full", app, &breakers("max_requests: 0")),
            cluster("resets", resets, http2),
            "  - name: name\n    type: STRICT_DNS\n    load_assignment: {cluster_name: name, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: does-not-exist.invalid, port_value: 80}}}}]}]}\n".to_owned(),
        ]
        .concat();
        let mut listeners =
            listener("main", "normalize_path: true, upgrade_configs: [{upgrade_type: websocket}]", "", "");
        for (name, options) in LISTENERS {
            listeners += &listener(name, options, "", "");
        }
        listeners += &listener("retaining", "", "", "").replace(
            "max_message_timeout: 0.5s",
            "max_message_timeout: 0.5s\n              disable_clear_route_cache: true",
        );
        let behind = format!(
            "v3.Router, upstream_http_filters: [{}, {}]}}",
            "{name: behind, typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor, grpc_service: {envoy_grpc: {cluster_name: puppet}}, processing_mode: {response_header_mode: SKIP}}}",
            "{name: codec, typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec}}",
        );
        listeners += &listener("behind", "", "", "").replace("v3.Router}", &behind);
        let own_tls = format!(
            "filter_chain_match: {{server_names: [own.test]}}\n      transport_socket: {{name: tls, typed_config: {{\"@type\": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext, common_tls_context: {{tls_certificates: [{{certificate_chain: {{filename: {0}/own.crt}}, private_key: {{filename: {0}/own.key}}}}]}}}}}}",
            directory.display()
        );
        let inspector = "listener_filters: [{name: tls_inspector, typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector}}]";
        listeners += &listener("secure", "", &own_tls, inspector);
        let path = directory.join("gateway.yaml");
        fs::write(&path, format!("static_resources:\n  listeners:\n{listeners}  clusters:\n{clusters}"))
            .expect("written");
        tokio::task::spawn_blocking(move || {
            let arguments = ["run", "--workers", "1", "--admin-address", "127.0.0.1:0"];
            let mut process = Running::spawn(tollgate().args(arguments).arg(path));
            let listener = process.wait_for("listener main at ");
            let names = LISTENERS.iter().map(|(name, _)| *name).chain(["retaining", "behind", "secure"]);
            let others =
                names.map(|name| (name, process.wait_for(&format!("listener {name} at ")))).collect();
            let admin = process.wait_for("admin server at ");
            process.wait_for("serving");
            Self { process, listener, admin, others }
        })
        .await
        .expect("a gateway")
    }

    /// The address of a listener.
    pub(crate) fn at(&self, name: &str) -> &str {
        let found = self.others.iter().find(|(known, _)| *known == name);
        found.map(|(_, address)| address.as_str()).expect("a listener")
    }
}

fn cluster(name: &str, address: SocketAddr, options: &str) -> String {
    let (ip, port) = (address.ip(), address.port());
    format!(
        "  - name: {name}\n    load_assignment: {{cluster_name: {name}, endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: {ip}, port_value: {port}}}}}}}}}]}}]}}\n    {options}\n"
    )
}

fn listener(name: &str, options: &str, chain: &str, filters: &str) -> String {
    let options = if options.is_empty() {
        String::new()
    } else {
        format!(
            "\n          {}",
            options
                .replace("}, ", "}\n          ")
                .replace("0.05s, ", "0.05s\n          ")
                .replace("true, ", "true\n          ")
        )
    };
    let mut routes = String::new();
    for (path, action, ext_proc) in ROUTES {
        let filter = match ext_proc {
            Some(overrides) => format!("overrides: {{{overrides}}}"),
            None => "disabled: true".to_owned(),
        };
        write!(
            routes,
            r#"
              - match: {{path_separated_prefix: {path}}}
                {action}
                typed_per_filter_config: {{ext_proc: {{"@type": type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute, {filter}}}}}"#
        )
        .expect("text");
    }
    format!(
        r#"  - name: {name}
    address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}
    per_connection_buffer_limit_bytes: 32768
    {filters}
    filter_chains:
    - {chain}
      filters:
      - name: hcm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: {name}
          http_protocol_options: {{enable_trailers: true}}{options}
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:{routes}
          http_filters:
          - name: ext_proc
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor
              grpc_service: {{envoy_grpc: {{cluster_name: puppet}}}}
              message_timeout: 0.2s
              max_message_timeout: 0.5s
          - name: router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
"#,
        chain = if chain.is_empty() { "name: only" } else { chain },
    )
}
