//! One cluster as all workers share it.

use std::sync::{Arc, OnceLock};

use rustls::ClientConfig;
use tokio::runtime::Handle;
use tollgate_model::{
    cluster::{Cluster, Discovery, Endpoint, EndpointAddress, UpstreamProtocol},
    socket::TcpOptions,
    tls::UpstreamTls,
};

use crate::id::Id;
use crate::stats::{ClusterMetric, Metrics, WorkerStats};
use crate::upstream::{
    cluster::{
        address::Address,
        circuit_breaker::CircuitBreakerCounts,
        dns::{Addresses, Resolver, WhenGone},
        forwarded::Names,
    },
    health::{ClusterHealth, Watched, WatchedEndpoint},
    pool::connect::{DialTarget, Dialer},
};

const ALPN_HTTP2: &[u8] = b"h2";
const ALPN_HTTP1: &[u8] = b"http/1.1";
/// Most bytes of a request that are queued before its sender pauses, whatever larger limit is configured.
const MAX_WATERMARK: usize = 128 * 1024;

/// Which cluster it is; one whose configuration changes is another one.
pub(in crate::upstream) type ClusterId = Id<SharedCluster>;

/// One cluster as all workers share it.
#[derive(Debug)]
pub(in crate::upstream) struct SharedCluster {
    /// Its number.
    pub(in crate::upstream) id: ClusterId,
    /// What was configured.
    pub(in crate::upstream) cluster: Arc<Cluster>,
    /// Its name, for logs.
    pub(in crate::upstream) name: Arc<str>,
    /// Circuit breakers.
    pub(in crate::upstream) counts: CircuitBreakerCounts,
    /// Endpoints and where they are.
    pub(in crate::upstream) endpoints: Vec<SharedEndpoint>,
    /// Which of its hosts are well, if anybody asks for that.
    pub(in crate::upstream) health: Option<Arc<ClusterHealth>>,
    /// The names that requests bring, if they are its hosts.
    pub(in crate::upstream) names: Option<Arc<Names>>,
    tls: Option<TlsConfigs>,
    /// Of `transport_socket_matches`, in their order.
    matched_tls: Vec<Option<TlsConfigs>>,
}

/// One configured endpoint.
#[derive(Debug)]
pub(in crate::upstream) struct SharedEndpoint {
    /// Where it is.
    pub(in crate::upstream) source: Source,
    /// Host name, for `auto_host_rewrite` and SNI.
    pub(in crate::upstream) hostname: Option<Arc<str>>,
    /// Relative share, 1 or more.
    pub(in crate::upstream) weight: u32,
    /// Those of the lowest number are used.
    pub(in crate::upstream) priority: u32,
    /// Which TLS it uses instead of the cluster's.
    pub(in crate::upstream) transport_socket: Option<usize>,
}

/// Where the addresses of an endpoint come from.
#[derive(Debug, Clone)]
pub(in crate::upstream) enum Source {
    /// It is one.
    Fixed(Address),
    /// Each address of a name is a host (STRICT_DNS).
    EachOf(Addresses),
    /// The name is one host (LOGICAL_DNS).
    OneOf(Addresses),
}

/// TLS configurations that differ in what ALPN offers.
#[derive(Debug, Clone)]
struct TlsConfigs {
    /// What the cluster speaks.
    own_protocol: Arc<ClientConfig>,
    /// HTTP/1.1, where the cluster may speak something else.
    http1: Option<Arc<ClientConfig>>,
    /// HTTP/2, whatever the cluster speaks.
    http2: Arc<ClientConfig>,
    /// No HTTP: nothing but what the context names itself. Made when it is needed.
    bytes: OnceLock<Arc<ClientConfig>>,
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::upstream) enum Purpose {
    /// What the cluster speaks: HTTP/2 if it may be either and ALPN does not choose.
    OwnProtocol,
    /// HTTP/1.1, as far as the cluster lets others choose.
    Http1,
    /// HTTP/2 in any case (CF-21).
    Http2,
    /// Bytes that nobody looks at.
    Bytes,
}

impl SharedCluster {
    /// Starts to resolve its names on the given runtime.
    pub(in crate::upstream) fn new(
        cluster: &Arc<Cluster>,
        resolver: &Arc<Resolver>,
        control: &Handle,
        workers: usize,
    ) -> Arc<Self> {
        let endpoints = cluster.endpoints.iter().map(|endpoint| SharedEndpoint {
            source: source(&cluster.discovery, &endpoint.address, resolver, control),
            hostname: hostname(endpoint),
            weight: endpoint.weight.max(1),
            priority: endpoint.priority,
            transport_socket: endpoint.transport_socket,
        });
        let configs = |tls: &Option<Arc<UpstreamTls>>| {
            tls.as_ref().map(|tls| {
                let offered: &[&[u8]] = match cluster.protocol {
                    UpstreamProtocol::Http2(_) | UpstreamProtocol::OfClient(_) => &[ALPN_HTTP2],
                    UpstreamProtocol::Http1 { .. } => &[ALPN_HTTP1],
                    UpstreamProtocol::Negotiated(_) => &[ALPN_HTTP2, ALPN_HTTP1],
                };
                let http1 = match cluster.protocol {
                    UpstreamProtocol::Http1 { .. } | UpstreamProtocol::Http2(_) => None,
                    // Who speaks HTTP/1.1 whatever is chosen does not let anything else be chosen.
                    UpstreamProtocol::Negotiated(_) => Some(only(&tls.config, ALPN_HTTP1)),
                    UpstreamProtocol::OfClient(_) => Some(offering(&tls.config, &[ALPN_HTTP1], false)),
                };
                TlsConfigs {
                    own_protocol: offering(&tls.config, offered, false),
                    http1,
                    http2: offering(&tls.config, &[ALPN_HTTP2], true),
                    bytes: OnceLock::new(),
                }
            })
        };
        Arc::new(Self {
            id: Id::next(),
            name: cluster.name.as_str().into(),
            counts: CircuitBreakerCounts::new(&cluster.circuit_breakers, workers),
            endpoints: endpoints.collect(),
            health: ClusterHealth::of(cluster),
            names: match &cluster.discovery {
                Discovery::DynamicForwardProxy(cache) => Some(Arc::new(Names::new(cache, resolver, control))),
                _ => None,
            },
            tls: configs(&cluster.tls),
            matched_tls: cluster.transport_socket_matches.iter().map(|one| configs(&one.tls)).collect(),
            cluster: cluster.clone(),
        })
    }

    /// Begins to look after the health of its hosts, on the control thread; what was known of them before is known on.
    pub(in crate::upstream) fn watch_health(&self, stats: &WorkerStats, control: &Handle) {
        let Some(health) = &self.health else { return };
        let metrics = stats.cluster(&self.name);
        let endpoints = self.cluster.endpoints.iter().zip(&self.endpoints).map(|(configured, shared)| {
            let tls = |purpose| {
                let target = DialTarget::Name(Addresses::none());
                let (name, socket) = (shared.hostname.as_deref(), shared.transport_socket);
                self.dialer(target, (name, socket), purpose, &metrics).tls
            };
            WatchedEndpoint {
                source: shared.source.clone(),
                label: configured.address.to_string(),
                check: configured.health_check.clone(),
                tls: tls(Purpose::Http1).zip(tls(Purpose::Http2)).map(|(own, http2)| [own, http2]),
            }
        });
        let watched = Watched {
            cluster: self.name.clone(),
            endpoints: endpoints.collect(),
            tcp: self.cluster.tcp,
            stats: stats.clone(),
        };
        health.watch(watched, control);
    }

    /// It is not part of the configuration any more.
    pub(in crate::upstream) fn retire(&self) {
        self.health.iter().for_each(|health| health.stop());
    }

    /// Takes over counts and TLS sessions from the cluster in whose place it comes, if it has other endpoints at most.
    pub(in crate::upstream) fn succeeding(
        before: &Self,
        cluster: &Arc<Cluster>,
        resolver: &Arc<Resolver>,
        control: &Handle,
        workers: usize,
    ) -> Arc<Self> {
        let mut new = Self::new(cluster, resolver, control, workers);
        if let Some(new) = Arc::get_mut(&mut new)
            && before.cluster.is_same_but_for_endpoints(cluster)
        {
            new.counts = before.counts.clone();
            new.tls.clone_from(&before.tls);
            new.matched_tls.clone_from(&before.matched_tls);
            new.health.clone_from(&before.health);
        }
        new
    }

    /// Whether hosts of `before`, which was there before this one, can serve this one. Names are resolved for a cluster
    /// as a whole, so only those with addresses can.
    pub(in crate::upstream) fn can_keep_hosts_of(&self, before: &Self) -> bool {
        self.cluster.discovery == Discovery::Static && self.cluster.is_same_but_for_endpoints(&before.cluster)
    }

    /// Whether this is what is configured.
    pub(in crate::upstream) fn is(&self, cluster: &Arc<Cluster>) -> bool {
        // What did not change in an update is the same object, which spares the comparison.
        Arc::ptr_eq(&self.cluster, cluster) || self.cluster == *cluster
    }

    /// Waits for the end of every first lookup, and of every first health check.
    pub(in crate::upstream) async fn initialized(&self) {
        for endpoint in &self.endpoints {
            if let Source::EachOf(addresses) | Source::OneOf(addresses) = &endpoint.source {
                addresses.clone().first_answer().await;
            }
        }
        if let Some(health) = &self.health {
            health.checked_once().await;
        }
    }

    /// What is configured as endpoints, for a log line.
    pub(in crate::upstream) fn endpoint_names(&self) -> String {
        const MOST: usize = 5;
        let names = self.cluster.endpoints.iter().take(MOST).map(|endpoint| match &endpoint.address {
            EndpointAddress::Socket(address) => address.to_string(),
            EndpointAddress::Pipe(path) => path.display().to_string(),
            EndpointAddress::Dns { host, port } => format!("{host}:{port}"),
        });
        let more = if self.cluster.endpoints.len() > MOST { ", ..." } else { "" };
        names.collect::<Vec<_>>().join(", ") + more
    }

    /// Bytes of a request that are queued before its sender pauses.
    pub(in crate::upstream) fn watermark(&self) -> usize {
        match self.cluster.per_connection_buffer_limit_bytes {
            // No limit was asked for.
            0 => MAX_WATERMARK,
            limit => limit.min(MAX_WATERMARK),
        }
    }

    /// A dialer for one of the cluster's hosts, with its host name and which TLS it uses instead of the cluster's.
    pub(in crate::upstream) fn dialer(
        &self,
        target: DialTarget,
        (hostname, transport_socket): (Option<&str>, Option<usize>),
        purpose: Purpose,
        metrics: &Metrics<ClusterMetric>,
    ) -> Dialer {
        let (own, configs) = match transport_socket {
            None => (self.cluster.tls.as_ref(), self.tls.as_ref()),
            Some(index) => (
                self.cluster.transport_socket_matches.get(index).and_then(|one| one.tls.as_ref()),
                self.matched_tls.get(index).and_then(Option::as_ref),
            ),
        };
        let tls = own.zip(configs).map(|(tls, configs)| {
            let config = match purpose {
                Purpose::OwnProtocol => &configs.own_protocol,
                Purpose::Http1 => configs.http1.as_ref().unwrap_or(&configs.own_protocol),
                Purpose::Http2 => &configs.http2,
                Purpose::Bytes => configs.bytes.get_or_init(|| {
                    // What the reader adds where the context names nothing.
                    if tls.settings().alpn_protocols == self.cluster.protocol.alpn() {
                        let mut config = ClientConfig::clone(&tls.config);
                        config.alpn_protocols = Vec::new();
                        return Arc::new(config);
                    }
                    tls.config.clone()
                }),
            };
            (config.clone(), tls.server_name(hostname.unwrap_or_default()))
        });
        let mut tcp = self.cluster.tcp;
        if purpose == Purpose::Http2 && matches!(self.cluster.protocol, UpstreamProtocol::Http1 { .. }) {
            tcp.user_timeout = tcp.user_timeout.or(TcpOptions::HTTP2_UPSTREAM.user_timeout);
        }
        Dialer {
            target,
            tls,
            tcp,
            connect_timeout: self.cluster.connect_timeout,
            cluster: self.name.clone(),
            metrics: metrics.clone(),
        }
    }
}

fn source(
    discovery: &Discovery,
    address: &EndpointAddress,
    resolver: &Arc<Resolver>,
    control: &Handle,
) -> Source {
    match (address, discovery) {
        (EndpointAddress::Socket(address), _) => Source::Fixed(Address::Socket(*address)),
        (EndpointAddress::Pipe(path), _) => Source::Fixed(Address::Pipe(path.clone())),
        (EndpointAddress::Dns { host, port }, Discovery::StrictDns(dns)) => {
            Source::EachOf(resolver.watch(host, *port, dns, WhenGone::Forget, control))
        }
        (EndpointAddress::Dns { host, port }, Discovery::LogicalDns(dns)) => {
            Source::OneOf(resolver.watch(host, *port, dns, WhenGone::Keep, control))
        }
        // A name in a static cluster is refused by the configuration; it has no address.
        (
            EndpointAddress::Dns { .. },
            Discovery::Static
            | Discovery::OriginalDst(_)
            | Discovery::Aggregate(_)
            | Discovery::DynamicForwardProxy(_),
        ) => Source::EachOf(Addresses::none()),
    }
}

fn hostname(endpoint: &Endpoint) -> Option<Arc<str>> {
    match &endpoint.address {
        _ if !endpoint.hostname.is_empty() => Some(endpoint.hostname.as_str().into()),
        EndpointAddress::Dns { host, .. } => Some(host.as_str().into()),
        _ => None,
    }
}

/// The configuration with nothing but that protocol offered by ALPN.
fn only(config: &Arc<ClientConfig>, protocol: &[u8]) -> Arc<ClientConfig> {
    let mut config = ClientConfig::clone(config);
    config.alpn_protocols = vec![protocol.to_vec()];
    Arc::new(config)
}

/// The configuration with protocols offered by ALPN: if it offers none or, when the protocols are a must, others.
fn offering(config: &Arc<ClientConfig>, protocols: &[&[u8]], must: bool) -> Arc<ClientConfig> {
    let offered = &config.alpn_protocols;
    if offered.is_empty()
        || (must && !protocols.iter().any(|protocol| offered.iter().any(|own| own == protocol)))
    {
        let mut config = ClientConfig::clone(config);
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        return Arc::new(config);
    }
    config.clone()
}
