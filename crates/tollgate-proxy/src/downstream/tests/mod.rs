//! Real sockets in front of real connections; only what is behind the handler is made up.

mod client;
mod drain;
mod failure;
mod filter_chains;
mod http1;
mod http1_errors;
mod http2;
mod overload;
mod tls;
mod update;

use std::{
    future::poll_fn,
    net::SocketAddr,
    num::NonZeroUsize,
    sync::{Arc, Mutex},
    task::Poll,
    time::{Duration, Instant},
};

use bytes::Bytes;
use extproc::{RequestHeaders, ResponseHeaders};
use http::{HeaderMap, HeaderValue, StatusCode};
use tollgate_model::{
    Snapshot,
    http_connection_manager::HttpConnectionManager,
    listener::{BindAddress, FilterChain, FilterChainMatch, Listener},
};

use crate::{
    gateway::{Gateway, Options, Update},
    handler::{Handler, Origin, Rejection},
    stream::{BodyEvent, Downstream},
};
use client::Client;

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the handler has seen.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn add(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// Lets other tasks run until a line is there.
    async fn seen(&self, wanted: &str) {
        while !self.lines().iter().any(|line| line == wanted) {
            tokio::task::yield_now().await;
        }
    }

    /// Waits until a line is there.
    fn wait_for(&self, wanted: &str) {
        let start = Instant::now();
        while !self.lines().iter().any(|line| line == wanted) {
            assert!(start.elapsed_since_now() < PATIENCE, "no {wanted:?} in {:?}", self.lines());
            std::thread::yield_now();
        }
    }
}

/// `Instant::elapsed` is kept out of the product; tests may look at the clock.
trait ElapsedSinceNow {
    fn elapsed_since_now(&self) -> Duration;
}

impl ElapsedSinceNow for Instant {
    fn elapsed_since_now(&self) -> Duration {
        Self::now().duration_since(*self)
    }
}

/// Answers by the path.
#[derive(Debug, Clone)]
struct TestHandler {
    log: Log,
}

fn head(status: u16, fields: &[(&'static str, &str)]) -> ResponseHeaders {
    let fields: HeaderMap = fields
        .iter()
        .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_str(value).unwrap()))
        .collect();
    ResponseHeaders { status: StatusCode::from_u16(status).unwrap(), fields }
}

/// Waits once, as everything behind a real handler does.
async fn turn() {
    let mut waited = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl TestHandler {
    /// Reads the request to its end.
    async fn read<D: Downstream>(&self, downstream: &mut D) -> Option<(Vec<u8>, Option<HeaderMap>)> {
        let mut data = Vec::new();
        loop {
            match poll_fn(|cx| downstream.poll_body(cx)).await {
                Ok(BodyEvent::Data { data: piece, end_stream }) => {
                    self.log.add(format!("data {} {end_stream}", piece.len()));
                    data.extend_from_slice(&piece);
                    if end_stream {
                        return Some((data, None));
                    }
                }
                Ok(BodyEvent::Trailers(trailers)) => return Some((data, Some(trailers))),
                Err(error) => {
                    self.log.add(format!("{error:?}"));
                    return None;
                }
            }
        }
    }

    /// Sends every piece back as it comes.
    async fn echo<D: Downstream>(&self, downstream: &mut D) {
        loop {
            match poll_fn(|cx| downstream.poll_body(cx)).await {
                Ok(BodyEvent::Data { data, end_stream }) => {
                    downstream.send_data(data.into(), end_stream);
                    if end_stream {
                        return;
                    }
                }
                Ok(BodyEvent::Trailers(trailers)) => return downstream.send_trailers(&trailers),
                Err(error) => {
                    self.log.add(format!("{error:?}"));
                    return downstream.reset();
                }
            }
            if poll_fn(|cx| downstream.poll_writable(cx)).await.is_err() {
                return;
            }
        }
    }
}

impl Handler for TestHandler {
    async fn handle<D: Downstream>(
        &self,
        origin: Origin<'_>,
        request: RequestHeaders,
        end_stream: bool,
        downstream: &mut D,
    ) {
        let Origin { connection, protocol, configuration, .. } = origin;
        let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
        self.log.add(format!(
            "{protocol:?} {} {}://{}{} {end_stream}",
            request.method,
            text(&request.scheme),
            text(&request.authority),
            text(&request.path)
        ));
        let path = text(&request.path);
        match path.split('?').next().unwrap_or_default() {
            // An answer that is given at once.
            "/direct" => {
                downstream.send_headers(&head(200, &[("content-length", "5")]), false);
                downstream.send_data(Bytes::from_static(b"hello").into(), true);
            }
            // An answer after a while, without a look at the body.
            "/denied" => {
                turn().await;
                let _ = poll_fn(|cx| Poll::Ready(downstream.poll_closed(cx))).await;
                downstream.send_headers(&head(403, &[]), true);
            }
            "/echo" => {
                turn().await;
                if end_stream {
                    downstream.send_headers(&head(200, &[]), true);
                    return;
                }
                downstream.send_headers(&head(200, &[("content-type", "text/plain")]), false);
                self.echo(downstream).await;
            }
            "/read" => {
                match if end_stream { Some((Vec::new(), None)) } else { self.read(downstream).await } {
                    Some((data, trailers)) => {
                        let trailers = trailers.map_or(0, |trailers| trailers.len()).to_string();
                        let length = data.len().to_string();
                        downstream.send_headers(
                            &head(200, &[("x-read", &length), ("x-trailers", &trailers)]),
                            true,
                        );
                    }
                    None => downstream.send_headers(&head(400, &[]), true),
                }
            }
            // 4 MB, and more than the buffers of the system can ever hold.
            path @ ("/large" | "/huge") => {
                downstream.send_headers(&head(200, &[]), false);
                for _ in 0..if path == "/huge" { 10_000 } else { 400 } {
                    downstream.send_data(Bytes::from(vec![b'x'; 10_000]).into(), false);
                    if poll_fn(|cx| downstream.poll_writable(cx)).await.is_err() {
                        return self.log.add("large: disconnected".to_owned());
                    }
                }
                downstream.send_data(Bytes::new().into(), true);
                self.log.add("large: queued".to_owned());
            }
            "/short" => {
                downstream.send_headers(&head(200, &[("content-length", "10")]), false);
                downstream.send_data(Bytes::from_static(b"abc").into(), true);
            }
            "/long" => {
                downstream.send_headers(&head(200, &[("content-length", "2")]), false);
                downstream.send_data(Bytes::from_static(b"abc").into(), true);
            }
            "/hints" => {
                downstream.send_informational(&head(103, &[("link", "x")]));
                turn().await;
                downstream.send_headers(&head(200, &[]), true);
            }
            "/trailers" => {
                turn().await;
                downstream.send_headers(&head(200, &[]), false);
                downstream.send_data(Bytes::from_static(b"abc").into(), false);
                downstream.send_trailers(&head(200, &[("foo", "bar")]).fields);
            }
            "/reset" => {
                downstream.send_headers(&head(200, &[]), false);
                downstream.send_data(Bytes::from_static(b"abc").into(), false);
                let _ = poll_fn(|cx| downstream.poll_writable(cx)).await;
                downstream.reset();
            }
            "/forgotten" => downstream.send_headers(&head(200, &[]), false),
            "/hang" => {
                let error = poll_fn(|cx| downstream.poll_closed(cx)).await;
                self.log.add(format!("hang: {error:?}"));
                downstream.reset();
            }
            "/upgrade" => {
                turn().await;
                let upgrade = [("connection", "upgrade"), ("upgrade", "websocket")];
                downstream.send_headers(&head(101, &upgrade), false);
                self.echo(downstream).await;
            }
            "/connection" => {
                let tls = connection.tls.as_ref();
                let name = tls.and_then(|tls| tls.server_name.clone()).unwrap_or_default();
                let version = tls.map_or("", |tls| tls.version);
                let chain = configuration.chain.filter_chain().name.clone();
                let thread = std::thread::current().name().unwrap_or_default().to_owned();
                let fields =
                    [("x-sni", &*name), ("x-tls", version), ("x-chain", &*chain), ("x-thread", &*thread)];
                downstream.send_headers(&head(200, &fields), true);
            }
            "/panic" => panic!("a bug in one request"),
            other => panic!("no such test path: {other}"),
        }
    }

    async fn reject<D: Downstream>(
        &self,
        Origin { protocol, .. }: Origin<'_>,
        rejection: Rejection,
        downstream: &mut D,
    ) {
        self.log.add(format!("rejected {protocol:?} {} {}", rejection.status, rejection.details));
        let length = rejection.body.len().to_string();
        let head = ResponseHeaders { status: rejection.status, ..head(200, &[("content-length", &length)]) };
        downstream.send_headers(&head, false);
        downstream.send_data(Bytes::from_static(rejection.body.as_bytes()).into(), true);
    }
}

/// Envoy's defaults.
fn manager() -> HttpConnectionManager {
    HttpConnectionManager::new("test".to_owned(), Arc::default(), Vec::new())
}

fn chain(http: HttpConnectionManager) -> FilterChain {
    FilterChain {
        metadata: extproc::messages::Metadata::default(),
        name: String::new(),
        filter_chain_match: FilterChainMatch::default(),
        tls: None,
        transport_socket_connect_timeout: None,
        http: Arc::new(http),
        tcp_proxy: None,
        misdirected_requests: Default::default(),
    }
}

fn listener(filter_chains: Vec<FilterChain>) -> Listener {
    Listener {
        access_log: Vec::new(),
        name: "test".to_owned(),
        addresses: vec![BindAddress::Socket("127.0.0.1:0".parse().unwrap())],
        filter_chains,
        default_filter_chain: None,
        per_connection_buffer_limit_bytes: 1024 * 1024,
        listener_filters_timeout: Some(Duration::from_secs(15)),
        tcp: tollgate_model::socket::TcpOptions::DOWNSTREAM,
        limits: Default::default(),
        original_dst: false,
        proxy_protocol: None,
        tls_fingerprints: Default::default(),
        traffic_direction: Default::default(),
        metadata: Default::default(),
    }
}

/// A gateway with the test handler.
struct Running {
    gateway: Gateway,
    log: Log,
}

impl Running {
    fn start(listener: Listener, workers: usize) -> Self {
        let workers = NonZeroUsize::new(workers).unwrap();
        Self::start_with(listener, Options { workers, ..Options::default() })
    }

    fn start_with(listener: Listener, options: Options) -> Self {
        let snapshot = Arc::new(Snapshot { listeners: vec![Arc::new(listener)], ..Snapshot::default() });
        let log = Log::default();
        let handler = TestHandler { log: log.clone() };
        let gateway =
            Gateway::start_with(&snapshot, options, move || handler.clone()).expect("the gateway starts");
        Self { gateway, log }
    }

    /// One worker with one cleartext filter chain.
    fn with(change: impl FnOnce(&mut HttpConnectionManager)) -> Self {
        let mut http = manager();
        change(&mut http);
        Self::start(listener(vec![chain(http)]), 1)
    }

    fn plain() -> Self {
        Self::with(|_| {})
    }

    /// Of the first listener.
    fn address(&self) -> SocketAddr {
        self.address_of("test").expect("it is served")
    }

    fn address_of(&self, name: &str) -> Option<SocketAddr> {
        let addresses = self.gateway.local_addresses();
        addresses.iter().find(|(listener, _)| listener == name).map(|(_, address)| match address {
            BindAddress::Socket(address) => *address,
            BindAddress::Pipe { .. } => panic!("a TCP listener"),
        })
    }

    /// Puts other listeners in the place of those there are.
    fn update(&self, listeners: Vec<Listener>) -> Update {
        let before = self.gateway.snapshot();
        // What is equal is the same object, as after compiling.
        let known = |listener: Listener| {
            let known = before.listeners.iter().find(|known| ***known == listener);
            known.cloned().unwrap_or_else(|| Arc::new(listener))
        };
        let listeners = listeners.into_iter().map(known).collect();
        let snapshot = Snapshot { listeners, ..Snapshot::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(self.gateway.update(snapshot)).unwrap()
    }

    fn connect(&self) -> Client {
        Client::connect(self.address())
    }
}
