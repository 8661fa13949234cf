//! The `ratelimit` filter: a service is asked whether a request is within its limits.

use std::time::Duration;

use http::StatusCode;
use serde::{Serialize, Serializer};

use super::UnaryService;
use crate::{
    header::HeaderAddition,
    route::{Fraction, RateLimitPolicy},
};

/// Settings of the filter.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RateLimit {
    /// Whose limits.
    pub domain: String,
    /// Policies with this number are used. Default 0.
    pub stage: u32,
    /// Requests of these clients. Default all.
    pub request_type: RequestType,
    /// How long an answer may take. Default 20 ms.
    pub timeout: Duration,
    /// For which share of the requests without an answer the answer is `status_on_error`; the others pass. Default none.
    pub failure_mode_deny: Fraction,
    /// gRPC clients get RESOURCE_EXHAUSTED instead of UNAVAILABLE. Default false.
    pub rate_limited_as_resource_exhausted: bool,
    /// The service; its timeout does not count.
    pub service: UnaryService,
    /// Add `x-ratelimit-limit`, `-remaining` and `-reset` to responses. Default false.
    pub x_ratelimit_headers: bool,
    /// Leave `x-envoy-ratelimited` out of refusals. Default false.
    pub disable_x_envoy_ratelimited_header: bool,
    /// The answer beyond a limit. Default 429.
    #[serde(serialize_with = "status")]
    pub rate_limited_status: StatusCode,
    /// Added to answers beyond a limit.
    pub response_headers_to_add: Vec<HeaderAddition>,
    /// The answer when the service fails. Default 500.
    #[serde(serialize_with = "status")]
    pub status_on_error: StatusCode,
    /// Part of the names of its counters; empty = nothing.
    pub stat_prefix: String,
    /// For which share of the requests the service is asked. Default all.
    pub filter_enabled: Fraction,
    /// For which share of the requests beyond a limit it counts. Default all.
    pub filter_enforced: Fraction,
    /// Policies instead of those of routes and virtual hosts.
    pub policies: Vec<RateLimitPolicy>,
    /// What routes say: which policies of the virtual host count.
    pub virtual_host: VirtualHostLimits,
}

/// What a level says about the filter.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RateLimitPerRoute {
    /// Which policies of the virtual host count.
    pub virtual_host: VirtualHostLimits,
    /// Policies instead of those of filter, routes and virtual hosts.
    pub policies: Vec<RateLimitPolicy>,
    /// Other limits; empty = those of the filter.
    pub domain: String,
}

/// Which policies of the virtual host count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub enum VirtualHostLimits {
    /// All, where the route has none.
    #[default]
    Override,
    /// All.
    Include,
    /// None.
    Ignore,
}

/// Whose requests are limited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub enum RequestType {
    /// Everybody's.
    #[default]
    Both,
    /// Those of internal clients.
    Internal,
    /// Those of others.
    External,
}

impl RateLimit {
    /// The settings below a level that says this.
    #[must_use]
    pub fn with(&self, level: &RateLimitPerRoute) -> Self {
        let mut changed = Self { virtual_host: level.virtual_host, ..self.clone() };
        if !level.policies.is_empty() {
            changed.policies.clone_from(&level.policies);
        }
        if !level.domain.is_empty() {
            changed.domain.clone_from(&level.domain);
        }
        changed
    }
}

fn status<S: Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}
