//! Filters in a running gateway, over real sockets.

pub(super) mod header_gate;

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    num::NonZeroUsize,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use tollgate_model::{
    Snapshot,
    cluster::{Cluster, Discovery, Endpoint, EndpointAddress},
    filter::{FilterOverride, HttpFilter},
    http_connection_manager::HttpConnectionManager,
    listener::{BindAddress, FilterChain, FilterChainMatch, Listener},
    route::{
        Action as RouteActionKind, ClusterSpecifier, RetryBackOff, RetryOn, RetryPolicy, Route, RouteAction,
        RouteConfiguration, RouteMatch, VirtualHost,
    },
};

use super::AnyFilter;
use crate::gateway::{Gateway, Options};

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// The filters of this file's tests: their settings are no part of the model, so they are found by the filter's name.
pub(super) fn begin(name: Option<&str>) -> Option<AnyFilter> {
    let settings = header_gate::named(name?)?;
    Some(AnyFilter::HeaderGate(Box::new(header_gate::HeaderGate::begin(&settings))))
}

/// A filter that no request comes to.
pub(in crate::transaction) fn some_filter() -> AnyFilter {
    AnyFilter::HeaderGate(Box::new(header_gate::HeaderGate::begin(&header_gate::Settings::of_nobody())))
}

/// A name that no other test of the process has.
fn unique_name(of: &str) -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    format!("{of}-{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Where the filter of a test stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stand {
    BeforeRouter,
    BehindRouter,
}

/// A gateway with one filter, in front of an upstream that answers with these statuses in turn, the last one for ever.
struct World {
    gateway: Gateway,
    upstream: Server,
}

impl World {
    fn start(filter: &str, stand: Stand, statuses: &'static [u16]) -> Self {
        let count = AtomicUsize::new(0);
        let upstream = Server::start(move |socket, log| {
            let mut reader = BufReader::new(socket.try_clone().unwrap());
            while let Some((head, body)) = read_message(&mut reader) {
                log.lock().unwrap().push(format!("{} {body}", head.lines().next().unwrap_or_default()));
                let turn = count.fetch_add(1, Ordering::Relaxed).min(statuses.len() - 1);
                let answer = format!("HTTP/1.1 {} X\r\ncontent-length: 2\r\n\r\nok", statuses[turn]);
                if socket.write_all(answer.as_bytes()).is_err() {
                    return;
                }
            }
        });
        let filter = Arc::new(HttpFilter {
            name: filter.to_owned(),
            stat_prefix: String::new(),
            default: FilterOverride::Idle,
        });
        let mut http = HttpConnectionManager::new("test".to_owned(), Arc::new(routes()), Vec::new());
        match stand {
            Stand::BeforeRouter => http.http_filters.push(filter),
            Stand::BehindRouter => http.upstream_http_filters.push(filter),
        }
        let endpoint = Endpoint::new(EndpointAddress::Socket(upstream.address));
        let cluster = Cluster::new("upstream".to_owned(), Discovery::Static, vec![endpoint]);
        let snapshot = Arc::new(Snapshot {
            listeners: vec![Arc::new(listener(http))],
            clusters: HashMap::from([("upstream".to_owned(), Arc::new(cluster))]),
            ..Snapshot::default()
        });
        let options = Options { workers: NonZeroUsize::MIN, ..Options::default() };
        Self { gateway: Gateway::start(&snapshot, options).expect("the gateway starts"), upstream }
    }

    /// Sends a request; gives the status and the body of its answer.
    fn ask(&self, request: &str) -> (u16, String) {
        let addresses = self.gateway.local_addresses();
        let BindAddress::Socket(address) = &addresses[0].1 else { panic!("a TCP listener") };
        let mut socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.write_all(request.as_bytes()).unwrap();
        let (head, body) = read_message(&mut BufReader::new(socket)).expect("an answer");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        (status, body)
    }
}

fn routes() -> RouteConfiguration {
    let mut action = RouteAction::new(ClusterSpecifier::Cluster("upstream".to_owned()));
    action.retry_policy = Some(Arc::new(RetryPolicy {
        retry_on: RetryOn::GATEWAY_ERROR,
        back_off: RetryBackOff { base_interval: Duration::ZERO, max_interval: Duration::ZERO },
        ..RetryPolicy::default()
    }));
    let route = Route::new(RouteMatch::any(), RouteActionKind::Route(Box::new(action)));
    let host = VirtualHost::new("all".to_owned(), vec!["*".to_owned()], vec![Arc::new(route)]);
    RouteConfiguration {
        virtual_hosts: std::iter::once(Arc::new(host)).collect(),
        ..RouteConfiguration::default()
    }
}

fn listener(http: HttpConnectionManager) -> Listener {
    Listener {
        access_log: Vec::new(),
        name: "test".to_owned(),
        addresses: vec![BindAddress::Socket("127.0.0.1:0".parse().unwrap())],
        filter_chains: vec![FilterChain {
            metadata: extproc::messages::Metadata::default(),
            name: String::new(),
            filter_chain_match: FilterChainMatch::default(),
            tls: None,
            transport_socket_connect_timeout: None,
            http: Arc::new(http),
            tcp_proxy: None,
            misdirected_requests: Default::default(),
        }],
        default_filter_chain: None,
        per_connection_buffer_limit_bytes: 1024 * 1024,
        listener_filters_timeout: None,
        tcp: tollgate_model::socket::TcpOptions::DOWNSTREAM,
        limits: Default::default(),
        original_dst: false,
        proxy_protocol: None,
        tls_fingerprints: Default::default(),
        traffic_direction: Default::default(),
        metadata: Default::default(),
    }
}

/// What a server has seen.
type Log = Arc<Mutex<Vec<String>>>;

/// A server with a thread for each connection.
struct Server {
    address: SocketAddr,
    log: Log,
}

impl Server {
    fn start(serve: impl Fn(&mut TcpStream, &Log) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let log = Log::default();
        let (serve, seen) = (Arc::new(serve), log.clone());
        thread::spawn(move || {
            for mut socket in listener.incoming().flatten() {
                let (serve, seen) = (serve.clone(), seen.clone());
                thread::spawn(move || serve(&mut socket, &seen));
            }
        });
        Self { address, log }
    }

    fn seen(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }
}

/// Head and body of an HTTP/1 message with a length; none at the end of the connection.
fn read_message(reader: &mut BufReader<TcpStream>) -> Option<(String, String)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    Some((head, String::from_utf8(body).ok()?))
}
