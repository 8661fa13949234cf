//! Where a request goes by the route in force.

use std::{
    cell::RefCell,
    rc::Rc,
    time::{Duration, SystemTime},
};

use extproc::RequestHeaders;
use http::HeaderValue;
use tollgate_model::route::{Action, ClusterSpecifier, Route, RouteAction, WeightedAction, WeightedCluster};

use crate::{
    configuration::WorkerRoute,
    session::Session,
    upstream::{ClusterCounts, ClusterManager, NamedHost, PickedHosts},
};

/// Where a request goes, and how long that may take.
#[derive(Debug)]
pub(super) struct Decision {
    /// What is counted of the cluster, once the route leads to one.
    pub(super) cluster: Option<Rc<ClusterCounts>>,
    /// Drawn once, so that every look at the route sees the same share of weighted clusters.
    random: u64,
    /// What was drawn before a session had its say.
    drawn: u64,
    /// The client's session, if the route has such.
    pub(super) session: Option<Session>,
    /// The host that a filter wants, whatever the policy of the cluster.
    pub(super) named: Option<NamedHost>,
    /// The hosts that filters have picked.
    pub(super) picked: PickedHosts,
    /// What the client is told to keep, for its requests to go to the same host.
    pub(super) cookies: RefCell<Vec<HeaderValue>>,
    /// How long the upstream may take, once the request goes there.
    pub(super) timeout: Option<Duration>,
}

impl Decision {
    /// Before there is a route; `drawn` chooses among shares.
    pub(super) fn new(drawn: u64) -> Self {
        Self {
            cluster: None,
            random: drawn,
            drawn,
            session: None,
            named: None,
            picked: PickedHosts::default(),
            cookies: RefCell::default(),
            timeout: None,
        }
    }

    /// What was drawn for the request.
    pub(super) fn drawn(&self) -> u64 {
        self.drawn
    }

    /// A route comes into force.
    pub(super) fn begin(
        &mut self,
        route: Option<&WorkerRoute>,
        clusters: &ClusterManager,
        request: &RequestHeaders,
        now: impl FnOnce() -> SystemTime,
    ) {
        let action = match route.map(|selected| &selected.route.action) {
            Some(Action::Route(action)) => Some(&**action),
            _ => None,
        };
        self.begin_session(action, clusters, request, now);
        let cluster =
            action.and_then(|action| self.cluster_name(action, request)).and_then(|name| clusters.get(name));
        self.cluster = cluster.map(|cluster| cluster.counts().clone());
    }

    /// What the request says about its session is read before filters can change it. It decides about the share as well:
    /// the one that has the endpoint.
    fn begin_session(
        &mut self,
        action: Option<&RouteAction>,
        clusters: &ClusterManager,
        request: &RequestHeaders,
        now: impl FnOnce() -> SystemTime,
    ) {
        if self.session.take().is_some() {
            self.random = self.drawn;
        }
        let Some(action) = action else { return };
        let Some(persistence) = &action.session_persistence else { return };
        self.session = Session::of(persistence, request, now());
        let Some(wanted) = self.session.as_ref().and_then(Session::wanted) else { return };
        let ClusterSpecifier::WeightedClusters(shares) = &action.cluster else { return };
        let has_it = |share: &WeightedCluster| match &share.action {
            WeightedAction::Cluster(name) => {
                clusters.get(name).is_some_and(|cluster| cluster.has_host_at(wanted))
            }
            _ => false,
        };
        if action.cluster.share(self.drawn).is_some_and(has_it) {
            return;
        }
        let mut places = shares.iter().enumerate().filter(|(_, share)| has_it(share));
        if let Some(random) = places.find_map(|(place, _)| action.cluster.drawing(place)) {
            self.random = random;
        }
    }

    /// The share of the traffic the request belongs to, if its route has shares.
    pub(super) fn share<'a>(&self, route: &'a Route) -> Option<&'a WeightedCluster> {
        match &route.action {
            Action::Route(action) => action.cluster.share(self.random),
            _ => None,
        }
    }

    /// Which share of the traffic the request belongs to, if its route has shares.
    pub(super) fn share_index(&self, route: &Route) -> Option<usize> {
        match &route.action {
            Action::Route(action) => action.cluster.share_index(self.random),
            _ => None,
        }
    }

    /// The name of the cluster the request goes to.
    pub(super) fn cluster_name<'a>(
        &self,
        action: &'a RouteAction,
        request: &'a RequestHeaders,
    ) -> Option<&'a str> {
        action.cluster.choose(request, self.random).map(|choice| choice.name)
    }
}
