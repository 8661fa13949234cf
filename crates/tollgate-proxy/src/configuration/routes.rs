//! The routes of a filter chain as one worker has them.
//!
//! What a request needs of its route for its whole life is one reference that only this worker counts. The routes of the
//! snapshot belong to all workers: their reference counts would be written by all of them for every request.

use std::{cell::OnceCell, rc::Rc, sync::Arc};

use tollgate_model::route::{Route, RouteConfiguration, RouteMatchResult, VirtualHost};

use crate::stats::{Metrics, RouteMetric, WorkerStats, route_name};

/// A route as one worker has it.
#[derive(Debug)]
pub(crate) struct WorkerRoute {
    /// The virtual host it belongs to.
    pub(crate) virtual_host: Arc<VirtualHost>,
    /// The route.
    pub(crate) route: Arc<Route>,
    place: usize,
    metrics: OnceCell<Metrics<RouteMetric>>,
    stats: WorkerStats,
}

impl WorkerRoute {
    /// What is counted of it; looked for when something is.
    pub(crate) fn metrics(&self) -> &Metrics<RouteMetric> {
        self.metrics
            .get_or_init(|| self.stats.route(&self.virtual_host.name, &route_name(&self.route, self.place)))
    }
}

/// One place for each route of a virtual host.
type Places = Box<[OnceCell<Rc<WorkerRoute>>]>;

/// The routes of a table, each made when a request matches it first.
#[derive(Debug)]
pub(crate) struct WorkerRoutes {
    /// By virtual host.
    hosts: Box<[OnceCell<Places>]>,
    stats: WorkerStats,
}

impl WorkerRoutes {
    /// The routes of `table`.
    pub(crate) fn new(table: &RouteConfiguration, stats: &WorkerStats) -> Self {
        Self { hosts: table.virtual_hosts.iter().map(|_| OnceCell::new()).collect(), stats: stats.clone() }
    }

    /// The route that was found in the same table.
    pub(crate) fn get(&self, found: &RouteMatchResult<'_>) -> Rc<WorkerRoute> {
        let new = || {
            Rc::new(WorkerRoute {
                virtual_host: found.virtual_host.clone(),
                route: found.route.clone(),
                place: found.route_index,
                metrics: OnceCell::new(),
                stats: self.stats.clone(),
            })
        };
        let Some(host) = self.hosts.get(found.virtual_host_index) else { return new() };
        let places = host.get_or_init(|| found.virtual_host.routes.iter().map(|_| OnceCell::new()).collect());
        match places.get(found.route_index) {
            Some(place) => place.get_or_init(new).clone(),
            None => new(),
        }
    }
}
