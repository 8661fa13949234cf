//! One host of a cluster: an address, and the connections of this worker to it.

use std::{
    cell::{Cell, OnceCell},
    rc::Rc,
    sync::Arc,
    time::Instant,
};

use extproc::{
    ResponseHeaders,
    messages::{Metadata, value::Kind},
};
use http::HeaderName;
use tollgate_model::cluster::{EndpointStatus, HashKey, Locality, TransportSocketMatch, UpstreamProtocol};

use crate::id::Id;
use crate::stats::{ClusterMetric, Metrics};
use crate::stream_info::{ConfiguredEndpoint, Protocol, UpstreamInfo};
use crate::upstream::{
    cluster::{
        address::Address,
        dns::Addresses,
        load_balancer::Candidate,
        manager::ClusterCounts,
        processor,
        shared_cluster::{ClusterId, Purpose, SharedCluster, SharedEndpoint},
    },
    health::{ClusterHealth, Condition, HostHealth, Outcome, Window},
    pool::{
        connect::{DialTarget, Dialer},
        http1::{Http1Connection, Http1Pool},
        http2::Http2Pool,
        negotiation::Negotiation,
    },
};

/// One host of a cluster as one worker uses it.
#[derive(Debug)]
pub(in crate::upstream) struct Host {
    /// Which host of the worker it is.
    pub(in crate::upstream) id: Id<Self>,
    /// Its cluster, as it was when the host was made: the endpoint is the same in the present one.
    pub(in crate::upstream) cluster: Arc<SharedCluster>,
    /// The cluster it serves at present.
    serves: Cell<ClusterId>,
    /// How connections are made.
    pub(in crate::upstream) dialer: Dialer,
    /// Host name, for `auto_host_rewrite`.
    pub(in crate::upstream) hostname: Option<Rc<str>>,
    /// Which TLS it uses instead of its cluster's.
    transport_socket: Option<usize>,
    /// Address for logs, if it is always the same.
    address: Option<Rc<str>>,
    /// Its connections.
    pub(in crate::upstream) pool: Pool,
    /// What its cluster counts.
    pub(in crate::upstream) counts: Rc<ClusterCounts>,
    /// What is counted of it and its cluster.
    pub(in crate::upstream) metrics: Metrics<ClusterMetric>,
    place: Place,
    /// Which endpoint of the cluster it is; `None` = a request has named it.
    endpoint: Option<usize>,
    /// What was configured.
    pub(in crate::upstream) configured: Option<Rc<ConfiguredEndpoint>>,
    weight: u32,
    priority: u32,
    /// What is known of its health, if anybody asks for that.
    health: Option<Watch>,
    /// What the configuration says of its health.
    status: EndpointStatus,
    /// When it came.
    created: Instant,
    active_requests: Cell<usize>,
    /// Connections for processors, which are always HTTP/2.
    processor: OnceCell<Rc<extproc_client::Endpoint>>,
}

/// What this worker has to do with the health of a host.
#[derive(Debug)]
struct Watch {
    cluster: Arc<ClusterHealth>,
    host: Arc<HostHealth>,
    /// What this worker counts, if anybody wants to know.
    window: Option<Arc<Window>>,
}

/// Connections by protocol.
#[derive(Debug)]
pub(in crate::upstream) enum Pool {
    /// HTTP/1.1.
    Http1(Rc<Http1Pool>),
    /// HTTP/2.
    Http2(Rc<Http2Pool>),
    /// Either.
    Either(Box<EitherPool>),
}

/// Connections where both versions may be spoken.
#[derive(Debug)]
pub(in crate::upstream) struct EitherPool {
    /// HTTP/1.1.
    pub(in crate::upstream) http1: Rc<Http1Pool>,
    /// HTTP/2.
    pub(in crate::upstream) http2: Rc<Http2Pool>,
    /// The version of requests that no client has made, where the client's version decides.
    alone_http2: bool,
}

impl EitherPool {
    /// Whether a request is sent in HTTP/1.1 whose client spoke this.
    pub(in crate::upstream) fn is_http1(&self, client: Option<Protocol>) -> bool {
        match (&self.http2.negotiation, client) {
            (Some(negotiation), _) => negotiation.is_http1(),
            (None, Some(client)) => client != Protocol::Http2,
            (None, None) => !self.alone_http2,
        }
    }
}

impl Pool {
    fn new(cluster: &Arc<SharedCluster>, dialer: &Dialer, for_http1: impl FnOnce() -> Dialer) -> Self {
        let protocol = &cluster.cluster.protocol;
        let either = |http1, negotiation: Option<Rc<Negotiation>>| {
            let options = protocol.http2_options().cloned().unwrap_or_default();
            let http2 = Http2Pool::new(cluster, dialer, &options, negotiation.as_ref());
            Self::Either(Box::new(EitherPool { http1, http2, alone_http2: protocol.speaks_http2() }))
        };
        match protocol {
            UpstreamProtocol::Http1 { .. } => Self::Http1(Http1Pool::new(cluster, dialer)),
            UpstreamProtocol::Http2(options) => Self::Http2(Http2Pool::new(cluster, dialer, options, None)),
            UpstreamProtocol::Negotiated(_) => {
                let http1 = Http1Pool::perhaps(cluster, dialer);
                let negotiation = Negotiation::new(&http1);
                either(http1, Some(negotiation))
            }
            UpstreamProtocol::OfClient(_) => either(Http1Pool::new(cluster, &for_http1()), None),
        }
    }

    /// The pool for a new connection of HTTP/1.1 on which the host wants HTTP/2.
    pub(in crate::upstream) fn prefers_http2(&self, connection: &Http1Connection) -> Option<&Rc<Http2Pool>> {
        match self {
            Self::Either(pools) if pools.http2.negotiation.is_some() && connection.is_http2() => {
                Some(&pools.http2)
            }
            _ => None,
        }
    }

    fn drain(&self) {
        match self {
            Self::Http1(pool) => pool.drain(),
            Self::Http2(pool) => pool.drain(),
            Self::Either(pools) => {
                pools.http1.drain();
                pools.http2.drain();
            }
        }
    }
}

/// What makes a host the same one when addresses change.
#[derive(Debug, Clone)]
pub(in crate::upstream) enum Place {
    /// An address.
    Address(Address),
    /// Whatever a name resolves to.
    Name(Addresses),
}

impl Place {
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Address(one), Self::Address(other)) => one == other,
            (Self::Name(_), Self::Name(_)) => true,
            _ => false,
        }
    }
}

/// What a host is made of beside its place.
struct EndpointFacts<'a> {
    index: Option<usize>,
    hostname: Option<&'a str>,
    transport_socket: Option<usize>,
    weight: u32,
    priority: u32,
    configured: Option<ConfiguredEndpoint>,
    health: Option<Watch>,
    status: EndpointStatus,
}

impl Host {
    /// A host without connections, for the endpoint of that index.
    pub(in crate::upstream) fn new(
        cluster: &Arc<SharedCluster>,
        endpoint: usize,
        place: Place,
        counts: &Rc<ClusterCounts>,
    ) -> Rc<Self> {
        let label = match &place {
            Place::Address(address) => address.to_string(),
            Place::Name(_) => cluster.cluster.endpoints[endpoint].address.to_string(),
        };
        let metrics = counts.stats.endpoint(&counts.metrics, &cluster.name, &label);
        let SharedEndpoint { hostname, weight, priority, transport_socket, .. } =
            &cluster.endpoints[endpoint];
        let configured = ConfiguredEndpoint { cluster: cluster.cluster.clone(), index: endpoint };
        let configured = (endpoint < cluster.cluster.endpoints.len()).then_some(configured);
        let own = cluster.cluster.endpoints.get(endpoint);
        let is_checked = own.is_some_and(|own| !own.health_check.disabled);
        let health = cluster.health.as_ref().map(|health| {
            let host = health.host(&label, is_checked);
            Watch { cluster: health.clone(), window: host.window(), host }
        });
        let status = own.map(|own| own.status).unwrap_or_default();
        let endpoint = EndpointFacts {
            index: Some(endpoint),
            hostname: hostname.as_deref(),
            transport_socket: *transport_socket,
            weight: *weight,
            priority: *priority,
            configured,
            health,
            status,
        };
        Self::build(cluster, endpoint, place, counts, metrics)
    }

    /// A host without connections that a request has named.
    pub(in crate::upstream) fn named(
        cluster: &Arc<SharedCluster>,
        place: Place,
        hostname: &str,
        counts: &Rc<ClusterCounts>,
    ) -> Rc<Self> {
        let matches = &cluster.cluster.transport_socket_matches;
        let endpoint = EndpointFacts {
            index: None,
            hostname: Some(hostname),
            transport_socket: TransportSocketMatch::find(matches, &Metadata::default(), &Metadata::default()),
            weight: 1,
            priority: 0,
            configured: None,
            health: None,
            status: EndpointStatus::Healthy,
        };
        Self::build(cluster, endpoint, place, counts, counts.metrics.clone())
    }

    fn build(
        cluster: &Arc<SharedCluster>,
        endpoint: EndpointFacts<'_>,
        place: Place,
        counts: &Rc<ClusterCounts>,
        metrics: Metrics<ClusterMetric>,
    ) -> Rc<Self> {
        let (target, address) = match &place {
            Place::Address(address) => (DialTarget::Fixed(address.clone()), Some(address.to_string().into())),
            Place::Name(addresses) => (DialTarget::Name(addresses.clone()), None),
        };
        let facts = (endpoint.hostname, endpoint.transport_socket);
        let dialer = cluster.dialer(target.clone(), facts, Purpose::OwnProtocol, &metrics);
        let for_http1 = || cluster.dialer(target, facts, Purpose::Http1, &metrics);
        let pool = Pool::new(cluster, &dialer, for_http1);
        Rc::new(Self {
            id: Id::next(),
            cluster: cluster.clone(),
            serves: Cell::new(cluster.id),
            dialer,
            hostname: endpoint.hostname.map(Rc::from),
            transport_socket: endpoint.transport_socket,
            address,
            pool,
            counts: counts.clone(),
            metrics,
            place,
            endpoint: endpoint.index,
            configured: endpoint.configured.map(Rc::new),
            weight: endpoint.weight,
            priority: endpoint.priority,
            health: endpoint.health,
            status: endpoint.status,
            created: Instant::now(),
            active_requests: Cell::new(0),
            processor: OnceCell::new(),
        })
    }

    /// Whether it is the host of that endpoint at that place.
    pub(in crate::upstream) fn is_at(&self, endpoint: usize, place: &Place) -> bool {
        self.endpoint == Some(endpoint) && self.place.is_same(place)
    }

    /// Where a connection would be made to now, for logs.
    pub(in crate::upstream) fn address(&self) -> Option<Rc<str>> {
        match (&self.address, &self.place) {
            (Some(address), _) => Some(address.clone()),
            (None, Place::Name(addresses)) => addresses.first().map(|address| address.to_string().into()),
            (None, Place::Address(_)) => None,
        }
    }

    /// Its connections for processors.
    pub(in crate::upstream) fn processor(self: &Rc<Self>) -> &Rc<extproc_client::Endpoint> {
        self.processor.get_or_init(|| {
            let target = self.dialer.target.clone();
            let endpoint = (self.hostname.as_deref(), self.transport_socket);
            let dialer = self.cluster.dialer(target, endpoint, Purpose::Http2, &self.metrics);
            processor::endpoint(&self.cluster.cluster, dialer, self)
        })
    }

    /// What is known of it before there is a connection, for the attempt of that number.
    pub(in crate::upstream) fn upstream_info(
        &self,
        counts: &ClusterCounts,
        attempt_count: u32,
    ) -> UpstreamInfo {
        UpstreamInfo {
            cluster: Some(counts.name.clone()),
            stat_name: counts.stat_name.clone(),
            address: self.address(),
            host_name: self.hostname.clone(),
            endpoint: self.configured.clone(),
            attempt_count,
            ..UpstreamInfo::default()
        }
    }

    /// Makes connections on which no HTTP is spoken.
    pub(in crate::upstream) fn tcp_dialer(&self) -> Dialer {
        let endpoint = (self.hostname.as_deref(), self.transport_socket);
        self.cluster.dialer(self.dialer.target.clone(), endpoint, Purpose::Bytes, &self.metrics)
    }

    /// Whether it is what the endpoint of that index of a later cluster needs, which has other endpoints at most.
    pub(in crate::upstream) fn can_serve(
        &self,
        cluster: &SharedCluster,
        endpoint: usize,
        place: &Place,
    ) -> bool {
        let own = self.endpoint.and_then(|own| self.cluster.cluster.endpoints.get(own));
        own == cluster.cluster.endpoints.get(endpoint) && self.place.is_same(place)
    }

    /// Serves a later cluster from now on.
    pub(in crate::upstream) fn taken_over_by(self: Rc<Self>, cluster: &SharedCluster) -> Rc<Self> {
        self.serves.set(cluster.id);
        self
    }

    /// Takes it out of service, unless it serves another cluster by now: requests under way go on, their connections are
    /// not used again.
    pub(in crate::upstream) fn remove(&self, cluster: &SharedCluster) {
        if self.serves.get() != cluster.id {
            return;
        }
        if let Some(processor) = self.processor.get() {
            processor.retire_all();
        }
        self.pool.drain();
    }

    /// Its priority; the lowest number comes first.
    pub(in crate::upstream) fn priority(&self) -> u32 {
        self.priority
    }

    /// What the configuration says about it.
    pub(in crate::upstream) fn metadata(&self) -> Option<&Metadata> {
        self.configured.as_ref()?.get().map(|endpoint| &endpoint.metadata)
    }

    /// Where it is, if the configuration says it.
    pub(in crate::upstream) fn locality(&self) -> Option<&Locality> {
        self.configured.as_ref()?.get()?.locality.as_deref()
    }

    /// How much it is worth at present.
    pub(in crate::upstream) fn condition(&self) -> Condition {
        let known = self.health.as_ref().map_or(Condition::Healthy, |watch| watch.host.condition());
        match (self.status, known) {
            (EndpointStatus::Healthy, known) => known,
            (_, Condition::Excluded) => Condition::Excluded,
            (EndpointStatus::Unhealthy, _) | (_, Condition::Unhealthy) => Condition::Unhealthy,
            (EndpointStatus::Degraded, Condition::Healthy | Condition::Degraded) => Condition::Degraded,
        }
    }

    /// A request to it ended like this.
    pub(in crate::upstream) fn note(&self, outcome: Outcome) {
        if let Some(Watch { cluster, host, window: Some(window) }) = &self.health {
            cluster.note(host, window, outcome);
        }
    }

    /// Takes in what the head of a response says of its health.
    pub(in crate::upstream) fn note_response(&self, head: &ResponseHeaders) {
        let Some(watch) = &self.health else { return };
        if watch.window.is_some() {
            self.note(Outcome::Status(outlier_status(head)));
        }
        if watch.cluster.has_checks() && head.fields.contains_key(IMMEDIATE_FAIL) {
            watch.cluster.says_unwell(&watch.host);
        }
    }

    /// Closes idle connections that have been idle for too long or were closed by the host.
    pub(in crate::upstream) fn close_expired(&self, now: Instant) {
        match &self.pool {
            Pool::Http1(pool) => pool.close_expired(now),
            Pool::Http2(_) => {}
            Pool::Either(pools) => pools.http1.close_expired(now),
        }
    }

    /// Counts a request until the guard is dropped.
    pub(in crate::upstream) fn begin_request(self: &Rc<Self>) -> ActiveRequest {
        self.active_requests.set(self.active_requests.get() + 1);
        ActiveRequest { host: self.clone() }
    }
}

/// With this header a response says that its host is not well.
const IMMEDIATE_FAIL: HeaderName = HeaderName::from_static("x-envoy-immediate-health-check-fail");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// The status of a response; that of gRPC counts where it is in the head.
fn outlier_status(head: &ResponseHeaders) -> u16 {
    let grpc = head.fields.get(GRPC_STATUS).and_then(|status| status.to_str().ok()?.parse::<u32>().ok());
    match grpc {
        Some(0) => 200,
        Some(1) => 499,
        Some(3 | 9 | 11) => 400,
        Some(4) => 504,
        Some(5) => 404,
        Some(6 | 10) => 409,
        Some(7) => 403,
        Some(8) => 429,
        Some(12) => 501,
        Some(14) => 503,
        Some(16) => 401,
        Some(_) => 500,
        None => head.status.as_u16(),
    }
}

impl Candidate for Rc<Host> {
    fn weight(&self) -> u32 {
        self.weight
    }

    fn active_requests(&self) -> usize {
        self.active_requests.get() + self.processor.get().map_or(0, |endpoint| endpoint.active_requests())
    }

    fn well_since(&self) -> Option<Instant> {
        match &self.health {
            Some(watch) if watch.cluster.has_checks() => watch.host.passes_since(self.created),
            _ => Some(self.created),
        }
    }

    fn hash_key(&self, of: HashKey) -> String {
        let configured = self.endpoint.and_then(|own| self.cluster.cluster.endpoints.get(own));
        let metadata = configured.and_then(|endpoint| endpoint.metadata.filter_metadata.get("envoy.lb"));
        let said = metadata.and_then(|fields| match fields.fields.get("hash_key")?.kind.as_ref()? {
            Kind::StringValue(key) => Some(key.as_str()).filter(|key| !key.is_empty()),
            _ => None,
        });
        match (said, of) {
            (Some(key), _) => key.to_owned(),
            (None, HashKey::Hostname) => self.hostname.as_deref().unwrap_or_default().to_owned(),
            (None, HashKey::Address) => self.address().as_deref().unwrap_or_default().to_owned(),
        }
    }
}

/// A request to a host, for least-request balancing.
#[derive(Debug)]
pub(in crate::upstream) struct ActiveRequest {
    host: Rc<Host>,
}

impl ActiveRequest {
    /// The host.
    pub(in crate::upstream) fn host(&self) -> &Rc<Host> {
        &self.host
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        self.host.active_requests.set(self.host.active_requests.get() - 1);
    }
}
