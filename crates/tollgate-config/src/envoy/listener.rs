//! Listeners and filter chains (dialects 5.3).

use std::{collections::HashSet, sync::Arc, time::Duration};

use ipnet::IpNet;
use tollgate_model::listener::{
    BindAddress, FilterChain, FilterChainMatch, Listener, TrafficDirection, TransportProtocol,
};

use super::{
    Scope,
    address::{ip, read_bind_address},
    http_connection_manager::{self, read_http_connection_manager},
    metadata::read_metadata,
    tls::read_downstream_transport_socket,
};
use crate::protobuf::{Enumeration, Message, Schema, Value, no_effect, read, refused};

const ONE_LISTENER: &str = "every worker has a listening socket of its own (SO_REUSEPORT)";

pub(super) static LISTENER: Schema = Schema {
    name: "envoy.config.listener.v3.Listener",
    title: "",
    fields: &[
        read("name", "the address", "Unique name."),
        read("address", "", "Where connections are accepted. Required."),
        read("additional_addresses", "[]", "Further addresses."),
        read("filter_chains", "[]", "Candidates for a connection; the most specific match wins."),
        read(
            "default_filter_chain",
            "",
            "Used when no filter chain matches; without it the connection is closed.",
        ),
        read(
            "per_connection_buffer_limit_bytes",
            "1048576",
            "Limit of buffered bodies and of what is read ahead, in bytes.",
        ),
        read(
            "listener_filters",
            "[]",
            "tls_inspector and http_inspector are accepted; what they find out is found out whenever it is needed.",
        ),
        read(
            "listener_filters_timeout",
            "15s",
            "How long the first bytes of a connection may take when they are needed; 0 = no limit.",
        ),
        read("bind_to_port", "true", "Only true."),
        read("stat_prefix", "the address", "Accepted; metrics are kept by the listener's name."),
        no_effect("enable_reuse_port", ONE_LISTENER),
        no_effect("reuse_port", ONE_LISTENER),
        no_effect("connection_balance_config", "connections are always balanced over the workers"),
        read("traffic_direction", "UNSPECIFIED", "INBOUND or OUTBOUND (attribute `xds.listener_direction`)."),
        read("metadata", "{}", "Metadata (attribute `xds.listener_metadata`)."),
        no_effect("tcp_backlog_size", "the system's largest backlog is used"),
        no_effect("max_connections_to_accept_per_socket_event", "accepting is fair without it"),
        no_effect("ignore_global_conn_limit", "there is no such limit"),
        no_effect("bypass_overload_manager", "there is no overload manager"),
        refused("use_original_dst", "connections are served by the listener that accepts them"),
        refused("transparent", "only ordinary sockets are supported"),
        refused("udp_listener_config", "only TCP is served"),
        refused("api_listener", "give the listener an address"),
        refused("internal_listener", "give the listener an address"),
        refused("access_log", "use access_log of the HTTP connection manager"),
        refused("filter_chain_matcher", "use filter_chain_match of the filter chains"),
    ],
    unsupported: &[
        "stats_matcher",
        "fcds_config",
        "per_connection_buffer_high_watermark_timeout",
        "deprecated_v1",
        "drain_type",
        "continue_on_listener_filters_timeout",
        "freebind",
        "socket_options",
        "tcp_fast_open_queue_length",
        "enable_mptcp",
        "tcp_keepalive",
    ],
};

pub(super) static ADDITIONAL_ADDRESS: Schema = Schema {
    name: "envoy.config.listener.v3.AdditionalAddress",
    title: "",
    fields: &[read("address", "", "Where connections are accepted. Required.")],
    unsupported: &["socket_options", "tcp_keepalive"],
};

pub(super) static LISTENER_FILTER: Schema = Schema {
    name: "envoy.config.listener.v3.ListenerFilter",
    title: "",
    fields: &[
        read("name", "", "Any name."),
        read("typed_config", "", "TlsInspector or HttpInspector. Required."),
        refused("config_discovery", "write the filter itself"),
    ],
    unsupported: &["filter_disabled"],
};

pub(super) static TLS_INSPECTOR: Schema = Schema {
    name: "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
    title: "",
    fields: &[
        no_effect("initial_read_buffer_size", "the ClientHello is read as it comes"),
        no_effect("max_client_hello_size", "the limit is the largest TLS record"),
    ],
    unsupported: &[
        "enable_ja3_fingerprinting",
        "enable_ja4_fingerprinting",
        "close_connection_on_client_hello_parsing_errors",
    ],
};

pub(super) static HTTP_INSPECTOR: Schema = Schema {
    name: "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector",
    title: "",
    fields: &[],
    unsupported: &[],
};

pub(super) static FILTER_CHAIN: Schema = Schema {
    name: "envoy.config.listener.v3.FilterChain",
    title: "",
    fields: &[
        read("name", "", "Name of the chain."),
        read("filter_chain_match", "{}", "Which connections it serves."),
        read("filters", "", "Exactly one: the HTTP connection manager. Required."),
        read("transport_socket", "raw_buffer", "TLS (DownstreamTlsContext) or raw_buffer."),
        read(
            "transport_socket_connect_timeout",
            "none",
            "How long the TLS handshake may take; 0 = no limit.",
        ),
        no_effect("metadata", "nothing reads it"),
        refused("use_proxy_proto", "the PROXY protocol is not read"),
    ],
    unsupported: &[],
};

pub(super) static FILTER_CHAIN_MATCH: Schema = Schema {
    name: "envoy.config.listener.v3.FilterChainMatch",
    title: "",
    fields: &[
        read("destination_port", "any", "Local port, 1 to 65535."),
        read("prefix_ranges", "any", "Local address."),
        read("server_names", "any", "SNI: a name or `*.suffix`."),
        read("transport_protocol", "any", "`tls` or `raw_buffer`."),
        read("application_protocols", "any", "ALPN protocols of the ClientHello; one has to be among them."),
        read("source_prefix_ranges", "any", "Address of the client."),
        read("source_ports", "any", "Port of the client."),
        refused("source_type", "use source_prefix_ranges"),
        refused("direct_source_prefix_ranges", "use source_prefix_ranges"),
    ],
    unsupported: &["address_suffix", "suffix_len"],
};

pub(super) static CIDR_RANGE: Schema = Schema {
    name: "envoy.config.core.v3.CidrRange",
    title: "",
    fields: &[
        read("address_prefix", "", "IP address. Required."),
        read("prefix_len", "0", "Bits that have to be equal."),
    ],
    unsupported: &[],
};

pub(super) static FILTER: Schema = Schema {
    name: "envoy.config.listener.v3.Filter",
    title: "",
    fields: &[
        read("name", "", "Any name. Required."),
        read("typed_config", "", "HttpConnectionManager. Required."),
        refused("config_discovery", "write the filter itself"),
    ],
    unsupported: &[],
};

/// The schemas of this module.
pub(super) static SCHEMAS: [&Schema; 9] = [
    &LISTENER,
    &ADDITIONAL_ADDRESS,
    &LISTENER_FILTER,
    &TLS_INSPECTOR,
    &HTTP_INSPECTOR,
    &FILTER_CHAIN,
    &FILTER_CHAIN_MATCH,
    &CIDR_RANGE,
    &FILTER,
];

static TRAFFIC_DIRECTION: Enumeration<TrafficDirection> = Enumeration {
    values: &[
        ("UNSPECIFIED", 0, Some(TrafficDirection::Unspecified)),
        ("INBOUND", 1, Some(TrafficDirection::Inbound)),
        ("OUTBOUND", 2, Some(TrafficDirection::Outbound)),
    ],
};

/// Default of `per_connection_buffer_limit_bytes`, for listeners and clusters.
pub(super) const BUFFER_LIMIT: u32 = 1024 * 1024;

/// Reads a listener; `index` names it when nothing else does.
pub(super) fn read_listener(value: &Value<'_>, index: usize, scope: &Scope) -> Option<Listener> {
    let message = value.message(&LISTENER)?;
    let mut addresses: Vec<BindAddress> =
        message.required("address").and_then(|address| read_bind_address(&address)).into_iter().collect();
    for additional in message.list("additional_addresses") {
        let Some(additional) = additional.message(&ADDITIONAL_ADDRESS) else { continue };
        addresses.extend(additional.required("address").and_then(|address| read_bind_address(&address)));
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
    for filter in message.list("listener_filters") {
        read_listener_filter(&filter);
    }
    let chains = message.list("filter_chains");
    let default = message.get("default_filter_chain");
    if chains.is_empty() && default.is_none() {
        value.error("a listener needs a filter chain");
    }
    let filter_chains: Vec<FilterChain> =
        chains.iter().filter_map(|chain| read_filter_chain(chain, false, scope)).collect();
    check_overlap(&chains, &filter_chains);
    Some(Listener {
        name,
        addresses,
        filter_chains,
        default_filter_chain: default.and_then(|chain| read_filter_chain(&chain, true, scope)),
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
    })
}

/// No connection may be served by two chains that are equally specific: every combination of conditions is unique.
fn check_overlap(values: &[Value<'_>], chains: &[FilterChain]) {
    if values.len() != chains.len() {
        // Something in them is wrong and reported.
        return;
    }
    let mut seen = HashSet::new();
    for (value, chain) in values.iter().zip(chains) {
        for combination in combinations(&chain.filter_chain_match) {
            if seen.len() > MAX_COMBINATIONS {
                value.error(format!(
                    "the filter chains have more than {MAX_COMBINATIONS} combinations of conditions"
                ));
                return;
            }
            if !seen.insert(combination) {
                value.error(
                    "a combination of its filter_chain_match is given twice, here or in a chain before",
                );
                break;
            }
        }
    }
}

/// Most combinations of conditions of a listener.
const MAX_COMBINATIONS: usize = 100_000;

/// Every combination of the alternatives of a match, one of each condition.
fn combinations(conditions: &FilterChainMatch) -> impl Iterator<Item = FilterChainMatch> {
    let mut all = vec![FilterChainMatch {
        destination_port: conditions.destination_port,
        transport_protocol: conditions.transport_protocol,
        ..FilterChainMatch::default()
    }];
    multiply(&mut all, &conditions.prefix_ranges, |one| &mut one.prefix_ranges);
    multiply(&mut all, &conditions.server_names, |one| &mut one.server_names);
    multiply(&mut all, &conditions.application_protocols, |one| &mut one.application_protocols);
    multiply(&mut all, &conditions.source_prefix_ranges, |one| &mut one.source_prefix_ranges);
    multiply(&mut all, &conditions.source_ports, |one| &mut one.source_ports);
    all.into_iter()
}

fn multiply<T: Clone>(
    all: &mut Vec<FilterChainMatch>,
    alternatives: &[T],
    field: impl Fn(&mut FilterChainMatch) -> &mut Vec<T>,
) {
    if alternatives.is_empty() || all.len().saturating_mul(alternatives.len()) > 2 * MAX_COMBINATIONS {
        return;
    }
    *all = std::mem::take(all)
        .iter()
        .flat_map(|one| {
            alternatives.iter().map(|alternative| {
                let mut one = one.clone();
                field(&mut one).push(alternative.clone());
                one
            })
        })
        .collect();
}

fn read_listener_filter(value: &Value<'_>) {
    let Some(message) = value.message(&LISTENER_FILTER) else { return };
    message.string("name");
    let Some(any) = message.required("typed_config").and_then(|config| config.any()) else { return };
    let supported = [TLS_INSPECTOR.name, HTTP_INSPECTOR.name];
    match any.type_name.as_str() {
        name if name == TLS_INSPECTOR.name => drop(any.value.message(&TLS_INSPECTOR)),
        name if name == HTTP_INSPECTOR.name => drop(any.value.message(&HTTP_INSPECTOR)),
        _ => any.unsupported("listener filter", &supported),
    }
}

fn read_filter_chain(value: &Value<'_>, is_default: bool, scope: &Scope) -> Option<FilterChain> {
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
        second.error("a filter chain has exactly one filter, the HTTP connection manager");
    } else if filters.is_empty() {
        value.error("\"filters\" is missing: the HTTP connection manager");
    }
    let http = filters.first().and_then(|filter| read_network_filter(filter, scope));
    let tls = message.get("transport_socket").and_then(|socket| read_downstream_transport_socket(&socket));
    Some(FilterChain {
        name: message.string("name"),
        filter_chain_match,
        tls: tls.map(Arc::new),
        transport_socket_connect_timeout: message.timeout("transport_socket_connect_timeout", None),
        http: Arc::new(http?),
    })
}

fn read_network_filter(
    value: &Value<'_>,
    scope: &Scope,
) -> Option<tollgate_model::http_connection_manager::HttpConnectionManager> {
    let message = value.message(&FILTER)?;
    message.required_string("name");
    let any = message.required("typed_config")?.any()?;
    let name = http_connection_manager::HTTP_CONNECTION_MANAGER.name;
    if any.type_name != name {
        any.unsupported("network filter", &[name]);
        return None;
    }
    read_http_connection_manager(&any.value, scope)
}

fn read_filter_chain_match(value: &Value<'_>) -> Option<FilterChainMatch> {
    let message = value.message(&FILTER_CHAIN_MATCH)?;
    let transport_protocol =
        message.get("transport_protocol").and_then(|protocol| match protocol.string()?.as_str() {
            "" => None,
            "tls" => Some(TransportProtocol::Tls),
            "raw_buffer" => Some(TransportProtocol::RawBuffer),
            other => {
                protocol.error_with_help(
                    format!("unknown transport protocol \"{other}\""),
                    "supported: tls, raw_buffer",
                );
                None
            }
        });
    Some(FilterChainMatch {
        destination_port: message.get("destination_port").and_then(|port| port.port(1)),
        prefix_ranges: read_ranges(&message, "prefix_ranges"),
        server_names: message.list("server_names").iter().filter_map(read_server_name).collect(),
        transport_protocol,
        application_protocols: message.strings("application_protocols"),
        source_prefix_ranges: read_ranges(&message, "source_prefix_ranges"),
        source_ports: message.list("source_ports").iter().filter_map(|port| port.port(1)).collect(),
    })
}

fn read_server_name(value: &Value<'_>) -> Option<String> {
    let name = value.non_empty_string()?.to_ascii_lowercase();
    if name.strip_prefix("*.").unwrap_or(&name).contains('*') {
        value.error("a wildcard stands for the first labels: \"*.example.com\"");
        return None;
    }
    Some(name)
}

fn read_ranges(message: &Message<'_>, name: &'static str) -> Vec<IpNet> {
    message.list(name).iter().filter_map(read_range).collect()
}

fn read_range(value: &Value<'_>) -> Option<IpNet> {
    let message = value.message(&CIDR_RANGE)?;
    let address = ip(value, &message.required_string("address_prefix"))?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let length = message.get("prefix_len").map_or(Some(0), |length| length.integer(0..=longest))?;
    IpNet::new(address, u8::try_from(length).ok()?).ok().map(|range| range.trunc())
}
