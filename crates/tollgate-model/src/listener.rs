//! Listeners and the choice of a filter chain for a connection.

mod misdirected;

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use extproc::messages::Metadata;
use ipnet::IpNet;
use serde::Serialize;

pub use self::misdirected::{HostTable, MisdirectedRequests, ServedBy};
use crate::{
    access_log::AccessLog, http_connection_manager::HttpConnectionManager, socket::TcpOptions,
    tcp_proxy::TcpProxy, tls::DownstreamTls,
};

/// One listener: where to accept connections and what to do with them. `C` is a filter chain, compiled or as written.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Listener<C = FilterChain> {
    /// Unique name.
    pub name: String,
    /// Every address it is bound to (`address` and `additional_addresses`); never empty.
    pub addresses: Vec<BindAddress>,
    /// Candidate filter chains; the most specific match wins.
    pub filter_chains: Vec<C>,
    /// Used when no filter chain matches; without it such connections are closed.
    pub default_filter_chain: Option<C>,
    /// `per_connection_buffer_limit_bytes`: the limit of buffered bodies, in bytes. Default 1 MiB.
    pub per_connection_buffer_limit_bytes: usize,
    /// How long the first bytes (TLS ClientHello) may take. Default 15 s; `None` means no limit was asked for (0).
    pub listener_filters_timeout: Option<Duration>,
    /// Connections that were redirected here (by iptables) are served as if their client had reached the address it wanted.
    /// Default false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub original_dst: bool,
    /// Connections begin with the PROXY protocol, which names their client. Default `None`: they do not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_protocol: Option<ProxyProtocol>,
    /// What is noted of the hello of TLS clients. Default nothing.
    pub tls_fingerprints: TlsFingerprints,
    /// Settings of the connections. Default [`TcpOptions::DOWNSTREAM`].
    pub tcp: TcpOptions,
    /// How many connections there may be. Default: any number, counted by the limit of the process.
    pub limits: ConnectionLimits,
    /// Which way traffic goes (attribute `xds.listener_direction`). Default unspecified.
    pub traffic_direction: TrafficDirection,
    /// Static metadata (attribute `xds.listener_metadata`); empty by default.
    #[serde(serialize_with = "crate::metadata::serialize")]
    pub metadata: Metadata,
    /// Logs with a line for each connection that has ended. Default none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub access_log: Vec<Arc<AccessLog>>,
}

/// How connections begin with the PROXY protocol.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ProxyProtocol {
    /// Connections may begin without it. Default false: they are closed.
    pub allow_without: bool,
    /// The first version is not read: such connections are closed.
    pub disallow_v1: bool,
    /// The second version is not read.
    pub disallow_v2: bool,
}

/// How many connections a listener may have at a time. Further ones are closed as soon as they are accepted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ConnectionLimits {
    /// Most connections, all workers together. `None` = no limit of its own.
    pub max_connections: Option<u64>,
    /// `ignore_global_conn_limit`: they do not count for the limit of the process. Default false.
    pub ignore_global_limit: bool,
    /// `bypass_overload_manager`: no overload action concerns them. Default false.
    pub bypass_overload_manager: bool,
}

/// Which way the traffic of a listener goes; the numbers are those of the attribute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[repr(i32)]
pub enum TrafficDirection {
    /// Not said.
    #[default]
    Unspecified = 0,
    /// Into the mesh or the host.
    Inbound = 1,
    /// Out of it.
    Outbound = 2,
}

/// Where a listener accepts connections.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub enum BindAddress {
    /// TCP.
    Socket(SocketAddr),
    /// A Unix socket, created with the given file mode.
    Pipe {
        /// File system path.
        path: PathBuf,
        /// Permission bits; `None` leaves the process default.
        mode: Option<u32>,
    },
}

/// What serves a connection: TLS (or not) and the HTTP connection manager, compiled or as written.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FilterChain<T = DownstreamTls, H = HttpConnectionManager> {
    /// Optional name (attribute `xds.filter_chain_name`).
    pub name: String,
    /// Static metadata (`%METADATA(LISTENER_FILTER_CHAIN:...)%`); empty by default.
    #[serde(
        skip_serializing_if = "crate::metadata::is_empty",
        serialize_with = "crate::metadata::serialize"
    )]
    pub metadata: Metadata,
    /// When it applies.
    pub filter_chain_match: FilterChainMatch,
    /// TLS termination; `None` is cleartext.
    pub tls: Option<Arc<T>>,
    /// `transport_socket_connect_timeout`: how long the TLS handshake may take; `None` = no limit of its own.
    pub transport_socket_connect_timeout: Option<Duration>,
    /// The HTTP side. Nothing but defaults where connections are passed on as they are.
    pub http: Arc<H>,
    /// Connections are passed on as they are: no HTTP is spoken. Default `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp_proxy: Option<Arc<TcpProxy>>,
    /// Requests on TLS connections that are not for this filter chain. Default none.
    pub misdirected_requests: MisdirectedRequests,
}

impl FilterChain {
    /// Its access logs: those of requests, and of connections that are passed on as they are.
    pub fn access_logs(&self) -> impl Iterator<Item = &Arc<AccessLog>> {
        let of_proxy = self.tcp_proxy.iter().flat_map(|proxy| &proxy.access_log);
        self.http.access_log.iter().chain(of_proxy)
    }
}

/// Conditions on a connection; empty lists match everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize)]
pub struct FilterChainMatch {
    /// Local port.
    pub destination_port: Option<u16>,
    /// Local address.
    pub prefix_ranges: Vec<IpNet>,
    /// SNI: exact or `*.suffix`, lower case.
    pub server_names: Vec<String>,
    /// `tls` or `raw_buffer`.
    pub transport_protocol: Option<TransportProtocol>,
    /// ALPN values of the ClientHello.
    pub application_protocols: Vec<String>,
    /// Source address.
    pub source_prefix_ranges: Vec<IpNet>,
    /// Source port.
    pub source_ports: Vec<u16>,
}

/// What the first bytes of a connection are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TransportProtocol {
    /// A TLS ClientHello.
    Tls,
    /// Anything else.
    RawBuffer,
}

/// Which fingerprints of the hello of TLS clients are taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct TlsFingerprints {
    /// JA3.
    pub ja3: bool,
    /// JA4.
    pub ja4: bool,
}

impl TlsFingerprints {
    /// Whether any is taken.
    #[must_use]
    pub const fn any(self) -> bool {
        self.ja3 || self.ja4
    }
}
