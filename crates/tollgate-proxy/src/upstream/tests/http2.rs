//! HTTP/2 upstreams.

use std::{cell::Cell, cell::RefCell, rc::Rc};

use h2::{
    Reason, RecvStream,
    server::{self, SendResponse},
};
use http::{HeaderName, Request, StatusCode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::spawn_local,
};
use tollgate_model::http_connection_manager::{Http2Keepalive, Http2Options};

use super::*;

type Connection = server::Connection<TcpStream, Bytes>;
type Incoming = (Request<RecvStream>, SendResponse<Bytes>);

fn http2(address: SocketAddr) -> Cluster {
    let mut settings = cluster(vec![EndpointAddress::Socket(address)]);
    settings.protocol = UpstreamProtocol::Http2(Http2Options::default());
    settings
}

async fn bind() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

async fn accept(listener: &TcpListener, builder: &server::Builder) -> Connection {
    builder.handshake(listener.accept().await.unwrap().0).await.unwrap()
}

/// An upstream that answers every request by a function, and counts connections.
struct Server {
    address: SocketAddr,
    connections: Rc<Cell<usize>>,
}

impl Server {
    async fn start<F: Future<Output = ()> + 'static>(
        builder: server::Builder,
        handle: impl Fn(Incoming) -> F + 'static,
    ) -> Self {
        let (listener, address) = bind().await;
        let connections = Rc::new(Cell::new(0));
        let counter = connections.clone();
        let handle = Rc::new(handle);
        spawn_local(async move {
            loop {
                let mut connection = accept(&listener, &builder).await;
                counter.set(counter.get() + 1);
                let handle = handle.clone();
                spawn_local(async move {
                    while let Some(Ok(incoming)) = connection.accept().await {
                        spawn_local(handle(incoming));
                    }
                });
            }
        });
        Self { address, connections }
    }
}

async fn say_ok((_, mut respond): Incoming) {
    let mut body = respond.send_response(http::Response::new(()), false).unwrap();
    body.send_data(Bytes::from_static(b"abc"), true).unwrap();
}

#[test]
fn requests_share_a_connection() {
    run(async {
        let server = Server::start(server::Builder::new(), say_ok).await;
        let worker = Worker::new(http2(server.address));
        let (one, other) = tokio::join!(worker.get(), worker.get());
        assert_eq!((one.unwrap().body, other.unwrap().body), ("abc".into(), "abc".into()));
        worker.get().await.unwrap();
        assert_eq!(server.connections.get(), 1);
    });
}

#[test]
fn the_head_arrives_without_what_belongs_to_connections() {
    run(async {
        let seen = Rc::new(RefCell::new(None));
        let server = Server::start(server::Builder::new(), {
            let seen = seen.clone();
            move |incoming| {
                *seen.borrow_mut() = Some((incoming.0.uri().to_string(), incoming.0.headers().clone()));
                say_ok(incoming)
            }
        })
        .await;
        let with = |name, value| {
            let mut head = get("/path?query");
            head.fields.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
            head
        };
        let worker = Worker::new(http2(server.address));
        for (name, value) in [("connection", "close"), ("te", "gzip"), ("keep-alive", "1"), ("upgrade", "a")]
        {
            let failure = worker.send(with(name, value)).await.unwrap_err();
            assert_eq!(failure, UpstreamFailure::ProtocolError, "{name}");
        }
        worker.send(with("x-test", "Value")).await.unwrap();
        let (uri, fields) = seen.take().unwrap();
        assert_eq!(uri, "http://example.com/path?query");
        assert_eq!(
            fields,
            HeaderMap::from_iter([(HeaderName::from_static("x-test"), HeaderValue::from_static("Value"))])
        );
    });
}

#[test]
fn bodies_and_trailers_both_ways() {
    run(async {
        let server = Server::start(server::Builder::new(), |(request, mut respond)| async move {
            let mut body = request.into_body();
            let mut received = BytesMut::new();
            while let Some(data) = body.data().await {
                let data = data.unwrap();
                let _ = body.flow_control().release_capacity(data.len());
                received.extend_from_slice(&data);
            }
            let trailers = body.trailers().await.unwrap().unwrap();
            let early = http::Response::builder().status(StatusCode::EARLY_HINTS).body(()).unwrap();
            respond.send_informational(early).unwrap();
            let mut response = respond.send_response(http::Response::new(()), false).unwrap();
            response.send_data(received.freeze(), false).unwrap();
            response.send_trailers(trailers).unwrap();
        })
        .await;
        let worker = Worker::new(http2(server.address));
        let mut request = worker.begin(&request(Method::POST, "/"), false).await.unwrap();
        let piece = Bytes::from(vec![b'x'; 100_000]);
        for _ in 0..10 {
            writable(&mut request).await.unwrap();
            request.send_data(piece.clone().into(), false);
        }
        let trailers = HeaderMap::from_iter([(HeaderName::from_static("t"), HeaderValue::from_static("v"))]);
        request.send_trailers(&trailers);
        let response = Response::read(&mut request).await.unwrap();
        assert_eq!(response.informational.len(), 1);
        assert_eq!(response.body.len(), 1_000_000);
        assert_eq!(response.trailers, Some(trailers));
    });
}

#[test]
fn responses_may_end_with_their_head() {
    run(async {
        let server = Server::start(server::Builder::new(), |(_, mut respond)| async move {
            respond.send_response(http::Response::new(()), true).unwrap();
        })
        .await;
        assert!(Worker::new(http2(server.address)).get().await.unwrap().head_only);
    });
}

/// A burst at the start must not be refused: how many streams the host allows is learned first.
#[test]
fn more_connections_when_the_host_allows_few_streams() {
    run(async {
        let mut builder = server::Builder::new();
        builder.max_concurrent_streams(1);
        let gate = Rc::new(tokio::sync::Semaphore::new(0));
        let server = Server::start(builder, {
            let gate = gate.clone();
            move |incoming| {
                let gate = gate.clone();
                async move {
                    gate.acquire().await.unwrap().forget();
                    say_ok(incoming).await;
                }
            }
        })
        .await;
        let worker = Rc::new(Worker::new(http2(server.address)));
        let tasks: Vec<_> = (0..10)
            .map(|_| {
                let worker = worker.clone();
                spawn_local(async move { worker.get().await.unwrap().body })
            })
            .collect();
        // All are served at the same time, on a connection each.
        eventually(|| server.connections.get() == 10).await;
        gate.add_permits(10);
        for task in tasks {
            assert_eq!(task.await.unwrap(), "abc");
        }
        assert_eq!(server.connections.get(), 10);
    });
}

#[test]
fn requests_wait_when_there_may_be_no_more_connections() {
    run(async {
        let mut builder = server::Builder::new();
        builder.max_concurrent_streams(2);
        let server = Server::start(builder, say_ok).await;
        let mut settings = http2(server.address);
        settings.circuit_breakers.max_connections = 1;
        let worker = Rc::new(Worker::new(settings));
        let tasks: Vec<_> = (0..50)
            .map(|_| {
                let worker = worker.clone();
                spawn_local(async move { worker.get().await.unwrap().body })
            })
            .collect();
        for task in tasks {
            assert_eq!(task.await.unwrap(), "abc");
        }
        assert_eq!(server.connections.get(), 1);
    });
}

#[test]
fn too_many_pending_requests_overflow() {
    run(async {
        let (_listener, address) = bind().await;
        let mut settings = http2(address);
        settings.circuit_breakers.max_pending_requests = 1;
        let worker = Rc::new(Worker::new(settings));
        let mut first = worker.start().unwrap();
        poll_fn(|cx| {
            assert!(first.poll_connect(cx, &get("/"), true).is_pending());
            std::task::Poll::Ready(())
        })
        .await;
        assert_eq!(worker.get().await.unwrap_err(), UpstreamFailure::Overflow);
    });
}

#[test]
fn connections_are_used_for_a_limited_number_of_requests() {
    run(async {
        let server = Server::start(server::Builder::new(), say_ok).await;
        let mut settings = http2(server.address);
        settings.max_requests_per_connection = Some(2);
        let worker = Worker::new(settings);
        for _ in 0..6 {
            worker.get().await.unwrap();
        }
        assert_eq!(server.connections.get(), 3);
    });
}

#[test]
fn goaway_lets_streams_finish_and_opens_another_connection() {
    run(async {
        let (listener, address) = bind().await;
        let worker = Worker::new(http2(address));
        let mut first = worker.begin(&get("/"), true).await.unwrap();
        let mut connection = accept(&listener, &server::Builder::new()).await;
        let early = connection.accept().await.unwrap().unwrap();
        connection.graceful_shutdown();
        let draining = spawn_local(async move { while connection.accept().await.is_some() {} });
        let server = spawn_local(async move {
            let mut connection = accept(&listener, &server::Builder::new()).await;
            while let Some(Ok(incoming)) = connection.accept().await {
                spawn_local(say_ok(incoming));
            }
        });
        // Until the notice has arrived requests go to the first connection, and are refused.
        let second = async {
            loop {
                match worker.get().await {
                    Err(failure) => assert_eq!(failure, UpstreamFailure::RemoteRefused),
                    Ok(response) => break response,
                }
            }
        };
        assert_eq!(second.await.body, "abc");
        say_ok(early).await;
        assert_eq!(Response::read(&mut first).await.unwrap().body, "abc");
        // The first connection ends now that its last stream has.
        draining.await.unwrap();
        server.abort();
    });
}

/// The outcome of a request that the upstream resets, before the head or after it.
async fn reset_with(reason: Reason, late: bool) -> (bool, UpstreamFailure) {
    let server = Server::start(server::Builder::new(), move |(_, mut respond)| async move {
        if late {
            let mut body = respond.send_response(http::Response::new(()), false).unwrap();
            body.send_data(Bytes::from_static(b"abc"), false).unwrap();
            // The head goes out before the reset.
            tokio::task::yield_now().await;
            tokio::time::sleep(Duration::from_millis(5)).await;
            body.send_reset(reason);
        } else {
            respond.send_reset(reason);
        }
    })
    .await;
    let worker = Worker::new(http2(server.address));
    let mut request = worker.begin(&get("/"), true).await.unwrap();
    let mut started = false;
    loop {
        match next(&mut request).await {
            Ok(_) => started = true,
            Err(failure) => return (started, failure),
        }
    }
}

/// As Envoy 1.39.3.
#[test]
fn resets() {
    run(async {
        for (reason, failure) in [
            (Reason::NO_ERROR, UpstreamFailure::RemoteReset),
            (Reason::PROTOCOL_ERROR, UpstreamFailure::ProtocolError),
            (Reason::INTERNAL_ERROR, UpstreamFailure::RemoteReset),
            (Reason::REFUSED_STREAM, UpstreamFailure::RemoteRefused),
            (Reason::CANCEL, UpstreamFailure::RemoteReset),
        ] {
            assert_eq!(reset_with(reason, false).await, (false, failure.clone()));
            assert_eq!(reset_with(reason, true).await, (true, failure));
        }
    });
}

/// What a raw upstream's bytes lead to; it closes after them.
async fn answered_with(bytes: &'static [u8]) -> UpstreamFailure {
    let (listener, address) = bind().await;
    let worker = Worker::new(http2(address));
    let (outcome, ()) = tokio::join!(worker.get(), async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut preface = [0; 24];
        stream.read_exact(&mut preface).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        // What the gateway still sends is read, so that closing does not become a reset.
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    outcome.unwrap_err()
}

/// As Envoy 1.39.3.
#[test]
fn broken_connections() {
    run(async {
        assert_eq!(answered_with(b"").await, UpstreamFailure::ConnectionTermination);
        assert_eq!(answered_with(b"\0\0\0\x04\0\0\0\0\0").await, UpstreamFailure::ConnectionTermination);
        assert_eq!(answered_with(b"HTTP/1.1 400 Bad Request\r\n\r\n").await, UpstreamFailure::ProtocolError);
        // SETTINGS, GOAWAY that excludes the stream, end.
        assert_eq!(
            answered_with(b"\0\0\0\x04\0\0\0\0\0\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\0").await,
            UpstreamFailure::RemoteRefused
        );
        // SETTINGS, GOAWAY that includes the stream, end.
        assert_eq!(
            answered_with(b"\0\0\0\x04\0\0\0\0\0\0\0\x08\x07\0\0\0\0\0\0\0\0\x01\0\0\0\0").await,
            UpstreamFailure::ConnectionTermination
        );
        // SETTINGS, HEADERS with an index that does not exist.
        assert_eq!(
            answered_with(b"\0\0\0\x04\0\0\0\0\0\0\0\x03\x01\x04\0\0\0\x01\xff\xff\xff").await,
            UpstreamFailure::ProtocolError
        );
        // SETTINGS, HEADERS without a status.
        assert_eq!(
            answered_with(b"\0\0\0\x04\0\0\0\0\0\0\0\x05\x01\x05\0\0\0\x01\0\x01a\x01b").await,
            UpstreamFailure::ProtocolError
        );
    });
}

#[test]
fn refused_connection_fails_all_who_wait() {
    run(async {
        let (listener, address) = bind().await;
        drop(listener);
        let worker = Worker::new(http2(address));
        let (one, other) = tokio::join!(worker.get(), worker.get());
        for failure in [one.unwrap_err(), other.unwrap_err()] {
            assert_eq!(failure.transport_failure_reason(), Some("delayed connect error: Connection refused"));
        }
    });
}

#[test]
fn dropping_a_request_resets_its_stream() {
    run(async {
        let (listener, address) = bind().await;
        for end_stream in [true, false] {
            let worker = Worker::new(http2(address));
            let request = worker.begin(&get("/"), end_stream).await.unwrap();
            let mut connection = accept(&listener, &server::Builder::new()).await;
            let (_incoming, mut respond) = connection.accept().await.unwrap().unwrap();
            let driver = spawn_local(async move { while connection.accept().await.is_some() {} });
            drop(request);
            assert_eq!(poll_fn(|cx| respond.poll_reset(cx)).await.unwrap(), Reason::INTERNAL_ERROR);
            driver.abort();
        }
    });
}

#[test]
fn a_response_may_come_before_the_request_is_complete() {
    run(async {
        let server = Server::start(server::Builder::new(), say_ok).await;
        let worker = Worker::new(http2(server.address));
        let mut request = worker.begin(&request(Method::POST, "/"), false).await.unwrap();
        request.send_data(Bytes::from_static(b"more").into(), false);
        assert_eq!(Response::read(&mut request).await.unwrap().body, "abc");
    });
}

/// The window is given back only for what was taken.
#[test]
fn a_slow_reader_holds_the_upstream_back() {
    run(async {
        let sent = Rc::new(Cell::new(0_usize));
        let server = Server::start(server::Builder::new(), {
            let sent = sent.clone();
            move |(_, mut respond)| {
                let sent = sent.clone();
                async move {
                    let mut body = respond.send_response(http::Response::new(()), false).unwrap();
                    loop {
                        body.reserve_capacity(16 * 1024);
                        let Some(Ok(capacity)) = poll_fn(|cx| body.poll_capacity(cx)).await else { return };
                        if body.send_data(Bytes::from(vec![0; capacity]), false).is_err() {
                            return;
                        }
                        sent.set(sent.get() + capacity);
                    }
                }
            }
        })
        .await;
        let mut settings = http2(server.address);
        settings.protocol = UpstreamProtocol::Http2(Http2Options {
            initial_stream_window_size: 100_000,
            ..Http2Options::default()
        });
        let worker = Worker::new(settings);
        let mut request = worker.begin(&get("/"), true).await.unwrap();
        assert!(matches!(next(&mut request).await, Ok(ResponseEvent::Headers { .. })));
        eventually(|| sent.get() == 100_000).await;
        let mut received = 0;
        while received < 1_000_000 {
            let Ok(ResponseEvent::Body(BodyEvent::Data { data, .. })) = next(&mut request).await else {
                panic!()
            };
            received += data.len();
            assert!(sent.get() <= received + 100_000);
        }
    });
}

/// A host that does not read holds the sender back, and the request with the larger queue does not starve the other.
#[test]
fn a_slow_upstream_holds_the_sender_back() {
    run(async {
        let server = Server::start(server::Builder::new(), |incoming| async move {
            if incoming.0.uri().path() == "/fast" {
                say_ok(incoming).await;
            } else {
                // Reads nothing.
                std::future::pending::<()>().await;
                drop(incoming);
            }
        })
        .await;
        let worker = Worker::new(http2(server.address));
        let mut request = worker.begin(&request(Method::POST, "/slow"), false).await.unwrap();
        let piece = Bytes::from(vec![b'x'; 64 * 1024]);
        let mut sent = 0;
        while let Ok(outcome) = timeout(Duration::from_millis(50), writable(&mut request)).await {
            outcome.unwrap();
            request.send_data(piece.clone().into(), false);
            sent += piece.len();
            assert!(sent < 1024 * 1024, "nothing holds the sender back");
        }
        assert_eq!(worker.send(get("/fast")).await.unwrap().body, "abc");
    });
}

#[test]
fn idle_connections_time_out() {
    run(async {
        let (listener, address) = bind().await;
        let mut settings = http2(address);
        settings.idle_timeout = Some(Duration::from_millis(20));
        let worker = Worker::new(settings);
        let serving = async {
            let mut connection = accept(&listener, &server::Builder::new()).await;
            say_ok(connection.accept().await.unwrap().unwrap()).await;
            // Resolves at the end of the connection.
            assert!(connection.accept().await.is_none());
        };
        let (response, ()) = tokio::join!(worker.get(), serving);
        assert_eq!(response.unwrap().body, "abc");
    });
}

#[test]
fn connections_close_with_their_worker() {
    run(async {
        let (listener, address) = bind().await;
        let worker = Worker::new(http2(address));
        let serving = async {
            let mut connection = accept(&listener, &server::Builder::new()).await;
            say_ok(connection.accept().await.unwrap().unwrap()).await;
            connection
        };
        let client = async {
            let response = worker.get().await;
            response.unwrap()
        };
        let (_, mut connection) = tokio::join!(client, async {
            let mut connection = serving.await;
            // Flushes the answer.
            let _ = timeout(Duration::from_millis(20), connection.accept()).await;
            connection
        });
        drop(worker);
        assert!(connection.accept().await.is_none());
    });
}

/// A host that takes everything and says nothing more, as one whose machine has vanished.
async fn silent(listener: TcpListener, accepted: Rc<Cell<usize>>) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        accepted.set(accepted.get() + 1);
        spawn_local(async move {
            // Its SETTINGS, and the acknowledgement of ours.
            stream.write_all(b"\0\0\0\x04\0\0\0\0\0\0\0\0\x04\x01\0\0\0\0").await.unwrap();
            let mut sink = vec![0; 4096];
            while stream.read(&mut sink).await.unwrap_or(0) > 0 {}
        });
    }
}

fn pinging(address: SocketAddr, keepalive: Http2Keepalive) -> Cluster {
    let mut settings = http2(address);
    settings.protocol =
        UpstreamProtocol::Http2(Http2Options { keepalive: Some(keepalive), ..Http2Options::default() });
    settings
}

const PING: Http2Keepalive = Http2Keepalive {
    interval: None,
    timeout: Duration::from_millis(100),
    interval_jitter: 15.0,
    connection_idle_interval: None,
};

/// Requests that wait are notified when the host does not answer PINGs.
#[test]
fn a_host_that_answers_no_pings_is_given_up() {
    run(async {
        let (listener, address) = bind().await;
        let accepted = Rc::new(Cell::new(0));
        spawn_local(silent(listener, accepted.clone()));
        let interval = Some(Duration::from_millis(20));
        let worker = Worker::new(pinging(address, Http2Keepalive { interval, ..PING }));
        assert!(worker.get().await.is_err());
        assert_eq!(accepted.get(), 1);
    });
}

/// A request that is given up without a sign of life is reason to ask: the others need not wait for their timeouts.
#[test]
fn a_request_without_an_answer_is_reason_to_ask() {
    run(async {
        let (listener, address) = bind().await;
        let accepted = Rc::new(Cell::new(0));
        spawn_local(silent(listener, accepted.clone()));
        let worker = Worker::new(pinging(address, PING));
        let other = worker.get();
        let impatient = async {
            // The connection is there and its SETTINGS have been read.
            tokio::time::sleep(Duration::from_millis(100)).await;
            let given_up = timeout(Duration::from_millis(50), worker.get()).await;
            assert!(given_up.is_err(), "there is no answer");
        };
        let (other, ()) = tokio::join!(other, impatient);
        assert!(other.is_err());
        assert_eq!(accepted.get(), 1);
    });
}

/// A host that is slow but there keeps its connection.
#[test]
fn a_host_that_answers_pings_is_waited_for() {
    run(async {
        let server = Server::start(server::Builder::new(), |incoming| async move {
            tokio::time::sleep(Duration::from_millis(400)).await;
            say_ok(incoming).await;
        })
        .await;
        let interval = Some(Duration::from_millis(10));
        let worker = Worker::new(pinging(server.address, Http2Keepalive { interval, ..PING }));
        worker.get().await.unwrap();
        worker.get().await.unwrap();
        assert_eq!(server.connections.get(), 1);
    });
}

/// A host that sends frames without need loses its connection, and it is counted by their kind.
#[test]
fn floods_of_hosts_are_counted() {
    run(async {
        let (listener, address) = bind().await;
        spawn_local(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            // SETTINGS without an entry, then PRIORITY for a stream that nobody has opened.
            let mut bytes = vec![0, 0, 0, 4, 0, 0, 0, 0, 0];
            for _ in 0..20_000 {
                bytes.extend([0, 0, 5, 2, 0, 0, 0, 0, 1, 0, 0, 0, 0, 16]);
            }
            // The client may have closed the connection by then.
            let _ = socket.write_all(&bytes).await;
            let _ = socket.read_to_end(&mut Vec::new()).await;
        });
        let worker = Worker::new(http2(address));
        assert!(worker.get().await.is_err());
        let counted = || {
            let text = worker.stats.stats().envoy_text(None);
            text.contains("cluster.upstream.http2.inbound_priority_frames_flood: 1\n")
        };
        eventually(counted).await;
    });
}
