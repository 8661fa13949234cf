//! Clusters: groups of endpoints and how to reach them.

use std::{convert::Infallible, fmt, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use extproc::messages::Metadata;
use serde::Serialize;

mod consistent_hash;
mod dynamic_forward_proxy;
mod health_check;
mod load_balancing;
mod locality;
mod original_dst;
mod outlier_detection;
mod override_host;
mod subset;
mod transport_socket_match;

pub use self::{
    consistent_hash::{HashFunction, HashKey, Maglev, RingHash},
    dynamic_forward_proxy::{DnsCache, HostLookup, HostOverride},
    health_check::{GrpcHealthCheck, HealthCheck, HealthChecker, HttpHealthCheck, TcpHealthCheck},
    load_balancing::{LbPolicy, LeastRequest, SlowStart},
    locality::Locality,
    original_dst::OriginalDst,
    outlier_detection::{FailurePercentage, OutlierDetection, SuccessRate},
    override_host::{OverrideHost, OverrideHostSource},
    subset::{FALLBACK_LIST, SUBSET_NAMESPACE, SelectorFallback, SubsetFallback, SubsetSelector, Subsets},
    transport_socket_match::{TRANSPORT_SOCKET_MATCH, TransportSocketMatch},
};
use crate::{http_connection_manager::Http2Options, socket::TcpOptions, tls::UpstreamTls};

/// A group of endpoints. Defaults are Envoy's.
///
/// `T` is TLS, ready for connections or as written. `E` are the endpoints, or nothing where they stand elsewhere.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cluster<T = UpstreamTls, E = Arc<[Endpoint]>> {
    /// Unique name.
    pub name: String,
    /// What `%UPSTREAM_CLUSTER%` calls it. Default its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alt_stat_name: Option<String>,
    /// Where addresses come from.
    pub discovery: Discovery,
    /// The endpoints as configured.
    pub endpoints: E,
    /// How one is chosen.
    #[serde(serialize_with = "load_balancing::serialize")]
    pub lb_policy: LbPolicy,
    /// Whether endpoints take their share little by little, with [`LbPolicy::RoundRobin`] and [`LbPolicy::LeastRequest`].
    /// Default no.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slow_start: Option<SlowStart>,
    /// Localities have the shares that their weights say. Default false: where endpoints are does not count.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub locality_weighted: bool,
    /// Who may choose one before that policy does. Default nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub override_host: Option<OverrideHost>,
    /// What of them a request may have. Default all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subsets: Option<Subsets>,
    /// Time for TCP and TLS to be established. Default 5 s.
    pub connect_timeout: Duration,
    /// What is spoken.
    pub protocol: UpstreamProtocol,
    /// TLS; `None` is cleartext.
    pub tls: Option<Arc<T>>,
    /// What endpoints use instead that ask for it ([`Endpoint::transport_socket`]).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub transport_socket_matches: Vec<TransportSocketMatch<T>>,
    /// Settings of TCP connections. Default [`UpstreamProtocol::usual_tcp`].
    pub tcp: TcpOptions,
    /// Read/write buffer limit, bytes. Default 1 MiB.
    pub per_connection_buffer_limit_bytes: usize,
    /// Limits.
    pub circuit_breakers: CircuitBreakers,
    /// Which endpoints count as healthy, and what follows from it.
    pub health: HealthPolicy,
    /// Idle pooled connections are closed after this. Default 1 h; `None` = never.
    pub idle_timeout: Option<Duration>,
    /// Most requests on one connection. Default unlimited.
    pub max_requests_per_connection: Option<u32>,
    /// Static metadata (attribute `xds.cluster_metadata`, and what processors are told by
    /// `cluster_metadata_forwarding_namespaces`); empty by default.
    #[serde(serialize_with = "crate::metadata::serialize")]
    pub metadata: Metadata,
}

impl<T, E> Cluster<T, E> {
    /// A cluster with nothing but defaults, on cleartext HTTP/1.1.
    #[must_use]
    pub fn new(name: String, discovery: Discovery, endpoints: impl Into<E>) -> Self {
        Self {
            name,
            alt_stat_name: None,
            discovery,
            endpoints: endpoints.into(),
            lb_policy: LbPolicy::RoundRobin,
            slow_start: None,
            locality_weighted: false,
            override_host: None,
            subsets: None,
            connect_timeout: Duration::from_secs(5),
            protocol: UpstreamProtocol::Http1 { enable_trailers: false },
            tls: None,
            transport_socket_matches: Vec::new(),
            tcp: TcpOptions::UPSTREAM,
            per_connection_buffer_limit_bytes: 1024 * 1024,
            circuit_breakers: CircuitBreakers::default(),
            health: HealthPolicy::default(),
            idle_timeout: Some(Duration::from_secs(3600)),
            max_requests_per_connection: None,
            metadata: Metadata::default(),
        }
    }

    /// Its TLS, and that of endpoints that ask for it.
    pub fn all_tls(&self) -> impl Iterator<Item = &Arc<T>> {
        self.tls.iter().chain(self.transport_socket_matches.iter().filter_map(|one| one.tls.as_ref()))
    }

    /// The same with other TLS and other endpoints.
    ///
    /// # Errors
    /// What `tls` says.
    pub fn try_map<T2, E2, P>(
        self,
        mut tls: impl FnMut(Arc<T>) -> Result<Arc<T2>, P>,
        endpoints: impl FnOnce(E) -> E2,
    ) -> Result<Cluster<T2, E2>, P> {
        Ok(Cluster {
            name: self.name,
            alt_stat_name: self.alt_stat_name,
            discovery: self.discovery,
            endpoints: endpoints(self.endpoints),
            lb_policy: self.lb_policy,
            slow_start: self.slow_start,
            locality_weighted: self.locality_weighted,
            override_host: self.override_host,
            subsets: self.subsets,
            connect_timeout: self.connect_timeout,
            protocol: self.protocol,
            tls: self.tls.map(&mut tls).transpose()?,
            transport_socket_matches: self
                .transport_socket_matches
                .into_iter()
                .map(|one| one.try_map(&mut tls))
                .collect::<Result<_, _>>()?,
            tcp: self.tcp,
            per_connection_buffer_limit_bytes: self.per_connection_buffer_limit_bytes,
            circuit_breakers: self.circuit_breakers,
            health: self.health,
            idle_timeout: self.idle_timeout,
            max_requests_per_connection: self.max_requests_per_connection,
            metadata: self.metadata,
        })
    }
}

impl<T, E: Default> Cluster<T, E> {
    /// The cluster without its endpoints, and these.
    #[must_use]
    pub fn into_parts(self) -> (Cluster<T, ()>, E) {
        let mut endpoints = E::default();
        let Ok(bare) = self.try_map(Ok::<_, Infallible>, |own| endpoints = own);
        (bare, endpoints)
    }
}

impl<T: PartialEq, E> Cluster<T, E> {
    /// Whether `other` has other endpoints at most.
    #[must_use]
    pub fn is_same_but_for_endpoints(&self, other: &Self) -> bool {
        // Named one by one, so that none is forgotten.
        let Self {
            name,
            alt_stat_name,
            discovery,
            endpoints: _,
            lb_policy,
            slow_start,
            locality_weighted,
            override_host,
            subsets,
            connect_timeout,
            protocol,
            tls,
            transport_socket_matches,
            tcp,
            per_connection_buffer_limit_bytes,
            circuit_breakers,
            health,
            idle_timeout,
            max_requests_per_connection,
            metadata,
        } = self;
        *name == other.name
            && *alt_stat_name == other.alt_stat_name
            && *discovery == other.discovery
            && *lb_policy == other.lb_policy
            && *slow_start == other.slow_start
            && *locality_weighted == other.locality_weighted
            && *override_host == other.override_host
            && *subsets == other.subsets
            && *connect_timeout == other.connect_timeout
            && *protocol == other.protocol
            && *tls == other.tls
            && *transport_socket_matches == other.transport_socket_matches
            && *tcp == other.tcp
            && *per_connection_buffer_limit_bytes == other.per_connection_buffer_limit_bytes
            && *circuit_breakers == other.circuit_breakers
            && *health == other.health
            && *idle_timeout == other.idle_timeout
            && *max_requests_per_connection == other.max_requests_per_connection
            && *metadata == other.metadata
    }
}

/// Where addresses come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Discovery {
    /// Fixed addresses.
    Static,
    /// Every address DNS returns is an endpoint.
    StrictDns(Dns),
    /// One endpoint; each new connection uses the first address DNS returned last.
    LogicalDns(Dns),
    /// Every address that requests name, or that their clients wanted to connect to, is an endpoint.
    OriginalDst(OriginalDst),
    /// Endpoints are those of the clusters of these names, one cluster after the other. One that does not exist has none.
    Aggregate(Vec<String>),
    /// Every host that requests are for is an endpoint.
    DynamicForwardProxy(DnsCache),
}

impl Discovery {
    /// Whether it decides itself which endpoint a request has.
    #[must_use]
    pub fn chooses(&self) -> bool {
        matches!(self, Self::OriginalDst(_) | Self::Aggregate(_) | Self::DynamicForwardProxy(_))
    }
}

/// DNS settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Dns {
    /// How often names are looked up again. Default 5 s.
    pub refresh_rate: Duration,
    /// Use the answer's TTL instead when there is one. Default false.
    pub respect_dns_ttl: bool,
    /// Address families. Default auto.
    pub lookup_family: DnsLookupFamily,
    /// How soon a lookup that failed is repeated, if not as the gateway sees fit.
    pub failure_refresh: Option<DnsFailureRefresh>,
    /// Up to so much is added to `refresh_rate` at random. Default 0.
    pub jitter: Duration,
}

/// How soon a lookup that failed is repeated: after a random time, up to twice as long with each further failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct DnsFailureRefresh {
    /// The first time, at most.
    pub base_interval: Duration,
    /// Every time, at most.
    pub max_interval: Duration,
}

/// Address families to look up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DnsLookupFamily {
    /// IPv6, and IPv4 if there is none.
    Auto,
    /// IPv4 only.
    V4Only,
    /// IPv6 only.
    V6Only,
    /// IPv4, and IPv6 if there is none.
    V4Preferred,
    /// Both.
    All,
}

/// One endpoint.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Endpoint {
    /// Where.
    pub address: EndpointAddress,
    /// Host name for `auto_host_rewrite`; empty = none.
    pub hostname: String,
    /// Relative share, 1 or more. Default 1.
    pub weight: u32,
    /// Endpoints of the lowest number are used first, the others as far as those are not healthy. Default 0.
    pub priority: u32,
    /// Where it is; `None`: nobody says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locality: Option<Arc<Locality>>,
    /// What the configuration says of its health. Default healthy.
    #[serde(skip_serializing_if = "EndpointStatus::is_usual")]
    pub status: EndpointStatus,
    /// Where and how it is checked, if not where requests go.
    pub health_check: EndpointHealthCheck,
    /// Static metadata (attribute `xds.upstream_host_metadata`); empty by default.
    #[serde(serialize_with = "crate::metadata::serialize")]
    pub metadata: Metadata,
    /// Which of [`Cluster::transport_socket_matches`] it uses; `None` = the cluster's TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transport_socket: Option<usize>,
}

impl Endpoint {
    /// An endpoint with nothing but defaults.
    #[must_use]
    pub fn new(address: EndpointAddress) -> Self {
        Self {
            address,
            hostname: String::new(),
            weight: 1,
            priority: 0,
            locality: None,
            status: EndpointStatus::Healthy,
            health_check: EndpointHealthCheck::default(),
            metadata: Metadata::default(),
            transport_socket: None,
        }
    }
}

/// What the configuration says of an endpoint's health.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EndpointStatus {
    /// It is used, as long as nothing else speaks against it.
    #[default]
    Healthy,
    /// It is used when those that are healthy are not enough.
    Degraded,
    /// It is not used.
    Unhealthy,
}

impl EndpointStatus {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
    fn is_usual(&self) -> bool {
        *self == Self::Healthy
    }
}

/// What is different when an endpoint is checked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct EndpointHealthCheck {
    /// It is not checked, and counts as healthy as far as checks go. Default false.
    pub disabled: bool,
    /// Another port.
    pub port: Option<u16>,
    /// Another address.
    pub address: Option<SocketAddr>,
    /// The authority of HTTP and gRPC checks; empty = the check's own.
    pub hostname: String,
}

/// Where an endpoint is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub enum EndpointAddress {
    /// TCP address.
    Socket(SocketAddr),
    /// Unix socket.
    Pipe(PathBuf),
    /// A name to resolve.
    Dns {
        /// Host name.
        host: String,
        /// Port.
        port: u16,
    },
}

impl fmt::Display for EndpointAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(address) => write!(formatter, "{address}"),
            Self::Pipe(path) => write!(formatter, "{}", path.display()),
            Self::Dns { host, port } => write!(formatter, "{host}:{port}"),
        }
    }
}

/// What is spoken with endpoints.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum UpstreamProtocol {
    /// HTTP/1.1.
    Http1 {
        /// Pass trailers on. Default false (T-9).
        enable_trailers: bool,
    },
    /// HTTP/2, with prior knowledge on cleartext.
    Http2(Http2Options),
    /// What the endpoint chooses by ALPN; HTTP/1.1 where it chooses nothing.
    Negotiated(EitherVersion),
    /// What the client spoke; where there is no client HTTP/2 if it has settings, otherwise HTTP/1.1.
    OfClient(EitherVersion),
}

/// Settings where both versions of HTTP may be spoken.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EitherVersion {
    /// Pass trailers on in HTTP/1.1. Default false (T-9).
    pub enable_trailers: bool,
    /// Settings of HTTP/2; `None` = the defaults.
    pub http2: Option<Http2Options>,
}

impl UpstreamProtocol {
    /// What TLS offers where its context names nothing, best first. Nothing where that depends on the request.
    #[must_use]
    pub fn alpn(&self) -> &'static [&'static str] {
        match self {
            Self::Http1 { .. } => &["http/1.1"],
            Self::Http2(_) => &["h2"],
            Self::Negotiated(_) => &["h2", "http/1.1"],
            Self::OfClient(_) => &[],
        }
    }

    /// Whether requests that no client has made are HTTP/2, or may be.
    #[must_use]
    pub fn speaks_http2(&self) -> bool {
        match self {
            Self::Http1 { .. } => false,
            Self::Http2(_) | Self::Negotiated(_) => true,
            Self::OfClient(either) => either.http2.is_some(),
        }
    }

    /// The settings of HTTP/2, if something is said about them.
    #[must_use]
    pub fn http2_options(&self) -> Option<&Http2Options> {
        match self {
            Self::Http1 { .. } => None,
            Self::Http2(options) => Some(options),
            Self::Negotiated(either) | Self::OfClient(either) => either.http2.as_ref(),
        }
    }

    /// Whether trailers are passed on in HTTP/1.1.
    #[must_use]
    pub fn enables_trailers(&self) -> bool {
        match self {
            Self::Http1 { enable_trailers } => *enable_trailers,
            Self::Http2(_) => false,
            Self::Negotiated(either) | Self::OfClient(either) => either.enable_trailers,
        }
    }

    /// The settings of TCP connections where nothing is said about them.
    #[must_use]
    pub fn usual_tcp(&self) -> TcpOptions {
        match self {
            Self::Http1 { .. } => TcpOptions::UPSTREAM,
            Self::Http2(_) | Self::Negotiated(_) | Self::OfClient(_) => TcpOptions::HTTP2_UPSTREAM,
        }
    }
}

/// Limits of a cluster (per gateway, not per worker, as Envoy's are).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CircuitBreakers {
    /// Connections. Default 1024.
    pub max_connections: u32,
    /// Requests that wait for a connection. Default 1024.
    pub max_pending_requests: u32,
    /// Requests under way. Default 1024.
    pub max_requests: u32,
    /// Retries under way. Default 3.
    pub max_retries: u32,
    /// Retries in proportion to requests, instead of `max_retries`. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_budget: Option<RetryBudget>,
}

/// How many retries may be under way, in proportion to requests.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RetryBudget {
    /// Percentage of the requests that are under way or wait for a connection. Default 20.
    pub percent: f64,
    /// Retries that may be under way in any case. Default 3.
    pub min_retry_concurrency: u32,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self { percent: 20.0, min_retry_concurrency: 3 }
    }
}

impl Default for CircuitBreakers {
    fn default() -> Self {
        Self {
            max_connections: 1024,
            max_pending_requests: 1024,
            max_requests: 1024,
            max_retries: 3,
            retry_budget: None,
        }
    }
}

/// Which endpoints count as healthy, and what follows from it. By default all do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HealthPolicy {
    /// Asked by ourselves: an endpoint is healthy while every check says so.
    pub health_checks: Vec<HealthCheck>,
    /// Seen on requests: endpoints that fail too often are left out for a while. `None` = off.
    pub outlier_detection: Option<OutlierDetection>,
    /// Percentage of healthy endpoints of a priority below which all of them are used, healthy or not. Default 50; 0 =
    /// never.
    pub healthy_panic_threshold: f64,
    /// The percentage of healthy endpoints of a priority times this (in hundredths) is the share of traffic it can take;
    /// what remains goes to the next priority. Default 140, 100 or more.
    pub overprovisioning_factor: u32,
    /// An endpoint counts for nothing before its first check. Default false: it counts as unhealthy.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ignore_new_hosts_until_first_check: bool,
}

impl Default for HealthPolicy {
    fn default() -> Self {
        Self {
            health_checks: Vec::new(),
            outlier_detection: None,
            healthy_panic_threshold: 50.0,
            overprovisioning_factor: 140,
            ignore_new_hosts_until_first_check: false,
        }
    }
}
