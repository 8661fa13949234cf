//! The filter `local_ratelimit`.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use tollgate_ir::{FilterConfig, Override};
use tollgate_model::{
    filter::{FilterSettings, LocalRateLimit, TokenBucket},
    route::Fraction,
};

use super::kinds::{Kind, PerRoute};
use crate::{
    envoy::{
        Scope,
        header::read_addition,
        route::{RUNTIME_FRACTIONAL_PERCENT, read_fraction},
        status::read_http_status,
    },
    schema::{Enumeration, Message, Schema, Value, harmless, read, refused},
};

pub(in crate::envoy) static LOCAL_RATE_LIMIT: Schema = Schema {
    name: "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
    title: "",
    fields: &[
        read("stat_prefix", "", "Counters are kept under `<stat_prefix>.http_local_rate_limit.`. Required."),
        read("status", "TooManyRequests", "The answer beyond the limit; below 400 it is 429."),
        read("token_bucket", "no limit", "The limit, for all workers together."),
        read("filter_enabled", "none", "For which share of the requests tokens are taken."),
        read("filter_enforced", "none", "For which share of the requests beyond the limit it counts."),
        read(
            "request_headers_to_add_when_not_enforced",
            "[]",
            "Added to requests for which it does not count.",
        ),
        read("response_headers_to_add", "[]", "Added to answers beyond the limit."),
        read("enable_x_ratelimit_headers", "OFF", "DRAFT_VERSION_03: add `x-ratelimit-*` to responses."),
        read("rate_limited_as_resource_exhausted", "false", "gRPC status 8 instead of 14."),
        read("enable_retry_after_header", "false", "Add `retry-after` to answers beyond the limit."),
        harmless("stage", "there are no descriptors"),
        harmless("vh_rate_limits", "there are no descriptors"),
        harmless("always_consume_default_token_bucket", "there is one bucket"),
        harmless("max_dynamic_descriptors", "there are no descriptors"),
        refused("descriptors", "use token_bucket on routes"),
        refused("rate_limits", "use token_bucket on routes"),
        refused("local_rate_limit_per_downstream_connection", "the bucket is for all connections"),
        refused("local_cluster_rate_limit", "the bucket is of this gateway alone"),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static TOKEN_BUCKET: Schema = Schema {
    name: "envoy.type.v3.TokenBucket",
    title: "",
    fields: &[
        read("max_tokens", "", "Most tokens. Required."),
        read("tokens_per_fill", "1", "So many come in each interval."),
        read("fill_interval", "", "The interval, at least 0.05s. Required."),
    ],
    unsupported: &[],
};

pub(super) static SCHEMAS: [&Schema; 2] = [&LOCAL_RATE_LIMIT, &TOKEN_BUCKET];

pub(in crate::envoy) static X_RATELIMIT_HEADERS: Enumeration<bool> =
    Enumeration { values: &[("OFF", 0, Some(false)), ("DRAFT_VERSION_03", 1, Some(true))] };

pub(super) const KIND: Kind = Kind {
    settings: &LOCAL_RATE_LIMIT,
    read: read_local_rate_limit,
    per_route: Some(PerRoute { settings: &LOCAL_RATE_LIMIT, read: read_per_route }),
    upstream: false,
};

fn read_local_rate_limit(value: &Value<'_>, _scope: &Scope) -> Option<FilterConfig> {
    let settings = Arc::new(read_settings(value)?);
    Some(FilterConfig::Settings(FilterSettings::LocalRateLimit(settings)))
}

fn read_per_route(value: &Value<'_>, _scope: &Scope) -> Option<Override> {
    let settings = Arc::new(read_settings(value)?);
    if settings.token_bucket.is_none() {
        value.error("\"token_bucket\" is missing: a route has a limit of its own");
    }
    Some(Override::Settings(FilterSettings::LocalRateLimit(settings)))
}

/// What nobody says is for no request.
const NONE: Fraction = Fraction { numerator: 0, denominator: 100 };

fn read_settings(value: &Value<'_>) -> Option<LocalRateLimit> {
    let message = value.message(&LOCAL_RATE_LIMIT)?;
    let stat_prefix = message.required("stat_prefix").and_then(|prefix| prefix.non_empty_string());
    let status = message.get("status").and_then(|status| read_http_status(&status));
    let status = status.filter(|status| *status >= 400).and_then(|status| StatusCode::from_u16(status).ok());
    let token_bucket = match message.get("token_bucket") {
        Some(bucket) => Some(read_bucket(&bucket)?),
        None => None,
    };
    let additions = |name| message.list(name).iter().filter_map(read_addition).collect();
    Some(LocalRateLimit {
        stat_prefix: stat_prefix?,
        status: status.unwrap_or(StatusCode::TOO_MANY_REQUESTS),
        token_bucket,
        filter_enabled: read_share(&message, "filter_enabled")?,
        filter_enforced: read_share(&message, "filter_enforced")?,
        request_headers_to_add_when_not_enforced: additions("request_headers_to_add_when_not_enforced"),
        response_headers_to_add: additions("response_headers_to_add"),
        x_ratelimit_headers: message.enumeration("enable_x_ratelimit_headers", &X_RATELIMIT_HEADERS, false),
        rate_limited_as_resource_exhausted: message.boolean("rate_limited_as_resource_exhausted", false),
        retry_after_header: message.boolean("enable_retry_after_header", false),
    })
}

fn read_share(message: &Message<'_>, name: &'static str) -> Option<Fraction> {
    match message.message(name, &RUNTIME_FRACTIONAL_PERCENT) {
        Some(percent) => read_fraction(&percent.required("default_value")?),
        None => Some(NONE),
    }
}

fn read_bucket(value: &Value<'_>) -> Option<TokenBucket> {
    let message = value.message(&TOKEN_BUCKET)?;
    let most = message.required("max_tokens").and_then(|most| most.u32());
    let per_fill = match message.get("tokens_per_fill") {
        Some(tokens) => u32::try_from(tokens.integer(1..=i64::from(u32::MAX))?).ok()?,
        None => 1,
    };
    let interval = message.required("fill_interval")?;
    let fill_interval = interval.duration()?;
    if fill_interval < Duration::from_millis(50) {
        interval.error("must be at least 0.05s");
    }
    Some(TokenBucket::new(most?, per_fill, fill_interval))
}
