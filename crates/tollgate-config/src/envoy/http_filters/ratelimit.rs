//! The filter `ratelimit`.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use tollgate_ir::{FilterConfig, Override};
use tollgate_model::{
    filter::{FilterSettings, RateLimit, RateLimitPerRoute, RequestType, VirtualHostLimits},
    route::Fraction,
};

use super::{
    ext_authz::API_VERSION,
    kinds::{Kind, PerRoute},
    local_ratelimit::X_RATELIMIT_HEADERS,
    unary_service::read_unary_service,
};
use crate::{
    envoy::{
        Scope,
        header::read_addition,
        rate_limits::read_own_rate_limits,
        route::{RUNTIME_FRACTIONAL_PERCENT, read_fraction},
        status::read_http_status,
    },
    schema::{Enumeration, Message, Schema, Value, read, refused},
};

pub(in crate::envoy) static RATE_LIMIT: Schema = Schema {
    name: "envoy.extensions.filters.http.ratelimit.v3.RateLimit",
    title: "RateLimit of the filter",
    fields: &[
        read("domain", "", "Whose limits. Required."),
        read("stage", "0", "Policies with this stage are used."),
        read("request_type", "both", "internal, external or both."),
        read("timeout", "0.02s", "How long an answer may take."),
        read("failure_mode_deny", "false", "Refuse requests when the service fails."),
        read("failure_mode_deny_percent", "all or none", "The same for a share of the requests."),
        read("rate_limited_as_resource_exhausted", "false", "gRPC status 8 instead of 14."),
        read("rate_limit_service", "", "The service. Required."),
        read("enable_x_ratelimit_headers", "OFF", "DRAFT_VERSION_03: add `x-ratelimit-*` to responses."),
        read("disable_x_envoy_ratelimited_header", "false", "Leave `x-envoy-ratelimited` out of refusals."),
        read("rate_limited_status", "TooManyRequests", "The answer beyond a limit; below 400 it is 429."),
        read("response_headers_to_add", "[]", "Added to answers beyond a limit."),
        read("status_on_error", "InternalServerError", "The answer when the service fails."),
        read("stat_prefix", "", "Added to the names of the filter's statistics."),
        read("filter_enabled", "all", "For which share of the requests the service is asked."),
        read("filter_enforced", "all", "For which share of the requests beyond a limit it counts."),
        read("rate_limits", "[]", "Policies instead of those of routes and virtual hosts."),
        refused("metadata_namespace", "dynamic metadata of the service is in `envoy.filters.http.ratelimit`"),
        refused("enable_retry_after_header", "use enable_x_ratelimit_headers"),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static RATE_LIMIT_SERVICE_CONFIG: Schema = Schema {
    name: "envoy.config.ratelimit.v3.RateLimitServiceConfig",
    title: "",
    fields: &[
        read("grpc_service", "", "The service: a cluster. Required."),
        read("transport_api_version", "V3", "V3. Required."),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static RATE_LIMIT_PER_ROUTE: Schema = Schema {
    name: "envoy.extensions.filters.http.ratelimit.v3.RateLimitPerRoute",
    title: "",
    fields: &[
        read("vh_rate_limits", "OVERRIDE", "Policies of the virtual host: OVERRIDE, INCLUDE or IGNORE."),
        read("rate_limits", "[]", "Policies instead of those of filter, route and virtual host."),
        read("domain", "the filter's", "Other limits here."),
        refused("override_option", "use vh_rate_limits"),
    ],
    unsupported: &[],
};

pub(super) static SCHEMAS: [&Schema; 3] = [&RATE_LIMIT, &RATE_LIMIT_SERVICE_CONFIG, &RATE_LIMIT_PER_ROUTE];

pub(in crate::envoy) static VH_RATE_LIMITS: Enumeration<VirtualHostLimits> = Enumeration {
    values: &[
        ("OVERRIDE", 0, Some(VirtualHostLimits::Override)),
        ("INCLUDE", 1, Some(VirtualHostLimits::Include)),
        ("IGNORE", 2, Some(VirtualHostLimits::Ignore)),
    ],
};

pub(super) const KIND: Kind = Kind {
    settings: &RATE_LIMIT,
    read: read_ratelimit,
    per_route: Some(PerRoute { settings: &RATE_LIMIT_PER_ROUTE, read: read_per_route }),
    upstream: false,
};

/// How long an answer may take that nothing is said about.
const USUAL_TIMEOUT: Duration = Duration::from_millis(20);

fn read_ratelimit(value: &Value<'_>, scope: &Scope) -> Option<FilterConfig> {
    let message = value.message(&RATE_LIMIT)?;
    let domain = message.required("domain").and_then(|domain| domain.non_empty_string());
    let service = message.required("rate_limit_service").and_then(|service| {
        let message = service.message(&RATE_LIMIT_SERVICE_CONFIG)?;
        message.enumeration("transport_api_version", &API_VERSION, ());
        read_unary_service(&message.required("grpc_service")?, USUAL_TIMEOUT, scope)
    });
    let request_type = match message.get("request_type") {
        None => RequestType::Both,
        Some(kind) => match &*kind.string()? {
            "" | "both" => RequestType::Both,
            "internal" => RequestType::Internal,
            "external" => RequestType::External,
            _ => {
                kind.error("must be internal, external or both");
                return None;
            }
        },
    };
    let stage = match message.get("stage") {
        Some(stage) => u32::try_from(stage.integer(0..=10)?).ok()?,
        None => 0,
    };
    let status = |name, usual: StatusCode| {
        let status = message.get(name).and_then(|status| read_http_status(&status));
        let status = status.filter(|status| *status >= 400);
        status.and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(usual)
    };
    let denies = message.boolean("failure_mode_deny", false);
    let usual = if denies { Fraction::ALL } else { NONE };
    let settings = RateLimit {
        domain: domain?,
        stage,
        request_type,
        timeout: message.duration("timeout").unwrap_or(USUAL_TIMEOUT),
        failure_mode_deny: read_share(&message, "failure_mode_deny_percent", usual)?,
        rate_limited_as_resource_exhausted: message.boolean("rate_limited_as_resource_exhausted", false),
        service: service?,
        x_ratelimit_headers: message.enumeration("enable_x_ratelimit_headers", &X_RATELIMIT_HEADERS, false),
        disable_x_envoy_ratelimited_header: message.boolean("disable_x_envoy_ratelimited_header", false),
        rate_limited_status: status("rate_limited_status", StatusCode::TOO_MANY_REQUESTS),
        response_headers_to_add: message
            .list("response_headers_to_add")
            .iter()
            .filter_map(read_addition)
            .collect(),
        status_on_error: status("status_on_error", StatusCode::INTERNAL_SERVER_ERROR),
        stat_prefix: message.string("stat_prefix"),
        filter_enabled: read_share(&message, "filter_enabled", Fraction::ALL)?,
        filter_enforced: read_share(&message, "filter_enforced", Fraction::ALL)?,
        policies: read_own_rate_limits(&message),
        virtual_host: VirtualHostLimits::Override,
    };
    Some(FilterConfig::Settings(FilterSettings::RateLimit(Arc::new(settings))))
}

/// None of the requests.
pub(in crate::envoy) const NONE: Fraction = Fraction { numerator: 0, denominator: 100 };

fn read_share(message: &Message<'_>, name: &'static str, usual: Fraction) -> Option<Fraction> {
    match message.message(name, &RUNTIME_FRACTIONAL_PERCENT) {
        Some(percent) => read_fraction(&percent.required("default_value")?),
        None => Some(usual),
    }
}

fn read_per_route(value: &Value<'_>, _scope: &Scope) -> Option<Override> {
    let message = value.message(&RATE_LIMIT_PER_ROUTE)?;
    Some(Override::RateLimit(Arc::new(RateLimitPerRoute {
        virtual_host: message.enumeration("vh_rate_limits", &VH_RATE_LIMITS, VirtualHostLimits::Override),
        policies: read_own_rate_limits(&message),
        domain: message.string("domain"),
    })))
}
