//! A client of HTTP/1.1 and HTTP/2, with and without TLS.

use std::{
    collections::HashSet,
    future::poll_fn,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
};

use hyper::{
    Request, Response,
    body::{Body, Incoming},
    client::conn::{http1, http2},
    rt::{Read, Write},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    Http1,
    Http2,
}

/// An open connection.
pub(crate) enum Connection {
    Http1 { requests: http1::SendRequest<String>, ending: bool },
    Http2(http2::SendRequest<String>),
}

impl Clone for Connection {
    /// HTTP/2 only.
    fn clone(&self) -> Self {
        match self {
            Self::Http1 { .. } => panic!("one request at a time"),
            Self::Http2(requests) => Self::Http2(requests.clone()),
        }
    }
}

impl Connection {
    pub(crate) async fn open(
        address: SocketAddr,
        version: Version,
        tls: Option<Arc<ClientConfig>>,
    ) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let Some(config) = tls else { return Self::over(TokioIo::new(stream), version).await };
        let mut config = ClientConfig::clone(&config);
        config.alpn_protocols = vec![match version {
            Version::Http1 => b"http/1.1".to_vec(),
            Version::Http2 => b"h2".to_vec(),
        }];
        let name = ServerName::try_from("gateway.example")?;
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        Self::over(TokioIo::new(stream), version).await
    }

    async fn over(io: impl Read + Write + Unpin + Send + 'static, version: Version) -> Result<Self, Failure> {
        Ok(match version {
            Version::Http1 => {
                let (requests, connection) = http1::handshake(io).await?;
                tokio::spawn(async move {
                    let _ = connection.await;
                });
                Self::Http1 { requests, ending: false }
            }
            Version::Http2 => {
                let (requests, connection) = http2::handshake(TokioExecutor::new(), io).await?;
                tokio::spawn(async move {
                    let _ = connection.await;
                });
                Self::Http2(requests)
            }
        })
    }

    /// The server has said that this connection ends.
    pub(crate) fn is_ending(&self) -> bool {
        match self {
            Self::Http1 { ending, requests } => *ending || requests.is_closed(),
            Self::Http2(requests) => requests.is_closed(),
        }
    }

    /// The whole answer to a request, which the upstream keeps back for so many milliseconds.
    pub(crate) async fn get(&mut self, path: &str, delay: u64) -> Result<Response<()>, Failure> {
        let request = Request::get(match self {
            Self::Http1 { .. } => path.to_owned(),
            Self::Http2(_) => format!("http://gateway.example{path}"),
        });
        let request = request.header("x-delay", delay);
        let response = match self {
            Self::Http1 { requests, ending } => {
                requests.ready().await?;
                let request = request.header("host", "gateway.example").body(String::new())?;
                let response = requests.send_request(request).await?;
                *ending = response.headers().get("connection").is_some_and(|value| value == "close");
                response
            }
            Self::Http2(requests) => {
                requests.ready().await?;
                requests.send_request(request.body(String::new())?).await?
            }
        };
        let (head, body) = response.into_parts();
        let body = read(body).await?;
        if body == b"answer" { Ok(Response::from_parts(head, ())) } else { Err("another body".into()) }
    }
}

async fn read(mut body: Incoming) -> Result<Vec<u8>, Failure> {
    let mut whole = Vec::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        if let Ok(data) = frame?.into_data() {
            whole.extend_from_slice(&data);
        }
    }
    Ok(whole)
}

/// Which certificates were shown.
#[derive(Debug, Default)]
pub(crate) struct Seen(Mutex<HashSet<Vec<u8>>>);

impl Seen {
    pub(crate) fn certificates(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

/// Believes what webpki believes, and notes it.
#[derive(Debug)]
struct Noting {
    verifier: Arc<WebPkiServerVerifier>,
    seen: Arc<Seen>,
}

/// A client that trusts `roots`.
pub(crate) fn config(roots: RootCertStore) -> (Arc<ClientConfig>, Arc<Seen>) {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().unwrap();
    let seen = Arc::<Seen>::default();
    let noting = Noting { verifier, seen: seen.clone() };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(noting))
        .with_no_client_auth();
    (Arc::new(config), seen)
}

impl ServerCertVerifier for Noting {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.seen.0.lock().unwrap().insert(end_entity.to_vec());
        self.verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}
