//! The messages of listeners.

use crate::schema::{Schema, harmless, read, refused, unimplemented};

/// The schemas of this module.
pub(in crate::envoy) static SCHEMAS: [&Schema; 11] = [
    &LISTENER,
    &ADDITIONAL_ADDRESS,
    &LISTENER_FILTER,
    &TLS_INSPECTOR,
    &HTTP_INSPECTOR,
    &ORIGINAL_DST,
    &PROXY_PROTOCOL,
    &FILTER_CHAIN,
    &FILTER_CHAIN_MATCH,
    &CIDR_RANGE,
    &FILTER,
];

const ONE_LISTENER: &str = "every worker has a listening socket of its own (SO_REUSEPORT)";

pub(in crate::envoy) static LISTENER: Schema = Schema {
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
            "original_dst; tls_inspector and http_inspector, which find out what is found out whenever it is needed.",
        ),
        read(
            "listener_filters_timeout",
            "15s",
            "How long the first bytes of a connection may take when they are needed; 0 = no limit.",
        ),
        read("bind_to_port", "true", "Only true."),
        read("stat_prefix", "the address", "Accepted; metrics are kept by the listener's name."),
        harmless("enable_reuse_port", ONE_LISTENER),
        harmless("reuse_port", ONE_LISTENER),
        harmless("connection_balance_config", "connections are always balanced over the workers"),
        read("traffic_direction", "UNSPECIFIED", "INBOUND or OUTBOUND (attribute `xds.listener_direction`)."),
        read("metadata", "{}", "Metadata (attribute `xds.listener_metadata`)."),
        harmless("tcp_backlog_size", "the system's largest backlog is used"),
        harmless("max_connections_to_accept_per_socket_event", "accepting is fair without it"),
        read(
            "ignore_global_conn_limit",
            "false",
            "Its connections do not count for the limit of the process.",
        ),
        read("bypass_overload_manager", "false", "No overload action concerns its connections."),
        refused(
            "use_original_dst",
            "use the listener filter original_dst: connections are served by the listener that accepts them",
        ),
        read("tcp_keepalive", "60 s, then 4 probes every 15 s", "Probes of connections without traffic."),
        read("socket_options", "[]", "Settings of the connections."),
        refused("transparent", "only ordinary sockets are supported"),
        refused("udp_listener_config", "only TCP is served"),
        refused("api_listener", "give the listener an address"),
        refused("internal_listener", "give the listener an address"),
        read("access_log", "[]", "A line for each connection that has ended."),
        refused("filter_chain_matcher", "use filter_chain_match of the filter chains"),
        harmless("stats_matcher", "metrics are always on"),
        harmless("drain_type", "listeners drain when they change or the process ends"),
        unimplemented(
            "continue_on_listener_filters_timeout",
            "connections of which nothing is known in time are closed",
        ),
        harmless("tcp_fast_open_queue_length", "it only saves a round trip"),
        unimplemented("enable_mptcp", "connections are plain TCP"),
    ],
    unsupported: &[
        "fcds_config",
        "per_connection_buffer_high_watermark_timeout",
        "deprecated_v1",
        "freebind",
    ],
};

pub(in crate::envoy) static ADDITIONAL_ADDRESS: Schema = Schema {
    name: "envoy.config.listener.v3.AdditionalAddress",
    title: "",
    fields: &[read("address", "", "Where connections are accepted. Required.")],
    unsupported: &["socket_options", "tcp_keepalive"],
};

pub(in crate::envoy) static LISTENER_FILTER: Schema = Schema {
    name: "envoy.config.listener.v3.ListenerFilter",
    title: "",
    fields: &[
        read("name", "", "Any name."),
        read("typed_config", "", "OriginalDst, ProxyProtocol, TlsInspector or HttpInspector. Required."),
        refused("config_discovery", "write the filter itself"),
    ],
    unsupported: &["filter_disabled"],
};

pub(in crate::envoy) static TLS_INSPECTOR: Schema = Schema {
    name: "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
    title: "",
    fields: &[
        read("enable_ja3_fingerprinting", "false", "The operator TLS_JA3_FINGERPRINT has a value."),
        read("enable_ja4_fingerprinting", "false", "The operator TLS_JA4_FINGERPRINT has a value."),
        harmless("initial_read_buffer_size", "the ClientHello is read as it comes"),
        harmless("max_client_hello_size", "the limit is the largest TLS record"),
    ],
    unsupported: &["close_connection_on_client_hello_parsing_errors"],
};

pub(in crate::envoy) static HTTP_INSPECTOR: Schema = Schema {
    name: "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector",
    title: "",
    fields: &[],
    unsupported: &[],
};

pub(in crate::envoy) static ORIGINAL_DST: Schema = Schema {
    name: "envoy.extensions.filters.listener.original_dst.v3.OriginalDst",
    title: "",
    fields: &[],
    unsupported: &[],
};

pub(in crate::envoy) static PROXY_PROTOCOL: Schema = Schema {
    name: "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol",
    title: "",
    fields: &[
        read(
            "allow_requests_without_proxy_protocol",
            "false",
            "Connections may begin without it; else they are closed.",
        ),
        read("disallowed_versions", "[]", "V1, V2: connections that begin with such a version are closed."),
        unimplemented("pass_through_tlvs", "what stands behind the addresses is not read"),
        harmless("stat_prefix", "what fails is counted by listener"),
        refused("rules", "what stands behind the addresses is not read"),
        harmless("tlv_location", "what stands behind the addresses is not read"),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static FILTER_CHAIN: Schema = Schema {
    name: "envoy.config.listener.v3.FilterChain",
    title: "",
    fields: &[
        read("name", "", "Name of the chain."),
        read("filter_chain_match", "{}", "Which connections it serves."),
        read("filters", "", "Exactly one: the HTTP connection manager or tcp_proxy. Required."),
        read("transport_socket", "raw_buffer", "TLS (DownstreamTlsContext) or raw_buffer."),
        read("transport_socket_connect_timeout", "15s", "How long the TLS handshake may take; 0 = no limit."),
        read("metadata", "{}", "Metadata (`%METADATA(LISTENER_FILTER_CHAIN:...)%`)."),
        refused("use_proxy_proto", "the PROXY protocol is not read"),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static FILTER_CHAIN_MATCH: Schema = Schema {
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

pub(in crate::envoy) static CIDR_RANGE: Schema = Schema {
    name: "envoy.config.core.v3.CidrRange",
    title: "",
    fields: &[
        read("address_prefix", "", "IP address. Required."),
        read("prefix_len", "0", "Bits that have to be equal."),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static FILTER: Schema = Schema {
    name: "envoy.config.listener.v3.Filter",
    title: "",
    fields: &[
        read("name", "", "Any name. Required."),
        read("typed_config", "", "HttpConnectionManager or TcpProxy. Required."),
        refused("config_discovery", "write the filter itself"),
    ],
    unsupported: &[],
};
