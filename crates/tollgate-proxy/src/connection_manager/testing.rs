//! What the tests of header rules and formats are made of.

use std::{net::SocketAddr, rc::Rc, sync::Arc, time::Instant};

use extproc::{RequestHeaders, ResponseHeaders, messages::Metadata};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use tollgate_model::{
    http_connection_manager::HttpConnectionManager,
    listener::{FilterChain, FilterChainMatch, Listener, MisdirectedRequests, TrafficDirection},
};

use crate::stream_info::{ConnectionInfo, FilterChainInfo};

pub(crate) const OWN_ADDRESS: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

/// A connection manager with defaults, changed by `change`.
pub(crate) fn http(change: impl FnOnce(&mut HttpConnectionManager)) -> HttpConnectionManager {
    let mut http = HttpConnectionManager::new("p".to_owned(), Arc::default(), Vec::new());
    change(&mut http);
    http
}

/// A cleartext connection from `peer` to port 10000.
pub(crate) fn connection(peer: &str) -> ConnectionInfo {
    ConnectionInfo {
        id: 1,
        remote_address: Some(SocketAddr::new(peer.parse().unwrap(), 5000)),
        local_address: Some("127.0.0.1:10000".parse().unwrap()),
        original_destination: None,
        direct_remote_address: Some(SocketAddr::new(peer.parse().unwrap(), 5000)),
        tls: None,
        accepted: Instant::now(),
        handshake: None,
    }
}

/// The only filter chain of a listener, with defaults.
pub(crate) fn chain() -> Rc<FilterChainInfo> {
    let chain = FilterChain {
        metadata: Metadata::default(),
        name: String::new(),
        filter_chain_match: FilterChainMatch::default(),
        tls: None,
        transport_socket_connect_timeout: None,
        http: Arc::new(http(|_| ())),
        tcp_proxy: None,
        misdirected_requests: MisdirectedRequests::default(),
    };
    let listener = Listener {
        access_log: Vec::new(),
        name: "l".to_owned(),
        addresses: Vec::new(),
        filter_chains: vec![chain],
        default_filter_chain: None,
        per_connection_buffer_limit_bytes: 1 << 20,
        listener_filters_timeout: None,
        tcp: tollgate_model::socket::TcpOptions::DOWNSTREAM,
        limits: Default::default(),
        original_dst: false,
        proxy_protocol: None,
        tls_fingerprints: Default::default(),
        traffic_direction: TrafficDirection::default(),
        metadata: Metadata::default(),
    };
    Rc::new(FilterChainInfo { listener: Arc::new(listener), filter_chain: Some(0) })
}

fn map(fields: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        map.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    map
}

/// A request of HTTP/1 for `h.test` as it arrives: without scheme.
pub(crate) fn request(path: &str, fields: &[(&str, &str)]) -> RequestHeaders {
    RequestHeaders {
        method: Method::GET,
        scheme: HeaderValue::from_static(""),
        authority: HeaderValue::from_static("h.test"),
        path: HeaderValue::from_str(path).unwrap(),
        fields: map(fields),
    }
}

/// A response 200.
pub(crate) fn response(fields: &[(&str, &str)]) -> ResponseHeaders {
    ResponseHeaders { status: StatusCode::OK, fields: map(fields) }
}

/// Fields as text, `name: value` each, in order.
pub(crate) fn shown(fields: &HeaderMap) -> Vec<String> {
    fields.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect()
}
