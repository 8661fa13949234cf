//! The metrics of everything a snapshot names, as one worker counts them.

use std::{cell::OnceCell, rc::Rc, sync::Arc};

use tollgate_model::{
    Snapshot,
    http_connection_manager::HttpConnectionManager,
    listener::{FilterChain, Listener},
    route::RouteConfiguration,
};

use super::{ExtProcMetric, HttpMetric, ListenerMetric, Metrics, RouteMetric, WorkerStats};

/// The metrics of the listeners of a snapshot, in the order of its lists.
#[derive(Debug)]
pub(crate) struct SnapshotStats {
    listeners: Vec<ListenerStats>,
}

#[derive(Debug)]
struct ListenerStats {
    listener: Metrics<ListenerMetric>,
    filter_chains: Vec<Rc<ConnectionStats>>,
    default_filter_chain: Option<Rc<ConnectionStats>>,
}

impl SnapshotStats {
    /// Takes a snapshot in.
    pub(crate) fn new(worker: &WorkerStats, snapshot: &Snapshot) -> Self {
        Self {
            listeners: snapshot
                .listeners
                .iter()
                .map(|listener| ListenerStats::new(worker, listener))
                .collect(),
        }
    }

    /// Of the listener at this place of the snapshot.
    pub(crate) fn listener(&self, listener: usize) -> Option<&Metrics<ListenerMetric>> {
        self.listeners.get(listener).map(|stats| &stats.listener)
    }

    /// Of connections on a filter chain of that listener; `None` is the default one.
    pub(crate) fn connection(
        &self,
        listener: usize,
        filter_chain: Option<usize>,
    ) -> Option<&Rc<ConnectionStats>> {
        let listener = self.listeners.get(listener)?;
        match filter_chain {
            Some(index) => listener.filter_chains.get(index),
            None => listener.default_filter_chain.as_ref(),
        }
    }
}

impl ListenerStats {
    fn new(worker: &WorkerStats, listener: &Listener) -> Self {
        let metrics = worker.listener(&listener.name);
        let chain = |chain: &FilterChain| Rc::new(ConnectionStats::new(worker, &metrics, &chain.http));
        Self {
            filter_chains: listener.filter_chains.iter().map(chain).collect(),
            default_filter_chain: listener.default_filter_chain.as_ref().map(chain),
            listener: metrics.clone(),
        }
    }
}

/// The metrics of the requests of a filter chain.
#[derive(Debug)]
pub(crate) struct ConnectionStats {
    /// Of the listener.
    pub(crate) listener: Metrics<ListenerMetric>,
    /// Of the connection manager.
    pub(crate) http: Metrics<HttpMetric>,
    /// Of its filters, in their order.
    pub(crate) filters: Vec<Metrics<ExtProcMetric>>,
    /// By virtual host and route; made when the first request comes.
    routes: Vec<Vec<OnceCell<Metrics<RouteMetric>>>>,
    route_config: Arc<RouteConfiguration>,
    worker: WorkerStats,
}

impl ConnectionStats {
    fn new(worker: &WorkerStats, listener: &Metrics<ListenerMetric>, http: &HttpConnectionManager) -> Self {
        let routes =
            http.route_config.virtual_hosts.iter().map(|host| vec![OnceCell::new(); host.routes.len()]);
        Self {
            listener: listener.clone(),
            http: worker.http(&http.stat_prefix),
            filters: http
                .http_filters
                .iter()
                .map(|filter| worker.ext_proc(&http.stat_prefix, &filter.stat_prefix))
                .collect(),
            routes: routes.collect(),
            route_config: http.route_config.clone(),
            worker: worker.clone(),
        }
    }

    /// Of the route at these places of the route table. Routes without a name are named by their place.
    pub(crate) fn route(&self, virtual_host: usize, route: usize) -> Option<&Metrics<RouteMetric>> {
        let cell = self.routes.get(virtual_host)?.get(route)?;
        Some(cell.get_or_init(|| {
            let host = self.route_config.virtual_hosts.get(virtual_host);
            let name = host.and_then(|host| host.routes.get(route)).map_or("", |route| route.name.as_str());
            let host = host.map_or("", |host| host.name.as_str());
            if name.is_empty() {
                self.worker.route(host, &route.to_string())
            } else {
                self.worker.route(host, name)
            }
        }))
    }
}
