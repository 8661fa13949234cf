//! BackendTLSPolicy, BackendTLSPolicySANValidation, GatewayBackendClientCertificate and
//! GatewayFrontendClientCertificateValidation with its InsecureFallback.

use std::{net::SocketAddr, sync::Arc};

use rcgen::{CertifiedKey, KeyPair};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use super::{
    listeners::{secret, tls_with},
    upstream::Upstream,
    world::{World, service},
};

fn certificate(name: &str) -> CertifiedKey<KeyPair> {
    rcgen::generate_simple_self_signed(vec![name.to_owned()]).expect("a certificate")
}

/// A backend that answers every request on a connection with 200; with `clients` only to those with that certificate.
async fn serve(own: &CertifiedKey<KeyPair>, clients: Option<&CertifiedKey<KeyPair>>) -> SocketAddr {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("versions");
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => {
            let mut roots = RootCertStore::empty();
            roots.add(clients.cert.der().clone()).expect("a root");
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
        }
    };
    let key = PrivateKeyDer::from_pem_slice(own.signing_key.serialize_pem().as_bytes()).expect("a key");
    let config = builder.with_single_cert(vec![own.cert.der().clone()], key).expect("a certificate");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A peer that is refused ends its connection, and nothing else.
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut head = Vec::new();
                let mut piece = [0; 1024];
                while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                    match stream.read(&mut piece).await {
                        Ok(length @ 1..) => head.extend_from_slice(&piece[..length]),
                        _ => return,
                    }
                }
                let _ = stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                    .await;
                let _ = stream.shutdown().await;
            });
        }
    });
    address
}

fn config_map(certificate: &CertifiedKey<KeyPair>) -> String {
    format!(
        "---
apiVersion: v1
kind: ConfigMap
metadata: {{name: ca}}
data: {{ca.crt: {:?}}}
",
        certificate.cert.pem()
    )
}

fn policy(service: &str, validation: &str) -> String {
    format!(
        "---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {{name: {service}}}
spec:
  targetRefs: [{{group: '', kind: Service, name: {service}, sectionName: main}}]
  validation: {{caCertificateRefs: [{{group: '', kind: ConfigMap, name: ca}}], {validation}}}
"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backends_are_reached_by_tls_and_only_if_they_are_who_they_should_be() {
    let (backend, own) = (certificate("backend.test"), certificate("gateway.test"));
    let open = serve(&backend, None).await;
    let closed = serve(&backend, Some(&own)).await;
    let mut text = format!(
        "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: edge}}
spec:
  gatewayClassName: tollgate
  addresses: [{{value: 127.0.0.1}}]
  tls: {{backend: {{clientCertificateRef: {{name: own}}}}}}
  listeners: [{{name: http, port: 8080, protocol: HTTP}}]
{}{}",
        secret("own", &own.cert.pem(), &own.signing_key.serialize_pem()),
        config_map(&backend),
    );
    let sans = |name: &str| {
        format!("hostname: backend.test, subjectAltNames: [{{type: Hostname, hostname: {name}}}]")
    };
    let cases = [
        ("good", open, Some("hostname: backend.test".to_owned()), 200),
        ("other-name", open, Some("hostname: other.test".to_owned()), 503),
        ("san", open, Some(sans("backend.test")), 200),
        ("other-san", open, Some(sans("other.test")), 503),
        (
            "two-authorities",
            open,
            Some("wellKnownCACertificates: System, hostname: backend.test".to_owned()),
            500,
        ),
        ("client-certificate", closed, Some("hostname: backend.test".to_owned()), 200),
    ];
    for (name, address, validation, _) in &cases {
        text += &service("default", name, Some(*address), "");
        text += &policy(name, validation.as_deref().unwrap_or_default());
        text += &super::world::route(
            "HTTPRoute",
            name,
            &format!("{name}.test"),
            &format!("  - backendRefs: [{{name: {name}, port: 80}}]"),
        );
    }
    let (one, two) = (Upstream::start("one", false).await, Upstream::start("two", false).await);
    let world = World::serve(text, one, two);
    for (name, _, _, status) in cases {
        let seen = tokio::task::block_in_place(|| world.get(&format!("{name}.test"), "/"));
        assert_eq!(seen.status, status, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_are_asked_for_certificates() {
    let (server, client, stranger) =
        (certificate("edge.test"), certificate("client.test"), certificate("x.test"));
    let text = format!(
        "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: edge}}
spec:
  gatewayClassName: tollgate
  addresses: [{{value: 127.0.0.1}}]
  tls:
    frontend:
      default: {{validation: {{caCertificateRefs: [{{group: '', kind: ConfigMap, name: ca}}]}}}}
      perPort:
      - {{port: 8444, tls: {{validation: {{mode: AllowInsecureFallback, caCertificateRefs: [{{group: '', kind: ConfigMap, name: ca}}]}}}}}}
  listeners:
  - {{name: strict, port: 8443, protocol: HTTPS, tls: {{certificateRefs: [{{name: edge}}]}}}}
  - {{name: lax, port: 8444, protocol: HTTPS, tls: {{certificateRefs: [{{name: edge}}]}}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: all}}
spec:
  parentRefs: [{{name: edge}}]
  rules: [{{backendRefs: [{{name: one, port: 80}}]}}]
{}{}",
        secret("edge", &server.cert.pem(), &server.signing_key.serialize_pem()),
        config_map(&client),
    );
    let world = World::start(&text).await;
    for (listener, identity, served) in [
        ("strict", Some(&client), true),
        ("strict", Some(&stranger), false),
        ("strict", None, false),
        ("lax", Some(&client), true),
        ("lax", Some(&stranger), true),
        ("lax", None, true),
    ] {
        let identity =
            identity.map(|identity| (identity.cert.der().clone(), identity.signing_key.serialize_pem()));
        let status = tokio::task::block_in_place(|| {
            tls_with(&world, listener, server.cert.der(), identity, "edge.test", "edge.test")
        });
        assert_eq!(status, served.then_some(200), "{listener}");
    }
}
