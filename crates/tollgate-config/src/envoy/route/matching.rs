//! When a route applies.

use tollgate_model::route::{CookieMatcher, DynamicMetadataCondition, MoreConditions, PathMatch, RouteMatch};

use super::{
    mirror::{RUNTIME_FRACTIONAL_PERCENT, read_fraction},
    schema::{COOKIE_MATCHER, GRPC_ROUTE_MATCH_OPTIONS, ROUTE_MATCH, TLS_CONTEXT_MATCH_OPTIONS},
    uri_template::read_template,
};
use crate::{
    envoy::{
        matchers::{read_header_matcher, read_query_parameter_matcher, read_regex, read_string_matcher},
        metadata_matcher::read_invertible,
    },
    schema::{Message, Value},
};

pub(in crate::envoy) fn read_route_match(value: &Value<'_>) -> Option<RouteMatch> {
    let message = value.message(&ROUTE_MATCH)?;
    let path = read_path(&message);
    let headers = message.list("headers").iter().filter_map(read_header_matcher).collect();
    let query_parameters =
        message.list("query_parameters").iter().filter_map(read_query_parameter_matcher).collect();
    let grpc = message.message("grpc", &GRPC_ROUTE_MATCH_OPTIONS).is_some();
    let more = read_more(&message);
    let more = (!more.is_empty()).then(|| Box::new(more));
    Some(RouteMatch { path: path?, headers, query_parameters, grpc, more })
}

fn read_more(message: &Message<'_>) -> MoreConditions {
    let tls = message.message("tls_context", &TLS_CONTEXT_MATCH_OPTIONS);
    let of_tls = |name| tls.as_ref().and_then(|tls| tls.get(name)?.boolean());
    MoreConditions {
        fraction: message
            .message("runtime_fraction", &RUNTIME_FRACTIONAL_PERCENT)
            .and_then(|fraction| read_fraction(&fraction.required("default_value")?)),
        cookies: message.list("cookies").iter().filter_map(read_cookie).collect(),
        certificate_presented: of_tls("presented"),
        certificate_validated: of_tls("validated"),
        dynamic_metadata: message.list("dynamic_metadata").iter().filter_map(read_condition).collect(),
    }
}

fn read_cookie(value: &Value<'_>) -> Option<CookieMatcher> {
    let message = value.message(&COOKIE_MATCHER)?;
    let name = message.required_string("name");
    let matcher = message.required("string_match").and_then(|value| read_string_matcher(&value));
    Some(CookieMatcher { name, value: matcher?, invert: message.boolean("invert_match", false) })
}

fn read_condition(value: &Value<'_>) -> Option<DynamicMetadataCondition> {
    let (matcher, invert) = read_invertible(value)?;
    Some(DynamicMetadataCondition { matcher, invert })
}

fn read_path(message: &Message<'_>) -> Option<PathMatch> {
    let (kind, value) = message.required_one_of(&[
        "prefix",
        "path",
        "path_separated_prefix",
        "safe_regex",
        "path_match_policy",
    ])?;
    let case_sensitive = message.boolean("case_sensitive", true);
    Some(match kind {
        "safe_regex" => PathMatch::SafeRegex(read_regex(&value)?),
        "path_match_policy" => PathMatch::Template(read_template(&value)?),
        "prefix" => PathMatch::Prefix { prefix: value.header_text()?, case_sensitive },
        "path" => PathMatch::Path { path: value.header_text()?, case_sensitive },
        _ => PathMatch::PathSeparatedPrefix { prefix: read_separated_prefix(&value)?, case_sensitive },
    })
}

fn read_separated_prefix(value: &Value<'_>) -> Option<String> {
    let prefix = value.non_empty_string()?;
    if !prefix.starts_with('/') || prefix.len() < 2 || prefix.ends_with('/') || prefix.contains(['?', '#']) {
        value.error("must begin with a slash, not end with one, and hold no \"?\" or \"#\"");
    }
    Some(prefix)
}
