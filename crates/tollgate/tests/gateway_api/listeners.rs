//! Listeners: host names, isolation, ports, certificates and requests that came to the wrong one.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};

use super::world::{DEADLINE, GATEWAY, World, route};

/// HTTPRouteListenerHostnameMatching, HTTPRouteHostnameIntersection and GatewayHTTPListenerIsolation.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_belongs_to_the_most_specific_listener() {
    let mut text = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  gatewayClassName: tollgate
  addresses: [{value: 127.0.0.1}]
  listeners:
  - {name: empty, port: 8080, protocol: HTTP}
  - {name: wild, port: 8080, protocol: HTTP, hostname: '*.example.com'}
  - {name: deep, port: 8080, protocol: HTTP, hostname: '*.foo.example.com'}
  - {name: exact, port: 8080, protocol: HTTP, hostname: abc.foo.example.com}
"
    .to_owned();
    for name in ["empty", "wild", "deep", "exact"] {
        text += &format!(
            "---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}}}
spec:
  parentRefs: [{{name: edge, sectionName: {name}}}]
  rules: [{{matches: [{{path: {{value: /{name}}}}}], backendRefs: [{{name: one, port: 80}}]}}]
"
        );
    }
    let world = World::start(&text).await;
    for (host, listener) in [
        ("bar.com", "empty"),
        ("example.com", "empty"),
        ("bar.example.com", "wild"),
        ("bar.example.com:1234", "wild"),
        ("bar.foo.example.com", "deep"),
        ("a.b.foo.example.com", "deep"),
        ("abc.foo.example.com", "exact"),
    ] {
        for name in ["empty", "wild", "deep", "exact"] {
            let seen =
                tokio::task::block_in_place(|| world.request("empty", "GET", host, &format!("/{name}"), &[]));
            let expected = if name == listener { 200 } else { 404 };
            assert_eq!(seen.status, expected, "{host}/{name}");
        }
    }
}

/// HTTPRouteParentRefPort.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn routes_can_name_a_port() {
    let text = format!(
        "{GATEWAY}
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: port}}
spec:
  parentRefs: [{{name: edge, port: 8081}}]
  rules: [{{backendRefs: [{{name: one, port: 80}}]}}]
"
    );
    let world = World::start(&text).await;
    let get = |listener| tokio::task::block_in_place(|| world.request(listener, "GET", "a", "/", &[]));
    assert_eq!(get("other").status, 200);
    assert_eq!(get("http").status, 404);
}

/// A certificate of its own, as PEM, with its key.
fn certificate(name: &str) -> (CertificateDer<'static>, String, String) {
    let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).expect("a certificate");
    (made.cert.der().clone(), made.cert.pem(), made.signing_key.serialize_pem())
}

pub(crate) fn secret(name: &str, certificate: &str, key: &str) -> String {
    let block = |text: &str| text.lines().map(|line| format!("    {line}\n")).collect::<String>();
    format!(
        "---
apiVersion: v1
kind: Secret
metadata: {{name: {name}}}
type: kubernetes.io/tls
stringData:
  tls.crt: |
{}  tls.key: |
{}",
        block(certificate),
        block(key)
    )
}

fn tls(
    world: &World,
    listener: &str,
    trusted: &CertificateDer<'static>,
    sni: &str,
    host: &str,
) -> Option<u16> {
    tls_with(world, listener, trusted, None, sni, host)
}

/// The status of a request by TLS, with a certificate of the client and its key if need be; nothing when the connection is
/// refused.
pub(crate) fn tls_with(
    world: &World,
    listener: &str,
    trusted: &CertificateDer<'static>,
    identity: Option<(CertificateDer<'static>, String)>,
    sni: &str,
    host: &str,
) -> Option<u16> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots);
    let config = match identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
            builder.with_client_auth_cert(vec![certificate], key).expect("a certificate")
        }
    };
    let name = ServerName::try_from(sni.to_owned()).expect("a name");
    let stream = TcpStream::connect(world.address(listener)).expect("a connection");
    stream.set_read_timeout(Some(DEADLINE)).expect("a deadline");
    let connection = ClientConnection::new(Arc::new(config), name).expect("a client");
    let mut stream = StreamOwned::new(connection, stream);
    let request = format!("GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut response = Vec::new();
    // Peers may close without a word.
    let _ = stream.read_to_end(&mut response);
    let line = String::from_utf8_lossy(&response).lines().next()?.to_owned();
    line.split(' ').nth(1)?.parse().ok()
}

/// Two listeners of one port with a certificate each, one of another port with both.
fn https_world_text() -> (CertificateDer<'static>, CertificateDer<'static>, String) {
    let ((one, one_pem, one_key), (two, two_pem, two_key)) =
        (certificate("one.test"), certificate("two.test"));
    let text = format!(
        "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: edge}}
spec:
  gatewayClassName: tollgate
  addresses: [{{value: 127.0.0.1}}]
  listeners:
  - {{name: one, port: 8443, protocol: HTTPS, hostname: one.test, tls: {{certificateRefs: [{{name: one}}]}}}}
  - {{name: two, port: 8443, protocol: HTTPS, hostname: two.test, tls: {{certificateRefs: [{{name: two}}]}}}}
  - {{name: both, port: 8444, protocol: HTTPS, tls: {{certificateRefs: [{{name: one}}, {{name: two}}]}}}}
{}{}{}",
        secret("one", &one_pem, &one_key),
        secret("two", &two_pem, &two_key),
        "---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: all}
spec:
  parentRefs: [{name: edge}]
  rules: [{backendRefs: [{name: one, port: 80}]}]
",
    );
    (one, two, text)
}

/// HTTPRouteHTTPSListener, several certificates of one listener included.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn https_listeners_have_their_certificates() {
    let (one, two, text) = https_world_text();
    let world = World::start(&text).await;
    tokio::task::block_in_place(|| {
        assert_eq!(tls(&world, "one", &one, "one.test", "one.test"), Some(200));
        assert_eq!(tls(&world, "one", &two, "two.test", "two.test"), Some(200));
        assert_eq!(tls(&world, "one", &one, "one.test", "three.test"), Some(404));
        assert_eq!(tls(&world, "both", &one, "one.test", "one.test"), Some(200));
        assert_eq!(tls(&world, "both", &two, "two.test", "two.test"), Some(200));
    });
}

/// GatewayHTTPSListenerDetectMisdirectedRequests.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn https_listeners_refuse_each_others_requests() {
    let (one, _, text) = https_world_text();
    let world = World::start(&text).await;
    tokio::task::block_in_place(|| {
        assert_eq!(tls(&world, "one", &one, "one.test", "two.test"), Some(421));
    });
}

/// HTTPRouteCrossNamespace and HTTPRouteInvalidCrossNamespaceParentRef.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn routes_of_other_namespaces_are_admitted_by_the_listener() {
    let text = format!(
        "{GATEWAY}
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: foreign, namespace: other}}
spec:
  parentRefs: [{{name: edge, namespace: default}}]
  hostnames: [foreign.test]
  rules: [{{backendRefs: [{{name: two, port: 80}}]}}]
{}",
        route("HTTPRoute", "own", "own.test", "  - backendRefs: [{name: one, port: 80}]")
    );
    let world = World::start(&text).await;
    let get = |listener, host| tokio::task::block_in_place(|| world.request(listener, "GET", host, "/", &[]));
    get("http", "foreign.test").check("status=200; backend=two", "all namespaces");
    get("other", "foreign.test").check("status=404", "the same namespace only");
    get("http", "own.test").check("status=200; backend=one", "its own namespace");
}
