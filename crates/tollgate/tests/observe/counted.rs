//! Every metric that is published is counted.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    io::{Read as _, Write as _},
    net::SocketAddr,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use hyper::{
    Request, Response,
    body::{Body, Bytes, Frame, SizeHint},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    support::{
        DEADLINE,
        http::{connect, get, receive, send},
    },
    world::World,
};

/// Metrics that other tests make move, because they need a gateway of their own, and which these are.
const ELSEWHERE: &[&str] = &[
    "server.access_log_dropped", // access_log::tests::buffers_are_bounded
    "server.log_lines_dropped",  // logging: a_blocked_standard_error_blocks_nothing_else
    "server.config_refused",     // admin::tests::what_was_refused_is_shown_beside_what_is_in_force
    "server.workers_failed",     // those of the gateway's watch over its workers
    "listener.downstream_cx_overflow",
    "listener.downstream_cx_overload_reject",
    "listener.downstream_cx_proxy_proto_error",
    "listener.downstream_global_cx_overflow",
    "http.downstream_cx_overload_disable_keepalive",
    "http.downstream_rq_overload_close",
    "overload.",
    "workers.", // downstream::tests::failure::a_worker_that_hangs_is_noticed
    // Floods, and the bound of memory, have tests of their own.
    "http2.",
    "server.buffered_bytes",
    "server.buffer_limit_resets",
    "http.downstream_rq_too_many_premature_resets",
    // Peers that answer no PINGs have tests of their own.
    "http.http2.keepalive_timeout",
    "cluster.http2.",
    // Health checks and outlier detection have tests of their own, and scenarios beside Envoy.
    "cluster.health_check.",
    "cluster.outlier_detection.",
    "cluster.lb_healthy_panic",
    "cluster.membership_degraded",
    "cluster.membership_excluded",
    "cluster.original_dst_host_invalid",
    // So has the choice by subsets,
    "cluster.lb_subsets_",
    // and what passes connections on as they are.
    "cluster.upstream_cx_connect_attempts_exceeded",
];

/// A body that breaks off.
struct Broken;

impl Body for Broken {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        std::task::Poll::Ready(Some(Err(std::io::Error::other("broken"))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// An upstream of HTTP/2 that resets its responses.
async fn resets() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            let service = service_fn(async |_| Ok::<_, Infallible>(Response::new(Broken)));
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(async move { server.serve_connection(TokioIo::new(stream), service).await.is_ok() });
        }
    });
    address
}

/// One request of HTTP/2.
async fn get_http2(address: &str, path: &str) {
    let stream = tokio::net::TcpStream::connect(address).await.expect("a connection");
    let builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.expect("HTTP/2");
    tokio::spawn(connection);
    let request = Request::get(format!("http://a{path}")).body(String::new()).expect("a request");
    assert_eq!(sender.send_request(request).await.expect("an answer").status(), 200);
}

fn post(address: &str, path: &str, task: &str, body: &str) -> u16 {
    let mut stream = connect(address);
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: a\r\ndo: {task}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let _ = stream.write_all(head.as_bytes());
    receive(stream).status
}

/// Writes bytes and reads until the gateway closes the connection, or `enough` has been read.
fn talk(address: &str, bytes: &[u8], enough: usize) -> Vec<u8> {
    let mut stream = connect(address);
    let _ = stream.write_all(bytes);
    let mut read = Vec::new();
    let mut piece = [0; 1024];
    while read.len() < enough {
        match stream.read(&mut piece) {
            Ok(1..) => read.extend_from_slice(&piece),
            _ => break,
        }
    }
    read
}

/// Waits a little: for a request to be under way, or for the next look.
#[allow(clippy::disallowed_methods, reason = "the thread of a test; what it waits for is looked at again")]
fn pause(milliseconds: u64) {
    thread::sleep(Duration::from_millis(milliseconds));
}

/// Makes a request and leaves without its answer.
fn leave(address: &str, path: &str) {
    let mut stream = connect(address);
    send(&mut stream, "a", path, &[]);
    // The request has to be under way: its gauge says when.
    pause(100);
}

/// The name of a metric without what it belongs to: `cluster.app.upstream_cx_total` is `cluster.upstream_cx_total`.
fn kind_of(name: &str) -> String {
    let parts: Vec<&str> = name.split('.').collect();
    match parts.as_slice() {
        ["http", _, "ext_proc", rest @ ..] => format!("ext_proc.{}", rest.join(".")),
        ["http", behind, rest @ ..] if behind.ends_with("ext_proc") => format!("ext_proc.{}", rest.join(".")),
        ["vhost", _, "route", _, rest @ ..] => format!("route.{}", rest.join(".")),
        [kind @ ("listener" | "http" | "cluster" | "processor"), _, rest @ ..] => {
            format!("{kind}.{}", rest.join("."))
        }
        _ => name.to_owned(),
    }
}

/// What was published, and what of it was ever more than nothing.
#[derive(Default)]
struct Seen {
    published: BTreeSet<String>,
    moved: BTreeMap<String, u64>,
}

impl Seen {
    fn look(&mut self, admin: &str) {
        for line in get(admin, "/stats", &[]).body.lines() {
            let Some((name, value)) = line.split_once(": ") else { continue };
            let kind = kind_of(name);
            let value = match value.parse::<u64>() {
                Ok(value) => value,
                Err(_) => u64::from(value != "No recorded values"),
            };
            self.published.insert(kind.clone());
            if value > 0 {
                let most = self.moved.entry(kind).or_default();
                *most = value.max(*most);
            }
        }
    }
}

/// Runs `work` and looks at the gauges meanwhile.
fn during(seen: &mut Seen, admin: &str, work: impl FnOnce() + Send + 'static) {
    let work = thread::spawn(work);
    let end = Instant::now() + DEADLINE;
    while !work.is_finished() {
        assert!(Instant::now() < end, "it takes too long");
        seen.look(admin);
    }
    work.join().expect("the work is done");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_metric_moves() {
    let world = World::start("observe_counted", resets().await).await;
    get_http2(&world.listener, "/direct").await;
    secure(world.at("secure")).await;
    tokio::task::spawn_blocking(move || drive(&world)).await.expect("every metric moved");
}

/// A TLS connection for the name the listener has, and others that it does not want.
async fn secure(address: &str) {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anything))
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    for (name, works) in [("own.test", true), ("other.test", false)] {
        let stream = tokio::net::TcpStream::connect(address).await.expect("a connection");
        let name = rustls::pki_types::ServerName::try_from(name).expect("a name");
        let connected = connector.connect(name, stream).await;
        assert_eq!(connected.is_ok(), works);
        if let Ok(mut stream) = connected {
            let request = b"GET /direct HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
            stream.write_all(request).await.expect("written");
            // Some peers say goodbye, some just close.
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    }
    // The start of a handshake, and nonsense.
    let mut hello = vec![0x16, 3, 1, 0, 5];
    hello.extend_from_slice(b"xxxxx");
    let address = address.to_owned();
    tokio::task::spawn_blocking(move || talk(&address, &hello, 1000)).await.expect("closed");
}

/// Trusts everybody.
#[derive(Debug)]
struct Anything;

impl rustls::client::danger::ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &[rustls::pki_types::CertificateDer<'_>],
        _: &rustls::pki_types::ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

fn drive(world: &World) {
    let (main, admin) = (world.listener.clone(), world.admin.clone());
    let mut seen = Seen::default();
    // Processors: every step, every reason, every counter.
    let everything = "POST /processor/everything/trailers HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\ntrailer: x-t\r\n\r\n3\r\nabc\r\n0\r\nx-t: 1\r\n\r\n";
    talk(&main, everything.as_bytes(), usize::MAX);
    for (path, task, status) in [
        ("/processor/down", "", 500),
        ("/processor/x", "silence", 504),
        ("/processor/x", "wrong-kind", 500),
        ("/processor/x", "error", 500),
        ("/processor/x", "bad-header", 500),
        ("/processor/x", "host", 200),
        ("/processor/x", "clear-alone", 200),
        ("/processor/x", "clear", 200),
        ("/processor/x", "immediate", 200),
        ("/processor/x", "streamed-without-status", 502),
        ("/processor/x", "timeout-0", 504),
        ("/processor/x", "timeout-1", 504),
        ("/processor/open", "silence", 200),
        ("/upstream/down", "", 503),
        ("/upstream/name", "", 503),
        ("/upstream/mute", "", 503),
        ("/upstream/full", "", 503),
        ("/upstream/200", "", 200),
        ("/upstream/302", "", 302),
        ("/upstream/404", "", 404),
        ("/upstream/garbage", "", 502),
        ("/upstream/retried/500", "", 500),
        ("/upstream/retried/flaky", "", 200),
        ("/upstream/no-retries/500", "", 500),
        ("/upstream/per-try/silent", "", 504),
        ("/upstream/in-time/silent", "", 504),
        ("/upstream/idle/silent", "", 504),
        ("/direct", "", 200),
        ("/redirect", "", 301),
        ("/missing-cluster", "", 503),
        ("/nowhere", "", 404),
    ] {
        let response = get(&main, path, &[("do", task)]);
        assert_eq!(response.status, status, "{path} {task}: {response:?}");
    }
    assert_eq!(post(&main, "/processor/buffered", "", &"x".repeat(100_000)), 413);
    assert_eq!(post(&main, "/processor/buffered", "length", "abc"), 500);
    assert_eq!(get(&main, "/processor/buffered-response/large", &[]).status, 500);
    assert_eq!(post(&main, "/processor/duplex", "trailers-early", "abc"), 500);
    assert_eq!(get(world.at("retaining"), "/processor/x", &[("do", "clear")]).status, 200);
    assert_eq!(get(world.at("behind"), "/upstream/200", &[("do", "clear-alone")]).status, 200);
    // After the head of the response has gone out.
    for path in ["/upstream/cut", "/upstream/resets/x"] {
        talk(
            &main,
            format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").as_bytes(),
            usize::MAX,
        );
    }
    // Clients: nonsense, a path that cannot be normalized, an upgrade, those that leave, slow ones.
    talk(&main, b"NONSENSE\r\n\r\n", usize::MAX);
    talk(&main, b"GET /%00 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", usize::MAX);
    talk(
        &main,
        b"GET /upstream/upgrade HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        20,
    );
    talk(world.at("hurried"), b"GET /direct HTTP/1.1\r\nhost: a\r\n\r\n", usize::MAX);
    talk(world.at("hurried"), b"GET / HT", usize::MAX);
    talk(
        world.at("impatient"),
        b"POST /upstream/200 HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n",
        usize::MAX,
    );
    talk(
        world.at("short-lived"),
        b"GET /upstream/silent HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
        usize::MAX,
    );
    let address = main.clone();
    during(&mut seen, &admin, move || {
        leave(&address, "/upstream/mute");
        leave(&address, "/upstream/silent");
        leave(&address, "/processor/x");
    });
    // A processor that is asked, two requests for one connection, and one of HTTP/2.
    let address = main.clone();
    during(&mut seen, &admin, move || {
        let threads = ["/processor/x", "/upstream/narrow/silent", "/upstream/narrow/silent"].map(|path| {
            let address = address.clone();
            thread::spawn(move || {
                let mut stream = connect(&address);
                send(&mut stream, "a", path, &[("do", "silence")]);
                pause(150);
            })
        });
        threads.into_iter().for_each(|thread| thread.join().expect("done"));
    });
    // HTTP/2 that stays open while somebody looks.
    let mut open = connect(&main);
    open.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").expect("written");
    open.read_exact(&mut [0; 9]).expect("SETTINGS");
    let end = Instant::now() + Duration::from_secs(10);
    let missing = |seen: &Seen| -> Vec<String> {
        let moves_elsewhere = |kind: &&String| !ELSEWHERE.iter().any(|other| kind.starts_with(other));
        let still = seen.published.iter().filter(|kind| !seen.moved.contains_key(*kind));
        still.filter(moves_elsewhere).cloned().collect()
    };
    // Idle connections are closed after a while.
    loop {
        seen.look(&admin);
        let missing = missing(&seen);
        if missing.is_empty() {
            break;
        }
        assert!(Instant::now() < end, "published and never counted: {missing:#?}");
        pause(50);
    }
    assert!(seen.published.len() > 100, "{}", seen.published.len());
}
