//! Listeners and filter chains.

mod matching;
pub(super) mod schema;

use std::{sync::Arc, time::Duration};

use tollgate_ir::{FilterChain, HttpConnectionManager, Listener, RouteTable};
use tollgate_model::{
    listener::{
        BindAddress, ConnectionLimits, FilterChainMatch, MisdirectedRequests, ProxyProtocol, TlsFingerprints,
        TrafficDirection,
    },
    socket::TcpOptions,
    tcp_proxy::TcpProxy,
};

pub(super) use self::{matching::read_cidr_range, schema::SCHEMAS};
use self::{
    matching::{check_overlap, read_filter_chain_match},
    schema::{
        ADDITIONAL_ADDRESS, FILTER, FILTER_CHAIN, HTTP_INSPECTOR, LISTENER, LISTENER_FILTER, ORIGINAL_DST,
        PROXY_PROTOCOL, TLS_INSPECTOR,
    },
};
use super::{
    Scope,
    access_log::read_access_logs,
    address::read_bind_addresses,
    http_connection_manager::{self, read_http_connection_manager},
    metadata::read_metadata,
    route::TableOrigins,
    socket_options::{read_socket_options, read_tcp_keepalive},
    tcp_proxy::{TCP_PROXY, read_tcp_proxy},
    tls::read_downstream_transport_socket,
};
use crate::schema::{Enumeration, Value};

pub(in crate::envoy) static TRAFFIC_DIRECTION: Enumeration<TrafficDirection> = Enumeration {
    values: &[
        ("UNSPECIFIED", 0, Some(TrafficDirection::Unspecified)),
        ("INBOUND", 1, Some(TrafficDirection::Inbound)),
        ("OUTBOUND", 2, Some(TrafficDirection::Outbound)),
    ],
};

/// Default of `per_connection_buffer_limit_bytes`, for listeners and clusters.
pub(super) const BUFFER_LIMIT: u32 = 1024 * 1024;

/// Default of `transport_socket_connect_timeout`. Envoy has none, and then waits for an hour.
pub(super) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(15);

/// Where the routes of a filter chain come from; `None` is the default one.
pub(super) type ChainOrigins = (Option<usize>, TableOrigins);

/// The route table of a filter chain, and where its routes come from.
pub(super) struct ChainTable {
    /// Index of the filter chain; `None` is the default one.
    pub(super) chain: Option<usize>,
    /// What the connection manager calls it.
    pub(super) key: String,
    pub(super) table: RouteTable,
    pub(super) origins: TableOrigins,
}

/// Reads a listener, its route tables and where their routes come from; `index` names it when nothing else does.
pub(super) fn read_listener(
    value: &Value<'_>,
    index: usize,
    scope: &Scope,
) -> Option<(Listener, Vec<ChainTable>)> {
    let message = value.message(&LISTENER)?;
    let mut addresses: Vec<BindAddress> =
        message.required("address").map(|address| read_bind_addresses(&address)).unwrap_or_default();
    for additional in message.list("additional_addresses") {
        let Some(additional) = additional.message(&ADDITIONAL_ADDRESS) else { continue };
        let address = additional.required("address");
        addresses.extend(address.map(|address| read_bind_addresses(&address)).unwrap_or_default());
    }
    let name = match (message.string("name"), addresses.first()) {
        (name, _) if !name.is_empty() => name,
        (_, Some(BindAddress::Socket(socket))) => socket.to_string(),
        (_, Some(BindAddress::Pipe { path, .. })) => path.display().to_string(),
        (_, None) => format!("listener {index}"),
    };
    message.string("stat_prefix");
    if let Some(bind) = message.get("bind_to_port")
        && bind.boolean() == Some(false)
    {
        bind.error_with_help("a listener that is not bound is not supported", "remove bind_to_port");
    }
    let (mut original_dst, mut proxy_protocol) = (false, None);
    let mut tls_fingerprints = TlsFingerprints::default();
    for filter in message.list("listener_filters") {
        match read_listener_filter(&filter) {
            Some(ListenerFilter::OriginalDst) => original_dst = true,
            Some(ListenerFilter::ProxyProtocol(settings)) => proxy_protocol = Some(settings),
            Some(ListenerFilter::TlsInspector(taken)) => tls_fingerprints = taken,
            Some(ListenerFilter::HttpInspector) | None => {}
        }
    }
    let chains = message.list("filter_chains");
    let default = message.get("default_filter_chain");
    if chains.is_empty() && default.is_none() {
        value.error("a listener needs a filter chain");
    }
    let mut tables = Vec::new();
    let mut filter_chains: Vec<FilterChain> = Vec::new();
    for chain in &chains {
        // The name of a table need not be unique, and it may have none.
        let key = format!("{name}/{}", filter_chains.len());
        let Some((chain, table)) = read_filter_chain(chain, false, key.clone(), scope) else {
            continue;
        };
        let index = Some(filter_chains.len());
        tables.extend(table.map(|(table, origins)| ChainTable { chain: index, key, table, origins }));
        filter_chains.push(chain);
    }
    check_overlap(&chains, &filter_chains);
    let key = format!("{name}/default");
    let default = default.and_then(|chain| read_filter_chain(&chain, true, key.clone(), scope));
    let default_filter_chain = default.map(|(chain, table)| {
        tables.extend(table.map(|(table, origins)| ChainTable { chain: None, key, table, origins }));
        chain
    });
    let mut tcp = TcpOptions::DOWNSTREAM;
    read_socket_options(&message.list("socket_options"), &mut tcp);
    if let Some(keepalive) = message.get("tcp_keepalive") {
        tcp.keepalive = read_tcp_keepalive(&keepalive);
    }
    let listener = Listener {
        original_dst,
        proxy_protocol,
        tls_fingerprints,
        tcp,
        limits: ConnectionLimits {
            max_connections: None,
            ignore_global_limit: message.boolean("ignore_global_conn_limit", false),
            bypass_overload_manager: message.boolean("bypass_overload_manager", false),
        },
        name,
        addresses,
        filter_chains,
        default_filter_chain,
        per_connection_buffer_limit_bytes: message
            .u32("per_connection_buffer_limit_bytes")
            .unwrap_or(BUFFER_LIMIT) as usize,
        listener_filters_timeout: message.timeout("listener_filters_timeout", Some(Duration::from_secs(15))),
        traffic_direction: message.enumeration(
            "traffic_direction",
            &TRAFFIC_DIRECTION,
            TrafficDirection::Unspecified,
        ),
        metadata: read_metadata(&message),
        access_log: read_access_logs(&message.list("access_log")),
    };
    Some((listener, tables))
}

/// Whether it is the first one.
pub(in crate::envoy) static PROXY_PROTOCOL_VERSION: Enumeration<bool> =
    Enumeration { values: &[("V1", 0, Some(true)), ("V2", 1, Some(false))] };

enum ListenerFilter {
    /// Looks for TLS, and takes these fingerprints.
    TlsInspector(TlsFingerprints),
    /// Looks for HTTP.
    HttpInspector,
    OriginalDst,
    ProxyProtocol(ProxyProtocol),
}

fn read_listener_filter(value: &Value<'_>) -> Option<ListenerFilter> {
    let message = value.message(&LISTENER_FILTER)?;
    message.string("name");
    let any = message.required("typed_config")?.any()?;
    let supported = [TLS_INSPECTOR.name, HTTP_INSPECTOR.name, ORIGINAL_DST.name, PROXY_PROTOCOL.name];
    Some(match any.type_name.as_str() {
        name if name == TLS_INSPECTOR.name => {
            let message = any.value.message(&TLS_INSPECTOR)?;
            ListenerFilter::TlsInspector(TlsFingerprints {
                ja3: message.boolean("enable_ja3_fingerprinting", false),
                ja4: message.boolean("enable_ja4_fingerprinting", false),
            })
        }
        name if name == HTTP_INSPECTOR.name => {
            any.value.message(&HTTP_INSPECTOR)?;
            ListenerFilter::HttpInspector
        }
        name if name == ORIGINAL_DST.name => {
            any.value.message(&ORIGINAL_DST)?;
            ListenerFilter::OriginalDst
        }
        name if name == PROXY_PROTOCOL.name => {
            let message = any.value.message(&PROXY_PROTOCOL)?;
            let disallowed = message.list("disallowed_versions");
            let disallowed: Vec<bool> = disallowed
                .iter()
                .filter_map(|version| version.enumeration(&PROXY_PROTOCOL_VERSION))
                .collect();
            ListenerFilter::ProxyProtocol(ProxyProtocol {
                allow_without: message.boolean("allow_requests_without_proxy_protocol", false),
                disallow_v1: disallowed.contains(&true),
                disallow_v2: disallowed.contains(&false),
            })
        }
        _ => {
            any.unsupported("listener filter", &supported);
            return None;
        }
    })
}

fn read_filter_chain(
    value: &Value<'_>,
    is_default: bool,
    table: String,
    scope: &Scope,
) -> Option<(FilterChain, Option<(RouteTable, TableOrigins)>)> {
    let message = value.message(&FILTER_CHAIN)?;
    let filter_chain_match = match message.get("filter_chain_match") {
        Some(matching) if is_default => {
            matching.no_effect(
                "filter_chain_match of the default filter chain",
                "it takes what no other filter chain takes",
            );
            FilterChainMatch::default()
        }
        Some(matching) => read_filter_chain_match(&matching).unwrap_or_default(),
        None => FilterChainMatch::default(),
    };
    let filters = message.list("filters");
    if let Some(second) = filters.get(1) {
        second.error("a filter chain has exactly one filter, the HTTP connection manager or tcp_proxy");
    } else if filters.is_empty() {
        value.error("\"filters\" is missing: the HTTP connection manager or tcp_proxy");
    }
    let served = filters.first().and_then(|filter| read_network_filter(filter, table, scope));
    let tls = message
        .get("transport_socket")
        .and_then(|socket| read_downstream_transport_socket(&socket, &scope.secrets));
    let (http, table, tcp_proxy) = match served? {
        NetworkFilter::Http(http, table, origins) => (*http, Some((table, origins)), None),
        NetworkFilter::TcpProxy(proxy) => {
            let nothing = HttpConnectionManager::new(String::new(), String::new(), Vec::new());
            (nothing, None, Some(Arc::new(proxy)))
        }
    };
    let chain = FilterChain {
        name: message.string("name"),
        metadata: read_metadata(&message),
        filter_chain_match,
        tls: tls.map(Arc::new),
        transport_socket_connect_timeout: message
            .timeout("transport_socket_connect_timeout", Some(HANDSHAKE_TIMEOUT)),
        http: Arc::new(http),
        tcp_proxy,
        misdirected_requests: MisdirectedRequests::default(),
    };
    Some((chain, table))
}

/// What serves the connections of a filter chain.
enum NetworkFilter {
    Http(Box<HttpConnectionManager>, RouteTable, TableOrigins),
    TcpProxy(TcpProxy),
}

fn read_network_filter(value: &Value<'_>, table: String, scope: &Scope) -> Option<NetworkFilter> {
    let message = value.message(&FILTER)?;
    message.required_string("name");
    let any = message.required("typed_config")?.any()?;
    let name = http_connection_manager::HTTP_CONNECTION_MANAGER.name;
    if any.type_name == TCP_PROXY.name {
        return read_tcp_proxy(&any.value).map(NetworkFilter::TcpProxy);
    }
    if any.type_name != name {
        any.unsupported("network filter", &[name, TCP_PROXY.name]);
        return None;
    }
    let (http, table, origins) = read_http_connection_manager(&any.value, table, scope)?;
    Some(NetworkFilter::Http(Box::new(http), table, origins))
}
