//! The filter `ratelimit`.

use http::StatusCode;
use serde_json::Value;
use tollgate_model::{
    filter::{RateLimit, RateLimitPerRoute, RequestType, VirtualHostLimits},
    route::Fraction,
};

use super::ext_authz::unary_service;
use crate::envoy::{
    http_filters::{
        local_ratelimit::X_RATELIMIT_HEADERS,
        ratelimit::{NONE, RATE_LIMIT, RATE_LIMIT_PER_ROUTE, RATE_LIMIT_SERVICE_CONFIG, VH_RATE_LIMITS},
    },
    route::RUNTIME_FRACTIONAL_PERCENT,
    status::{HTTP_STATUS, STATUS_CODE},
    write::{
        access_log::fractional_percent,
        matchers::header_addition,
        out::{Out, duration},
        rate_limits::rate_limits,
    },
};

pub(super) fn written(settings: &RateLimit) -> Value {
    let mut out = Out::new(&RATE_LIMIT);
    out.set("domain", &*settings.domain);
    out.unless("stage", settings.stage, 0);
    match settings.request_type {
        RequestType::Both => {}
        RequestType::Internal => out.set("request_type", "internal"),
        RequestType::External => out.set("request_type", "external"),
    }
    out.set("timeout", duration(settings.timeout));
    out.unless("failure_mode_deny", settings.failure_mode_deny == Fraction::ALL, false);
    if ![NONE, Fraction::ALL].contains(&settings.failure_mode_deny) {
        out.set("failure_mode_deny_percent", share(settings.failure_mode_deny));
    }
    out.unless("rate_limited_as_resource_exhausted", settings.rate_limited_as_resource_exhausted, false);
    let mut service = Out::new(&RATE_LIMIT_SERVICE_CONFIG);
    service.set("grpc_service", unary_service(&settings.service));
    service.set("transport_api_version", "V3");
    out.set("rate_limit_service", service.done());
    out.name("enable_x_ratelimit_headers", &X_RATELIMIT_HEADERS, &settings.x_ratelimit_headers, &false);
    out.unless("disable_x_envoy_ratelimited_header", settings.disable_x_envoy_ratelimited_header, false);
    if settings.rate_limited_status != StatusCode::TOO_MANY_REQUESTS {
        out.set("rate_limited_status", status(settings.rate_limited_status));
    }
    let added = settings.response_headers_to_add.iter();
    out.list("response_headers_to_add", added.map(header_addition).collect());
    if settings.status_on_error != StatusCode::INTERNAL_SERVER_ERROR {
        out.set("status_on_error", status(settings.status_on_error));
    }
    out.text("stat_prefix", &settings.stat_prefix);
    for (name, fraction) in
        [("filter_enabled", settings.filter_enabled), ("filter_enforced", settings.filter_enforced)]
    {
        if fraction != Fraction::ALL {
            out.set(name, share(fraction));
        }
    }
    rate_limits(&mut out, &settings.policies);
    out.any()
}

/// What a level says.
pub(in crate::envoy::write) fn per_route(level: &RateLimitPerRoute) -> Value {
    let mut out = Out::new(&RATE_LIMIT_PER_ROUTE);
    out.name("vh_rate_limits", &VH_RATE_LIMITS, &level.virtual_host, &VirtualHostLimits::Override);
    rate_limits(&mut out, &level.policies);
    out.text("domain", &level.domain);
    out.any()
}

fn share(fraction: Fraction) -> Value {
    let mut percent = Out::new(&RUNTIME_FRACTIONAL_PERCENT);
    percent.set("default_value", fractional_percent(fraction));
    percent.done()
}

fn status(code: StatusCode) -> Value {
    let mut status = Out::new(&HTTP_STATUS);
    status.some("code", STATUS_CODE.name_of(&code.as_u16()));
    status.done()
}
