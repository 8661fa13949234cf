//! Processors that fail in every way, and one beside them that works (rules F-1 to F-8, F-13, F-14, X-2).

#![allow(clippy::print_stdout, reason = "figures for whoever runs it with --nocapture")]

use tollgate_testing as support;

use std::{
    convert::Infallible,
    future::pending,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    task::{Context, Poll},
};

use extproc_server::{
    Status,
    raw::{
        Processor, continue_with,
        messages::{
            BodyResponse, CommonResponse, HeaderMutation, HeaderValue, HeaderValueOption, ProcessingRequest,
            ProcessingResponse, processing_request::Request, processing_response::Response,
        },
    },
};
use hyper::{
    body::{Body, Bytes, Frame},
    server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use support::{
    DEADLINE,
    gateway::{Gateway, Route, processor},
    http1::{Head, Reader, sides},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp::OwnedWriteHalf},
    sync::mpsc,
    task::JoinSet,
    time::timeout,
};

const BODY: &str = "what the client sent";
/// Failures one after the other on each route: the first must not make the next ones different.
const TIMES: usize = 3;

/// What the processors of this test do.
enum Behaviour {
    Healthy,
    /// Never answers.
    Silent,
    /// Answers request headers by a response body.
    Wrong,
    /// Lets the request pass, and tells when the response headers are there, which it never answers.
    Doomed(mpsc::Sender<()>),
}

impl Processor for Behaviour {
    async fn process(&mut self, request: ProcessingRequest) -> Result<ProcessingResponse, Status> {
        let mut response = CommonResponse::default();
        match self {
            Self::Healthy => {
                let key = match request.request {
                    Some(Request::RequestHeaders(_)) => "x-healthy-request",
                    _ => "x-healthy-response",
                };
                let header = HeaderValue { key: key.into(), raw_value: "yes".into(), ..Default::default() };
                let set_headers = vec![HeaderValueOption { header: Some(header), ..Default::default() }];
                response.header_mutation = Some(HeaderMutation { set_headers, ..Default::default() });
            }
            Self::Silent => pending().await,
            Self::Wrong => {
                let body = BodyResponse { response: Some(response) };
                return Ok(ProcessingResponse {
                    response: Some(Response::ResponseBody(body)),
                    ..Default::default()
                });
            }
            Self::Doomed(reached) => {
                if matches!(request.request, Some(Request::ResponseHeaders(_))) {
                    reached.send(()).await.map_err(|_| Status::internal("the test is over"))?;
                    pending::<()>().await;
                }
            }
        }
        continue_with(&request, response)
    }
}

/// A processor that is killed, with its connections, while the response headers of its first exchange wait for it.
async fn killed() -> SocketAddr {
    let (reached, mut told) = mpsc::channel(1);
    let (address, serving) = processor(move |_| Behaviour::Doomed(reached.clone())).await;
    tokio::spawn(async move {
        told.recv().await;
        serving.abort();
    });
    address
}

/// An address nobody listens on.
async fn down() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.and_then(|listener| listener.local_addr()).expect("a port")
}

/// Speaks another protocol.
async fn garbage() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            tokio::spawn(async move {
                let noise: Vec<u8> = (0..=255).rev().collect();
                // The gateway hangs up when it has seen enough.
                let _ = stream.write_all(&noise).await;
                let _ = stream.read_to_end(&mut Vec::new()).await;
            });
        }
    });
    address
}

/// A gRPC frame whose message is none.
struct Nonsense(Option<Bytes>);

impl Body for Nonsense {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.take().map_or(Poll::Pending, |bytes| Poll::Ready(Some(Ok(Frame::data(bytes)))))
    }
}

/// Speaks gRPC, and answers by what is no message.
async fn nonsense() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            let service = service_fn(async |_| {
                let bytes = Bytes::from_static(&[0, 0, 0, 0, 4, 0xff, 0xff, 0xff, 0xff]);
                let response = hyper::Response::builder().header("content-type", "application/grpc");
                response.body(Nonsense(Some(bytes)))
            });
            let server = http2::Builder::new(TokioExecutor::new());
            // It ends as the gateway wants.
            tokio::spawn(async move { server.serve_connection(TokioIo::new(stream), service).await.is_ok() });
        }
    });
    address
}

async fn request(reader: &mut Reader, writer: &mut OwnedWriteHalf, path: &str) -> (Head, Vec<u8>) {
    let length = BODY.len();
    let text = format!("POST {path} HTTP/1.1\r\nhost: app\r\ncontent-length: {length}\r\n\r\n{BODY}");
    writer.write_all(text.as_bytes()).await.expect("a request");
    let answer = async {
        let head = reader.head().await?.ok_or_else(|| std::io::Error::other("closed"))?;
        Ok::<_, std::io::Error>((head, reader.body().await?))
    };
    let answer = timeout(DEADLINE, answer).await.unwrap_or_else(|_| panic!("{path}: no answer"));
    answer.unwrap_or_else(|error| panic!("{path}: {error}"))
}

async fn connect(address: &str) -> (Reader, OwnedWriteHalf) {
    sides(TcpStream::connect(address).await.expect("a connection"))
}

/// Requests to the working processor, until told to stop.
async fn go_on(address: String, answered: Arc<AtomicU64>, stop: Arc<AtomicBool>) {
    let (mut reader, mut writer) = connect(&address).await;
    while !stop.load(SeqCst) {
        let (head, body) = request(&mut reader, &mut writer, "/healthy").await;
        assert_eq!(head.status(), 200, "{head:?}");
        for name in ["x-healthy-request", "x-healthy-response"] {
            assert_eq!(head.values(name), ["yes"], "{name}: {head:?}");
        }
        assert_eq!(body, BODY.as_bytes());
        answered.fetch_add(1, SeqCst);
    }
}

async fn more(answered: &AtomicU64, count: u64) {
    let target = answered.load(SeqCst) + count;
    let reached = async {
        while answered.load(SeqCst) < target {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, reached).await.expect("other requests go on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_failure_has_its_outcome_and_other_requests_go_on() {
    let (healthy, _serving) = processor(|_| Behaviour::Healthy).await;
    let (silent, _serving) = processor(|_| Behaviour::Silent).await;
    let (wrong, _serving) = processor(|_| Behaviour::Wrong).await;
    let (down, garbage, nonsense) = (down().await, garbage().await, nonsense().await);
    let cases = [
        ("/down/closed", down, 500),
        ("/down/open", down, 200),
        ("/silent/closed", silent, 504),
        ("/silent/open", silent, 200),
        ("/killed/closed", killed().await, 500),
        ("/killed/open", killed().await, 200),
        ("/garbage/closed", garbage, 500),
        ("/garbage/open", garbage, 200),
        ("/nonsense/closed", nonsense, 500),
        ("/nonsense/open", nonsense, 200),
        ("/wrong/closed", wrong, 500),
        ("/wrong/open", wrong, 200),
    ];
    let mut routes = vec![Route { path: "/healthy", processor: healthy, overrides: String::new() }];
    routes.extend(cases.iter().map(|&(path, processor, _)| Route {
        path,
        processor,
        overrides: format!("failure_mode_allow: {}", path.ends_with("/open")),
    }));
    let gateway = Gateway::start("failures", "2s", &routes).await;

    let (answered, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let mut others = JoinSet::new();
    for _ in 0..4 {
        others.spawn(go_on(gateway.address.clone(), Arc::clone(&answered), Arc::clone(&stop)));
    }
    more(&answered, 20).await;

    let mut failing = JoinSet::new();
    for (path, _, status) in cases {
        let (address, answered) = (gateway.address.clone(), Arc::clone(&answered));
        failing.spawn(async move {
            for time in 0..TIMES {
                // I-10: an answer before the whole request was read ends the connection.
                let (mut reader, mut writer) = connect(&address).await;
                let (head, body) = request(&mut reader, &mut writer, path).await;
                assert_eq!(head.status(), status, "{path}, time {time}: {head:?}");
                let expected = if status == 200 { BODY } else { "" };
                assert_eq!(String::from_utf8_lossy(&body), expected, "{path}, time {time}");
                more(&answered, 4).await;
            }
        });
    }
    while let Some(case) = failing.join_next().await {
        case.expect("the outcome of the case");
    }
    more(&answered, 20).await;
    stop.store(true, SeqCst);
    while let Some(other) = others.join_next().await {
        other.expect("a connection all of whose requests succeed");
    }
    println!("{} other requests went on", answered.load(SeqCst));
}
