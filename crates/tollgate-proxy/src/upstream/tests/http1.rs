//! HTTP/1 upstreams.

use std::{cell::Cell, future::Future, pin::pin, task::Poll};

use http::header;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixListener},
    task::{JoinHandle, spawn_local},
};

use super::*;

/// An upstream that is told what to do by each test.
pub(super) struct Upstream {
    listener: TcpListener,
}

impl Upstream {
    pub(super) async fn bind() -> (Self, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (Self { listener }, address)
    }

    pub(super) async fn accept(&self) -> Peer {
        Peer { stream: self.listener.accept().await.unwrap().0, received: BytesMut::new() }
    }

    /// Whether somebody has connected and was not accepted yet.
    async fn has_connection(&self) -> bool {
        let mut accept = pin!(self.listener.accept());
        sockets_looked_at().await;
        poll_fn(|cx| Poll::Ready(accept.as_mut().poll(cx).is_ready())).await
    }
}

/// The upstream's end of a connection.
pub(super) struct Peer {
    stream: TcpStream,
    received: BytesMut,
}

impl Peer {
    /// Reads up to and with a text, which it takes away.
    async fn read_until(&mut self, end: &str) -> String {
        loop {
            let text = String::from_utf8_lossy(&self.received).into_owned();
            if let Some(at) = text.find(end) {
                return String::from_utf8(self.received.split_to(at + end.len()).to_vec()).unwrap();
            }
            let read = self.stream.read_buf(&mut self.received).await.unwrap();
            assert!(read > 0, "connection closed after {text:?}");
        }
    }

    pub(super) async fn read_head(&mut self) -> String {
        self.read_until("\r\n\r\n").await
    }

    pub(super) async fn write(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// Resolves when the gateway closes; fails on data.
    pub(super) async fn closed(&mut self) {
        let mut rest = Vec::new();
        // A reset closes as well.
        let _ = self.stream.read_to_end(&mut rest).await;
        assert_eq!(String::from_utf8_lossy(&rest), "");
    }
}

pub(super) const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc";

/// Answers every request on every connection with the same text.
pub(super) fn serve(upstream: Upstream, answer: &'static str) -> (JoinHandle<()>, Rc<Cell<usize>>) {
    let connections = Rc::new(Cell::new(0));
    let counter = connections.clone();
    let task = spawn_local(async move {
        loop {
            let mut peer = upstream.accept().await;
            counter.set(counter.get() + 1);
            spawn_local(async move {
                loop {
                    if !peer.received.windows(4).any(|window| window == b"\r\n\r\n")
                        && !matches!(peer.stream.read_buf(&mut peer.received).await, Ok(1..))
                    {
                        return;
                    }
                    peer.read_head().await;
                    peer.write(answer).await;
                }
            });
        }
    });
    (task, connections)
}

/// The response to one request when the upstream answers with this and then closes.
async fn answered_with(answer: &str) -> Result<Response, UpstreamFailure> {
    let (upstream, address) = Upstream::bind().await;
    let worker = Worker::at(address);
    let (response, ()) = tokio::join!(worker.get(), async {
        let mut peer = upstream.accept().await;
        peer.read_head().await;
        peer.write(answer).await;
    });
    response
}

#[test]
fn a_connection_is_kept_and_used_again() {
    run(async {
        let (upstream, address) = Upstream::bind().await;
        let (_server, connections) = serve(upstream, OK);
        let worker = Worker::at(address);
        for _ in 0..5 {
            let response = worker.get().await.unwrap();
            assert_eq!(response.head.status, 200);
            assert_eq!(response.body, "abc");
        }
        assert_eq!(connections.get(), 1);
    });
}

#[test]
fn the_head_arrives_as_it_is() {
    run(async {
        let (upstream, address) = Upstream::bind().await;
        let worker = Worker::at(address);
        let mut head = get("/path?query");
        head.fields.insert("x-test", HeaderValue::from_static("Value"));
        let (response, seen) = tokio::join!(worker.send(head), async {
            let mut peer = upstream.accept().await;
            let seen = peer.read_head().await;
            peer.write(OK).await;
            seen
        });
        response.unwrap();
        assert_eq!(seen, "GET /path?query HTTP/1.1\r\nhost: example.com\r\nx-test: Value\r\n\r\n");
    });
}

#[test]
fn facts_about_the_upstream() {
    run(async {
        let (upstream, address) = Upstream::bind().await;
        let (_server, _) = serve(upstream, OK);
        let worker = Worker::at(address);
        let mut request = worker.start().unwrap();
        assert_eq!(request.info().address.as_deref(), Some(address.to_string().as_str()));
        assert_eq!(request.info().cluster.as_deref(), Some("upstream"));
        assert_eq!(request.info().local_address, None);
        poll_fn(|cx| request.poll_connect(cx, &get("/"), true)).await.unwrap();
        assert_eq!(request.info().local_address.unwrap().ip(), address.ip());
    });
}

#[test]
fn a_connection_closed_while_idle_is_not_used() {
    run(async {
        let (upstream, address) = Upstream::bind().await;
        let worker = Worker::at(address);
        for _ in 0..3 {
            let (response, ()) = tokio::join!(worker.get(), async {
                let mut peer = upstream.accept().await;
                peer.read_head().await;
                peer.write(OK).await;
                // Closed although the response did not say so.
            });
            assert_eq!(response.unwrap().head.status, 200);
            sockets_looked_at().await;
        }
    });
}

#[test]
fn what_an_idle_connection_sends_unasked_is_not_an_answer() {
    run(async {
        let (upstream, address) = Upstream::bind().await;
        let worker = Worker::at(address);
        let (first, mut peer) = tokio::join!(worker.get(), async {
            let mut peer = upstream.accept().await;
            peer.read_head().await;
            peer.write(OK).await;
            peer
        });
        first.unwrap();
        peer.write("HTTP/1.1 500 Evil\r\ncontent-length: 0\r\n\r\n").await;
        sockets_looked_at().await;
        let (second, ()) = tokio::join!(worker.get(), async {
            let mut peer = upstream.accept().await;
            peer.read_head().await;
            peer.write(OK).await;
        });
        assert_eq!(second.unwrap().head.status, 200);
        peer.closed().await;
    });
}

#[test]
fn idle_connections_time_out() {
    run(async {
        let (upstream, address) = Upstream::bind().await;
        let mut settings = cluster(vec![EndpointAddress::Socket(address)]);
        settings.idle_timeout = Some(Duration::from_millis(10));
        let worker = Worker::new(settings);
        let (response, mut peer) = tokio::join!(worker.get(), async {
            let mut peer = upstream.accept().await;
            peer.read_head().await;
            peer.write(OK).await;
            peer
        });
        response.unwrap();
        // Closed although there is no further request.
        peer.closed().await;
    });
}

#[test]
fn connections_are_used_for_a_limited_number_of_requests() {
    run(async {
        let (upstream, address) = Upstream::bind().await;
        let (_server, connections) = serve(upstream, OK);
        let mut settings = cluster(vec![EndpointAddress::Socket(address)]);
        settings.max_requests_per_connection = Some(2);
        let worker = Worker::new(settings);
        for _ in 0..6 {
            worker.get().await.unwrap();
        }
        assert_eq!(connections.get(), 3);
    });
}

#[test]
fn connection_close_is_obeyed() {
    run(async {
        let (upstream, address) = Upstream::bind().await;
        let (_server, connections) =
            serve(upstream, "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
        let worker = Worker::at(address);
        for _ in 0..2 {
            assert!(worker.get().await.unwrap().head_only);
        }
        assert_eq!(connections.get(), 2);
    });
}

/// As Envoy 1.39.3: 503, `UF`, `delayed_connect_error:_Connection_refused`.
#[test]
fn refused_connection() {
    run(async {
        let (upstream, address) = Upstream::bind().await;
        drop(upstream);
        let worker = Worker::at(address);
        let mut request = worker.start().unwrap();
        let failure = poll_fn(|cx| request.poll_connect(cx, &get("/"), true)).await.unwrap_err();
        assert_eq!(
            failure.details(false),
            "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}"
        );
        assert_eq!(
            request.info().transport_failure_reason.as_deref(),
            Some("delayed connect error: Connection refused")
        );
    });
}

/// As Envoy 1.39.3 with a Unix socket that does not exist.
#[test]
fn immediate_connect_error() {
    run(async {
        let path = "/nonexistent/upstream.sock";
        let failure = Worker::new(cluster(vec![EndpointAddress::Pipe(path.into())])).get().await.unwrap_err();
        assert_eq!(
            failure.details(false),
            "upstream_reset_before_response_started{remote_connection_failure|\
             immediate_connect_error:_No_such_file_or_directory|remote_address:/nonexistent/upstream.sock}"
        );
    });
}

#[test]
fn connect_timeout() {
    run(async {
        // A listener that accepts nobody, with a queue that is full, does not answer further connection attempts.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut fill = Vec::new();
        while let Ok(Ok(stream)) = timeout(Duration::from_millis(50), TcpStream::connect(address)).await {
            fill.push(stream);
        }
        let mut settings = cluster(vec![EndpointAddress::Socket(address)]);
        settings.connect_timeout = Duration::from_millis(50);
        let failure = Worker::new(settings).get().await.unwrap_err();
        assert_eq!(failure, UpstreamFailure::ConnectTimeout);
        assert_eq!(failure.response_flag(), "UF");
        assert_eq!(failure.details(false), "upstream_reset_before_response_started{connection_timeout}");
    });
}

#[test]
fn no_endpoint() {
    run(async {
        assert_eq!(
            Worker::new(cluster(Vec::new())).get().await.unwrap_err(),
            UpstreamFailure::NoHealthyUpstream
        );
    });
}

/// As Envoy 1.39.3: closed before the response began `UC`, cut off in the middle `UPE`.
#[test]
fn broken_responses() {
    run(async {
        assert_eq!(answered_with("").await.unwrap_err(), UpstreamFailure::ConnectionTermination);
        for broken in [
            "GARBAGE\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-",
            "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabc",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: abc\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 3\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 3\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\nx : a\r\ncontent-length: 3\r\n\r\nabc",
            "HTTP/1.1 204 No Content\r\ncontent-length: 3\r\n\r\nabc",
            "HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n",
            "\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc",
        ] {
            assert_eq!(answered_with(broken).await.unwrap_err(), UpstreamFailure::ProtocolError, "{broken}");
        }
    });
}

/// As Envoy 1.39.3.
#[test]
fn odd_responses() {
    run(async {
        for (odd, status, body) in [
            ("HTTP/1.1 600 Odd\r\ncontent-length: 0\r\n\r\n", 600, ""),
            ("HTTP/1.1 200 OK\ncontent-length: 3\n\nabc", 200, "abc"),
            ("HTTP/1.1 200 OK\r\nx: a\r\n b\r\ncontent-length: 3\r\n\r\nabc", 200, "abc"),
            ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabcdefg", 200, "abc"),
            ("HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 200, "abc"),
            ("HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n", 204, ""),
            ("HTTP/1.1 204 No Content\r\n\r\nabc", 204, ""),
            ("HTTP/1.1 304 Not Modified\r\ncontent-length: 3\r\n\r\n", 304, ""),
        ] {
            let response = answered_with(odd).await.expect(odd);
            assert_eq!(
                (response.head.status.as_u16(), response.body.as_ref()),
                (status, body.as_bytes()),
                "{odd}"
            );
        }
    });
}

/// As Envoy 1.39.3: 80 KiB and 100 fields.
#[test]
fn limits_of_response_heads() {
    run(async {
        let with_value =
            |size: usize| format!("HTTP/1.1 200 OK\r\nx: {}\r\ncontent-length: 0\r\n\r\n", "a".repeat(size));
        assert!(answered_with(&with_value(79 * 1024)).await.is_ok());
        assert_eq!(answered_with(&with_value(81 * 1024)).await.unwrap_err(), UpstreamFailure::ProtocolError);
        let with_fields = |count| {
            let fields: String = (0..count - 1).map(|index| format!("x{index}: a\r\n")).collect();
            format!("HTTP/1.1 200 OK\r\n{fields}content-length: 0\r\n\r\n")
        };
        assert!(answered_with(&with_fields(100)).await.is_ok());
        assert_eq!(answered_with(&with_fields(101)).await.unwrap_err(), UpstreamFailure::ProtocolError);
    });
}

#[test]
fn body_until_close() {
    run(async {
        let response = answered_with("HTTP/1.1 200 OK\r\n\r\nuntil the end").await.unwrap();
        assert_eq!(response.body, "until the end");
        let response = answered_with("HTTP/1.0 200 OK\r\n\r\nold").await.unwrap();
        assert_eq!(response.body, "old");
    });
}

#[test]
fn informational_heads_come_first() {
    run(async {
        let response = answered_with(
            "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n\
             HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc",
        )
        .await
        .unwrap();
        assert_eq!(
            response.informational.iter().map(|head| head.status.as_u16()).collect::<Vec<_>>(),
            [103, 100]
        );
        assert_eq!(response.body, "abc");
    });
}

#[test]
fn responses_without_body_leave_the_connection_usable() {
    run(async {
        for (method, answer) in [
            (Method::HEAD, "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n"),
            (Method::HEAD, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"),
            (Method::GET, "HTTP/1.1 204 No Content\r\n\r\n"),
            (Method::GET, "HTTP/1.1 304 Not Modified\r\ncontent-length: 100\r\n\r\n"),
            (Method::GET, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
        ] {
            let (upstream, address) = Upstream::bind().await;
            let (_server, connections) = serve(upstream, answer);
            let worker = Worker::at(address);
            for _ in 0..2 {
                assert!(worker.send(request(method.clone(), "/")).await.unwrap().head_only, "{answer}");
            }
            assert_eq!(connections.get(), 1, "{answer}");
        }
    });
}

/// T-9: trailers pass only when enabled.
#[test]
fn chunks_and_trailers() {
    run(async {
        for enable_trailers in [false, true] {
            let (upstream, address) = Upstream::bind().await;
            let mut settings = cluster(vec![EndpointAddress::Socket(address)]);
            settings.protocol = UpstreamProtocol::Http1 { enable_trailers };
            let worker = Worker::new(settings);
            let client = async {
                let mut request = worker.begin(&request(Method::POST, "/"), false).await.unwrap();
                request.send_data(Bytes::from_static(b"hello").into(), false);
                writable(&mut request).await.unwrap();
                request.send_trailers(&HeaderMap::from_iter([(
                    header::HeaderName::from_static("sent"),
                    HeaderValue::from_static("1"),
                )]));
                Response::read(&mut request).await.unwrap()
            };
            let (response, trailers) = tokio::join!(client, async {
                let mut peer = upstream.accept().await;
                assert!(peer.read_head().await.contains("transfer-encoding: chunked\r\n"));
                assert_eq!(peer.read_until("\r\nhello\r\n0\r\n").await, "5\r\nhello\r\n0\r\n");
                let trailers = peer.read_until(if enable_trailers { "\r\n\r\n" } else { "\r\n" }).await;
                peer.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
                peer.write("2\r\nab\r\n1\r\nc\r\n0\r\nback: 1\r\n\r\n").await;
                trailers
            });
            assert_eq!(response.body, "abc");
            assert_eq!(trailers, if enable_trailers { "sent: 1\r\n\r\n" } else { "\r\n" });
            assert_eq!(response.trailers.is_some(), enable_trailers);
        }
    });
}

#[test]
fn a_large_body_waits_for_a_slow_upstream() {
    run(async {
        let (upstream, address) = Upstream::bind().await;
        let worker = Worker::at(address);
        let mut head = request(Method::POST, "/");
        const SIZE: usize = 32 * 1024 * 1024;
        head.fields.insert(header::CONTENT_LENGTH, SIZE.into());
        let mut request = worker.begin(&head, false).await.unwrap();
        let piece = Bytes::from(vec![b'x'; 64 * 1024]);
        let mut sent = 0;
        // The upstream does not read: the sockets' buffers fill, then the queue.
        while let Ok(outcome) = timeout(Duration::from_millis(50), writable(&mut request)).await {
            outcome.unwrap();
            request.send_data(piece.clone().into(), false);
            sent += piece.len();
            assert!(sent < SIZE, "nothing holds the sender back");
        }
        let mut peer = upstream.accept().await;
        let reading = async {
            peer.read_head().await;
            let mut left = SIZE - peer.received.len();
            let mut buffer = vec![0; 256 * 1024];
            while left > 0 {
                left -= peer.stream.read(&mut buffer).await.unwrap();
            }
            peer.write(OK).await;
        };
        let writing = async {
            while sent < SIZE {
                writable(&mut request).await.unwrap();
                sent += piece.len();
                request.send_data(piece.clone().into(), sent == SIZE);
            }
            Response::read(&mut request).await.unwrap()
        };
        let (response, ()) = tokio::join!(writing, reading);
        assert_eq!(response.body, "abc");
    });
}

/// L-9.
#[test]
fn a_response_may_come_before_the_request_is_complete() {
    run(async {
        let (upstream, address) = Upstream::bind().await;
        let worker = Worker::at(address);
        let mut request = worker.begin(&request(Method::POST, "/"), false).await.unwrap();
        writable(&mut request).await.unwrap();
        let mut peer = upstream.accept().await;
        peer.read_head().await;
        peer.write("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n").await;
        assert!(matches!(next(&mut request).await, Ok(ResponseEvent::Headers { end_stream: false, .. })));
        request.send_data(Bytes::from_static(b"more").into(), false);
        writable(&mut request).await.unwrap();
        peer.read_until("more\r\n").await;
        peer.write("abc").await;
        assert!(matches!(next(&mut request).await, Ok(ResponseEvent::Body(_))));
        assert!(matches!(
            next(&mut request).await,
            Ok(ResponseEvent::Body(BodyEvent::Data { end_stream: true, .. }))
        ));
        // The request was never completed: the connection is of no further use.
        drop(request);
        peer.closed().await;
    });
}

#[test]
fn an_answer_that_was_given_before_the_connection_broke_is_read() {
    run(async {
        let (upstream, address) = Upstream::bind().await;
        let worker = Worker::at(address);
        let mut request = worker.begin(&request(Method::POST, "/"), false).await.unwrap();
        writable(&mut request).await.unwrap();
        {
            let mut peer = upstream.accept().await;
            peer.read_head().await;
            peer.write("HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n").await;
            // Closes without having read the body.
        }
        request.send_data(Bytes::from_static(b"more").into(), false);
        writable(&mut request).await.unwrap();
        assert!(matches!(next(&mut request).await, Ok(ResponseEvent::Headers { end_stream: true, .. })));
    });
}

#[test]
fn dropping_a_request_closes_its_connection() {
    run(async {
        let (upstream, address) = Upstream::bind().await;
        let worker = Worker::at(address);
        let mut request = worker.begin(&get("/"), true).await.unwrap();
        writable(&mut request).await.unwrap();
        let mut peer = upstream.accept().await;
        peer.read_head().await;
        drop(request);
        peer.closed().await;
    });
}

#[test]
fn an_upgrade_becomes_a_tunnel() {
    run(async {
        let (upstream, address) = Upstream::bind().await;
        let worker = Worker::at(address);
        let mut head = get("/chat");
        head.fields.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        head.fields.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        let mut request = worker.begin(&head, false).await.unwrap();
        writable(&mut request).await.unwrap();
        let mut peer = upstream.accept().await;
        peer.read_head().await;
        peer.write(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nhello",
        )
        .await;
        let Ok(ResponseEvent::Headers { head, end_stream: false }) = next(&mut request).await else {
            panic!()
        };
        assert_eq!(head.status, 101);
        let Ok(ResponseEvent::Body(BodyEvent::Data { data, .. })) = next(&mut request).await else {
            panic!()
        };
        assert_eq!(data, "hello");
        request.send_data(Bytes::from_static(b"raw").into(), false);
        writable(&mut request).await.unwrap();
        assert_eq!(peer.read_until("raw").await, "raw");
        request.send_data(Bytes::new().into(), true);
        writable(&mut request).await.unwrap();
        peer.closed().await;
        peer.write("last").await;
        drop(peer);
        let Ok(ResponseEvent::Body(BodyEvent::Data { data, .. })) = next(&mut request).await else {
            panic!()
        };
        assert_eq!(data, "last");
        assert!(matches!(
            next(&mut request).await,
            Ok(ResponseEvent::Body(BodyEvent::Data { end_stream: true, .. }))
        ));
    });
}

fn upgrade(method: Method) -> RequestHeaders {
    let mut head = request(method, "/chat");
    head.fields.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    head.fields.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    head
}

#[test]
fn what_follows_an_upgrade_waits_for_the_answer() {
    run(async {
        let (upstream, address) = Upstream::bind().await;
        let worker = Worker::at(address);
        let mut request = worker.begin(&upgrade(Method::GET), false).await.unwrap();
        request.send_data(Bytes::from_static(b"early").into(), false);
        writable(&mut request).await.unwrap();
        let mut peer = upstream.accept().await;
        peer.read_head().await;
        sockets_looked_at().await;
        let mut byte = [0];
        assert!(
            peer.received.is_empty() && peer.stream.try_read(&mut byte).is_err(),
            "nothing may have arrived"
        );
        peer.write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
            .await;
        next(&mut request).await.unwrap();
        request.send_data(Bytes::from_static(b"late").into(), false);
        writable(&mut request).await.unwrap();
        assert_eq!(peer.read_until("late").await, "earlylate");
    });
}

#[test]
fn what_follows_a_refused_upgrade_goes_nowhere() {
    for method in [Method::GET, Method::HEAD, Method::POST] {
        run(async {
            let (upstream, address) = Upstream::bind().await;
            let worker = Worker::at(address);
            let is_head = method == Method::HEAD;
            let mut request = worker.begin(&upgrade(method), false).await.unwrap();
            request.send_data(Bytes::from_static(b"GET /smuggled HTTP/1.1\r\n\r\n").into(), false);
            writable(&mut request).await.unwrap();
            let mut peer = upstream.accept().await;
            peer.read_head().await;
            peer.write("HTTP/1.1 404 Not Found\r\ncontent-length: 3\r\n\r\nabc").await;
            let response = Response::read(&mut request).await.unwrap();
            assert_eq!((response.head.status.as_u16(), response.head_only), (404, is_head));
            request.send_data(Bytes::from_static(b"more").into(), false);
            writable(&mut request).await.unwrap();
            drop(request);
            peer.closed().await;
        });
    }
}

#[test]
fn more_than_the_watermark_of_held_bytes_pauses_the_caller() {
    run(async {
        let (upstream, address) = Upstream::bind().await;
        let worker = Worker::at(address);
        let mut request = worker.begin(&upgrade(Method::GET), false).await.unwrap();
        writable(&mut request).await.unwrap();
        let mut peer = upstream.accept().await;
        peer.read_head().await;
        let piece = Bytes::from(vec![b'x'; 64 * 1024]);
        let mut pieces = 0;
        while poll_fn(|cx| Poll::Ready(request.poll_writable(cx).is_ready())).await {
            request.send_data(piece.clone().into(), false);
            pieces += 1;
            assert!(pieces < 100, "held without bound");
        }
        peer.write("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await;
        assert!(Response::read(&mut request).await.unwrap().head_only);
        writable(&mut request).await.unwrap();
    });
}

#[test]
fn a_connection_on_which_bytes_are_owed_is_not_used_again() {
    run(async {
        let (upstream, address) = Upstream::bind().await;
        let worker = Worker::at(address);
        let mut head = request(Method::POST, "/");
        head.fields.insert(header::CONTENT_LENGTH, HeaderValue::from_static("10"));
        let mut owing = worker.begin(&head, false).await.unwrap();
        owing.send_data(Bytes::from_static(b"short").into(), true);
        writable(&mut owing).await.unwrap();
        let mut first = upstream.accept().await;
        first.read_until("short").await;
        first.write(OK).await;
        Response::read(&mut owing).await.unwrap();
        drop(owing);
        first.closed().await;
        // A request without a body that announces one.
        let mut head = get("/");
        head.fields.insert(header::CONTENT_LENGTH, HeaderValue::from_static("10"));
        let mut owing = worker.begin(&head, true).await.unwrap();
        writable(&mut owing).await.unwrap();
        let mut second = upstream.accept().await;
        second.read_head().await;
        second.write(OK).await;
        Response::read(&mut owing).await.unwrap();
        drop(owing);
        second.closed().await;
    });
}

#[test]
fn unix_sockets() {
    run(async {
        let directory = std::env::temp_dir().join(format!("tollgate-upstream-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("http1.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let worker = Worker::new(cluster(vec![EndpointAddress::Pipe(path.clone())]));
        let (response, ()) = tokio::join!(worker.get(), async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 1024];
            assert!(stream.read(&mut buffer).await.unwrap() > 0);
            stream.write_all(OK.as_bytes()).await.unwrap();
        });
        assert_eq!(response.unwrap().body, "abc");
        assert_eq!(worker.start().unwrap().info().address.as_deref(), path.to_str());
        std::fs::remove_dir_all(directory).unwrap();
    });
}

#[test]
fn requests_go_round_the_hosts() {
    run(async {
        let mut addresses = Vec::new();
        let mut counts = Vec::new();
        for _ in 0..3 {
            let (upstream, address) = Upstream::bind().await;
            let (_server, connections) =
                serve(upstream, "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
            addresses.push(EndpointAddress::Socket(address));
            counts.push(connections);
        }
        let worker = Worker::new(cluster(addresses));
        for _ in 0..6 {
            worker.get().await.unwrap();
        }
        assert_eq!(counts.iter().map(|count| count.get()).collect::<Vec<_>>(), [2, 2, 2]);
    });
}

/// Least request looks at what is under way.
#[test]
fn the_busy_host_is_avoided() {
    run(async {
        let (upstream, busy) = Upstream::bind().await;
        let (free_upstream, free) = Upstream::bind().await;
        let (_server, free_connections) =
            serve(free_upstream, "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
        let mut settings = cluster(vec![EndpointAddress::Socket(busy), EndpointAddress::Socket(free)]);
        settings.lb_policy = LbPolicy::LEAST_REQUEST;
        let worker = Worker::new(settings);
        // Two requests stay on the busy host.
        let mut stuck = Vec::new();
        while stuck.len() < 2 {
            let request = worker.start().unwrap();
            if request.info().address.as_deref() == Some(busy.to_string().as_str()) {
                stuck.push(request);
            }
        }
        let before = free_connections.get();
        let mut chosen = 0;
        for _ in 0..400 {
            let request = worker.start().unwrap();
            chosen += usize::from(request.info().address.as_deref() == Some(free.to_string().as_str()));
        }
        // Three of four are expected, two of four without a preference.
        assert!(chosen > 240, "{chosen}");
        assert_eq!(free_connections.get(), before);
        drop(upstream);
    });
}

/// As Envoy 1.39.3: `UO`, and the reply says `x-envoy-overloaded`.
#[test]
fn too_many_requests_overflow_across_workers() {
    run(async {
        let (upstream, address) = Upstream::bind().await;
        let mut settings = cluster(vec![EndpointAddress::Socket(address)]);
        settings.circuit_breakers.max_requests = 1;
        let worker = Worker::new(settings);
        let other = worker.sibling();
        let mut request = worker.begin(&get("/"), true).await.unwrap();
        writable(&mut request).await.unwrap();
        let failure = other.get().await.unwrap_err();
        assert_eq!(failure, UpstreamFailure::Overflow);
        assert!(failure.overloaded());
        let mut first = upstream.accept().await;
        first.read_head().await;
        drop(request);
        // The connection that was made for the refused request carries the next one.
        let mut again = other.begin(&get("/again"), true).await.unwrap();
        writable(&mut again).await.unwrap();
        let mut peer = upstream.accept().await;
        assert!(peer.read_head().await.starts_with("GET /again"));
        assert!(!upstream.has_connection().await);
    });
}

#[test]
fn too_many_pending_requests_overflow() {
    run(async {
        let (upstream, address) = Upstream::bind().await;
        let mut settings = cluster(vec![EndpointAddress::Socket(address)]);
        settings.circuit_breakers.max_pending_requests = 0;
        assert_eq!(Worker::new(settings).get().await.unwrap_err(), UpstreamFailure::Overflow);
        assert!(!upstream.has_connection().await);
    });
}

#[test]
fn requests_wait_for_a_connection_when_there_may_be_no_more() {
    run(async {
        let (upstream, address) = Upstream::bind().await;
        let mut settings = cluster(vec![EndpointAddress::Socket(address)]);
        settings.circuit_breakers.max_connections = 1;
        let worker = Rc::new(Worker::new(settings));

        let mut first = worker.begin(&get("/first"), true).await.unwrap();
        let waiting: Vec<_> = ["/1", "/2", "/3"]
            .into_iter()
            .map(|path| {
                let worker = worker.clone();
                spawn_local(async move { worker.send(get(path)).await.unwrap().body })
            })
            .collect();
        // One that gives up does not stop the others.
        waiting[0].abort();
        let mut peer = upstream.accept().await;
        let (response, ()) = tokio::join!(Response::read(&mut first), async {
            assert!(peer.read_head().await.starts_with("GET /first "));
            peer.write(OK).await;
        });
        response.unwrap();
        for path in ["/2", "/3"] {
            assert!(peer.read_head().await.starts_with(&format!("GET {path} ")));
            peer.write(OK).await;
        }
        for task in waiting.into_iter().skip(1) {
            assert_eq!(task.await.unwrap(), "abc");
        }
        assert!(!upstream.has_connection().await);
    });
}

#[test]
fn a_waiting_request_connects_when_a_connection_broke() {
    run(async {
        let (upstream, address) = Upstream::bind().await;
        let mut settings = cluster(vec![EndpointAddress::Socket(address)]);
        settings.circuit_breakers.max_connections = 1;
        let worker = Rc::new(Worker::new(settings));
        let first = worker.begin(&get("/first"), true).await.unwrap();
        let waiting = spawn_local({
            let worker = worker.clone();
            async move { worker.send(get("/second")).await.unwrap().body }
        });
        let _abandoned = upstream.accept().await;
        tokio::task::yield_now().await;
        drop(first);
        let mut peer = upstream.accept().await;
        assert!(peer.read_head().await.starts_with("GET /second "));
        peer.write(OK).await;
        assert_eq!(waiting.await.unwrap(), "abc");
    });
}
