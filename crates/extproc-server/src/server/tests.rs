//! The server, spoken to by a gRPC client over real sockets.

use std::{
    io,
    os::unix::fs::PermissionsExt,
    sync::Arc,
    task::{Context, Poll},
};

use extproc::messages::{
    CommonResponse, HttpBody, HttpHeaders, ProcessingRequest, ProcessingResponse,
    processing_request::Request as Part, processing_response::Response as Reply,
};
use futures_util::stream;
use http::{Request, Response, Uri};
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    sync::{mpsc, oneshot},
    task::JoinHandle,
};
use tokio_rustls::TlsConnector;
use tonic::{
    Code, Status, Streaming,
    body::Body,
    client::{Grpc, GrpcService},
};

use self::codec::ProstCodec;
use super::*;
use crate::{
    Tls,
    health::{CHECK, HealthCheckRequest, HealthCheckResponse, WATCH},
    raw::{Processor, continue_with},
};

mod codec;
mod limits;

/// Nothing in these tests takes longer.
const DEADLINE: Duration = Duration::from_secs(20);

/// Counts the messages of its exchange in `mode_override.request_body_mode`, and fails on response headers.
#[derive(Debug, Default)]
struct Count(i32);

impl Processor for Count {
    async fn process(&mut self, request: ProcessingRequest) -> Result<ProcessingResponse, crate::Status> {
        if matches!(request.request, Some(Part::ResponseHeaders(_))) {
            return Err(crate::Status::new(crate::Code::FailedPrecondition, "no responses here"));
        }
        self.0 += 1;
        let mut reply = continue_with(&request, CommonResponse::default())?;
        reply.mode_override =
            Some(extproc::messages::ProcessingMode { request_body_mode: self.0, ..Default::default() });
        Ok(reply)
    }
}

/// Where a server runs in the background, and how to stop it.
struct Running {
    address: ListenAddress,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<()>,
}

async fn run(address: &str, configure: impl FnOnce(Server) -> Server) -> io::Result<Running> {
    let server = configure(Server::raw(|_| Count::default())).bind(address).await?;
    let address = server.local_address().clone();
    let (stop, stopped) = oneshot::channel();
    let ended = tokio::spawn(server.serve(async {
        let _ = stopped.await;
    }));
    Ok(Running { address, stop, ended })
}

impl Running {
    async fn connect(&self) -> Client {
        match &self.address {
            ListenAddress::Tcp(address) => Client::new(TcpStream::connect(address).await.unwrap()).await,
            ListenAddress::Unix(unix) => Client::new(UnixStream::connect(&unix.path).await.unwrap()).await,
        }
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        within(self.ended).await.unwrap();
    }
}

#[derive(Clone)]
struct Client(http2::SendRequest<Body>);

impl Client {
    async fn new(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        let (sender, connection) =
            within(http2::handshake(TokioExecutor::new(), TokioIo::new(stream))).await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    fn grpc(self) -> Grpc<Self> {
        Grpc::with_origin(self, Uri::from_static("http://processor"))
    }

    /// Opens an exchange.
    async fn exchange(self) -> Result<Exchange, Status> {
        let (sender, receiver) = mpsc::channel(8);
        let messages =
            stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver)));
        let path = "/envoy.service.ext_proc.v3.ExternalProcessor/Process".parse().unwrap();
        let codec = ProstCodec::<ProcessingRequest, ProcessingResponse>::default();
        let call = self.grpc();
        let replies = within(async {
            let mut call = call;
            call.ready().await.unwrap();
            call.streaming(tonic::Request::new(messages), path, codec).await
        })
        .await?;
        Ok(Exchange { messages: sender, replies: replies.into_inner() })
    }
}

impl GrpcService<Body> for Client {
    type ResponseBody = Incoming;
    type Error = hyper::Error;
    type Future = std::pin::Pin<Box<dyn Future<Output = hyper::Result<Response<Incoming>>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}

struct Exchange {
    messages: mpsc::Sender<ProcessingRequest>,
    replies: Streaming<ProcessingResponse>,
}

impl Exchange {
    async fn ask(&mut self, part: Part) -> Result<Option<ProcessingResponse>, Status> {
        let message = ProcessingRequest { request: Some(part), ..Default::default() };
        self.messages.send(message).await.unwrap();
        within(self.replies.message()).await
    }
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(DEADLINE, future).await.expect("the deadline of the test")
}

fn request_headers() -> Part {
    Part::RequestHeaders(HttpHeaders::default())
}

fn number(reply: &ProcessingResponse) -> i32 {
    reply.mode_override.unwrap().request_body_mode
}

/// One exchange from its first message to its end.
async fn exchange(client: Client) {
    let mut exchange = client.exchange().await.unwrap();
    let first = exchange.ask(request_headers()).await.unwrap().unwrap();
    assert!(matches!(first.response, Some(Reply::RequestHeaders(_))));
    assert_eq!(number(&first), 1);
    let second = exchange.ask(Part::RequestBody(HttpBody::default())).await.unwrap().unwrap();
    assert!(matches!(second.response, Some(Reply::RequestBody(_))));
    assert_eq!(number(&second), 2);
    drop(exchange.messages);
    assert_eq!(within(exchange.replies.message()).await.unwrap(), None, "half-closed: ends with OK");
}

#[tokio::test]
async fn each_exchange_has_a_processor_of_its_own() {
    let server = run("127.0.0.1:0", |server| server).await.unwrap();
    let client = server.connect().await;
    exchange(client.clone()).await;
    exchange(client).await;
    server.stop().await;
}

#[tokio::test]
async fn a_unix_socket_serves_and_leaves_nothing_behind() {
    let path = std::env::temp_dir().join(format!("extproc-server-{}.sock", std::process::id()));
    let address = format!("unix:{}", path.display());
    // What a killed server leaves.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let server = run(&format!("{address}?mode=0600"), |server| server).await.unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    exchange(server.connect().await).await;
    let error = run(&address, |server| server).await.err().expect("it is served already");
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    exchange(server.connect().await).await;
    server.stop().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn tls_serves_http2() {
    let issued = rcgen::generate_simple_self_signed(["processor.example".to_owned()]).unwrap();
    let tls =
        Tls::from_pem(issued.cert.pem().as_bytes(), issued.signing_key.serialize_pem().as_bytes()).unwrap();
    let server = run("127.0.0.1:0", |server| server.tls(tls)).await.unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(issued.cert.der().clone()).unwrap();
    let mut config =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let ListenAddress::Tcp(address) = server.address else { panic!("a TCP address") };
    let name = ServerName::try_from("processor.example").unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    let stream = within(TlsConnector::from(Arc::new(config)).connect(name, stream)).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    exchange(Client::new(stream).await).await;
    server.stop().await;
}

/// A client's configuration, with a certificate or without one.
fn client_config(
    roots: RootCertStore,
    identity: Option<&rcgen::CertifiedKey<rcgen::KeyPair>>,
) -> Arc<ClientConfig> {
    let builder =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let key =
                rustls::pki_types::PrivateKeyDer::try_from(identity.signing_key.serialize_der()).unwrap();
            builder.with_client_auth_cert(vec![identity.cert.der().clone()], key).unwrap()
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config)
}

#[tokio::test]
async fn clients_show_certificates_where_they_have_to() {
    let issued = rcgen::generate_simple_self_signed(["processor.example".to_owned()]).unwrap();
    let friend = rcgen::generate_simple_self_signed(["gateway.example".to_owned()]).unwrap();
    let stranger = rcgen::generate_simple_self_signed(["stranger.example".to_owned()]).unwrap();
    let tls =
        Tls::from_pem(issued.cert.pem().as_bytes(), issued.signing_key.serialize_pem().as_bytes()).unwrap();
    let tls = tls.client_ca_pem(friend.cert.pem().as_bytes()).unwrap();
    let server = run("127.0.0.1:0", |server| server.tls(tls)).await.unwrap();
    let ListenAddress::Tcp(address) = server.address else { panic!("a TCP address") };
    let mut roots = RootCertStore::empty();
    roots.add(issued.cert.der().clone()).unwrap();
    for (identity, served) in [(Some(&friend), true), (Some(&stranger), false), (None, false)] {
        let connector = TlsConnector::from(client_config(roots.clone(), identity));
        let name = ServerName::try_from("processor.example").unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        let stream = within(connector.connect(name, stream)).await.unwrap();
        // TLS 1.3: the client learns that it was refused with the first thing that it reads.
        let (sender, connection) =
            within(http2::handshake(TokioExecutor::new(), TokioIo::new(stream))).await.unwrap();
        let connection = tokio::spawn(connection);
        if served {
            exchange(Client(sender)).await;
        } else {
            within(connection).await.unwrap().unwrap_err();
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn certificates_are_read_again() {
    let folder = std::env::temp_dir().join(format!("extproc-server-tls-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (chain, key) = (folder.join("tls.crt"), folder.join("tls.key"));
    let write = |name: &str| {
        let issued = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        std::fs::write(&chain, issued.cert.pem()).unwrap();
        std::fs::write(&key, issued.signing_key.serialize_pem()).unwrap();
        issued.cert.der().clone()
    };
    let first = write("processor.example");
    let tls = Tls::from_files(&chain, &key).unwrap().reloading();
    let server = run("127.0.0.1:0", |server| server.tls(tls)).await.unwrap();
    let ListenAddress::Tcp(address) = server.address else { panic!("a TCP address") };
    let connects = async |certificate: &rustls::pki_types::CertificateDer<'static>| {
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let name = ServerName::try_from("processor.example").unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        within(TlsConnector::from(client_config(roots, None)).connect(name, stream)).await.is_ok()
    };
    assert!(connects(&first).await);
    // Files that are no certificate change nothing.
    std::fs::write(&chain, "half").unwrap();
    assert!(connects(&first).await);
    let second = write("processor.example");
    within(async { while !connects(&second).await {} }).await;
    assert!(!connects(&first).await);
    server.stop().await;
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_certificate_that_is_none_is_an_error() {
    let issued = rcgen::generate_simple_self_signed(["processor.example".to_owned()]).unwrap();
    let (certificate, key) = (issued.cert.pem(), issued.signing_key.serialize_pem());
    let other = rcgen::generate_simple_self_signed(["other.example".to_owned()]).unwrap();
    let from = |certificate: &str, key: &str| {
        Tls::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap_err().to_string()
    };
    assert!(from("", &key).starts_with("the certificate chain cannot be read"));
    assert!(from(&certificate, &certificate).starts_with("the private key cannot be read"));
    assert!(from(&certificate, &other.signing_key.serialize_pem()).contains("cannot be used"));
}

#[tokio::test]
async fn an_error_ends_the_exchange_with_its_status() {
    let server = run("127.0.0.1:0", |server| server).await.unwrap();
    let mut exchange = server.connect().await.exchange().await.unwrap();
    exchange.ask(request_headers()).await.unwrap().unwrap();
    let status = exchange.ask(Part::ResponseHeaders(HttpHeaders::default())).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::FailedPrecondition, "no responses here"));
    server.stop().await;
}

#[tokio::test]
async fn a_message_without_a_known_part_has_no_answer() {
    let server = run("127.0.0.1:0", |server| server).await.unwrap();
    let mut exchange = server.connect().await.exchange().await.unwrap();
    exchange.messages.send(ProcessingRequest::default()).await.unwrap();
    let status = within(exchange.replies.message()).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    server.stop().await;
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused() {
    let server = run("127.0.0.1:0", |server| server.max_message_size(1000)).await.unwrap();
    let mut exchange = server.connect().await.exchange().await.unwrap();
    let body = HttpBody { body: vec![0; 1001].into(), ..Default::default() };
    let status = exchange.ask(Part::RequestBody(body)).await.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange);
    server.stop().await;
}

type HealthCodec = ProstCodec<HealthCheckRequest, HealthCheckResponse>;

async fn check(client: Client, service: &str) -> Result<i32, Status> {
    let mut call = client.grpc();
    within(call.ready()).await.unwrap();
    let question = tonic::Request::new(HealthCheckRequest { service: service.into() });
    let answer = within(call.unary(question, CHECK.parse().unwrap(), HealthCodec::default())).await?;
    Ok(answer.into_inner().status)
}

async fn watch_health(client: Client, service: &str) -> Streaming<HealthCheckResponse> {
    let mut call = client.grpc();
    within(call.ready()).await.unwrap();
    let question = tonic::Request::new(HealthCheckRequest { service: service.into() });
    let answers = call.server_streaming(question, WATCH.parse().unwrap(), HealthCodec::default());
    within(answers).await.unwrap().into_inner()
}

async fn said(answers: &mut Streaming<HealthCheckResponse>) -> Option<i32> {
    within(answers.message()).await.unwrap().map(|answer| answer.status)
}

#[tokio::test]
async fn health_is_what_it_is() {
    let server =
        Server::raw(|_| Count::default()).drain_delay(DEADLINE * 10).bind("127.0.0.1:0").await.unwrap();
    let (address, health) = (server.local_address().clone(), server.health());
    let (stop, stopped) = oneshot::channel();
    let ended = tokio::spawn(server.serve(async {
        let _ = stopped.await;
    }));
    let running = Running { address, stop, ended };
    let client = running.connect().await;
    for service in ["", "envoy.service.ext_proc.v3.ExternalProcessor"] {
        assert_eq!(check(client.clone(), service).await.unwrap(), 1);
    }
    assert_eq!(check(client.clone(), "other").await.unwrap_err().code(), Code::NotFound);
    let mut watching = watch_health(client.clone(), "").await;
    assert_eq!(said(&mut watching).await, Some(1));
    assert_eq!(said(&mut watch_health(client.clone(), "other").await).await, Some(3));
    health.set_ready(false);
    assert_eq!(said(&mut watching).await, Some(2));
    assert_eq!(check(client.clone(), "").await.unwrap(), 2);
    health.set_ready(true);
    assert_eq!(said(&mut watching).await, Some(1));
    // While it drains it still takes exchanges, and says that it will not for long.
    running.stop.send(()).unwrap();
    assert_eq!(said(&mut watching).await, Some(2));
    assert_eq!(said(&mut watching).await, None, "the end of the call");
    assert_eq!(check(client.clone(), "").await.unwrap(), 2);
    exchange(client).await;
    running.ended.abort();
}

#[tokio::test]
async fn a_stop_waits_for_exchanges_under_way() {
    let server = run("127.0.0.1:0", |server| server).await.unwrap();
    let client = server.connect().await;
    let mut exchange = client.clone().exchange().await.unwrap();
    exchange.ask(request_headers()).await.unwrap().unwrap();
    let Running { address, stop, ended } = server;
    stop.send(()).unwrap();
    let ListenAddress::Tcp(address) = address else { panic!("a TCP address") };
    within(async { while TcpStream::connect(address).await.is_ok() {} }).await;
    let reply = exchange.ask(Part::RequestBody(HttpBody::default())).await.unwrap().unwrap();
    assert_eq!(number(&reply), 2, "the exchange goes on");
    assert!(!ended.is_finished());
    drop(exchange);
    within(ended).await.unwrap();
}

#[tokio::test]
async fn a_stop_does_not_wait_for_ever() {
    let server = run("127.0.0.1:0", |server| server.drain_timeout(Duration::ZERO)).await.unwrap();
    let mut exchange = server.connect().await.exchange().await.unwrap();
    exchange.ask(request_headers()).await.unwrap().unwrap();
    server.stop().await;
    within(exchange.replies.message()).await.expect_err("cut off");
}
