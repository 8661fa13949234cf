use std::io::{Read, Write};

use rcgen::{CertificateParams, KeyPair};
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tollgate_model::{
    listener::TransportProtocol,
    tls::{DownstreamTls, DownstreamTlsSettings, Identity, TlsVersions},
};

use super::*;

pub(super) struct Certificates {
    identities: Vec<Identity>,
    roots: RootCertStore,
}

pub(super) fn certificates(names: &[&str]) -> Certificates {
    let mut roots = RootCertStore::empty();
    let identities = names
        .iter()
        .map(|name| {
            let key = KeyPair::generate().unwrap();
            let certificate =
                CertificateParams::new(vec![(*name).to_owned()]).unwrap().self_signed(&key).unwrap();
            roots.add(certificate.der().clone()).unwrap();
            Identity::from_pem(certificate.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap()
        })
        .collect();
    Certificates { identities, roots }
}

pub(super) fn settings(certificates: &Certificates, protocols: &[&str]) -> DownstreamTlsSettings {
    DownstreamTlsSettings {
        certificates: certificates.identities.clone(),
        require_sni: false,
        full_scan_certs_on_sni_mismatch: false,
        client_validation: None,
        alpn_protocols: protocols.iter().map(|name| (*name).to_owned()).collect(),
        versions: TlsVersions::default(),
        prefer_client_ciphers: false,
        disable_stateless_session_resumption: false,
        disable_stateful_session_resumption: false,
    }
}

fn tls_chain(
    name: &str,
    certificates: &Certificates,
    protocols: &[&str],
    server_names: &[&str],
) -> FilterChain {
    FilterChain {
        name: name.to_owned(),
        filter_chain_match: FilterChainMatch {
            server_names: server_names.iter().map(|name| (*name).to_owned()).collect(),
            transport_protocol: (!server_names.is_empty()).then_some(TransportProtocol::Tls),
            ..FilterChainMatch::default()
        },
        tls: Some(Arc::new(DownstreamTls::new(settings(certificates, protocols)).unwrap())),
        ..chain(manager())
    }
}

fn client_config(certificates: &Certificates, protocols: &[&[u8]]) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(certificates.roots.clone())
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Arc::new(config)
}

pub(super) type TlsClient = rustls::StreamOwned<rustls::ClientConnection, std::net::TcpStream>;

pub(super) fn connect(
    running: &Running,
    certificates: &Certificates,
    name: &str,
    protocols: &[&[u8]],
) -> TlsClient {
    let socket = std::net::TcpStream::connect(running.address()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let session = rustls::ClientConnection::new(client_config(certificates, protocols), name).unwrap();
    rustls::StreamOwned::new(session, socket)
}

fn get(client: &mut TlsClient) -> String {
    client.write_all(b"GET /connection HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn the_filter_chain_is_chosen_by_server_name() {
    let certificates = certificates(&["a.example", "b.example"]);
    let plain = FilterChain {
        name: "plain".to_owned(),
        filter_chain_match: FilterChainMatch {
            transport_protocol: Some(TransportProtocol::RawBuffer),
            ..FilterChainMatch::default()
        },
        ..chain(manager())
    };
    let chains = vec![
        tls_chain("a", &certificates, &[], &["a.example"]),
        tls_chain("b", &certificates, &["http/1.1"], &["b.example"]),
        plain,
    ];
    let running = Running::start(listener(chains), 1);
    for (name, chain) in [("a.example", "a"), ("b.example", "b")] {
        let mut client = connect(&running, &certificates, name, &[]);
        let answer = get(&mut client);
        assert!(
            answer.contains(&format!("x-sni: {name}\r\nx-tls: TLSv1.3\r\nx-chain: {chain}\r\n")),
            "{answer}"
        );
    }
    // Cleartext on the same port.
    let mut client = running.connect();
    client.send("GET /connection HTTP/1.1\r\nhost: h\r\n\r\n");
    assert!(client.read_until("\r\n\r\n").contains("x-chain: plain\r\n"));
    // A name that no chain has.
    let mut client = connect(&running, &certificates, "c.example", &[]);
    assert!(
        client.write_all(b"x").and_then(|()| client.flush()).and_then(|()| client.read(&mut [0])).is_err()
    );
    assert_eq!(running.log.lines()[0], "Http11 GET ://h/connection true");
}

#[test]
fn alpn_chooses_the_protocol() {
    let certificates = certificates(&["a.example"]);
    let running = Running::start(listener(vec![tls_chain("", &certificates, &["h2", "http/1.1"], &[])]), 1);
    http2::run(async {
        let socket = tokio::net::TcpStream::connect(running.address()).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(client_config(&certificates, &[b"h2"]));
        let stream = connector.connect(ServerName::try_from("a.example").unwrap(), socket).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (mut requests, connection) = h2::client::handshake(stream).await.unwrap();
        let driver = tokio::spawn(connection);
        let request = http::Request::builder().uri("https://h/direct").body(()).unwrap();
        let (response, _) = requests.send_request(request, true).unwrap();
        assert_eq!(response.await.unwrap().status(), 200);
        drop(requests);
        driver.await.unwrap().unwrap();
    });
    assert_eq!(running.log.lines(), ["Http2 GET https://h/direct true"]);
    for protocols in [&[&b"http/1.1"[..]][..], &[]] {
        let mut client = connect(&running, &certificates, "a.example", protocols);
        assert!(get(&mut client).starts_with("HTTP/1.1 200 OK\r\n"));
    }
}

#[test]
fn a_handshake_that_does_not_come_is_given_up() {
    let certificates = certificates(&["a.example"]);
    let mut impatient = listener(vec![tls_chain("", &certificates, &[], &["a.example"])]);
    impatient.listener_filters_timeout = Some(Duration::from_millis(30));
    let running = Running::start(impatient, 1);
    let mut client = running.connect();
    assert_eq!(client.read_to_end(), "");

    let mut slow = tls_chain("", &certificates, &[], &[]);
    slow.transport_socket_connect_timeout = Some(Duration::from_millis(30));
    let mut slow = listener(vec![slow]);
    slow.listener_filters_timeout = None;
    let running = Running::start(slow, 1);
    let mut client = connect(&running, &certificates, "a.example", &[]);
    // Our ClientHello goes out and the rest never.
    client.conn.write_tls(&mut client.sock).unwrap();
    let mut rest = Vec::new();
    client.sock.read_to_end(&mut rest).unwrap();
    assert!(!rest.is_empty());
}

#[test]
fn cleartext_to_a_tls_listener_is_refused() {
    let certificates = certificates(&["a.example"]);
    let running = Running::start(listener(vec![tls_chain("", &certificates, &[], &[])]), 1);
    let mut client = running.connect();
    client.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n");
    let mut rest = Vec::new();
    let _ = client.socket().read_to_end(&mut rest);
    assert!(!rest.starts_with(b"HTTP"));
}

#[test]
fn large_bodies_pass_through_tls() {
    let certificates = certificates(&["a.example"]);
    let running = Running::start(listener(vec![tls_chain("", &certificates, &[], &[])]), 1);
    let mut client = connect(&running, &certificates, "a.example", &[]);
    client.write_all(b"GET /large HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    assert_eq!(answer.iter().filter(|byte| **byte == b'x').count(), 4_000_000);
    assert!(answer.ends_with(b"0\r\n\r\n"));
}
