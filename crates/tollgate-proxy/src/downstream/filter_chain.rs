//! The filter chain that serves a connection.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use tollgate_model::listener::{FilterChain, FilterChainMatch, Listener, TransportProtocol};

/// What filter chains are chosen by.
#[derive(Debug, Default, Clone, Copy)]
pub struct ConnectionFacts<'a> {
    /// Our side; `None` on a Unix socket.
    pub local_address: Option<SocketAddr>,
    /// The peer; `None` on a Unix socket.
    pub remote_address: Option<SocketAddr>,
    /// SNI, lower case.
    pub server_name: Option<&'a str>,
    /// The connection began with a TLS ClientHello.
    pub tls: bool,
    /// ALPN values of the ClientHello, in its order.
    pub application_protocols: &'a [&'a str],
}

/// Whether the choice depends on the connection's first bytes.
pub(super) fn needs_first_bytes(listener: &Listener) -> bool {
    listener.filter_chains.iter().map(|chain| &chain.filter_chain_match).any(|conditions| {
        !conditions.server_names.is_empty()
            || conditions.transport_protocol.is_some()
            || !conditions.application_protocols.is_empty()
    })
}

/// Whether TLS may be passed on as it is.
pub(super) fn may_pass_tls_on(listener: &Listener) -> bool {
    let mut chains = listener.filter_chains.iter().chain(&listener.default_filter_chain);
    chains.any(|chain| chain.tls.is_none() && chain.tcp_proxy.is_some())
}

/// The index of the filter chain that serves the connection; `Some(None)` is the default one, `None` no chain.
///
/// Steps in Envoy's order, each keeping the most specific candidates only. There is no way back: chains
/// for the right port hide those for any port even if a later step leaves none of them.
#[must_use]
pub fn choose(listener: &Listener, facts: &ConnectionFacts<'_>) -> Option<Option<usize>> {
    let conditions = |index: &usize| &listener.filter_chains[*index].filter_chain_match;
    let mut candidates: Vec<usize> = (0..listener.filter_chains.len()).collect();
    let local_port = facts.local_address.map(|address| address.port());
    keep_best(&mut candidates, |index| option_rank(conditions(index).destination_port, local_port));
    keep_best(&mut candidates, |index| {
        range_rank(&conditions(index).prefix_ranges, facts.local_address.map(|address| address.ip()))
    });
    keep_best(&mut candidates, |index| server_name_rank(conditions(index), facts.server_name));
    let transport = if facts.tls { TransportProtocol::Tls } else { TransportProtocol::RawBuffer };
    keep_best(&mut candidates, |index| option_rank(conditions(index).transport_protocol, Some(transport)));
    keep_best(&mut candidates, |index| {
        application_protocol_rank(conditions(index), facts.application_protocols)
    });
    let source = facts.remote_address;
    keep_best(&mut candidates, |index| {
        range_rank(&conditions(index).source_prefix_ranges, source.map(|address| address.ip()))
    });
    keep_best(&mut candidates, |index| {
        let ports = &conditions(index).source_ports;
        match source {
            _ if ports.is_empty() => Some(0),
            Some(source) if ports.contains(&source.port()) => Some(1),
            _ => None,
        }
    });
    match candidates.first() {
        Some(index) => Some(Some(*index)),
        None => listener.default_filter_chain.as_ref().map(|_: &FilterChain| None),
    }
}

/// Keeps the candidates of the highest rank; those without a rank do not match.
fn keep_best(candidates: &mut Vec<usize>, rank: impl Fn(&usize) -> Option<usize>) {
    let best = candidates.iter().filter_map(&rank).max();
    candidates.retain(|index| best.is_some() && rank(index) == best);
}

fn option_rank<T: PartialEq + Copy>(wanted: Option<T>, actual: Option<T>) -> Option<usize> {
    match wanted {
        None => Some(0),
        wanted if wanted == actual => Some(1),
        Some(_) => None,
    }
}

fn range_rank(ranges: &[IpNet], address: Option<IpAddr>) -> Option<usize> {
    if ranges.is_empty() {
        return Some(0);
    }
    let address = address?.to_canonical();
    let matching = ranges.iter().filter(|range| range.contains(&address));
    matching.map(|range| usize::from(range.prefix_len()) + 1).max()
}

fn server_name_rank(conditions: &FilterChainMatch, server_name: Option<&str>) -> Option<usize> {
    if conditions.server_names.is_empty() {
        return Some(0);
    }
    let server_name = server_name?;
    let ranks = conditions.server_names.iter().filter_map(|wanted| {
        if wanted == server_name {
            return Some(usize::MAX);
        }
        let suffix = wanted.strip_prefix('*')?;
        (server_name.len() > suffix.len() && server_name.ends_with(suffix)).then_some(suffix.len())
    });
    ranks.max()
}

fn application_protocol_rank(conditions: &FilterChainMatch, offered: &[&str]) -> Option<usize> {
    if conditions.application_protocols.is_empty() {
        return Some(0);
    }
    let first = offered
        .iter()
        .position(|protocol| conditions.application_protocols.iter().any(|wanted| wanted == protocol))?;
    Some(offered.len() - first)
}
