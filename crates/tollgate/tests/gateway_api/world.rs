//! A gateway in this process, before backends of its own.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::Value;
use tollgate_config::{Source, load};
use tollgate_model::{
    Snapshot,
    listener::{BindAddress, Listener},
};
use tollgate_proxy::{Gateway, Options};

use super::upstream::Upstream;

/// Nothing in these tests takes longer.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// The Gateway of most tests.
pub(crate) const GATEWAY: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  gatewayClassName: tollgate
  addresses: [{value: 127.0.0.1}]
  listeners:
  - {name: http, port: 8080, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}
  - {name: other, port: 8081, protocol: HTTP}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: tollgate}
spec: {controllerName: tollgate.dev/gateway}
---
";

/// A gateway and what is behind it.
pub(crate) struct World {
    addresses: HashMap<String, SocketAddr>,
    pub(crate) one: Upstream,
    pub(crate) two: Upstream,
    _gateway: Gateway,
}

impl World {
    /// Serves a configuration, to which the services `one`, `two`, `both`, `h2c`, `grpc`, `empty` (nobody is ready) and `broken`
    /// (nobody listens) are added, in the namespaces `default` and `other`.
    pub(crate) async fn start(configuration: &str) -> Self {
        let one = Upstream::start("one", false).await;
        let two = Upstream::start("two", false).await;
        let http2 = Upstream::start("h2c", true).await;
        let refused = refused_address();
        let mut text = format!("{configuration}\n");
        for namespace in ["default", "other"] {
            text += &service(namespace, "one", Some(one.address), "");
            text += &service(namespace, "two", Some(two.address), "");
            text += &service(namespace, "h2c", Some(http2.address), ", appProtocol: kubernetes.io/h2c");
            text += &service(namespace, "grpc", Some(http2.address), "");
            text += &service(namespace, "websocket", Some(one.address), ", appProtocol: kubernetes.io/ws");
            text += &both(namespace, one.address, two.address);
            text += &service(namespace, "empty", None, "");
            text += &service(namespace, "broken", Some(refused), "");
        }
        Self::serve(text, one, two)
    }

    pub(crate) fn serve(text: String, one: Upstream, two: Upstream) -> Self {
        let outcome = load(&[Source { path: "test.yaml".to_owned(), text }]);
        let mut snapshot = Snapshot::clone(&outcome.snapshot.expect("a snapshot"));
        for listener in &mut snapshot.listeners {
            let listener: &mut Listener = Arc::make_mut(listener);
            for address in &mut listener.addresses {
                if let BindAddress::Socket(address) = address {
                    // The kernel chooses.
                    address.set_port(0);
                }
            }
        }
        let options = Options { workers: NonZeroUsize::MIN, ..Options::default() };
        let gateway = Gateway::start(&Arc::new(snapshot), options).expect("a gateway");
        let addresses = gateway.local_addresses().into_iter().filter_map(|(name, address)| match address {
            BindAddress::Socket(address) => Some((name, address)),
            BindAddress::Pipe { .. } => None,
        });
        Self { addresses: addresses.collect(), one, two, _gateway: gateway }
    }

    /// Where a listener of the Gateway is.
    pub(crate) fn address(&self, listener: &str) -> SocketAddr {
        let name = format!("default/edge/{listener}");
        *self.addresses.get(&name).unwrap_or_else(|| panic!("no {name} among {:?}", self.addresses))
    }

    /// A request to the listener `http`.
    pub(crate) fn get(&self, host: &str, path: &str) -> Seen {
        self.request("http", "GET", host, path, &[])
    }

    pub(crate) fn request(
        &self,
        listener: &str,
        method: &str,
        host: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Seen {
        let stream = TcpStream::connect(self.address(listener)).expect("a connection");
        stream.set_read_timeout(Some(DEADLINE)).expect("a deadline");
        exchange(stream, method, host, path, headers)
    }
}

/// One request and its response on a connection of its own.
pub(crate) fn exchange(
    mut stream: impl Read + Write,
    method: &str,
    host: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> Seen {
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += "\r\n";
    stream.write_all(head.as_bytes()).expect("the request is written");
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).expect("a status line");
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let mut fields = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a header");
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut body = Vec::new();
    // TLS peers may close without a word.
    let _ = reader.read_to_end(&mut body);
    let body = String::from_utf8(body).expect("text");
    let json = body.find('{').and_then(|start| {
        let end = body.rfind('}')?;
        serde_json::from_str(body.get(start..=end)?).ok()
    });
    let status = status.unwrap_or_else(|| panic!("no status: {line:?}"));
    Seen { status, fields, told: json.unwrap_or_default() }
}

/// What a client saw, and what the backend told it.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) status: u16,
    fields: Vec<(String, String)>,
    told: Value,
}

impl Seen {
    /// The values of a header of the response.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let values = self.fields.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str());
        Some(values.collect::<Vec<_>>().join(",")).filter(|values| !values.is_empty())
    }

    /// What the backend told: `backend`, `method`, `path` or `host`.
    pub(crate) fn told(&self, what: &str) -> Option<&str> {
        self.told[what].as_str()
    }

    /// A header of the request that the backend saw.
    pub(crate) fn sent(&self, name: &str) -> Option<&str> {
        self.told["headers"][name].as_str()
    }

    /// Checks facts of the form `NAME` or `NAME=VALUE`: `status`, `backend`, `method`, `path`, `host`, `<header` (of the
    /// response) and `>header` (that the backend saw). Without a value the fact has to be absent.
    pub(crate) fn check(&self, facts: &str, case: &str) {
        for fact in facts.split("; ").filter(|fact| !fact.is_empty()) {
            let (name, expected) = match fact.split_once('=') {
                Some((name, expected)) => (name, Some(expected.to_owned())),
                None => (fact, None),
            };
            let found = match name.split_at(1) {
                ("<", header) => self.header(header),
                (">", header) => self.sent(header).map(str::to_owned),
                _ if name == "status" => Some(self.status.to_string()),
                _ => self.told(name).map(str::to_owned),
            };
            assert_eq!(found, expected, "{case}: {name} of {self:?}");
        }
    }
}

/// A service whose only endpoint is at an address.
pub(crate) fn service(namespace: &str, name: &str, address: Option<SocketAddr>, more: &str) -> String {
    let (endpoints, port) = match address {
        Some(address) => (format!("[{{addresses: [\"{}\"]}}]", address.ip()), address.port()),
        None => ("[]".to_owned(), 1),
    };
    format!(
        "---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{ports: [{{name: main, port: 80{more}}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}, namespace: {namespace}, labels: {{kubernetes.io/service-name: {name}}}}}
addressType: IPv4
endpoints: {endpoints}
ports: [{{name: main, port: {port}}}]
"
    )
}

/// The service `both`, which has two endpoints.
fn both(namespace: &str, one: SocketAddr, two: SocketAddr) -> String {
    let mut text = service(namespace, "both", Some(one), "");
    text += &format!(
        "---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: both-two, namespace: {namespace}, labels: {{kubernetes.io/service-name: both}}}}
addressType: IPv4
endpoints: [{{addresses: [\"{}\"]}}]
ports: [{{name: main, port: {}}}]
",
        two.ip(),
        two.port()
    );
    text
}

/// A route of the listener `http` for a host.
pub(crate) fn route(kind: &str, name: &str, host: &str, rules: &str) -> String {
    format!(
        "---
apiVersion: gateway.networking.k8s.io/v1
kind: {kind}
metadata: {{name: {name}}}
spec:
  parentRefs: [{{name: edge, sectionName: http}}]
  hostnames: [{host}]
  rules:
{rules}
"
    )
}

/// An address that nobody listens at.
fn refused_address() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("bound")
}

/// Waits until a condition holds.
pub(crate) async fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(Instant::now() - start < DEADLINE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
