//! When a route applies.

use tollgate_model::route::{PathMatch, RouteMatch};

use super::schema::{GRPC_ROUTE_MATCH_OPTIONS, ROUTE_MATCH};
use crate::{
    envoy::matchers::{read_header_matcher, read_query_parameter_matcher, read_regex},
    schema::{Message, Value},
};

pub(in crate::envoy) fn read_route_match(value: &Value<'_>) -> Option<RouteMatch> {
    let message = value.message(&ROUTE_MATCH)?;
    let path = read_path(&message);
    let headers = message.list("headers").iter().filter_map(read_header_matcher).collect();
    let query_parameters =
        message.list("query_parameters").iter().filter_map(read_query_parameter_matcher).collect();
    let grpc = message.message("grpc", &GRPC_ROUTE_MATCH_OPTIONS).is_some();
    Some(RouteMatch { path: path?, headers, query_parameters, grpc })
}

fn read_path(message: &Message<'_>) -> Option<PathMatch> {
    let (kind, value) =
        message.required_one_of(&["prefix", "path", "path_separated_prefix", "safe_regex"])?;
    let case_sensitive = message.boolean("case_sensitive", true);
    Some(match kind {
        "safe_regex" => PathMatch::SafeRegex(read_regex(&value)?),
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
