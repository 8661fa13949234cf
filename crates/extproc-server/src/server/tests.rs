//! The server, spoken to by a gRPC client over real sockets.

use std::{
    io,
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

use super::*;
use crate::{
    codec::ProstCodec,
    continue_with,
    health::{CHECK, HealthCheckRequest, HealthCheckResponse},
};

mod limits;

/// Nothing in these tests takes longer.
const DEADLINE: Duration = Duration::from_secs(20);

/// Counts the messages of its exchange in `mode_override.request_body_mode`, and fails on response headers.
#[derive(Debug, Default)]
struct Count(i32);

impl Processor for Count {
    async fn process(&mut self, request: ProcessingRequest) -> Result<ProcessingResponse, Status> {
        if matches!(request.request, Some(Part::ResponseHeaders(_))) {
            return Err(Status::failed_precondition("no responses here"));
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

async fn run(
    address: &str,
    configure: impl FnOnce(Server<fn(&MetadataMap) -> Count>) -> Server<fn(&MetadataMap) -> Count>,
) -> io::Result<Running> {
    let new_processor: fn(&MetadataMap) -> Count = |_| Count::default();
    let server = configure(Server::new(new_processor)).bind(&address.parse().unwrap()).await?;
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
            ListenAddress::Unix(path) => Client::new(UnixStream::connect(path).await.unwrap()).await,
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
    let server = run(&address, |server| server).await.unwrap();
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

#[tokio::test]
async fn the_health_service_answers_serving() {
    let server = run("127.0.0.1:0", |server| server).await.unwrap();
    let mut call = server.connect().await.grpc();
    call.ready().await.unwrap();
    let codec = ProstCodec::<HealthCheckRequest, HealthCheckResponse>::default();
    let check = tonic::Request::new(HealthCheckRequest { service: "any".into() });
    let answer = within(call.unary(check, CHECK.parse().unwrap(), codec)).await.unwrap();
    assert_eq!(answer.into_inner(), HealthCheckResponse { status: 1 });

    let codec = ProstCodec::<HealthCheckRequest, HealthCheckResponse>::default();
    let watch = tonic::Request::new(HealthCheckRequest::default());
    let path = "/grpc.health.v1.Health/Watch".parse().unwrap();
    call.ready().await.unwrap();
    assert_eq!(within(call.unary(watch, path, codec)).await.unwrap_err().code(), Code::Unimplemented);
    drop(call);
    server.stop().await;
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
