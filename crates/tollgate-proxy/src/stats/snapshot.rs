//! The metrics of what a snapshot names.

use std::collections::HashSet;

use tollgate_model::{
    Snapshot, http_connection_manager::HttpConnectionManager, route::Route, tcp_proxy::TcpProxy,
};

use super::{
    ExtProcMetric, FilterMetrics, HttpMetric, ListenerMetric, Metrics, TcpMetric, WorkerStats,
    filters::OtherFilters, scope::Scope,
};
use crate::upstream::for_each_target;

/// Metrics that a snapshot names and that nobody may count on at the moment, because they are looked for when they are
/// needed first.
pub(super) fn named(snapshot: &Snapshot) -> HashSet<Scope> {
    let mut scopes = HashSet::from([Scope::Server]);
    let mut cluster = |name: &str| {
        scopes.insert(Scope::Cluster { name: name.to_owned() });
        scopes.insert(Scope::Processor { name: name.to_owned() });
    };
    snapshot.clusters.keys().for_each(|name| cluster(name));
    for_each_target(snapshot, |target| cluster(&target.name));
    for listener in &snapshot.listeners {
        for chain in listener.filter_chains.iter().chain(&listener.default_filter_chain) {
            for host in chain.http.route_config.virtual_hosts.iter() {
                scopes.extend(host.routes.iter().enumerate().map(|(index, route)| Scope::Route {
                    virtual_host: host.name.clone(),
                    route: route_name(route, index),
                }));
            }
        }
    }
    scopes
}

/// Routes without a name are named by their place.
pub(crate) fn route_name(route: &Route, index: usize) -> String {
    if route.name.is_empty() { index.to_string() } else { route.name.clone() }
}

/// The metrics of the requests of a filter chain.
#[derive(Debug)]
pub(crate) struct ConnectionStats {
    /// Of the listener.
    pub(crate) listener: Metrics<ListenerMetric>,
    /// Of the connection manager.
    pub(crate) http: Metrics<HttpMetric>,
    /// Of its external processing filters, at their places among all filters, those behind the router last.
    pub(crate) filters: Vec<Option<Metrics<ExtProcMetric>>>,
    /// Of its connections, if they are passed on as they are.
    pub(crate) tcp: Option<Metrics<TcpMetric>>,
    /// Of its other filters.
    other_filters: OtherFilters,
}

impl ConnectionStats {
    /// The metrics of a filter chain.
    pub(crate) fn new(
        worker: &WorkerStats,
        listener: &Metrics<ListenerMetric>,
        http: &HttpConnectionManager,
        tcp_proxy: Option<&TcpProxy>,
    ) -> Self {
        let filters = http.filters().map(|filter| {
            let prefix = &*filter.stat_prefix;
            (!prefix.is_empty()).then(|| worker.ext_proc(&http.stat_prefix, prefix))
        });
        Self {
            listener: listener.clone(),
            http: worker.http(&http.stat_prefix),
            filters: filters.collect(),
            tcp: tcp_proxy.map(|proxy| worker.tcp(&proxy.stat_prefix)),
            other_filters: OtherFilters::new(worker, http),
        }
    }

    /// Counts so many more of something that a filter does. `own` is what settles the prefix of its counters beside the
    /// connection manager.
    pub(crate) fn count_filter<S: FilterMetrics>(&self, own: &str, metric: S, amount: u64) {
        self.other_filters.count(own, metric, amount);
    }
}
