//! The routes of a filter chain as one worker has them.
//!
//! What a request needs of its route for its whole life is one reference that only this worker counts. The routes of the
//! snapshot belong to all workers: their reference counts would be written by all of them for every request.

use std::{cell::OnceCell, rc::Rc, sync::Arc};

use tollgate_model::{
    filter::{FilterOverride, FilterOverrides},
    http_connection_manager::HttpConnectionManager,
    route::{Action, ClusterSpecifier, Route, RouteMatchResult, VirtualHost},
};

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
    /// Indices of the filters that are not off here, and then for each of its shares.
    filters_on: Box<[Box<[usize]>]>,
}

impl WorkerRoute {
    /// Indices of the filters that are not off for a share of the route, or for the route where it has none, ascending.
    pub(crate) fn filters_on(&self, share: Option<usize>) -> &[usize] {
        self.filters_on.get(share.map_or(0, |share| share + 1)).map_or(&[], |filters| filters)
    }

    /// What is counted of it; looked for when something is.
    pub(crate) fn metrics(&self) -> &Metrics<RouteMetric> {
        self.metrics
            .get_or_init(|| self.stats.route(&self.virtual_host.name, &route_name(&self.route, self.place)))
    }
}

/// One place for each route of a virtual host.
type Places = Box<[OnceCell<Rc<WorkerRoute>>]>;

/// The routes of a connection manager, each made when a request matches it first.
#[derive(Debug)]
pub(crate) struct WorkerRoutes {
    /// By virtual host.
    hosts: Box<[OnceCell<Places>]>,
    stats: WorkerStats,
    /// Indices of the filters that are not off where no route says otherwise.
    filters_on: Box<[usize]>,
}

impl WorkerRoutes {
    /// The routes of a connection manager.
    pub(crate) fn new(http: &HttpConnectionManager, stats: &WorkerStats) -> Self {
        let is_on = |(index, does): (usize, &FilterOverride)| {
            (!matches!(does, FilterOverride::Disabled)).then_some(index)
        };
        Self {
            hosts: http.route_config.virtual_hosts.iter().map(|_| OnceCell::new()).collect(),
            stats: stats.clone(),
            filters_on: http.filters().map(|filter| &filter.default).enumerate().filter_map(is_on).collect(),
        }
    }

    /// Indices of the filters that are not off where there is no route, ascending.
    pub(crate) fn filters_on(&self) -> &[usize] {
        &self.filters_on
    }

    /// The same where a route or a share of one says this.
    fn filters_on_with(&self, said: &FilterOverrides) -> Box<[usize]> {
        let is_off = |does: &FilterOverride| matches!(does, FilterOverride::Disabled);
        let by_default = self.filters_on.iter().copied().filter(|index| said.get(*index).is_none());
        let turned_on = said.iter().filter(|(_, does)| !is_off(does)).map(|(index, _)| index);
        let mut on: Vec<usize> = by_default.chain(turned_on).collect();
        on.sort_unstable();
        on.into()
    }

    fn filters_on_by_share(&self, route: &Route) -> Box<[Box<[usize]>]> {
        let shares = match &route.action {
            Action::Route(action) => match &action.cluster {
                ClusterSpecifier::WeightedClusters(shares) => shares.as_slice(),
                _ => &[],
            },
            _ => &[],
        };
        let said = std::iter::once(&route.filters).chain(shares.iter().map(|share| &share.filters));
        said.map(|said| self.filters_on_with(said)).collect()
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
                filters_on: self.filters_on_by_share(found.route),
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
