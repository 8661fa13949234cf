//! What a transaction knows, and what exchanges need of that.
//!
//! Facts are the messages and the [`StreamInfo`], with the route in force. The [`Decision`] is where the request goes by
//! that route. What the route says is done is in [`decide`](super::decide).

use std::{
    rc::Rc,
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
    matching::MatchFacts,
    overload::OverloadActionKind,
    route::{
        Action, MatchedRequest, MaxStreamDuration, PathParameters, RequestFacts, Route, RouteAction,
        StreamLimit,
    },
};

use super::{decision::Decision, upgrade::Upgrade};
use crate::{
    arrival::{body_buffer_limit, request_facts},
    attributes::RequestAttributes,
    configuration::{ChainConfiguration, WorkerRoute},
    connection_manager::asked_grpc_timeout,
    handler::Origin,
    local_reply::AskedBy,
    meter::SharedMeter,
    overload::Overload,
    stream_info::{Protocol, StreamInfo},
    upstream::UpstreamRequest,
    worker::Worker,
};

/// What a transaction knows, apart from where its parts are.
///
/// Everything here belongs to this worker alone: handles of routes, clusters and hosts are counted by it and nobody else.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) worker: Rc<Worker>,
    pub(super) configuration: Rc<ChainConfiguration>,
    pub(super) messages: Messages,
    pub(super) info: StreamInfo,
    pub(super) decision: Decision,
    /// The upgrade that the request asks for, if that is allowed.
    pub(super) upgrade: Upgrade,
    /// A filter has made a gRPC request of what the client speaks.
    pub(super) speaks_grpc_web: bool,
    /// A route said how long the stream may live.
    limited_by_route: bool,
}

impl Core {
    /// What the conditions of matchers are held against now.
    pub(super) fn match_facts(&self) -> MatchFacts<'_> {
        MatchFacts { request: &self.messages.request, metadata: Some(&self.info.metadata) }
    }

    pub(super) fn new(origin: Origin<'_>, request: RequestHeaders, now: Instant) -> Self {
        let Origin { worker, connection, protocol, configuration } = origin;
        let mut info = StreamInfo::new(connection.clone(), configuration.chain.clone(), protocol, now);
        info.upstream_meter = configuration.shows.upstream_bytes.then(SharedMeter::default);
        info.configuration = Rc::downgrade(configuration);
        Self {
            configuration: configuration.clone(),
            worker: worker.clone(),
            messages: Messages { request, request_trailers: None, response: None, response_trailers: None },
            info,
            decision: Decision::new(fastrand::u64(..)),
            upgrade: Upgrade::None,
            speaks_grpc_web: false,
            limited_by_route: false,
        }
    }

    /// Who is to see a reply of the gateway.
    pub(super) fn asked_by(&self) -> AskedBy<'_> {
        AskedBy { request: &self.messages.request, grpc_web: self.speaks_grpc_web }
    }

    /// What stands in the place of this while somebody else has it.
    pub(super) fn stand_in(&self) -> Self {
        let info = &self.info;
        Self {
            configuration: self.configuration.clone(),
            worker: self.worker.clone(),
            messages: Messages {
                request: no_request(),
                request_trailers: None,
                response: None,
                response_trailers: None,
            },
            info: StreamInfo::new(info.connection.clone(), info.chain.clone(), info.protocol, info.start),
            decision: Decision::new(0),
            upgrade: Upgrade::None,
            speaks_grpc_web: false,
            limited_by_route: false,
        }
    }

    pub(super) fn http(&self) -> &HttpConnectionManager {
        self.configuration.http()
    }

    /// The overload actions, if they concern the listener.
    pub(super) fn overload(&self) -> Option<&Overload> {
        let bypassed = self.configuration.chain.listener.limits.bypass_overload_manager;
        (!bypassed).then(|| &*self.worker.overload)
    }

    /// Whether a load shed point turns the request away at the end of the filter chain.
    pub(super) fn sheds_before_upstream(&self) -> bool {
        let point = OverloadActionKind::HttpDownstreamFilterCheck;
        self.overload().is_some_and(|overload| overload.sheds(point))
    }

    /// Whether the request asks for an upgrade that is allowed.
    pub(super) fn is_upgrade_asked(&self) -> bool {
        self.upgrade != Upgrade::None
    }

    /// The request as conditions of routes see it.
    pub(super) fn matched(&self, parameters: PathParameters) -> MatchedRequest<'_> {
        MatchedRequest::new(&self.messages.request, parameters, self.request_facts())
    }

    fn request_facts(&self) -> RequestFacts<'_> {
        RequestFacts {
            metadata: Some(&self.info.metadata),
            ..request_facts(&self.info.connection, self.decision.drawn())
        }
    }

    /// Chooses the route by the request as it is now (K-5).
    pub(super) fn refresh_route(&mut self) {
        let began = self.configuration.shows.route_resolution.then(Instant::now);
        let facts = self.request_facts();
        let found = self.configuration.http().route_config.find(&self.messages.request, facts);
        let route = found.map(|found| self.configuration.routes.get(&found));
        self.take_route(route);
        if let Some(began) = began {
            self.info.route_resolution_time += Instant::now().saturating_duration_since(began);
        }
    }

    /// This route is in force.
    pub(super) fn take_route(&mut self, route: Option<Rc<WorkerRoute>>) {
        let clusters = &self.configuration.clusters;
        self.decision.begin(route.as_deref(), clusters, &self.messages.request, SystemTime::now);
        let cluster = self.decision.cluster.as_ref();
        self.info.upstream.cluster = cluster.map(|cluster| cluster.name.clone());
        self.info.upstream.stat_name = cluster.and_then(|cluster| cluster.stat_name.clone());
        self.info.route = route;
        self.info.route_resolutions += 1;
    }

    /// What the route in force does.
    pub(super) fn route_action(&self) -> Option<&RouteAction> {
        match &self.info.route.as_ref()?.route.action {
            Action::Route(action) => Some(action),
            _ => None,
        }
    }

    /// What a filter does on the route in force; those behind the router come after the others.
    pub(super) fn filter_override(&self, index: usize) -> &FilterOverride {
        let said = self.info.route.as_ref().and_then(|selected| {
            let filters = match self.decision.share(&selected.route) {
                Some(share) => &share.filters,
                None => &selected.route.filters,
            };
            filters.get(index)
        });
        let default =
            || self.http().filter(index).map_or(&FilterOverride::Disabled, |filter| &filter.default);
        said.unwrap_or_else(default)
    }

    /// Indices of the filters that are not off on the route in force, ascending.
    pub(super) fn filters_on(&self) -> &[usize] {
        match &self.info.route {
            Some(selected) => selected.filters_on(self.decision.share_index(&selected.route)),
            None => self.configuration.routes.filters_on(),
        }
    }

    /// How long the stream may live by the route in force, or by the connection manager if a route before said something else.
    /// `None` = nobody but the connection manager says anything.
    pub(super) fn stream_limit(&mut self) -> Option<StreamLimit> {
        let own = self.route_action().and_then(|action| action.max_stream_duration);
        let was_limited = std::mem::replace(&mut self.limited_by_route, own.is_some());
        let limits = match own {
            Some(limits) => limits,
            None if was_limited => MaxStreamDuration::default(),
            None => return None,
        };
        let asked = asked_grpc_timeout(&self.messages.request.fields);
        Some(limits.limit(asked, self.http().max_stream_duration))
    }

    /// Notes what is known of a try.
    pub(super) fn note_upstream(&mut self, upstream: &UpstreamRequest) {
        self.info.upstream = upstream.info().clone();
        self.decision.cluster = Some(upstream.counts().clone());
    }

    /// Most bytes of a body to hold (section 7), in either direction. A route raises it; it never lowers it.
    pub(super) fn body_buffer_limit(&self) -> usize {
        let route: Option<&Route> = self.info.route.as_ref().map(|selected| &*selected.route);
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
    fn messages(&self) -> &Messages {
        &self.messages
    }

    fn messages_mut(&mut self) -> &mut Messages {
        &mut self.messages
    }

    fn metadata(&self) -> &DynamicMetadata {
        &self.info.metadata
    }

    fn metadata_mut(&mut self) -> &mut DynamicMetadata {
        &mut self.info.metadata
    }

    fn cluster_metadata(&self) -> Option<&Metadata> {
        let name = self.decision.cluster_name(self.route_action()?, &self.messages.request)?;
        Some(&self.configuration.snapshot.clusters.get(name)?.metadata)
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
