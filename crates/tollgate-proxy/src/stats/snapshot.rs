//! The metrics of what a snapshot names.

use std::{cell::OnceCell, collections::HashSet, sync::Arc};

use tollgate_model::{
    Snapshot,
    http_connection_manager::HttpConnectionManager,
    route::{Route, RouteConfiguration},
};

use super::{ExtProcMetric, HttpMetric, ListenerMetric, Metrics, RouteMetric, WorkerStats, scope::Scope};
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
fn route_name(route: &Route, index: usize) -> String {
    if route.name.is_empty() { index.to_string() } else { route.name.clone() }
}

/// One place for each route of a virtual host.
type RouteCells = Box<[OnceCell<Metrics<RouteMetric>>]>;

/// The metrics of the requests of a filter chain.
#[derive(Debug)]
pub(crate) struct ConnectionStats {
    /// Of the listener.
    pub(crate) listener: Metrics<ListenerMetric>,
    /// Of the connection manager.
    pub(crate) http: Metrics<HttpMetric>,
    /// Of its filters, in their order, those behind the router last.
    pub(crate) filters: Vec<Metrics<ExtProcMetric>>,
    /// By virtual host and route; looked for when the first request comes.
    routes: Box<[OnceCell<RouteCells>]>,
    route_config: Arc<RouteConfiguration>,
    worker: WorkerStats,
}

impl ConnectionStats {
    /// The metrics of a filter chain.
    pub(crate) fn new(
        worker: &WorkerStats,
        listener: &Metrics<ListenerMetric>,
        http: &HttpConnectionManager,
    ) -> Self {
        Self {
            listener: listener.clone(),
            http: worker.http(&http.stat_prefix),
            filters: http
                .filters()
                .map(|filter| worker.ext_proc(&http.stat_prefix, &filter.stat_prefix))
                .collect(),
            routes: http.route_config.virtual_hosts.iter().map(|_| OnceCell::new()).collect(),
            route_config: http.route_config.clone(),
            worker: worker.clone(),
        }
    }

    /// Of the route at these places of the route table.
    pub(crate) fn route(&self, virtual_host: usize, route: usize) -> Option<&Metrics<RouteMetric>> {
        let host = self.route_config.virtual_hosts.get(virtual_host)?;
        let cells = self.routes.get(virtual_host)?;
        let cells = cells.get_or_init(|| host.routes.iter().map(|_| OnceCell::new()).collect());
        let configured = host.routes.get(route)?;
        let cell = cells.get(route)?;
        Some(cell.get_or_init(|| self.worker.route(&host.name, &route_name(configured, route))))
    }
}
