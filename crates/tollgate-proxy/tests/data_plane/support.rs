//! What tests of the whole data plane share: a gateway made of a model, upstreams and a client, on real sockets.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    num::NonZeroUsize,
    sync::Arc,
    thread,
    time::Duration,
};

use tollgate_model::{
    Snapshot,
    cluster::{Cluster, Discovery, Endpoint, EndpointAddress},
    http_connection_manager::HttpConnectionManager,
    listener::{BindAddress, FilterChain, FilterChainMatch, Listener, TrafficDirection},
    route::{
        Action, ClusterSpecifier, Route, RouteAction, RouteConfiguration, RouteMatch, VirtualHost,
        VirtualHosts,
    },
};
use tollgate_proxy::{Gateway, Options};

/// Nothing in these tests takes longer.
const DEADLINE: Duration = Duration::from_secs(30);

/// An upstream that answers `GET` requests with its address.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
}

impl Upstream {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let upstream = Self { address: listener.local_addr().unwrap() };
        let address = upstream.address;
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                thread::spawn(move || answer(&stream, address));
            }
        });
        upstream
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint::new(EndpointAddress::Socket(self.address))
    }
}

fn answer(stream: &TcpStream, address: SocketAddr) {
    let mut writing = stream;
    for line in BufReader::new(stream).lines() {
        let Ok(line) = line else { return };
        if !line.is_empty() {
            continue;
        }
        let body = address.to_string();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        if writing.write_all(format!("{head}{body}").as_bytes()).is_err() {
            return;
        }
    }
}

/// A cluster of these upstreams.
pub(crate) fn cluster(name: &str, upstreams: &[&Upstream]) -> Cluster {
    let endpoints: Vec<Endpoint> = upstreams.iter().map(|upstream| upstream.endpoint()).collect();
    Cluster::new(name.to_owned(), Discovery::Static, endpoints)
}

/// A cluster of servers at these addresses.
pub(crate) fn cluster_at(name: &str, addresses: &[SocketAddr]) -> Cluster {
    let endpoints = addresses.iter().map(|address| Endpoint::new(EndpointAddress::Socket(*address)));
    Cluster::new(name.to_owned(), Discovery::Static, endpoints.collect::<Vec<_>>())
}

/// Forwarding to one cluster.
pub(crate) fn to(cluster: &str) -> RouteAction {
    RouteAction::new(ClusterSpecifier::Cluster(cluster.to_owned()))
}

/// A configuration with one route for everything.
pub(crate) fn snapshot(action: RouteAction, clusters: Vec<Cluster>) -> Snapshot {
    let route = Route::new(RouteMatch::any(), Action::Route(Box::new(action)));
    let virtual_host = VirtualHost::new("all".to_owned(), vec!["*".to_owned()], vec![Arc::new(route)]);
    let table = RouteConfiguration {
        virtual_hosts: VirtualHosts::new(vec![Arc::new(virtual_host)]).unwrap(),
        ..RouteConfiguration::default()
    };
    let http = HttpConnectionManager::new("test".to_owned(), Arc::new(table), Vec::new());
    let chain = FilterChain {
        metadata: extproc::messages::Metadata::default(),
        name: String::new(),
        filter_chain_match: FilterChainMatch::default(),
        tls: None,
        transport_socket_connect_timeout: None,
        tcp_proxy: None,
        misdirected_requests: Default::default(),
        http: Arc::new(http),
    };
    let listener = Listener {
        access_log: Vec::new(),
        name: "test".to_owned(),
        addresses: vec![BindAddress::Socket(([127, 0, 0, 1], 0).into())],
        filter_chains: vec![chain],
        default_filter_chain: None,
        per_connection_buffer_limit_bytes: 1 << 20,
        listener_filters_timeout: None,
        tcp: tollgate_model::socket::TcpOptions::DOWNSTREAM,
        limits: Default::default(),
        original_dst: false,
        proxy_protocol: None,
        tls_fingerprints: Default::default(),
        traffic_direction: TrafficDirection::Unspecified,
        metadata: Default::default(),
    };
    let clusters = clusters.into_iter().map(|cluster| (cluster.name.clone(), Arc::new(cluster)));
    Snapshot {
        listeners: vec![Arc::new(listener)],
        clusters: clusters.collect::<HashMap<_, _>>(),
        ..Snapshot::default()
    }
}

/// A gateway and a client of it.
pub(crate) struct Running {
    _gateway: Gateway,
    address: SocketAddr,
}

/// A response.
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Response {
    /// The values of a field.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        let prefix = format!("{name}: ");
        self.head.lines().filter_map(|line| line.strip_prefix(&prefix)).collect()
    }
}

impl Running {
    /// With two workers, so that what they share is tested as well.
    pub(crate) fn start(snapshot: Snapshot) -> Self {
        let options = Options { workers: NonZeroUsize::new(2).unwrap(), ..Options::default() };
        let gateway = Gateway::start(&Arc::new(snapshot), options).unwrap();
        let address = match &gateway.local_addresses()[0].1 {
            BindAddress::Socket(address) => *address,
            BindAddress::Pipe { .. } => unreachable!(),
        };
        Self { _gateway: gateway, address }
    }

    /// A request on a connection of its own.
    pub(crate) fn get(&self, path: &str, fields: &str) -> Response {
        self.request(&format!("GET {path} HTTP/1.1\r\n{fields}"), b"")
    }

    /// A request with a body, on a connection of its own.
    pub(crate) fn post(&self, path: &str, body: &[u8]) -> Response {
        self.request(&format!("POST {path} HTTP/1.1\r\ncontent-length: {}\r\n", body.len()), body)
    }

    fn request(&self, head: &str, body: &[u8]) -> Response {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.write_all(format!("{head}host: h\r\nconnection: close\r\n\r\n").as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
        Response { status, head: head.to_owned(), body: body.to_owned() }
    }

    /// The bodies of so many requests, and how often each came.
    pub(crate) fn spread(&self, requests: usize) -> HashMap<String, usize> {
        let mut bodies = HashMap::new();
        for _ in 0..requests {
            *bodies.entry(self.get("/", "").body).or_default() += 1;
        }
        bodies
    }
}
