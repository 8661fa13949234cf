//! What a transaction knows: its messages, its route, its facts; and what exchanges need of that.

use std::{
    rc::Rc,
    sync::Arc,
    time::{Instant, SystemTime},
};

use extproc::{
    Attributes, Direction, Messages, RequestHeaders,
    exchange::{HeaderLimits, Host},
    messages::{Metadata, Struct},
    metadata::DynamicMetadata,
};
use http::{HeaderMap, HeaderValue};
use tollgate_model::{
    filter::FilterOverride,
    http_connection_manager::HttpConnectionManager,
    route::{
        Action, ClusterSpecifier, Route, RouteAction, RouteMatchResult, VirtualHost, WeightedAction,
        WeightedCluster,
    },
};

use super::upgrade::Upgrade;
use crate::{
    arrival::body_buffer_limit,
    attributes::RequestAttributes,
    configuration::ChainConfiguration,
    handler::Origin,
    session::Session,
    stream_info::{Protocol, StreamInfo},
    worker::Worker,
};

/// What a transaction knows, apart from where its parts are.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) worker: Rc<Worker>,
    pub(super) configuration: Rc<ChainConfiguration>,
    pub(super) messages: Messages,
    pub(super) info: StreamInfo,
    pub(super) route: Option<SelectedRoute>,
    /// Drawn once, so that every look at the route sees the same share of weighted clusters.
    pub(super) random: u64,
    /// What was drawn before a session had its say.
    drawn: u64,
    /// The client's session, if the route has such.
    pub(super) session: Option<Session>,
    /// The upgrade that the request asks for, if that is allowed.
    pub(super) upgrade: Upgrade,
    /// How long the upstream may take, once the request goes there.
    pub(super) timeout: Option<std::time::Duration>,
}

/// The route in force.
#[derive(Debug, Clone)]
pub(super) struct SelectedRoute {
    pub(super) virtual_host: Arc<VirtualHost>,
    pub(super) virtual_host_index: usize,
    pub(super) route: Arc<Route>,
    pub(super) route_index: usize,
}

impl SelectedRoute {
    pub(super) fn new(found: &RouteMatchResult<'_>) -> Self {
        Self {
            virtual_host: found.virtual_host.clone(),
            virtual_host_index: found.virtual_host_index,
            route: found.route.clone(),
            route_index: found.route_index,
        }
    }
}

impl Core {
    pub(super) fn new(origin: Origin<'_>, request: RequestHeaders, now: Instant) -> Self {
        let Origin { worker, connection, protocol, configuration } = origin;
        let drawn = fastrand::u64(..);
        Self {
            configuration: configuration.clone(),
            worker: worker.clone(),
            messages: Messages { request, request_trailers: None, response: None, response_trailers: None },
            info: StreamInfo::new(connection.clone(), configuration.chain.clone(), protocol, now),
            route: None,
            random: drawn,
            drawn,
            session: None,
            upgrade: Upgrade::None,
            timeout: None,
        }
    }

    pub(super) fn http(&self) -> &HttpConnectionManager {
        self.configuration.http()
    }

    /// Chooses the route by the request as it is now (K-5).
    pub(super) fn refresh_route(&mut self) {
        let table = &self.configuration.http().route_config;
        self.route = table.find(&self.messages.request).map(|found| SelectedRoute::new(&found));
        self.note_route();
    }

    /// Logs and attributes name the route in force.
    pub(super) fn note_route(&mut self) {
        self.begin_session();
        self.info.route = self.route.as_ref().map(|selected| selected.route.clone());
        self.info.virtual_host = self.route.as_ref().map(|selected| selected.virtual_host.clone());
        self.info.upstream.cluster = self.route.as_ref().and_then(|selected| match &selected.route.action {
            Action::Route(action) => {
                Some(self.configuration.clusters.get(self.cluster_name(action)?)?.name().clone())
            }
            _ => None,
        });
    }

    /// What the request says about its session is read before filters can change it. It decides about the share as well:
    /// the one that has the endpoint.
    fn begin_session(&mut self) {
        if self.session.take().is_some() {
            self.random = self.drawn;
        }
        let Some(SelectedRoute { route, .. }) = &self.route else { return };
        let Action::Route(action) = &route.action else { return };
        let Some(persistence) = &action.session_persistence else { return };
        self.session = Session::of(persistence, &self.messages.request, SystemTime::now());
        let Some(wanted) = self.session.as_ref().and_then(Session::wanted) else { return };
        let ClusterSpecifier::WeightedClusters(shares) = &action.cluster else { return };
        let has_it = |share: &WeightedCluster| match &share.action {
            WeightedAction::Cluster(name) => {
                self.configuration.clusters.get(name).is_some_and(|cluster| cluster.has_host_at(wanted))
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

    /// What a filter does on the route in force; those behind the router come after the others.
    pub(super) fn filter_override(&self, index: usize) -> &FilterOverride {
        let http = self.http();
        let default = match index.checked_sub(http.http_filters.len()) {
            None => &http.http_filters[index].default,
            Some(index) => &http.upstream_http_filters[index].default,
        };
        let Some(selected) = &self.route else {
            return default;
        };
        let filters = match self.weighted_cluster(&selected.route) {
            Some(share) => &share.filters,
            None => &selected.route.filters,
        };
        filters.get(index).unwrap_or(default)
    }

    /// The share of the traffic the request belongs to, if its route has shares.
    pub(super) fn weighted_cluster<'a>(&self, route: &'a Route) -> Option<&'a WeightedCluster> {
        match &route.action {
            Action::Route(action) => action.cluster.share(self.random),
            _ => None,
        }
    }

    /// The name of the cluster the request goes to.
    pub(super) fn cluster_name<'a>(&'a self, action: &'a RouteAction) -> Option<&'a str> {
        action.cluster.choose(&self.messages.request, self.random).map(|choice| choice.name)
    }

    /// Most bytes of a body to hold (section 7), in either direction. A route raises it; it never lowers it.
    pub(super) fn body_buffer_limit(&self) -> usize {
        let route = self.route.as_ref().map(|selected| &*selected.route);
        body_buffer_limit(
            &self.info.chain.listener,
            self.http(),
            route,
            self.info.protocol == Protocol::Http2,
        )
    }
}

/// Stands for the request of a client that sent none worth the name.
pub(super) fn no_request() -> RequestHeaders {
    RequestHeaders {
        method: http::Method::GET,
        scheme: HeaderValue::from_static("http"),
        authority: HeaderValue::from_static(""),
        path: HeaderValue::from_static(""),
        fields: HeaderMap::new(),
    }
}

impl Host for Core {
    fn messages(&mut self) -> &mut Messages {
        &mut self.messages
    }

    fn metadata(&mut self) -> &mut DynamicMetadata {
        &mut self.info.metadata
    }

    fn cluster_metadata(&self) -> Option<&Metadata> {
        let Action::Route(action) = &self.route.as_ref()?.route.action else { return None };
        Some(&self.configuration.snapshot.clusters.get(self.cluster_name(action)?)?.metadata)
    }

    fn attributes(&self, wanted: &Attributes, response_headers_shown: bool) -> Struct {
        wanted.evaluate(&RequestAttributes {
            info: &self.info,
            messages: &self.messages,
            response_headers_shown,
            snapshot: &self.configuration.snapshot,
        })
    }

    fn buffer_limit(&self, _direction: Direction) -> usize {
        self.body_buffer_limit()
    }

    fn header_limits(&self, direction: Direction) -> HeaderLimits {
        match direction {
            Direction::Request => {
                let http = self.http();
                HeaderLimits {
                    max_count: http.max_headers_count,
                    max_bytes: http.max_request_headers_kb * 1024,
                }
            }
            Direction::Response => match self.info.upstream.protocol {
                Some(Protocol::Http2) => HeaderLimits::HTTP2_RESPONSE,
                _ => HeaderLimits::HTTP1_RESPONSE,
            },
        }
    }

    fn is_upgrade(&self) -> bool {
        self.upgrade != Upgrade::None
    }

    fn is_http2(&self) -> bool {
        self.info.protocol == Protocol::Http2
    }
}
