//! Route tables, virtual hosts and routes.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::{Value, json};
use tollgate_ir::{Action, FilterChain, Origin, Resources, Route, RouteTable, VirtualHost};
use tollgate_model::{
    listener::ServedBy,
    route::{
        ClusterSpecifier, CookieMatcher, MirrorCluster, MoreConditions, PathMatch, PathParameters,
        RouteMatch, TlsRequirement, WeightedAction,
    },
};

use super::{
    Writer,
    access_log::{fractional_percent, metadata_matcher},
    action::{UNKNOWN_CLUSTER, action},
    cluster::EMPTY_CLUSTER,
    filters::{Active, Filters},
    matchers::{header_matcher, header_mutations, metadata, query_parameter, regex, string_matcher},
    out::{Out, extension, wide},
    rate_limits::rate_limits,
};
use crate::envoy::cluster::TYPED_EXTENSION_CONFIG;
use crate::envoy::route::{
    RUNTIME_FRACTIONAL_PERCENT, TLS_REQUIREMENT,
    schema::{
        COOKIE_MATCHER, DIRECT_RESPONSE_ACTION, ROUTE, ROUTE_CONFIGURATION, ROUTE_MATCH,
        TLS_CONTEXT_MATCH_OPTIONS, VIRTUAL_HOST,
    },
    uri_template::URI_TEMPLATE_MATCH,
};

/// What the routes of a table are written with.
pub(super) struct Context<'w> {
    pub(super) writer: &'w Writer<'w>,
    pub(super) filters: &'w Filters<'w>,
    /// Requests come over TLS.
    pub(super) is_tls: bool,
}

/// Largest body of a direct response that needs no other limit.
const USUAL_BODY: usize = 4096;

pub(super) fn table(
    writer: &Writer<'_>,
    table: &RouteTable,
    chain: &FilterChain,
    filters: &Filters<'_>,
    origin: &Arc<Origin>,
) -> Value {
    let mut out = Out::new(&ROUTE_CONFIGURATION);
    out.text("name", &table.name);
    out.unless("ignore_port_in_host_matching", table.ignore_port_in_host_matching, false);
    let parameters = table.path_parameters != PathParameters::Kept;
    out.unless("ignore_path_parameters_in_path_matching", parameters, false);
    out.unless("most_specific_header_mutations_wins", table.most_specific_header_mutations_wins, false);
    header_mutations(&mut out, &table.headers);
    if !clusters(table).all(|name| writer.resources.clusters.contains_key(name)) {
        out.set("validate_clusters", false);
    }
    let largest = routes(table).filter_map(|route| match &route.action {
        Action::DirectResponse(response) => Some(response.body.len()),
        _ => None,
    });
    if let Some(largest) = largest.max().filter(|largest| *largest > USUAL_BODY) {
        out.set("max_direct_response_body_size_bytes", wide(largest as u64));
    }
    let mut active = Active::new();
    filters.level(&mut out, &table.per_filter, &mut active);
    let context = Context { writer, filters, is_tls: chain.tls.is_some() };
    let mut hosts: Vec<Value> =
        table.virtual_hosts.iter().map(|host| virtual_host(&context, host, &active)).collect();
    hosts.extend(misdirected(table, chain));
    out.list("virtual_hosts", hosts);
    let _ = origin;
    out.done()
}

/// A virtual host that answers 421 for host names of other filter chains.
fn misdirected(table: &RouteTable, chain: &FilterChain) -> Option<Value> {
    let own: BTreeSet<&str> =
        table.virtual_hosts.iter().flat_map(|host| &host.domains).map(String::as_str).collect();
    let names = chain.misdirected_requests.server_names();
    let others: BTreeSet<&str> = names
        .filter(|(name, by)| *by == ServedBy::AnotherChain && !own.contains(name))
        .map(|(name, _)| name)
        .collect();
    if others.is_empty() {
        return None;
    }
    let mut response = Out::new(&DIRECT_RESPONSE_ACTION);
    response.set("status", 421);
    let mut route = Out::new(&ROUTE);
    route.set("match", json!({ "prefix": "/" }));
    route.set("direct_response", response.done());
    let mut host = Out::new(&VIRTUAL_HOST);
    host.set("name", "misdirected");
    host.list("domains", others.into_iter().map(Value::from).collect());
    host.list("routes", vec![route.done()]);
    Some(host.done())
}

fn virtual_host(context: &Context<'_>, host: &VirtualHost, above: &Active) -> Value {
    let mut out = Out::new(&VIRTUAL_HOST);
    out.set("name", &*host.name);
    out.list("domains", host.domains.iter().map(|domain| Value::from(&**domain)).collect());
    header_mutations(&mut out, &host.headers);
    metadata(&mut out, &host.metadata);
    out.name("require_tls", &TLS_REQUIREMENT, &host.require_tls, &TlsRequirement::None);
    out.unless("include_request_attempt_count", host.include_request_attempt_count, false);
    out.unless("include_attempt_count_in_response", host.include_attempt_count_in_response, false);
    rate_limits(&mut out, &host.rate_limits);
    let mut active = above.clone();
    context.filters.level(&mut out, &host.per_filter, &mut active);
    out.list("routes", host.routes.iter().map(|one| route(context, one, &active)).collect());
    out.done()
}

fn route(context: &Context<'_>, route: &Route, above: &Active) -> Value {
    let mut out = Out::new(&ROUTE);
    out.text("name", &route.name);
    out.set("match", route_match(&route.route_match));
    header_mutations(&mut out, &route.headers);
    out.some("request_body_buffer_limit", route.request_body_buffer_limit.map(|limit| wide(limit as u64)));
    metadata(&mut out, &route.metadata);
    let mut active = above.clone();
    context.filters.level(&mut out, &route.per_filter, &mut active);
    action(context, &mut out, route, &active);
    out.done()
}

pub(super) fn route_match(conditions: &RouteMatch) -> Value {
    let mut out = Out::new(&ROUTE_MATCH);
    let case_sensitive = match &conditions.path {
        PathMatch::Prefix { prefix, case_sensitive } => {
            out.set("prefix", &**prefix);
            *case_sensitive
        }
        PathMatch::Path { path, case_sensitive } => {
            out.set("path", &**path);
            *case_sensitive
        }
        PathMatch::PathSeparatedPrefix { prefix, case_sensitive } => {
            out.set("path_separated_prefix", &**prefix);
            *case_sensitive
        }
        PathMatch::SafeRegex(expression) => {
            out.set("safe_regex", regex(expression));
            true
        }
        PathMatch::Template(template) => {
            let mut config = Out::new(&URI_TEMPLATE_MATCH);
            config.set("path_template", template.written());
            let name = "envoy.path.match.uri_template.uri_template_matcher";
            out.set("path_match_policy", extension(&TYPED_EXTENSION_CONFIG, name, config.any()));
            true
        }
    };
    out.unless("case_sensitive", case_sensitive, true);
    out.list("headers", conditions.headers.iter().map(header_matcher).collect());
    out.list("query_parameters", conditions.query_parameters.iter().map(query_parameter).collect());
    if conditions.grpc {
        out.set("grpc", json!({}));
    }
    if let Some(more) = &conditions.more {
        more_conditions(&mut out, more);
    }
    out.done()
}

fn more_conditions(out: &mut Out, conditions: &MoreConditions) {
    if let Some(fraction) = conditions.fraction {
        let mut message = Out::new(&RUNTIME_FRACTIONAL_PERCENT);
        message.set("default_value", fractional_percent(fraction));
        out.set("runtime_fraction", message.done());
    }
    let cookie = |matcher: &CookieMatcher| {
        let mut message = Out::new(&COOKIE_MATCHER);
        message.set("name", &*matcher.name);
        message.set("string_match", string_matcher(&matcher.value));
        message.unless("invert_match", matcher.invert, false);
        message.done()
    };
    out.list("cookies", conditions.cookies.iter().map(cookie).collect());
    let mut tls = Out::new(&TLS_CONTEXT_MATCH_OPTIONS);
    tls.some("presented", conditions.certificate_presented);
    tls.some("validated", conditions.certificate_validated);
    out.unless_empty("tls_context", tls);
    let metadata = conditions.dynamic_metadata.iter().map(|condition| {
        let mut message = metadata_matcher(&condition.matcher);
        if condition.invert {
            message["invert"] = json!(true);
        }
        message
    });
    out.list("dynamic_metadata", metadata.collect());
}

fn routes(table: &RouteTable) -> impl Iterator<Item = &Route> {
    table.virtual_hosts.iter().flat_map(|host| &host.routes)
}

/// Names of the clusters that the written table leads to.
fn clusters(table: &RouteTable) -> impl Iterator<Item = &str> {
    routes(table).flat_map(|route| {
        let Action::Route(action) = &route.action else { return Vec::new() };
        let mut names: Vec<&str> = match &action.cluster {
            ClusterSpecifier::Cluster(name) => vec![name],
            ClusterSpecifier::ClusterHeader(_) => Vec::new(),
            ClusterSpecifier::WeightedClusters(shares) => {
                let names = shares.iter().map(|share| match &share.action {
                    WeightedAction::Cluster(name) => name,
                    _ => UNKNOWN_CLUSTER,
                });
                names.collect()
            }
        };
        names.extend(action.request_mirror_policies.iter().filter_map(|policy| match &policy.cluster {
            MirrorCluster::Named(name) => Some(name.as_str()),
            MirrorCluster::Header(_) => None,
        }));
        names
    })
}

/// Whether shares of routes answer 503.
pub(super) fn needs_empty_cluster(resources: &Resources) -> bool {
    let routes = resources.route_tables.values().flat_map(|table| routes(table));
    let mut shares = routes.flat_map(|route| match &route.action {
        Action::Route(action) => match &action.cluster {
            ClusterSpecifier::WeightedClusters(shares) => shares.as_slice(),
            _ => &[],
        },
        _ => &[],
    });
    !resources.clusters.contains_key(EMPTY_CLUSTER)
        && shares.any(|share| {
            matches!(&share.action, WeightedAction::DirectResponse(response) if response.status.as_u16() == 503)
        })
}
