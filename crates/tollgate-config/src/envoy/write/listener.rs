//! Listeners and filter chains.

use std::time::Duration;

use ipnet::IpNet;
use serde_json::{Value, json};
use tollgate_ir::{FilterChain, Listener, Origin, Sourced};
use tollgate_model::{
    listener::{BindAddress, FilterChainMatch, ProxyProtocol, TrafficDirection, TransportProtocol},
    socket::{TcpKeepalive, TcpOptions},
};

use super::{
    Writer,
    access_log::access_log,
    manager::manager,
    matchers::metadata,
    out::{Out, extension},
    tcp_proxy::tcp_proxy,
    tls,
};
use crate::envoy::{
    address::{ADDRESS, PIPE, SOCKET_ADDRESS},
    listener::{
        BUFFER_LIMIT, HANDSHAKE_TIMEOUT, TRAFFIC_DIRECTION,
        schema::{
            ADDITIONAL_ADDRESS, CIDR_RANGE, FILTER, FILTER_CHAIN, FILTER_CHAIN_MATCH, LISTENER,
            LISTENER_FILTER, ORIGINAL_DST, PROXY_PROTOCOL, TLS_INSPECTOR,
        },
    },
    socket_options::{SOCKET_OPTION, TCP_KEEPALIVE},
};

fn proxy_protocol(settings: ProxyProtocol) -> Value {
    let mut out = Out::new(&PROXY_PROTOCOL);
    out.unless("allow_requests_without_proxy_protocol", settings.allow_without, false);
    let versions = [(settings.disallow_v1, "V1"), (settings.disallow_v2, "V2")];
    let disallowed = versions.into_iter().filter(|(is, _)| *is).map(|(_, name)| Value::from(name));
    out.list("disallowed_versions", disallowed.collect());
    extension(&LISTENER_FILTER, "envoy.filters.listener.proxy_protocol", out.any())
}

pub(super) fn listener(writer: &Writer<'_>, listener: &Sourced<Listener>) -> Value {
    let mut out = Out::new(&LISTENER);
    out.set("name", &*listener.name);
    let mut addresses = listener.addresses.iter().map(address);
    out.some("address", addresses.next());
    let additional = addresses.map(|address| {
        let mut out = Out::new(&ADDITIONAL_ADDRESS);
        out.set("address", address);
        out.done()
    });
    out.list("additional_addresses", additional.collect());
    let limit = listener.per_connection_buffer_limit_bytes;
    out.unless("per_connection_buffer_limit_bytes", limit, BUFFER_LIMIT as usize);
    out.timeout("listener_filters_timeout", listener.listener_filters_timeout, Some(Duration::from_secs(15)));
    if listener.tcp.keepalive != TcpOptions::DOWNSTREAM.keepalive {
        out.set("tcp_keepalive", tcp_keepalive(listener.tcp.keepalive));
    }
    out.list("socket_options", user_timeout(listener.tcp.user_timeout).into_iter().collect());
    out.unless("ignore_global_conn_limit", listener.limits.ignore_global_limit, false);
    out.unless("bypass_overload_manager", listener.limits.bypass_overload_manager, false);
    let direction = &listener.traffic_direction;
    out.name("traffic_direction", &TRAFFIC_DIRECTION, direction, &TrafficDirection::Unspecified);
    metadata(&mut out, &listener.metadata);
    out.list("access_log", listener.access_log.iter().map(|log| access_log(log)).collect());
    let chains = || listener.filter_chains.iter().chain(&listener.default_filter_chain);
    let mut filters = Vec::new();
    if listener.original_dst {
        let filter = Out::new(&ORIGINAL_DST).any();
        filters.push(extension(&LISTENER_FILTER, "envoy.filters.listener.original_dst", filter));
    }
    if let Some(settings) = listener.proxy_protocol {
        filters.push(proxy_protocol(settings));
    }
    if listener.tls_fingerprints.any() || chains().any(looks_into_tls) {
        let mut inspector = Out::new(&TLS_INSPECTOR);
        inspector.unless("enable_ja3_fingerprinting", listener.tls_fingerprints.ja3, false);
        inspector.unless("enable_ja4_fingerprinting", listener.tls_fingerprints.ja4, false);
        let inspector = inspector.any();
        filters.push(extension(&LISTENER_FILTER, "envoy.filters.listener.tls_inspector", inspector));
    }
    out.list("listener_filters", filters);
    let written = listener.filter_chains.iter().map(|chain| filter_chain(writer, chain, &listener.origin));
    out.list("filter_chains", written.collect());
    let default = listener.default_filter_chain.as_ref();
    out.some("default_filter_chain", default.map(|chain| filter_chain(writer, chain, &listener.origin)));
    out.done()
}

/// Whether a chain is chosen, or spoken to, by what a ClientHello says.
fn looks_into_tls(chain: &FilterChain) -> bool {
    let FilterChainMatch { server_names, transport_protocol, application_protocols, .. } =
        &chain.filter_chain_match;
    chain.tls.is_some()
        || !server_names.is_empty()
        || transport_protocol.is_some()
        || !application_protocols.is_empty()
}

pub(super) fn address(address: &BindAddress) -> Value {
    let mut out = Out::new(&ADDRESS);
    match address {
        BindAddress::Socket(socket) => {
            out.set("socket_address", socket_address(&socket.ip().to_string(), socket.port()));
        }
        BindAddress::Pipe { path, mode } => {
            let mut pipe = Out::new(&PIPE);
            pipe.set("path", path.display().to_string());
            pipe.some("mode", *mode);
            out.set("pipe", pipe.done());
        }
    }
    out.done()
}

pub(super) fn socket_address(host: &str, port: u16) -> Value {
    let mut out = Out::new(&SOCKET_ADDRESS);
    out.set("address", host);
    out.set("port_value", port);
    out.done()
}

/// Probes; none are asked for by a number of none.
pub(super) fn tcp_keepalive(keepalive: Option<TcpKeepalive>) -> Value {
    let mut out = Out::new(&TCP_KEEPALIVE);
    match keepalive {
        None => out.set("keepalive_probes", 0),
        Some(TcpKeepalive { probes, time, interval }) => {
            out.some("keepalive_probes", probes);
            out.some("keepalive_time", time);
            out.some("keepalive_interval", interval);
        }
    }
    out.done()
}

/// `TCP_USER_TIMEOUT` as an option of sockets.
pub(super) fn user_timeout(timeout: Option<Duration>) -> Option<Value> {
    let mut out = Out::new(&SOCKET_OPTION);
    out.set("description", "TCP_USER_TIMEOUT");
    out.set("level", 6);
    out.set("name", 18);
    out.set("int_value", u32::try_from(timeout?.as_millis()).unwrap_or(u32::MAX));
    Some(out.done())
}

fn filter_chain(writer: &Writer<'_>, chain: &FilterChain, origin: &std::sync::Arc<Origin>) -> Value {
    let mut out = Out::new(&FILTER_CHAIN);
    out.text("name", &chain.name);
    out.unless_empty("filter_chain_match", filter_chain_match(&chain.filter_chain_match));
    out.some("transport_socket", chain.tls.as_ref().map(|tls| tls::downstream(writer, tls)));
    let timeout = chain.transport_socket_connect_timeout;
    if chain.tls.is_some() || timeout.is_some() {
        out.timeout("transport_socket_connect_timeout", timeout, Some(HANDSHAKE_TIMEOUT));
    }
    metadata(&mut out, &chain.metadata);
    let filter = match &chain.tcp_proxy {
        Some(proxy) => extension(&FILTER, "envoy.filters.network.tcp_proxy", tcp_proxy(proxy)),
        None => {
            let manager = manager(writer, chain, origin);
            extension(&FILTER, "envoy.filters.network.http_connection_manager", manager)
        }
    };
    out.list("filters", vec![filter]);
    out.done()
}

fn filter_chain_match(conditions: &FilterChainMatch) -> Out {
    let mut out = Out::new(&FILTER_CHAIN_MATCH);
    out.some("destination_port", conditions.destination_port);
    out.list("prefix_ranges", conditions.prefix_ranges.iter().map(range).collect());
    let texts = |texts: &[String]| texts.iter().map(|text| Value::from(&**text)).collect();
    out.list("server_names", texts(&conditions.server_names));
    out.some(
        "transport_protocol",
        conditions.transport_protocol.map(|protocol| match protocol {
            TransportProtocol::Tls => "tls",
            TransportProtocol::RawBuffer => "raw_buffer",
        }),
    );
    out.list("application_protocols", texts(&conditions.application_protocols));
    out.list("source_prefix_ranges", conditions.source_prefix_ranges.iter().map(range).collect());
    out.list("source_ports", conditions.source_ports.iter().map(|port| json!(port)).collect());
    out
}

pub(super) fn range(range: &IpNet) -> Value {
    let mut out = Out::new(&CIDR_RANGE);
    out.set("address_prefix", range.addr().to_string());
    out.set("prefix_len", range.prefix_len());
    out.done()
}
