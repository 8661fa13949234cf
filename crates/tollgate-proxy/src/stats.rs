//! Statistics: counted by each worker for itself, summed when somebody looks.
//!
//! A worker asks its [`WorkerStats`] once for the metrics of everything a filter chain names ([`ConnectionStats`]) and
//! counts on them without locks or read-modify-write operations: each metric has one writer. [`Stats`] reads them all.

mod cell;
mod discovery;
mod filters;
mod metrics;
mod report;
mod scope;
mod snapshot;
mod text;

use std::{
    cell::LazyCell,
    collections::BTreeMap,
    marker::PhantomData,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use extproc::{Direction, log::Step};
use http::StatusCode;
use tollgate_model::Snapshot;

use self::{
    cell::{Counter, Histogram},
    metrics::Description,
    scope::Scope,
};
pub use self::{
    discovery::{DiscoveryStats, DiscoveryType, Outcome},
    report::{QUANTILES, Stat, StatValue},
};
pub(crate) use self::{
    filters::{
        CompositeMetric, CompressorAcceptMetric, CompressorMetric, CorsMetric, DecompressorMetric,
        ExtAuthzMetric, ExtAuthzOfClusterMetric, FaultMetric, FilterMetrics, HeaderToMetadataMetric,
        JwtAuthnMetric, LocalRateLimitMetric, LuaMetric, RateLimitMetric, RbacMetric, SetMetadataMetric,
    },
    metrics::{
        ClusterMetric, ControlPlaneMetric, DiscoveryMetric, ExtProcMetric, Http2Metric, HttpMetric,
        ListenerMetric, LoadShedPointMetric, MetricSet, OverloadActionMetric, OverloadResourceMetric,
        ProcessorMetric, ResponseClasses, RouteMetric, ServerMetric, TcpMetric, WorkersMetric,
    },
    snapshot::{ConnectionStats, route_name},
};
use crate::incident::{Incident, Incidents};

/// The statistics of the whole gateway, for its administration.
///
/// Metrics live on while a configuration names them or somebody counts on them, so that an update does not interrupt
/// them; [`Gateway::update`](crate::Gateway::update) forgets the others.
#[derive(Debug, Default)]
pub struct Stats {
    registry: Mutex<BTreeMap<Scope, Entry>>,
    /// What counters had counted when somebody set them to zero.
    zero: Mutex<BTreeMap<Scope, Vec<u64>>>,
}

/// The metrics of one thing, of every worker.
#[derive(Debug)]
struct Entry {
    description: &'static Description,
    workers: Vec<(usize, Arc<Block>)>,
    /// What the log has told of it.
    incidents: Arc<Incidents>,
}

/// The metrics of one thing, of one worker.
#[derive(Debug)]
struct Block {
    values: Box<[Counter]>,
    histograms: Box<[Histogram]>,
}

impl Stats {
    /// Statistics of nothing so far.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The numbers of a cluster, by Envoy's names; those that are nothing are left out.
    #[must_use]
    pub fn of_cluster(&self, name: &str) -> Vec<(&'static str, u64)> {
        let registry = self.registry();
        let Some(entry) = registry.get(&Scope::Cluster { name: name.to_owned() }) else { return Vec::new() };
        let metrics = entry.description.metrics.iter().enumerate();
        let sums = metrics.map(|(index, metric)| {
            let values = entry.workers.iter().filter_map(|(_, block)| block.values.get(index));
            (metric.name, values.fold(0_u64, |sum, value| sum.wrapping_add(value.get())))
        });
        sums.filter(|(_, sum)| *sum > 0 && *sum <= u64::MAX / 2).collect()
    }

    /// What was counted of an endpoint, by Envoy's names: all zero where nothing was.
    #[must_use]
    pub fn of_endpoint(&self, cluster: &str, address: &str) -> [(&'static str, u64); 9] {
        let scope = Scope::Endpoint { cluster: cluster.to_owned(), address: address.to_owned() };
        let registry = self.registry();
        let entry = registry.get(&scope);
        let workers = || entry.into_iter().flat_map(|entry| &entry.workers);
        let sum = |metric: ClusterMetric| {
            let values = workers().filter_map(|(_, block)| block.values.get(metric.index()));
            let sum = values.fold(0_u64, |sum, value| sum.wrapping_add(value.get()));
            // Workers are read one after the other: a gauge could seem to be less than none.
            if sum > u64::MAX / 2 { 0 } else { sum }
        };
        [
            ("cx_active", sum(ClusterMetric::UpstreamCxActive)),
            ("cx_connect_fail", sum(ClusterMetric::UpstreamCxConnectFail)),
            ("cx_total", sum(ClusterMetric::UpstreamCxTotal)),
            ("rq_active", sum(ClusterMetric::UpstreamRqActive)),
            ("rq_error", sum(ClusterMetric::UpstreamRq5xx)),
            ("rq_pending_active", sum(ClusterMetric::UpstreamRqPendingActive)),
            ("rq_success", sum(ClusterMetric::UpstreamRq2xx)),
            ("rq_timeout", sum(ClusterMetric::UpstreamRqTimeout)),
            ("rq_total", sum(ClusterMetric::UpstreamRqTotal)),
        ]
    }

    /// Forgets the metrics that nobody counts on and that `snapshot` does not name.
    pub(crate) fn forget_all_but(&self, snapshot: &Snapshot) {
        // Most often somebody counts on all of them, and nobody has to know.
        let named = LazyCell::new(|| snapshot::named(snapshot));
        let is_used = |(_, block): &(usize, Arc<Block>)| Arc::strong_count(block) > 1;
        let mut registry = self.registry();
        registry.retain(|scope, entry| {
            entry.workers.iter().all(is_used) || named.contains(scope) || {
                entry.workers.retain(is_used);
                !entry.workers.is_empty()
            }
        });
        self.zero().retain(|scope, _| registry.contains_key(scope));
    }

    fn zero(&self) -> MutexGuard<'_, BTreeMap<Scope, Vec<u64>>> {
        self.zero.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn registry(&self) -> MutexGuard<'_, BTreeMap<Scope, Entry>> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The statistics of one worker. It is the only writer of the metrics it hands out.
#[derive(Debug, Clone)]
pub(crate) struct WorkerStats {
    stats: Arc<Stats>,
    worker: usize,
}

impl WorkerStats {
    /// Those of all workers.
    #[cfg(test)]
    pub(crate) fn stats(&self) -> &Arc<Stats> {
        &self.stats
    }

    /// The statistics of worker number `worker`.
    pub(crate) fn new(stats: Arc<Stats>, worker: usize) -> Self {
        Self { stats, worker }
    }

    /// Whether a cluster has had a connection, of whatever worker.
    pub(crate) fn cluster_has_connected(&self, name: &str) -> bool {
        let registry = self.stats.registry();
        let entry = registry.get(&Scope::Cluster { name: name.to_owned() });
        let metric = ClusterMetric::UpstreamCxTotal.index();
        entry.is_some_and(|entry| {
            entry
                .workers
                .iter()
                .any(|(_, block)| block.values.get(metric).is_some_and(|count| count.get() > 0))
        })
    }

    /// The number of the worker.
    pub(crate) fn worker(&self) -> usize {
        self.worker
    }

    /// Of the process: `server.`
    pub(crate) fn server(&self) -> Metrics<ServerMetric> {
        self.metrics(Scope::Server)
    }

    /// Of the watch over the workers: `workers.`
    pub(crate) fn workers(&self) -> Metrics<WorkersMetric> {
        self.metrics(Scope::Workers)
    }

    /// Of HTTP/2 with clients: `http2.`
    pub(crate) fn http2(&self) -> Metrics<Http2Metric> {
        self.metrics(Scope::Http2)
    }

    /// Of the connection managers with this prefix: `http.<stat_prefix>.`
    pub(crate) fn http(&self, stat_prefix: &str) -> Metrics<HttpMetric> {
        if stat_prefix.is_empty() {
            // No HTTP is spoken, and no report shows it.
            let (values, histograms) = cells(HttpMetric::DESCRIPTION, false);
            let block = Arc::new(Block { values, histograms });
            return Metrics { block, endpoint: None, incidents: Arc::default(), set: PhantomData };
        }
        self.metrics(Scope::Http { stat_prefix: stat_prefix.to_owned() })
    }

    /// Of connections that are passed on as they are: `tcp.<stat_prefix>.`
    pub(crate) fn tcp(&self, stat_prefix: &str) -> Metrics<TcpMetric> {
        self.metrics(Scope::Tcp { stat_prefix: stat_prefix.to_owned() })
    }

    /// Of a listener: `listener.<name>.`
    pub(crate) fn listener(&self, name: &str) -> Metrics<ListenerMetric> {
        self.metrics(Scope::Listener { name: name.to_owned() })
    }

    /// Of a route: `vhost.<virtual host>.route.<route>.`
    pub(crate) fn route(&self, virtual_host: &str, route: &str) -> Metrics<RouteMetric> {
        self.metrics(Scope::Route { virtual_host: virtual_host.to_owned(), route: route.to_owned() })
    }

    /// Of a cluster: `cluster.<name>.`
    pub(crate) fn cluster(&self, name: &str) -> Metrics<ClusterMetric> {
        self.metrics(Scope::Cluster { name: name.to_owned() })
    }

    /// Of a cluster and of one of its endpoints: what is counted on them counts for both.
    pub(crate) fn endpoint(
        &self,
        cluster: &Metrics<ClusterMetric>,
        name: &str,
        address: &str,
    ) -> Metrics<ClusterMetric> {
        let scope = Scope::Endpoint { cluster: name.to_owned(), address: address.to_owned() };
        let of_endpoint = self.metrics::<ClusterMetric>(scope);
        Metrics { endpoint: Some(of_endpoint.block), ..cluster.clone() }
    }

    /// Of a processor, named by its cluster or target: `processor.<name>.`
    pub(crate) fn processor(&self, name: &str) -> Metrics<ProcessorMetric> {
        self.metrics(Scope::Processor { name: name.to_owned() })
    }

    /// Of a resource of the overload manager: `overload.<name>.`
    pub(crate) fn overload_resource(&self, name: &str) -> Metrics<OverloadResourceMetric> {
        self.metrics(Scope::OverloadResource { name: name.to_owned() })
    }

    /// Of an overload action: `overload.<name>.`
    pub(crate) fn overload_action(&self, name: &str) -> Metrics<OverloadActionMetric> {
        self.metrics(Scope::OverloadAction { name: name.to_owned() })
    }

    /// Of a load shed point: `overload.<name>.`
    pub(crate) fn load_shed_point(&self, name: &str) -> Metrics<LoadShedPointMetric> {
        self.metrics(Scope::LoadShedPoint { name: name.to_owned() })
    }

    /// Of the ext_proc filters with this prefix (Z-1): `http.<connection manager>.ext_proc.[<filter>.]`, behind the router
    /// `http.<connection manager>ext_proc.[<filter>.]`
    pub(crate) fn ext_proc(&self, http_stat_prefix: &str, prefix: &str) -> Metrics<ExtProcMetric> {
        self.metrics(Scope::ext_proc(http_stat_prefix, prefix))
    }

    /// The same metrics for the same scope, as long as somebody holds them.
    fn metrics<S: MetricSet>(&self, scope: Scope) -> Metrics<S> {
        let (block, incidents) = self.block(scope, S::DESCRIPTION);
        Metrics { block, endpoint: None, incidents, set: PhantomData }
    }

    fn block(&self, scope: Scope, description: &'static Description) -> (Arc<Block>, Arc<Incidents>) {
        let is_endpoint = matches!(scope, Scope::Endpoint { .. });
        let mut registry = self.stats.registry();
        let entry = registry.entry(scope).or_insert_with(|| Entry {
            description,
            workers: Vec::new(),
            incidents: Arc::default(),
        });
        let incidents = entry.incidents.clone();
        let known = entry.workers.iter().find(|(worker, _)| *worker == self.worker);
        let block = known.map(|(_, block)| block.clone()).unwrap_or_else(|| {
            let (values, histograms) = cells(description, is_endpoint);
            let block = Arc::new(Block { values, histograms });
            entry.workers.push((self.worker, block.clone()));
            block
        });
        (block, incidents)
    }
}

/// Zeros for what is described. Endpoints have no histograms.
fn cells(description: &Description, is_endpoint: bool) -> (Box<[Counter]>, Box<[Histogram]>) {
    let values = description.metrics.iter().map(|_| Counter::default()).collect();
    let histograms = match is_endpoint {
        true => Box::default(),
        false => description.histograms.iter().map(|_| Histogram::default()).collect(),
    };
    (values, histograms)
}

/// The metrics of one thing as its worker counts them.
#[derive(Debug)]
pub(crate) struct Metrics<S> {
    block: Arc<Block>,
    /// The same metrics of one endpoint, which are counted as well.
    endpoint: Option<Arc<Block>>,
    incidents: Arc<Incidents>,
    set: PhantomData<fn(S)>,
}

impl<S> Clone for Metrics<S> {
    fn clone(&self) -> Self {
        Self {
            block: self.block.clone(),
            endpoint: self.endpoint.clone(),
            incidents: self.incidents.clone(),
            set: PhantomData,
        }
    }
}

impl<S: MetricSet> Metrics<S> {
    /// One more.
    pub(crate) fn increment(&self, metric: S) {
        self.add(metric, 1);
    }

    /// So many more.
    pub(crate) fn add(&self, metric: S, amount: u64) {
        if let Some(counter) = self.block.values.get(metric.index()) {
            counter.add(amount);
        }
        self.add_to_endpoint(metric, amount);
    }

    fn add_to_endpoint(&self, metric: S, amount: u64) {
        let counter = self.endpoint.as_ref().and_then(|block| block.values.get(metric.index()));
        if let Some(counter) = counter {
            counter.add(amount);
        }
    }

    /// Makes it this; for gauges.
    pub(crate) fn set(&self, metric: S, value: u64) {
        if let Some(counter) = self.block.values.get(metric.index()) {
            counter.add(value.wrapping_sub(counter.get()));
        }
    }

    /// One less; for gauges.
    pub(crate) fn decrement(&self, metric: S) {
        self.add(metric, u64::MAX);
    }

    /// Notes a duration in the first histogram of the set.
    pub(crate) fn record(&self, duration: Duration) {
        self.record_in(0, duration);
    }

    fn record_in(&self, histogram: usize, duration: Duration) {
        if let Some(histogram) = self.block.histograms.get(histogram) {
            histogram.record(duration);
        }
    }

    /// Whether the log may tell of this failure; if so, how many lines it has left out since the last.
    pub(crate) fn admit(&self, incident: Incident) -> Option<u64> {
        self.incidents.admit(incident)
    }

    /// Counts a response by the class of its status.
    pub(crate) fn count_response(&self, status: StatusCode)
    where
        S: ResponseClasses,
    {
        let classes = S::CLASSES;
        let class = usize::from(status.as_u16() / 100).wrapping_sub(1);
        if let Some(metric) = classes.get(class) {
            self.increment(*metric);
        }
    }
}

impl Metrics<ProcessorMetric> {
    /// Notes how long a message waited for its reply.
    pub(crate) fn record_step(&self, direction: Direction, step: Step, duration: Duration) {
        let first = match direction {
            Direction::Request => 0,
            Direction::Response => 3,
        };
        let step = match step {
            Step::Headers => 0,
            Step::Body => 1,
            Step::Trailers => 2,
        };
        self.record_in(first + step, duration);
    }

    /// Notes how long an exchange waited for its stream.
    pub(crate) fn record_stream_wait(&self, duration: Duration) {
        self.record_in(6, duration);
    }
}

impl Metrics<ClusterMetric> {
    /// One more for the endpoint alone: its cluster counts such elsewhere.
    pub(crate) fn increment_endpoint(&self, metric: ClusterMetric) {
        self.add_to_endpoint(metric, 1);
    }

    /// Notes how long it took to make a connection.
    pub(crate) fn record_connect(&self, duration: Duration) {
        self.record_in(1, duration);
    }
}

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;
