//! Route tables.

use std::sync::Arc;

use extproc::messages::Metadata;
use serde::Serialize;
use tollgate_model::{
    header::HeaderMutations,
    route::{PathParameters, RateLimitPolicy, RouteMatch, TlsRequirement},
};

use crate::{Origin, PerFilter};

/// What a route does.
pub type Action = tollgate_model::route::Action<PerFilter>;
/// Forwarding to a cluster.
pub type RouteAction = tollgate_model::route::RouteAction<PerFilter>;
/// Where a request goes.
pub type ClusterSpecifier = tollgate_model::route::ClusterSpecifier<PerFilter>;
/// One share of the traffic.
pub type WeightedCluster = tollgate_model::route::WeightedCluster<PerFilter>;

/// A route table.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct RouteTable {
    /// Name as written, may be empty.
    pub name: String,
    /// Virtual hosts; their domains are unique across the table.
    pub virtual_hosts: Vec<Arc<VirtualHost>>,
    /// Compare hosts without their port.
    pub ignore_port_in_host_matching: bool,
    /// What becomes of parameters in paths when routes are matched. Default: they are part of the path.
    pub path_parameters: PathParameters,
    /// Header changes of the least specific level.
    pub headers: HeaderMutations,
    /// Apply header changes of the table first, so that the most specific wins. Default false.
    pub most_specific_header_mutations_wins: bool,
    /// What the table says about filters.
    pub per_filter: PerFilter,
}

/// Routes of a set of host names.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VirtualHost {
    /// Unique name.
    pub name: String,
    /// Lower-case domains: exact, `*.suffix`, `*-suffix`, `prefix.*`, `*`.
    pub domains: Vec<String>,
    /// Tried in order; the first match wins.
    pub routes: Vec<Route>,
    /// Header changes of this level.
    pub headers: HeaderMutations,
    /// Static metadata; empty by default.
    #[serde(serialize_with = "tollgate_model::metadata::serialize")]
    pub metadata: Metadata,
    /// Send `x-envoy-attempt-count` upstream. Default false.
    pub include_request_attempt_count: bool,
    /// Send `x-envoy-attempt-count` to the client. Default false.
    pub include_attempt_count_in_response: bool,
    /// What of requests rate limits look at.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rate_limits: Vec<RateLimitPolicy>,
    /// Which requests are sent to https instead of being served. Default none.
    #[serde(skip_serializing_if = "TlsRequirement::is_none")]
    pub require_tls: TlsRequirement,
    /// What the virtual host says about filters.
    pub per_filter: PerFilter,
}

/// One route. What a virtual host says for those of its routes that do not say it themselves (retries, mirrors, limits of
/// buffers) stands here.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Route {
    /// Name, may be empty.
    pub name: String,
    /// When it applies.
    pub route_match: RouteMatch,
    /// What it does.
    pub action: Action,
    /// Header changes of this level.
    pub headers: HeaderMutations,
    /// Raises the limit of the connection for buffered bodies, in bytes.
    pub request_body_buffer_limit: Option<usize>,
    /// Static metadata; empty by default.
    #[serde(serialize_with = "tollgate_model::metadata::serialize")]
    pub metadata: Metadata,
    /// What the route says about filters.
    pub per_filter: PerFilter,
    /// Where it was written.
    pub origin: Arc<Origin>,
}
