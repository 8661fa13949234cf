//! What peers and processors may not do to a server: hold its connections, its memory, or each other up.

use std::{future::pending, io::ErrorKind, task::Poll::Pending};

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// Does what the body of a message says: `panic`, `wait` for ever, or answer.
struct Odd;

impl Processor for Odd {
    async fn process(&mut self, request: ProcessingRequest) -> Result<ProcessingResponse, crate::Status> {
        match body(&request) {
            b"panic" => panic!("as I was told"),
            b"wait" => pending().await,
            _ => continue_with(&request, CommonResponse::default()),
        }
    }
}

fn body(request: &ProcessingRequest) -> &[u8] {
    match &request.request {
        Some(Part::RequestBody(part)) => &part.body,
        _ => b"",
    }
}

fn say(text: &'static str) -> Part {
    Part::RequestBody(HttpBody { body: text.into(), ..HttpBody::default() })
}

/// A server of odd processors, in the background until its runtime ends.
async fn odd(configure: impl FnOnce(Server) -> Server) -> (ListenAddress, Arc<Counters>) {
    let server = Server::raw(|metadata| {
        assert!(!metadata.contains_key("x-panic"), "as I was told");
        Odd
    });
    let server = configure(server).bind("127.0.0.1:0").await.unwrap();
    let (address, counters) = (server.local_address().clone(), server.counters());
    tokio::spawn(server.serve(pending()));
    (address, counters)
}

async fn stream(address: &ListenAddress) -> TcpStream {
    let ListenAddress::Tcp(address) = address else { panic!("a TCP address") };
    TcpStream::connect(address).await.unwrap()
}

async fn client(address: &ListenAddress) -> Client {
    Client::new(stream(address).await).await
}

async fn until(condition: impl Fn() -> bool) {
    within(async {
        while !condition() {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_file_that_is_not_a_socket_is_left_alone() {
    let path = std::env::temp_dir().join(format!("extproc-server-file-{}", std::process::id()));
    std::fs::write(&path, "somebody's data").unwrap();
    let error =
        run(&format!("unix:{}", path.display()), |server| server).await.err().expect("it is no socket");
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    assert!(error.to_string().contains("is not a socket"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "somebody's data");
    std::fs::remove_file(&path).unwrap();
}

/// Nor is one that took the place of the socket while it was served.
#[tokio::test]
async fn a_stop_removes_its_own_socket_only() {
    let path = std::env::temp_dir().join(format!("extproc-server-moved-{}.sock", std::process::id()));
    let server = run(&format!("unix:{}", path.display()), |server| server).await.unwrap();
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "somebody's data").unwrap();
    server.stop().await;
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "somebody's data");
    std::fs::remove_file(&path).unwrap();
}

#[tokio::test]
async fn a_connection_without_a_preface_is_closed() {
    let (address, counters) = odd(|server| server.preface_timeout(Duration::from_millis(50))).await;
    for (number, sent) in ["", "PRI * HTTP/2.0\r\n"].into_iter().enumerate() {
        let mut stream = stream(&address).await;
        stream.write_all(sent.as_bytes()).await.unwrap();
        assert_eq!(within(stream.read_to_end(&mut Vec::new())).await.unwrap(), 0);
        until(|| counters.failed_connections() == number as u64 + 1).await;
    }
    exchange_of(client(&address).await, "hello").await.unwrap();
}

#[tokio::test]
async fn another_protocol_is_refused_at_once() {
    let (address, counters) = odd(|server| server.preface_timeout(DEADLINE * 10)).await;
    let mut stream = stream(&address).await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: processor\r\n\r\n").await.unwrap();
    // A reset is as good as an end.
    let _ = within(stream.read_to_end(&mut Vec::new())).await;
    until(|| counters.failed_connections() == 1).await;
}

/// One exchange with one message.
async fn exchange_of(client: Client, text: &'static str) -> Result<ProcessingResponse, Status> {
    let mut exchange = client.exchange().await?;
    Ok(exchange.ask(say(text)).await?.expect("an answer"))
}

#[tokio::test]
async fn a_panic_ends_its_own_exchange_only() {
    let (address, counters) = odd(|server| server).await;
    let client = client(&address).await;
    let mut other = client.clone().exchange().await.unwrap();
    other.ask(request_headers()).await.unwrap().unwrap();
    let status = exchange_of(client.clone(), "panic").await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Internal, "the handler panicked"));
    other.ask(say("hello")).await.unwrap().unwrap();
    assert_eq!(counters.panics(), 1);
    drop(other);
    until(|| counters.active_exchanges() == 0).await;
    assert_eq!(counters.buffered_bytes(), 0);
}

#[tokio::test]
async fn a_processor_that_cannot_be_made_has_failed() {
    let (address, counters) = odd(|server| server).await;
    let mut call = client(&address).await.grpc();
    call.ready().await.unwrap();
    let mut request = tonic::Request::new(stream::iter([ProcessingRequest::default()]));
    request.metadata_mut().insert("x-panic", "1".parse().unwrap());
    let path = "/envoy.service.ext_proc.v3.ExternalProcessor/Process".parse().unwrap();
    let codec = ProstCodec::<ProcessingRequest, ProcessingResponse>::default();
    let status = match within(call.streaming(request, path, codec)).await {
        Ok(replies) => within(replies.into_inner().message()).await.unwrap_err(),
        Err(status) => status,
    };
    assert_eq!((status.code(), counters.panics()), (Code::Internal, 1));
}

#[tokio::test]
async fn a_processor_that_takes_too_long_is_given_up() {
    let (address, counters) = odd(|server| server.handler_timeout(Duration::from_millis(20))).await;
    let status = exchange_of(client(&address).await, "wait").await.unwrap_err();
    assert_eq!((status.code(), counters.timeouts()), (Code::DeadlineExceeded, 1));
    until(|| counters.active_exchanges() == 0).await;
}

#[tokio::test]
async fn the_author_says_what_becomes_of_a_failure() {
    let (address, _) = odd(|server| {
        server.handler_timeout(Duration::from_millis(20)).on_error(|failure| match failure {
            Failure::Panicked(text) => Outcome::Status(crate::Status::new(crate::Code::Aborted, text)),
            _ => Outcome::respond(http::StatusCode::SERVICE_UNAVAILABLE),
        })
    })
    .await;
    let client = client(&address).await;
    let status = exchange_of(client.clone(), "panic").await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Aborted, "as I was told"));
    let mut exchange = client.exchange().await.unwrap();
    let last = exchange.ask(say("wait")).await.unwrap().unwrap();
    let Some(Reply::ImmediateResponse(response)) = last.response else { panic!("an answer") };
    assert_eq!(response.status.unwrap().code, 503);
    assert_eq!(within(exchange.replies.message()).await.unwrap(), None, "nothing follows");
}

#[tokio::test]
async fn exchanges_over_the_limit_are_refused() {
    let (address, counters) = odd(|server| server.max_exchanges(2)).await;
    let client = client(&address).await;
    let mut exchanges = Vec::new();
    for _ in 0..2 {
        let mut exchange = client.clone().exchange().await.unwrap();
        exchange.ask(request_headers()).await.unwrap().unwrap();
        exchanges.push(exchange);
    }
    let status = exchange_of(client.clone(), "hello").await.unwrap_err();
    assert_eq!((status.code(), counters.refused_exchanges()), (Code::ResourceExhausted, 1));
    drop(exchanges.pop());
    until(|| counters.active_exchanges() == 1).await;
    exchange_of(client, "hello").await.unwrap();
}

#[tokio::test]
async fn what_is_buffered_is_limited_for_all_together() {
    let (address, counters) = odd(|server| server.max_buffered_bytes(100_000)).await;
    let client = client(&address).await;
    let large = || Part::RequestBody(HttpBody { body: vec![0; 60_000].into(), ..HttpBody::default() });
    // What has been answered is not buffered any more.
    let mut exchange = client.clone().exchange().await.unwrap();
    for _ in 0..5 {
        exchange.ask(large()).await.unwrap().unwrap();
    }
    until(|| counters.buffered_bytes() < 1000).await;
    // Most of a message that does not come to its end.
    let (mut send, response) = begin(&address).await;
    send.send_data(framed_start(90_000, 80_000), false).unwrap();
    until(|| counters.buffered_bytes() > 80_000).await;
    let status = exchange.ask(large()).await.unwrap_err();
    assert_eq!((status.code(), counters.exhausted_exchanges()), (Code::ResourceExhausted, 1));
    drop((send, response, exchange));
    until(|| counters.active_exchanges() == 0).await;
    assert_eq!(counters.buffered_bytes(), 0);
}

/// The beginning of a message of `announced` bytes.
fn framed_start(announced: u32, sent: usize) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_u8(0);
    bytes.put_u32(announced);
    bytes.put_bytes(0, sent);
    bytes.freeze()
}

type Sender = h2::client::SendRequest<Bytes>;

/// A connection of which the frames are written by hand.
async fn connect(address: &ListenAddress) -> (Sender, h2::PingPong) {
    let (sender, mut connection) = within(h2::client::handshake(stream(address).await)).await.unwrap();
    let pings = connection.ping_pong().unwrap();
    tokio::spawn(connection);
    (sender, pings)
}

async fn open(sender: &Sender) -> (h2::SendStream<Bytes>, h2::client::ResponseFuture) {
    let request = Request::post("http://processor/envoy.service.ext_proc.v3.ExternalProcessor/Process")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .unwrap();
    let (response, send) =
        within(sender.clone().ready()).await.unwrap().send_request(request, false).unwrap();
    (send, response)
}

async fn begin(address: &ListenAddress) -> (h2::SendStream<Bytes>, h2::client::ResponseFuture) {
    open(&connect(address).await.0).await
}

fn message(part: Part) -> Bytes {
    let message = ProcessingRequest { request: Some(part), ..ProcessingRequest::default() }.encode_to_vec();
    let mut bytes = BytesMut::from(&framed_start(message.len() as u32, 0)[..]);
    bytes.extend_from_slice(&message);
    bytes.freeze()
}

/// Sends zeros until the server takes no more.
async fn fill(send: &mut h2::SendStream<Bytes>, pings: &mut h2::PingPong) {
    send.reserve_capacity(64 << 20);
    let mut idle = false;
    loop {
        match std::future::poll_fn(|context| Poll::Ready(send.poll_capacity(context))).await {
            Poll::Ready(capacity) => {
                let capacity = capacity.expect("an open stream").unwrap();
                send.send_data(Bytes::from(vec![0; capacity]), false).unwrap();
                send.reserve_capacity(64 << 20);
                idle = false;
            }
            // Twice: what was sent before the first PING may have been read after it.
            Pending if idle => return,
            Pending => idle = true,
        }
        within(pings.ping(h2::Ping::opaque())).await.unwrap();
    }
}

/// The gateway sends ahead in some body modes: what lies unread for some exchanges must not take the room of others.
#[tokio::test]
async fn processors_that_do_not_read_slow_nobody_else() {
    let (address, _) = odd(|server| server).await;
    let (sender, mut pings) = connect(&address).await;
    let mut stalled = Vec::new();
    for _ in 0..20 {
        let (mut send, response) = open(&sender).await;
        send.send_data(message(say("wait")), false).unwrap();
        send.send_data(framed_start(32 << 20, 0), false).unwrap();
        stalled.push((send, response));
    }
    for (send, _) in &mut stalled {
        fill(send, &mut pings).await;
    }
    let (mut send, response) = open(&sender).await;
    let large = Part::RequestBody(HttpBody { body: vec![0; 300_000].into(), ..HttpBody::default() });
    send.send_data(message(large), false).unwrap();
    let mut replies = within(response).await.unwrap().into_body();
    let reply = within(replies.data()).await.expect("an answer").unwrap();
    assert!(!reply.is_empty());
}

/// What the kernel says about one connection is no reason to leave the others waiting.
#[test]
fn some_failures_of_accept_are_the_peers() {
    assert!(is_of_the_peer(&io::Error::from(ErrorKind::ConnectionAborted)));
    let too_many_files = io::Error::from_raw_os_error(24);
    assert!(!is_of_the_peer(&too_many_files));
}

/// A thousand exchanges with a body of 1 MiB each, in pieces that come back changed.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "moves 2 GiB: cargo test --release -p extproc-server --lib -- --ignored --nocapture"]
async fn large_bodies_take_little_memory() {
    const EXCHANGES: usize = 1000;
    const PIECES: usize = 16;
    let upper = async |request: crate::Request, next: crate::Next| {
        next.run(request.map(|body| body.map_chunks(|data| data.to_ascii_uppercase().into()))).await
    };
    let server = Server::new(upper).bind("127.0.0.1:0").await.unwrap();
    let (address, counters) = (server.local_address().clone(), server.counters());
    tokio::spawn(server.serve(pending()));
    let client = client(&address).await;
    let played = (0..EXCHANGES).map(|_| {
        let client = client.clone();
        tokio::spawn(async move {
            let mut exchange = client.exchange().await.unwrap();
            let config =
                extproc::messages::ProtocolConfiguration { request_body_mode: 4, ..Default::default() };
            let head = ProcessingRequest {
                request: Some(request_headers()),
                protocol_config: Some(config),
                ..ProcessingRequest::default()
            };
            exchange.messages.send(head).await.unwrap();
            assert!(matches!(
                exchange.replies.message().await.unwrap().unwrap().response,
                Some(Reply::RequestHeaders(_))
            ));
            for index in 0..PIECES {
                let body = HttpBody {
                    body: vec![b'a'; 64 << 10].into(),
                    end_of_stream: index + 1 == PIECES,
                    ..HttpBody::default()
                };
                let reply = exchange.ask(Part::RequestBody(body)).await.unwrap().unwrap();
                assert!(matches!(reply.response, Some(Reply::RequestBody(_))));
            }
        })
    });
    let mut played: Vec<_> = played.collect();
    let mut peak = 0;
    while !played.is_empty() {
        played.retain(|task| !task.is_finished());
        peak = peak.max(counters.buffered_bytes());
        sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(
        (counters.exchanges(), counters.exhausted_exchanges(), counters.errors()),
        (EXCHANGES as u64, 0, 0)
    );
    println!("at most {} KiB were buffered", peak >> 10);
    assert!(peak <= EXCHANGES * (128 << 10) + (1 << 20), "{peak} bytes");
}
