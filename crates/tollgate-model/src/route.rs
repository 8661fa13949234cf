//! Virtual hosts, routes and what they do.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use extproc::{
    RequestHeaders,
    messages::{Metadata, Struct},
};
use http::StatusCode;
use serde::Serialize;

mod cluster_choice;
mod conditions;
mod hash_policy;
mod max_stream_duration;
mod mirror;
mod path_match;
mod path_parameters;
mod path_template;
mod rate_limit;
mod redirect;
mod retry;
mod rewrite;
mod session_persistence;
#[cfg(test)]
mod tests;
mod tls_requirement;
mod virtual_hosts;

pub use self::rate_limit::{
    EntryValue, HitsAddend, Limit, LimitOverride, LimitUnit, RateLimitAction, RateLimitPolicy, RateLimits,
};
pub use self::{
    cluster_choice::ClusterChoice,
    conditions::{CookieMatcher, DynamicMetadataCondition, MoreConditions, RequestFacts, cookie},
    hash_policy::{CookieHash, HashPolicy, HashSource},
    max_stream_duration::{MaxStreamDuration, StreamLimit, read_grpc_timeout, write_grpc_timeout},
    mirror::{Fraction, MirrorCluster, RequestMirrorPolicy},
    path_parameters::{MatchedRequest, PathParameters},
    path_template::{PathTemplate, PathTemplateRewrite},
    retry::{OmittedHosts, RateLimitedBackOff, ResetFormat, ResetHeader, RetryBackOff, RetryOn, RetryPolicy},
    session_persistence::SessionPersistence,
    tls_requirement::TlsRequirement,
    virtual_hosts::{DuplicateDomain, VirtualHosts},
};
use crate::{
    filter::FilterOverrides,
    format::Format,
    header::{FieldName, HeaderMutations},
    local_reply::BodyFormat,
    matching::{FullRegex, HeaderMatcher, QueryParameterMatcher, Substitution},
};

/// A route table.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct RouteConfiguration {
    /// Name, may be empty.
    pub name: String,
    /// Virtual hosts; their domains are unique across the table. Chosen by EN-10.
    pub virtual_hosts: VirtualHosts,
    /// Compare hosts without their port.
    pub ignore_port_in_host_matching: bool,
    /// What becomes of path parameters when paths are compared. Default: they are a part of the path.
    pub path_parameters: PathParameters,
    /// Header changes of the least specific level.
    pub headers: HeaderMutations,
    /// Apply header changes of the table before those of the virtual host before those of the route, so that the most
    /// specific wins. Default false: the other way round. Those of a weighted cluster always come first.
    pub most_specific_header_mutations_wins: bool,
}

/// Routes of a set of host names.
#[derive(Debug, PartialEq, Serialize)]
pub struct VirtualHost {
    /// Unique name.
    pub name: String,
    /// Lower-case domains: exact, `*.suffix`, `*-suffix`, `prefix.*`, `*`.
    pub domains: Vec<String>,
    /// Tried in order; first match wins (EN-11).
    pub routes: Vec<Arc<Route>>,
    /// Header changes of this level.
    pub headers: HeaderMutations,
    /// Static metadata (attribute `xds.virtual_host_metadata`); empty by default.
    #[serde(serialize_with = "crate::metadata::serialize")]
    pub metadata: Metadata,
    /// Tell the upstream which try it sees (`x-envoy-attempt-count`). Default false.
    pub include_request_attempt_count: bool,
    /// Tell the client how many tries there were (`x-envoy-attempt-count`). Default false.
    pub include_attempt_count_in_response: bool,
    /// What of requests rate limits look at.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rate_limits: Vec<RateLimitPolicy>,
    /// Which requests are sent to https instead of being served. Default none.
    #[serde(skip_serializing_if = "TlsRequirement::is_none")]
    pub require_tls: TlsRequirement,
}

impl VirtualHost {
    /// One that only has a name, domains and routes.
    #[must_use]
    pub fn new(name: String, domains: Vec<String>, routes: Vec<Arc<Route>>) -> Self {
        Self {
            name,
            domains,
            routes,
            headers: HeaderMutations::default(),
            metadata: Metadata::default(),
            include_request_attempt_count: false,
            include_attempt_count_in_response: false,
            rate_limits: Vec::new(),
            require_tls: TlsRequirement::None,
        }
    }
}

/// One route.
#[derive(Debug, PartialEq, Serialize)]
pub struct Route {
    /// Name (attribute `xds.route_name`), may be empty.
    pub name: String,
    /// When it applies.
    pub route_match: RouteMatch,
    /// What it does.
    pub action: Action,
    /// Header changes of this level.
    pub headers: HeaderMutations,
    /// Effective per-filter configuration, by the indices of `HttpConnectionManager::http_filters` followed by
    /// `upstream_http_filters` and those of clusters; already folded over table, virtual host and route.
    pub filters: FilterOverrides,
    /// `per_request_buffer_limit_bytes` / `request_body_buffer_limit`: raises the limit of the connection, for both
    /// directions; a lower one has no effect, as in Envoy.
    pub request_body_buffer_limit: Option<usize>,
    /// It is the gateway's own: what the levels above say about headers does not concern it. Default false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub own: bool,
    /// Static metadata (attribute `xds.route_metadata`); empty by default.
    #[serde(serialize_with = "crate::metadata::serialize")]
    pub metadata: Metadata,
}

impl Route {
    /// One without a name that changes nothing and whose filters do what they do.
    #[must_use]
    pub fn new(route_match: RouteMatch, action: Action) -> Self {
        Self {
            name: String::new(),
            route_match,
            action,
            headers: HeaderMutations::default(),
            filters: FilterOverrides::default(),
            request_body_buffer_limit: None,
            own: false,
            metadata: Metadata::default(),
        }
    }
}

/// When a route applies: every part must hold.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RouteMatch {
    /// Condition on the path without its query.
    pub path: PathMatch,
    /// Conditions on headers.
    pub headers: Vec<HeaderMatcher>,
    /// Conditions on query parameters.
    pub query_parameters: Vec<QueryParameterMatcher>,
    /// Only gRPC requests.
    pub grpc: bool,
    /// Further conditions, which few routes have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub more: Option<Box<MoreConditions>>,
}

/// Condition on the path.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum PathMatch {
    /// Starts with.
    Prefix {
        /// The prefix.
        prefix: String,
        /// Compare case-sensitively (default true).
        case_sensitive: bool,
    },
    /// Equal.
    Path {
        /// The path.
        path: String,
        /// Compare case-sensitively (default true).
        case_sensitive: bool,
    },
    /// Equal, or starts with the prefix followed by `/`.
    PathSeparatedPrefix {
        /// The prefix, without trailing slash.
        prefix: String,
        /// Compare case-sensitively (default true).
        case_sensitive: bool,
    },
    /// The whole path matches.
    SafeRegex(FullRegex),
    /// The whole path matches a template.
    Template(PathTemplate),
}

/// What a route does. `F` is what is said about filters: everything folded, or as written.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Action<F = FilterOverrides> {
    /// Forward to a cluster.
    Route(Box<RouteAction<F>>),
    /// Answer with a redirect.
    Redirect(Box<RedirectAction>),
    /// Answer directly.
    DirectResponse(DirectResponse),
    /// Answer nothing of its own: for filters that always reply.
    NonForwarding,
}

/// Forward to a cluster.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RouteAction<F = FilterOverrides> {
    /// Where to.
    pub cluster: ClusterSpecifier<F>,
    /// Status when the named cluster does not exist. Default 503.
    #[serde(serialize_with = "status")]
    pub cluster_not_found_response_code: StatusCode,
    /// Change of the path.
    pub path_rewrite: Option<PathRewrite>,
    /// Change of the authority.
    pub host_rewrite: Option<HostRewrite>,
    /// Append the original host to `x-forwarded-host` when it is rewritten.
    pub append_x_forwarded_host: bool,
    /// From the end of the request to the end of the response, all tries included. Default 15 s; `None` = off (0).
    pub timeout: Option<Duration>,
    /// How long the stream may live, from the head of the request on. With it there is no `timeout`, as in Envoy. Default
    /// `None`: as the connection manager says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_stream_duration: Option<MaxStreamDuration>,
    /// For gRPC requests the timeout is what they ask for in `grpc-timeout`, up to this, or this; zero: whatever they ask for, or
    /// none. Has no effect beside `max_stream_duration`. Default `None`: the header does not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_grpc_timeout: Option<Duration>,
    /// What is tried again, and how long one try may take. `None` = nothing, unless the request asks for it. A route
    /// without one has that of its virtual host, which is for the maker of the snapshot to put here.
    pub retry_policy: Option<Arc<RetryPolicy>>,
    /// Where copies of the request go. A route without any has those of its virtual host, which are for the maker of
    /// the snapshot to put here.
    pub request_mirror_policies: Vec<RequestMirrorPolicy>,
    /// Replaces the connection manager's stream idle timeout; `Some(None)` = off.
    pub idle_timeout: Option<Option<Duration>>,
    /// Replaces the connection manager's upgrade types for the named ones: (lower-case type, enabled).
    pub upgrade_configs: Vec<(String, bool)>,
    /// Requests of one session go to one endpoint as long as it is there. Default none.
    pub session_persistence: Option<SessionPersistence>,
    /// What of a request is hashed, where its cluster chooses by a hash. Default nothing: any endpoint will do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hash_policies: Vec<HashPolicy>,
    /// What of requests rate limits look at.
    #[serde(skip_serializing_if = "RateLimits::is_empty")]
    pub rate_limits: RateLimits,
    /// Which subset of its cluster takes the request, unless filters say something else
    /// ([`SUBSET_NAMESPACE`](crate::cluster::SUBSET_NAMESPACE)). Default nothing.
    #[serde(
        skip_serializing_if = "crate::metadata::is_empty_struct",
        serialize_with = "crate::metadata::serialize_struct"
    )]
    pub metadata_match: Struct,
}

impl<F> Action<F> {
    /// The same with something else said about the filters of weighted clusters.
    ///
    /// # Errors
    /// What `filters` says.
    pub fn try_map<G, P>(self, filters: impl FnMut(F) -> Result<G, P>) -> Result<Action<G>, P> {
        Ok(match self {
            Self::Route(action) => Action::Route(Box::new(action.try_map(filters)?)),
            Self::Redirect(action) => Action::Redirect(action),
            Self::DirectResponse(response) => Action::DirectResponse(response),
            Self::NonForwarding => Action::NonForwarding,
        })
    }
}

impl<F> RouteAction<F> {
    fn try_map<G, P>(self, mut filters: impl FnMut(F) -> Result<G, P>) -> Result<RouteAction<G>, P> {
        let cluster = match self.cluster {
            ClusterSpecifier::Cluster(name) => ClusterSpecifier::Cluster(name),
            ClusterSpecifier::ClusterHeader(name) => ClusterSpecifier::ClusterHeader(name),
            ClusterSpecifier::WeightedClusters(shares) => {
                let shares = shares.into_iter().map(|share| share.try_map(&mut filters));
                ClusterSpecifier::WeightedClusters(shares.collect::<Result<_, _>>()?)
            }
        };
        Ok(RouteAction {
            cluster,
            cluster_not_found_response_code: self.cluster_not_found_response_code,
            path_rewrite: self.path_rewrite,
            host_rewrite: self.host_rewrite,
            append_x_forwarded_host: self.append_x_forwarded_host,
            timeout: self.timeout,
            max_stream_duration: self.max_stream_duration,
            max_grpc_timeout: self.max_grpc_timeout,
            retry_policy: self.retry_policy,
            request_mirror_policies: self.request_mirror_policies,
            idle_timeout: self.idle_timeout,
            upgrade_configs: self.upgrade_configs,
            session_persistence: self.session_persistence,
            hash_policies: self.hash_policies,
            rate_limits: self.rate_limits,
            metadata_match: self.metadata_match,
        })
    }

    /// Forwards to clusters, with nothing but defaults.
    #[must_use]
    pub fn new(cluster: ClusterSpecifier<F>) -> Self {
        Self {
            cluster,
            cluster_not_found_response_code: StatusCode::SERVICE_UNAVAILABLE,
            path_rewrite: None,
            host_rewrite: None,
            append_x_forwarded_host: false,
            timeout: Some(Duration::from_secs(15)),
            max_stream_duration: None,
            max_grpc_timeout: None,
            retry_policy: None,
            request_mirror_policies: Vec::new(),
            idle_timeout: None,
            upgrade_configs: Vec::new(),
            session_persistence: None,
            hash_policies: Vec::new(),
            rate_limits: RateLimits::default(),
            metadata_match: Struct::default(),
        }
    }
}

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum ClusterSpecifier<F = FilterOverrides> {
    /// One cluster.
    Cluster(String),
    /// The cluster named by the first value of a request header.
    ClusterHeader(FieldName),
    /// A share each; never empty, total weight above zero.
    WeightedClusters(Vec<WeightedCluster<F>>),
}

/// One share of the traffic.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WeightedCluster<F = FilterOverrides> {
    /// What becomes of it.
    pub action: WeightedAction,
    /// Relative weight.
    pub weight: u32,
    /// Header changes of this level, the most specific one.
    pub headers: HeaderMutations,
    /// Replaces [`Route::filters`] when this share is chosen; folded one level further.
    pub filters: F,
    /// Replaces the authority.
    pub host_rewrite_literal: Option<String>,
    /// Change of the path, instead of the route's.
    pub path_rewrite: Option<PathRewrite>,
    /// Stands for what the route says, which is for the maker of the snapshot to put here where it counts.
    #[serde(
        skip_serializing_if = "crate::metadata::is_empty_struct",
        serialize_with = "crate::metadata::serialize_struct"
    )]
    pub metadata_match: Struct,
}

impl<F> WeightedCluster<F> {
    fn try_map<G, P>(self, filters: impl FnOnce(F) -> Result<G, P>) -> Result<WeightedCluster<G>, P> {
        Ok(WeightedCluster {
            action: self.action,
            weight: self.weight,
            headers: self.headers,
            filters: filters(self.filters)?,
            host_rewrite_literal: self.host_rewrite_literal,
            path_rewrite: self.path_rewrite,
            metadata_match: self.metadata_match,
        })
    }

    /// A share with nothing of its own but its action.
    #[must_use]
    pub fn new(action: WeightedAction, weight: u32, filters: F) -> Self {
        Self {
            action,
            weight,
            headers: HeaderMutations::default(),
            filters,
            host_rewrite_literal: None,
            path_rewrite: None,
            metadata_match: Struct::default(),
        }
    }
}

/// What becomes of a share of the traffic.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum WeightedAction {
    /// It goes to the cluster of that name.
    Cluster(String),
    /// It is redirected.
    Redirect(RedirectAction),
    /// It is answered directly: the share of a backend that does not exist.
    DirectResponse(DirectResponse),
}

/// Change of the path.
#[derive(Debug, Clone, Serialize)]
pub enum PathRewrite {
    /// Replace the matched prefix (or whole path of an exact match).
    Prefix(String),
    /// Replace the matched prefix by whole path elements (`ReplacePrefixMatch` of the Gateway API): what follows it is
    /// joined to the replacement with exactly one slash. An empty replacement is `/`.
    PathElements(String),
    /// Replace the whole path (`ReplaceFullPath` of the Gateway API).
    Full(String),
    /// Replace every match of the pattern (not anchored) in the path.
    Regex {
        /// Pattern.
        #[serde(serialize_with = "crate::matching::serialize_pattern")]
        pattern: regex::bytes::Regex,
        /// The pattern as a configuration has it, in the syntax of RE2.
        #[serde(skip)]
        written: String,
        /// Replacement, in the regex crate's syntax.
        substitution: String,
    },
    /// Replace the whole path by what this gives; the query stays. Nothing is replaced by nothing.
    Format(Format),
    /// Replace the whole path by parts of it, which the template that has matched names ([`PathMatch::Template`]).
    Template(PathTemplateRewrite),
}

/// Change of the authority.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum HostRewrite {
    /// Fixed.
    Literal(String),
    /// The endpoint's host name (DNS clusters).
    Auto,
    /// First value of a request header; without it nothing is rewritten.
    Header(FieldName),
    /// What comes of the path, without its query, when every match is replaced.
    PathRegex(Substitution),
    /// What this gives, if that is anything; what is missing in it shows as `-`.
    Format(Format),
}

/// Answer with a redirect. Unset parts keep the request's.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RedirectAction {
    /// New scheme.
    pub scheme: Option<String>,
    /// New host.
    pub host: Option<String>,
    /// Which port is shown.
    pub port: RedirectPort,
    /// New path.
    pub path: Option<RedirectPath>,
    /// 301, 302, 303, 307 or 308. Default 301.
    #[serde(serialize_with = "status")]
    pub response_code: StatusCode,
    /// Drop the query.
    pub strip_query: bool,
}

/// The port of a redirect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum RedirectPort {
    /// The request's, if its authority has one, unless that is the default of a scheme left behind. A redirect with a
    /// host of its own shows none.
    OfRequest,
    /// The request's, if its authority has one.
    Kept,
    /// This one, always (`port_redirect`).
    Always(u16),
    /// This one, unless it is the default port of the location's scheme (Gateway API).
    UnlessDefault(u16),
}

/// New path of a redirect.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum RedirectPath {
    /// Whole path; keeps the request's query unless it has its own.
    Path(String),
    /// Replace the matched prefix.
    Prefix(String),
    /// Replace the matched prefix by whole path elements, as [`PathRewrite::PathElements`].
    PathElements(String),
    /// Replace what matches in the path.
    Regex(Substitution),
    /// Whole path, as this gives it; keeps the request's query.
    Format(Format),
}

/// Answer directly.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DirectResponse {
    /// Status 200..=599.
    #[serde(serialize_with = "status")]
    pub status: StatusCode,
    /// Body, may be empty.
    pub body: Bytes,
    /// What the body becomes. Default: what it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_format: Option<Arc<BodyFormat>>,
}

impl DirectResponse {
    /// A status with a body as it is.
    #[must_use]
    pub fn new(status: StatusCode, body: Bytes) -> Self {
        Self { status, body, body_format: None }
    }
}

/// A virtual host and the first of its routes that applies.
#[derive(Debug, Clone, Copy)]
pub struct RouteMatchResult<'a> {
    /// The virtual host.
    pub virtual_host: &'a Arc<VirtualHost>,
    /// Its place in the table.
    pub virtual_host_index: usize,
    /// The route.
    pub route: &'a Arc<Route>,
    /// Its place in the virtual host. That of a redirect to https is behind all others.
    pub route_index: usize,
}

impl RouteConfiguration {
    /// The route of a request: the virtual host by its authority (EN-10), then the first route that applies (EN-11).
    ///
    /// The cost does not depend on the number of other virtual hosts.
    #[must_use]
    pub fn find(&self, request: &RequestHeaders, facts: RequestFacts<'_>) -> Option<RouteMatchResult<'_>> {
        let host = request.authority.as_bytes();
        let host = if self.ignore_port_in_host_matching { host_without_port(host) } else { host };
        let (virtual_host_index, virtual_host) = self.virtual_hosts.find(host)?;
        let mut routes = virtual_host.routes.iter().enumerate();
        if let Some(route) = virtual_host.require_tls.redirect(request) {
            return Some(RouteMatchResult {
                virtual_host,
                virtual_host_index,
                route,
                route_index: usize::MAX,
            });
        }
        let request = self.matched(request, facts);
        let (route_index, route) = routes.find(|(_, route)| route.route_match.matches(&request))?;
        Some(RouteMatchResult { virtual_host, virtual_host_index, route, route_index })
    }

    /// A request as the conditions of the routes see it.
    #[must_use]
    pub fn matched<'a>(&self, request: &'a RequestHeaders, facts: RequestFacts<'a>) -> MatchedRequest<'a> {
        MatchedRequest::new(request, self.path_parameters, facts)
    }
}

impl RouteMatch {
    /// A condition on the path alone.
    #[must_use]
    pub fn of_path(path: PathMatch) -> Self {
        Self { path, headers: Vec::new(), query_parameters: Vec::new(), grpc: false, more: None }
    }

    /// One that every path meets.
    #[must_use]
    pub fn any() -> Self {
        Self::of_path(PathMatch::Prefix { prefix: "/".to_owned(), case_sensitive: true })
    }

    /// Whether the route applies to a request.
    #[must_use]
    pub fn matches(&self, matched: &MatchedRequest<'_>) -> bool {
        self.path.matches(&matched.path)
            && (!self.grpc || is_grpc(matched.request))
            && self.headers.iter().all(|matcher| matcher.matches(matched.request))
            && self.query_parameters.iter().all(|matcher| matcher.matches(matched.query))
            && self.more.as_ref().is_none_or(|more| more.hold(matched.request, &matched.facts))
    }
}

/// Whether a request is a gRPC request: its content type is `application/grpc` or begins with `application/grpc+`.
#[must_use]
pub fn is_grpc(request: &RequestHeaders) -> bool {
    let content_type = request.fields.get(http::header::CONTENT_TYPE).map(http::HeaderValue::as_bytes);
    let rest = content_type.and_then(|value| value.strip_prefix(b"application/grpc"));
    rest.is_some_and(|rest| rest.first().is_none_or(|first| *first == b'+'))
}

/// Splits a path at its `?`; the query is without it.
#[must_use]
pub fn split_path(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().position(|byte| *byte == b'?') {
        Some(end) => (&path[..end], &path[end + 1..]),
        None => (path, b""),
    }
}

/// Splits a parameter of a query at its first `=`; without one the value is empty. Nothing is decoded.
#[must_use]
pub fn split_parameter(parameter: &[u8]) -> (&[u8], &[u8]) {
    match parameter.iter().position(|byte| *byte == b'=') {
        Some(end) => (&parameter[..end], &parameter[end + 1..]),
        None => (parameter, b""),
    }
}

/// The authority without what follows its last colon, unless that colon belongs to an IPv6 address in brackets.
#[must_use]
pub fn host_without_port(authority: &[u8]) -> &[u8] {
    match authority.iter().rposition(|byte| matches!(byte, b':' | b']')) {
        Some(end) if authority[end] == b':' => &authority[..end],
        _ => authority,
    }
}

fn status<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}
