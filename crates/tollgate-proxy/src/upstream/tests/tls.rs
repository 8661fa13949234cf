//! Upstreams behind TLS.

use std::sync::Mutex;

use rcgen::{CertificateParams, KeyPair};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::spawn_local,
};
use tokio_rustls::TlsAcceptor;
use tollgate_model::{
    http_connection_manager::Http2Options,
    tls::{
        ServerNameIndication, ServerValidation, TlsVersions, TrustAnchors, UpstreamTls, UpstreamTlsSettings,
    },
};

use super::*;

/// What a client said.
#[derive(Debug, Default, Clone, PartialEq)]
struct Hello {
    server_name: Option<String>,
    alpn: Vec<String>,
}

/// Shows one certificate and remembers what it was asked.
#[derive(Debug)]
struct Certificate {
    key: Arc<CertifiedKey>,
    hello: Mutex<Hello>,
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let alpn = hello.alpn().into_iter().flatten();
        *self.hello.lock().unwrap() = Hello {
            server_name: hello.server_name().map(str::to_owned),
            alpn: alpn.map(|name| String::from_utf8_lossy(name).into_owned()).collect(),
        };
        Some(self.key.clone())
    }
}

struct Server {
    listener: TcpListener,
    address: SocketAddr,
    acceptor: TlsAcceptor,
    certificate: Arc<Certificate>,
    trusted: TrustAnchors,
}

impl Server {
    async fn bind(alpn: &[&str]) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(["upstream.test".to_owned()]).unwrap().self_signed(&key).unwrap();
        let trusted = TrustAnchors::from_pem(certificate.pem().as_bytes()).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let key = aws_lc_rs::sign::any_supported_type(&key).unwrap();
        let certificate = Arc::new(Certificate {
            key: Arc::new(CertifiedKey::new(vec![certificate.der().clone()], key)),
            hello: Mutex::default(),
        });
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(certificate.clone());
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { listener, address, acceptor: Arc::new(config).into(), certificate, trusted }
    }

    fn cluster(&self, sni: ServerNameIndication, validation: ServerValidation) -> Cluster {
        let settings = UpstreamTlsSettings {
            sni,
            validation,
            certificate: None,
            alpn_protocols: Vec::new(),
            versions: TlsVersions::default(),
            max_session_keys: 1,
        };
        let mut cluster = cluster(vec![EndpointAddress::Socket(self.address)]);
        cluster.tls = Some(Arc::new(UpstreamTls::new(settings).unwrap()));
        cluster
    }

    fn verified(&self) -> Cluster {
        self.cluster(
            ServerNameIndication::Fixed("upstream.test".into()),
            ServerValidation::ChainAndServerName { trusted_ca: self.trusted.clone() },
        )
    }

    fn hello(&self) -> Hello {
        self.certificate.hello.lock().unwrap().clone()
    }

    async fn accept(&self) -> std::io::Result<tokio_rustls::server::TlsStream<tokio::net::TcpStream>> {
        self.acceptor.accept(self.listener.accept().await?.0).await
    }

    async fn serve_http1(&self) {
        let mut stream = self.accept().await.unwrap();
        let mut buffer = [0; 1024];
        assert!(stream.read(&mut buffer).await.unwrap() > 0);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc").await.unwrap();
        stream.flush().await.unwrap();
    }
}

#[test]
fn http1() {
    run(async {
        let server = Server::bind(&["http/1.1"]).await;
        let worker = Worker::new(server.verified());
        let (response, ()) = tokio::join!(worker.get(), server.serve_http1());
        assert_eq!(response.unwrap().body, "abc");
        let expected = Hello { server_name: Some("upstream.test".into()), alpn: vec!["http/1.1".into()] };
        assert_eq!(server.hello(), expected);
    });
}

#[test]
fn a_tls_connection_is_kept_and_used_again() {
    run(async {
        let server = Server::bind(&[]).await;
        let worker = Worker::new(server.verified());
        let serving = async {
            let mut stream = server.accept().await.unwrap();
            let mut buffer = [0; 1024];
            for _ in 0..2 {
                assert!(stream.read(&mut buffer).await.unwrap() > 0);
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc").await.unwrap();
            }
        };
        let client = async {
            for _ in 0..2 {
                assert_eq!(worker.get().await.unwrap().body, "abc");
            }
        };
        tokio::join!(client, serving);
    });
}

/// RFC 8446 section 6.1: the end of a connection is told from a cut.
#[test]
fn connections_end_with_a_close_notify() {
    run(async {
        let server = Server::bind(&[]).await;
        let worker = Worker::new(server.verified());
        let head = get("/");
        let (request, stream) = tokio::join!(worker.begin(&head, true), server.accept());
        drop(request.unwrap());
        let mut stream = stream.unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        assert!(rest.is_empty());
    });
}

#[test]
fn http2() {
    run(async {
        let server = Server::bind(&["h2", "http/1.1"]).await;
        let mut settings = server.verified();
        settings.protocol = UpstreamProtocol::Http2(Http2Options::default());
        let worker = Worker::new(settings);
        let (response, ()) = tokio::join!(worker.get(), async {
            let stream = server.accept().await.unwrap();
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
            let mut connection = h2::server::handshake(stream).await.unwrap();
            let (_, mut respond) = connection.accept().await.unwrap().unwrap();
            let mut body = respond.send_response(http::Response::new(()), false).unwrap();
            body.send_data(Bytes::from_static(b"abc"), true).unwrap();
            spawn_local(async move { while connection.accept().await.is_some() {} });
        });
        assert_eq!(response.unwrap().body, "abc");
        assert_eq!(server.hello().alpn, ["h2"]);
    });
}

#[test]
fn the_host_name_of_the_endpoint_is_sent() {
    run(async {
        let server = Server::bind(&[]).await;
        let mut settings = server.cluster(
            ServerNameIndication::EndpointHostname { otherwise: String::new() },
            ServerValidation::Nothing,
        );
        Arc::make_mut(&mut settings.endpoints)[0].hostname = "endpoint.test".into();
        let worker = Worker::new(settings);
        let (response, ()) = tokio::join!(worker.get(), server.serve_http1());
        response.unwrap();
        assert_eq!(server.hello().server_name.as_deref(), Some("endpoint.test"));
        assert_eq!(worker.start().unwrap().host_name(), Some("endpoint.test"));
    });
}

/// As Envoy 1.39.3 but for the wording: `UF`, `TLS_error:…`.
#[test]
fn a_certificate_that_is_not_trusted() {
    run(async {
        let server = Server::bind(&[]).await;
        let other = Server::bind(&[]).await;
        let settings = server.cluster(
            ServerNameIndication::Fixed("upstream.test".into()),
            ServerValidation::Chain { trusted_ca: other.trusted.clone(), subject_alt_names: Vec::new() },
        );
        let worker = Worker::new(settings);
        let (response, accepted) = tokio::join!(worker.get(), server.accept());
        assert!(accepted.is_err());
        let failure = response.unwrap_err();
        assert_eq!(failure.response_flag(), "UF");
        let reason = failure.transport_failure_reason().unwrap().to_owned();
        assert!(reason.starts_with("TLS_error:|") && reason.ends_with(":TLS_error_end"), "{reason}");
        assert!(reason.contains("certificate"), "{reason}");
    });
}

#[test]
fn an_upstream_that_closes_during_the_handshake() {
    run(async {
        let server = Server::bind(&[]).await;
        let worker = Worker::new(server.verified());
        let (response, _) = tokio::join!(worker.get(), async { drop(server.listener.accept().await) });
        assert!(matches!(response.unwrap_err(), UpstreamFailure::ConnectionFailure { .. }));
    });
}

/// The connect timeout covers the handshake, as in Envoy.
#[test]
fn an_upstream_that_does_not_answer_the_handshake() {
    run(async {
        let server = Server::bind(&[]).await;
        let mut settings = server.verified();
        settings.connect_timeout = Duration::from_millis(50);
        assert_eq!(Worker::new(settings).get().await.unwrap_err(), UpstreamFailure::ConnectTimeout);
    });
}
