//! `tollgate run` with a management server.

use tollgate_testing as support;

use std::{fs, net::SocketAddr};

use support::{http::get, process::Running, scratch, tollgate, wait_for};
use tollgate_xds::{
    Kind, Variant,
    server::{Management, Said},
};

fn bootstrap(server: SocketAddr, variant: Variant) -> String {
    let api_type = if variant == Variant::Delta { "DELTA_GRPC" } else { "GRPC" };
    format!(
        r#"
node: {{id: one, cluster: tests, locality: {{zone: z}}, metadata: {{role: edge}}}}
dynamic_resources:
  ads_config:
    api_type: {api_type}
    transport_api_version: V3
    set_node_on_first_message_only: true
    grpc_services: [{{envoy_grpc: {{cluster_name: xds}}}}]
  cds_config: {{resource_api_version: V3, ads: {{}}, initial_fetch_timeout: 0s}}
  lds_config: {{resource_api_version: V3, ads: {{}}, initial_fetch_timeout: 0s}}
static_resources:
  clusters:
  - name: xds
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {{http2_protocol_options: {{}}}}
    load_assignment:
      cluster_name: xds
      endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {}}}}}}}}}]}}]
"#,
        server.port()
    )
}

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

fn direct(text: &str) -> String {
    format!(
        "{{name: routes, virtual_hosts: [{{name: all, domains: ['*'], routes: [{{match: {{prefix: /}}, \
         direct_response: {{status: 200, body: {{inline_string: {text}}}}}}}]}}]}}"
    )
}

fn to_cluster(cluster: &str) -> String {
    format!(
        "{{name: routes, virtual_hosts: [{{name: all, domains: ['*'], routes: [{{match: {{prefix: /}}, \
         route: {{cluster: {cluster}}}}}]}}]}}"
    )
}

const CLUSTER: &str = "{name: app, type: EDS, connect_timeout: 1s, eds_cluster_config: {eds_config: {ads: {}, resource_api_version: V3}}}";

fn endpoints(address: SocketAddr) -> String {
    format!(
        "{{cluster_name: app, endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, \
         port_value: {}}}}}}}}}]}}]}}",
        address.port()
    )
}

/// A management server whose resources are written as text.
struct Server(Management);

impl Server {
    fn start(variant: Variant, address: Option<SocketAddr>) -> Self {
        Self(Management::start(variant, address).expect("a port"))
    }

    fn put(&self, kind: Kind, name: &str, text: &str) {
        let body = tollgate_config::encode_message(kind.message(), text);
        self.0.put(kind, name, body.unwrap_or_else(|problem| panic!("{name}: {problem}")).into());
    }

    /// Sends the changes of a kind, and waits for the answer: why it was refused, if it was.
    fn push_and_wait(&self, kind: Kind) -> Option<String> {
        let nonce = self.0.push_kind(kind).expect("it is asked for");
        self.0.answer(kind, &nonce).unwrap_or_else(|said| panic!("{said}"))
    }

    fn wait_for(&self, wanted: impl Fn(&Said) -> bool) -> Said {
        self.0.wait_for(wanted).unwrap_or_else(|said| panic!("{said}"))
    }
}

struct Gateway {
    process: Running,
    listener: String,
    admin: String,
}

impl Gateway {
    fn start(test: &str, server: &Server, variant: Variant) -> Self {
        let path = scratch(test).join("envoy.yaml");
        fs::write(&path, bootstrap(server.0.address(), variant)).expect("a file");
        let arguments = ["run", "--workers", "2", "--admin-address", "127.0.0.1:0"];
        let mut process = Running::spawn(tollgate().args(arguments).arg(path));
        let admin = process.wait_for("admin server at ");
        Self { process, listener: String::new(), admin }
    }

    fn with_listener(mut self) -> Self {
        self.listener = self.process.wait_for("listener main at ");
        self
    }

    fn wait_for(&self, what: &str, is_so: impl Fn() -> bool) {
        let ask = || if is_so() { String::new() } else { get(&self.admin, "/xds", &[]).body };
        wait_for(what, ask, String::is_empty);
    }

    fn wait_for_body(&self, body: &str) {
        self.wait_for(body, || get(&self.listener, "/", &[]).body == body);
    }

    fn stat(&self, name: &str) -> u64 {
        let text = get(&self.admin, &format!("/stats?filter=^{name}$"), &[]).body;
        text.trim().rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
    }
}

fn served(variant: Variant, test: &str) -> (Server, Gateway) {
    let server = Server::start(variant, None);
    server.put(Kind::Listener, "main", LISTENER);
    server.put(Kind::Routes, "routes", &direct("one"));
    let gateway = Gateway::start(test, &server, variant).with_listener();
    gateway.wait_for_body("one");
    (server, gateway)
}

#[test]
fn what_a_server_delivers_is_served_and_follows_its_changes() {
    for (variant, test) in [(Variant::Delta, "xds-delta"), (Variant::StateOfTheWorld, "xds-sotw")] {
        let (server, gateway) = served(variant, test);
        gateway.wait_for("ready", || get(&gateway.admin, "/ready", &[]).status == 200);
        let first = server.wait_for(|said| said.node.is_some());
        let node = String::from_utf8_lossy(&first.node.expect("a node")).into_owned();
        for part in ["one", "tests", "role", "edge", "tollgate"] {
            assert!(node.contains(part), "{node}");
        }
        server.put(Kind::Routes, "routes", &direct("two"));
        assert_eq!(server.push_and_wait(Kind::Routes), None);
        gateway.wait_for_body("two");
        assert_eq!(gateway.stat("control_plane.connected_state"), 1);
        assert!(gateway.stat("rds.update_success") >= 2);
        let table = get(&gateway.admin, "/xds", &[]).body;
        assert!(
            table.lines().any(|line| line.starts_with("RouteConfiguration") && line.contains("SYNCED")),
            "{table}"
        );
    }
}

#[test]
fn what_is_wrong_is_refused_and_the_last_good_one_is_served() {
    let (server, gateway) = served(Variant::Delta, "xds-nack");
    server.put(
        Kind::Listener,
        "main",
        &LISTENER.replace("stat_prefix: main", "stat_prefix: main\n      codec_type: HTTP3"),
    );
    let reason = server.push_and_wait(Kind::Listener).expect("it is refused");
    assert!(reason.contains("main: ") && reason.contains("HTTP3"), "{reason}");
    // Routes that do not fit the listener that they are for are refused, too.
    let strange = direct("two").replace(
        "direct_response:",
        "typed_per_filter_config: {nobody: {'@type': type.googleapis.com/envoy.extensions.filters.http.oauth2.v3.OAuth2}}, direct_response:",
    );
    server.put(Kind::Routes, "routes", &strange);
    let reason = server.push_and_wait(Kind::Routes).expect("it is refused");
    assert!(reason.contains("routes: "), "{reason}");
    gateway.wait_for_body("one");
    let table = get(&gateway.admin, "/xds", &[]).body;
    assert!(table.contains("NACK") && table.contains("STALE") && table.contains("HTTP3"), "{table}");
    assert_eq!(gateway.stat("listener_manager.lds.update_rejected"), 1);
    // Bytes that are nothing harm nobody.
    server.0.put(Kind::Routes, "routes", vec![0xff; 64].into());
    assert!(server.push_and_wait(Kind::Routes).is_some());
    server.put(Kind::Routes, "routes", &direct("three"));
    assert_eq!(server.push_and_wait(Kind::Routes), None);
    gateway.wait_for_body("three");
}

#[test]
fn a_cluster_follows_its_endpoints_and_goes_without_a_trace() {
    let answer = |text: &'static str| {
        let upstream = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = upstream.local_addr().expect("an address");
        std::thread::spawn(move || {
            use std::io::{Read, Write};
            for stream in upstream.incoming().map_while(Result::ok) {
                let mut stream = stream;
                std::thread::spawn(move || {
                    let mut piece = [0; 4096];
                    while stream.read(&mut piece).is_ok_and(|read| read > 0) {
                        let length = text.len();
                        let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{text}");
                    }
                });
            }
        });
        address
    };
    let (first, second) = (answer("first"), answer("second"));
    let (server, gateway) = served(Variant::Delta, "xds-endpoints");
    // The cluster waits for its endpoints; routes to it are 503 meanwhile, as in Envoy.
    server.put(Kind::Routes, "routes", &to_cluster("app"));
    assert_eq!(server.push_and_wait(Kind::Routes), None);
    gateway.wait_for("no cluster", || get(&gateway.listener, "/", &[]).status == 503);
    server.put(Kind::Cluster, "app", CLUSTER);
    assert_eq!(server.push_and_wait(Kind::Cluster), None);
    server.wait_for(|said| said.kind == Kind::Endpoints && said.wants.contains("app"));
    gateway.wait_for("warming", || {
        get(&gateway.admin, "/xds", &[]).body.contains("waits for ClusterLoadAssignment app")
    });
    server.put(Kind::Endpoints, "app", &endpoints(first));
    assert_eq!(server.push_and_wait(Kind::Endpoints), None);
    gateway.wait_for_body("first");
    server.put(Kind::Endpoints, "app", &endpoints(second));
    assert_eq!(server.push_and_wait(Kind::Endpoints), None);
    gateway.wait_for_body("second");
    server.0.remove(Kind::Cluster, "app");
    assert_eq!(server.push_and_wait(Kind::Cluster), None);
    gateway.wait_for("no cluster", || get(&gateway.listener, "/", &[]).status == 503);
    server.wait_for(|said| said.kind == Kind::Endpoints && said.wants.is_empty());
}

#[test]
fn a_server_that_goes_changes_nothing_and_is_asked_again() {
    let (server, gateway) = served(Variant::Delta, "xds-restart");
    server.0.cut();
    gateway.wait_for("another stream", || server.0.streams() >= 2);
    let again = server.wait_for(|said| said.kind == Kind::Routes && !said.has.is_empty());
    assert!(again.has.contains_key("routes"), "{again:?}");
    let address = server.0.address();
    drop(server);
    gateway.wait_for("lost", || gateway.stat("control_plane.connected_state") == 0);
    assert_eq!(get(&gateway.listener, "/", &[]).body, "one");
    let server = Server::start(Variant::Delta, Some(address));
    server.put(Kind::Listener, "main", LISTENER);
    server.put(Kind::Routes, "routes", &direct("two"));
    gateway.wait_for_body("two");
    gateway.process.signal("TERM");
    let (status, said) = gateway.process.wait();
    assert!(status.success(), "{said}");
    assert!(said.contains("is lost; what it sent stays"), "{said}");
}
