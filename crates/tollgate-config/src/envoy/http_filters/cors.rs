//! The filter `cors`.

use std::sync::Arc;

use tollgate_ir::{FilterConfig, Override};
use tollgate_model::{
    cors::{AllowList, CorsPolicy, OriginMatcher},
    route::Fraction,
};

use super::kinds::{Kind, PerRoute};
use crate::{
    envoy::{
        Scope,
        matchers::read_string_matcher,
        route::{RUNTIME_FRACTIONAL_PERCENT, read_fraction},
    },
    schema::{Message, Schema, Value, read},
};

pub(in crate::envoy) static CORS: Schema = Schema {
    name: "envoy.extensions.filters.http.cors.v3.Cors",
    title: "Cors (what it does stands in routes)",
    fields: &[],
    unsupported: &[],
};

pub(in crate::envoy) static CORS_POLICY: Schema = Schema {
    name: "envoy.extensions.filters.http.cors.v3.CorsPolicy",
    title: "CorsPolicy of the filter",
    fields: &[
        read("allow_origin_string_match", "none", "Origins that are allowed: any of these."),
        read("allow_methods", "", "`access-control-allow-methods`; `*` is what is asked for."),
        read("allow_headers", "", "`access-control-allow-headers`; `*` is what is asked for."),
        read("expose_headers", "", "`access-control-expose-headers`."),
        read("max_age", "", "`access-control-max-age`."),
        read("allow_credentials", "false", "Send `access-control-allow-credentials: true`."),
        read("filter_enabled", "all", "For which share of the requests it counts."),
        read("shadow_enabled", "none", "For which share of the others origins are counted."),
        read("allow_private_network_access", "false", "Send `access-control-allow-private-network: true`."),
        read(
            "forward_not_matching_preflights",
            "true",
            "Preflight requests of other origins go on; else they are answered.",
        ),
    ],
    unsupported: &[],
};

pub(super) static SCHEMAS: [&Schema; 2] = [&CORS, &CORS_POLICY];

pub(super) const KIND: Kind = Kind {
    settings: &CORS,
    read: |value, _: &Scope| {
        value.message(&CORS)?;
        Some(FilterConfig::Cors)
    },
    per_route: Some(PerRoute { settings: &CORS_POLICY, read: read_policy }),
    upstream: false,
};

fn read_policy(value: &Value<'_>, _scope: &Scope) -> Option<Override> {
    let message = value.message(&CORS_POLICY)?;
    let origins: Option<Vec<_>> = message
        .list("allow_origin_string_match")
        .iter()
        .map(|origin| read_string_matcher(origin).map(OriginMatcher::String))
        .collect();
    let list = |name| match message.string(name) {
        text if text.is_empty() => AllowList::Unsaid,
        text if text == "*" => AllowList::AsRequested,
        text => AllowList::Value(text),
    };
    let max_age = message.string("max_age");
    let boolean = |name| message.get(name).and_then(|value| value.boolean());
    Some(Override::Cors(Arc::new(CorsPolicy {
        allow_origins: origins?,
        allow_methods: list("allow_methods"),
        allow_headers: list("allow_headers"),
        expose_headers: message.string("expose_headers"),
        max_age: (!max_age.is_empty()).then_some(max_age),
        allow_credentials: boolean("allow_credentials"),
        forward_not_matching_preflights: boolean("forward_not_matching_preflights"),
        allow_private_network: boolean("allow_private_network_access"),
        enabled: read_share(&message, "filter_enabled", Fraction::ALL)?,
        shadow: read_share(&message, "shadow_enabled", Fraction::NONE)?,
    })))
}

fn read_share(message: &Message<'_>, name: &'static str, usual: Fraction) -> Option<Fraction> {
    match message.message(name, &RUNTIME_FRACTIONAL_PERCENT) {
        Some(percent) => read_fraction(&percent.required("default_value")?),
        None => Some(usual),
    }
}
