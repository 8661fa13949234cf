//! What routes do.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use serde_json::{Value, json};
use tollgate_ir::{Action, ClusterSpecifier, Origin, Route, RouteAction, WeightedCluster};
use tollgate_model::{
    matching::Substitution,
    route::{
        DirectResponse, HashPolicy, HashSource, HostRewrite, MirrorCluster, PathMatch, PathRewrite,
        RedirectAction, RedirectPath, RedirectPort, WeightedAction,
    },
};

use super::{
    access_log::fractional_percent,
    cluster::EMPTY_CLUSTER,
    filter_settings::header_mutation::mutation,
    filters::Active,
    manager::body_format,
    matchers::{header_mutations, metadata_match, pattern},
    out::{Out, duration, extension},
    rate_limits::rate_limits,
    retry::retry_policy,
    rewrite::{Rewrite, full, path_elements, substitution_of_library},
    route::Context,
};
use crate::{
    envoy::{
        cluster::TYPED_EXTENSION_CONFIG,
        data_source::DATA_SOURCE,
        route::{
            action::CLUSTER_NOT_FOUND_RESPONSE_CODE,
            hash_policy::{
                CONNECTION_PROPERTIES, COOKIE, COOKIE_ATTRIBUTE, HASH_POLICY, HEADER, QUERY_PARAMETER,
            },
            mirror::{REQUEST_MIRROR_POLICY, RUNTIME_FRACTIONAL_PERCENT},
            reply::RESPONSE_CODE,
            schema::{
                CLUSTER_WEIGHT, DIRECT_RESPONSE_ACTION, MAX_STREAM_DURATION, REDIRECT_ACTION,
                REGEX_MATCH_AND_SUBSTITUTE, ROUTE_ACTION, UPGRADE_CONFIG, WEIGHTED_CLUSTER,
            },
            uri_template::URI_TEMPLATE_REWRITE,
        },
    },
    schema::base64,
};

/// The name of a cluster that is nowhere: a share that leads there gets the reply for clusters that do not exist.
pub(super) const UNKNOWN_CLUSTER: &str = "tollgate/invalid-backend";

pub(super) fn action(context: &Context<'_>, out: &mut Out, route: &Route, active: &Active) {
    match &route.action {
        Action::Route(action) => out.set("route", route_action(context, route, action, active)),
        Action::Redirect(action) => out.set("redirect", redirect(context, route, action)),
        Action::DirectResponse(response) => out.set("direct_response", direct_response(response)),
        Action::NonForwarding => out.set("non_forwarding_action", json!({})),
    }
}

fn direct_response(response: &DirectResponse) -> Value {
    let mut out = Out::new(&DIRECT_RESPONSE_ACTION);
    out.set("status", response.status.as_u16());
    if !response.body.is_empty() {
        out.set("body", data_source(&response.body));
    }
    out.some("body_format", response.body_format.as_deref().map(body_format));
    out.done()
}

/// A `DataSource` with what it holds.
pub(super) fn data_source(content: &[u8]) -> Value {
    let mut out = Out::new(&DATA_SOURCE);
    match std::str::from_utf8(content) {
        Ok(text) => out.set("inline_string", text),
        Err(_) => out.set("inline_bytes", base64::encode(content)),
    }
    out.done()
}

fn route_action(context: &Context<'_>, route: &Route, action: &RouteAction, active: &Active) -> Value {
    let cannot = |what: String| context.writer.cannot(&route.origin, what);
    let mut out = Out::new(&ROUTE_ACTION);
    match &action.cluster {
        ClusterSpecifier::Cluster(name) => out.set("cluster", &**name),
        ClusterSpecifier::ClusterHeader(name) => out.set("cluster_header", name.as_str()),
        ClusterSpecifier::WeightedClusters(shares) => {
            let mut weighted = Out::new(&WEIGHTED_CLUSTER);
            let not_found = action.cluster_not_found_response_code;
            let shares = shares.iter().map(|one| share(context, one, not_found, &route.origin, active));
            weighted.list("clusters", shares.collect());
            out.set("weighted_clusters", weighted.done());
        }
    }
    out.name(
        "cluster_not_found_response_code",
        &CLUSTER_NOT_FOUND_RESPONSE_CODE,
        &action.cluster_not_found_response_code,
        &StatusCode::SERVICE_UNAVAILABLE,
    );
    if let Some(rewrite) = &action.path_rewrite {
        match rewrite {
            PathRewrite::Prefix(prefix) => out.set("prefix_rewrite", &**prefix),
            PathRewrite::PathElements(replacement) => {
                let found = elements(&route.route_match.path, replacement, cannot);
                out.set("regex_rewrite", regex_rewrite(&found));
            }
            PathRewrite::Format(format) => out.set("path_rewrite", format.source()),
            PathRewrite::Template(rewrite) => {
                let mut config = Out::new(&URI_TEMPLATE_REWRITE);
                config.set("path_template_rewrite", rewrite.written());
                let name = "envoy.path.rewrite.uri_template.uri_template_rewriter";
                out.set("path_rewrite_policy", extension(&TYPED_EXTENSION_CONFIG, name, config.any()));
            }
            PathRewrite::Full(path) => out.set("regex_rewrite", regex_rewrite(&full(path))),
            PathRewrite::Regex { written, substitution, .. } => {
                let found = (written.clone(), substitution_of_library(substitution));
                out.set("regex_rewrite", regex_rewrite(&found));
            }
        }
    }
    match &action.host_rewrite {
        None => {}
        Some(HostRewrite::Literal(host)) => out.set("host_rewrite_literal", &**host),
        Some(HostRewrite::Auto) => out.set("auto_host_rewrite", true),
        Some(HostRewrite::PathRegex(substitution)) => {
            out.set("host_rewrite_path_regex", written_substitution(substitution));
        }
        Some(HostRewrite::Format(format)) => out.set("host_rewrite", format.source()),
        Some(HostRewrite::Header(name)) => out.set("host_rewrite_header", name.as_str()),
    }
    out.unless("append_x_forwarded_host", action.append_x_forwarded_host, false);
    rate_limits(&mut out, &action.rate_limits.policies);
    out.unless("include_vh_rate_limits", action.rate_limits.include_virtual_host, false);
    out.timeout("timeout", action.timeout, Some(Duration::from_secs(15)));
    if let Some(limits) = &action.max_stream_duration {
        let mut message = Out::new(&MAX_STREAM_DURATION);
        message.some("max_stream_duration", limits.max.map(duration));
        message.some("grpc_timeout_header_max", limits.grpc_timeout_header_max.map(duration));
        message.some("grpc_timeout_header_offset", limits.grpc_timeout_header_offset.map(duration));
        out.set("max_stream_duration", message.done());
    }
    out.some("max_grpc_timeout", action.max_grpc_timeout.map(duration));
    out.some("idle_timeout", action.idle_timeout.map(|limit| duration(limit.unwrap_or_default())));
    out.some("retry_policy", action.retry_policy.as_ref().map(|policy| retry_policy(policy)));
    let mirrors = action.request_mirror_policies.iter().map(|policy| {
        let mut fraction = Out::new(&RUNTIME_FRACTIONAL_PERCENT);
        fraction.set("default_value", fractional_percent(policy.fraction));
        let mut out = Out::new(&REQUEST_MIRROR_POLICY);
        match &policy.cluster {
            MirrorCluster::Named(name) => out.set("cluster", &**name),
            MirrorCluster::Header(name) => out.set("cluster_header", name.as_str()),
        }
        out.some("host_rewrite_literal", policy.host_rewrite_literal.as_deref());
        out.list("request_headers_mutations", policy.mutations.iter().map(mutation).collect());
        out.set("runtime_fraction", fraction.done());
        out.unless("disable_shadow_host_suffix_append", policy.disable_shadow_host_suffix_append, false);
        out.done()
    });
    out.list("request_mirror_policies", mirrors.collect());
    let upgrades = action.upgrade_configs.iter().map(|(name, enabled)| {
        let mut out = Out::new(&UPGRADE_CONFIG);
        out.set("upgrade_type", &**name);
        out.unless("enabled", *enabled, true);
        out.done()
    });
    out.list("upgrade_configs", upgrades.collect());
    metadata_match(&mut out, &action.metadata_match);
    out.list("hash_policy", action.hash_policies.iter().map(hash_policy).collect());
    if action.session_persistence.is_some() {
        cannot("session persistence is not written: requests of a session go to any endpoint".to_owned());
    }
    out.done()
}

fn hash_policy(policy: &HashPolicy) -> Value {
    let mut out = Out::new(&HASH_POLICY);
    match &policy.source {
        HashSource::Header { name, rewrite } => {
            let mut header = Out::new(&HEADER);
            header.set("header_name", name.as_str());
            let rewrite = rewrite.as_ref().map(|rewrite| {
                regex_rewrite(&(rewrite.written.clone(), substitution_of_library(&rewrite.substitution)))
            });
            header.some("regex_rewrite", rewrite);
            out.set("header", header.done());
        }
        HashSource::Cookie(cookie) => {
            let attributes = cookie.attributes.iter().map(|(name, value)| {
                let mut attribute = Out::new(&COOKIE_ATTRIBUTE);
                attribute.set("name", &**name);
                attribute.text("value", value);
                attribute.done()
            });
            let mut message = Out::new(&COOKIE);
            message.set("name", &*cookie.name);
            message.some("ttl", cookie.ttl.map(duration));
            message.text("path", &cookie.path);
            message.list("attributes", attributes.collect());
            out.set("cookie", message.done());
        }
        HashSource::SourceIp => {
            let mut properties = Out::new(&CONNECTION_PROPERTIES);
            properties.set("source_ip", true);
            out.set("connection_properties", properties.done());
        }
        HashSource::QueryParameter(name) => {
            let mut parameter = Out::new(&QUERY_PARAMETER);
            parameter.set("name", &**name);
            out.set("query_parameter", parameter.done());
        }
    }
    out.unless("terminal", policy.terminal, false);
    out.done()
}

/// Path elements instead of a prefix.
fn elements(path: &PathMatch, replacement: &str, cannot: impl FnOnce(String)) -> Rewrite {
    let (rewrite, inexact) = path_elements(path, replacement);
    if inexact {
        cannot(format!("the path \"/\" becomes \"{}/\" in Envoy", replacement.trim_end_matches('/')));
    }
    rewrite
}

fn written_substitution(rewrite: &Substitution) -> Value {
    regex_rewrite(&(rewrite.written.clone(), substitution_of_library(&rewrite.substitution)))
}

fn regex_rewrite((expression, substitution): &Rewrite) -> Value {
    let mut out = Out::new(&REGEX_MATCH_AND_SUBSTITUTE);
    out.set("pattern", pattern(expression));
    out.text("substitution", substitution);
    out.done()
}

fn share(
    context: &Context<'_>,
    share: &WeightedCluster,
    not_found: StatusCode,
    origin: &Arc<Origin>,
    active: &Active,
) -> Value {
    let cannot = |what: &str| context.writer.cannot(origin, what);
    let mut out = Out::new(&CLUSTER_WEIGHT);
    let name = match &share.action {
        WeightedAction::Cluster(name) => name,
        WeightedAction::DirectResponse(response)
            if response.body.is_empty() && response.status == not_found =>
        {
            UNKNOWN_CLUSTER
        }
        WeightedAction::DirectResponse(response)
            if response.body.is_empty() && response.status == StatusCode::SERVICE_UNAVAILABLE =>
        {
            EMPTY_CLUSTER
        }
        WeightedAction::DirectResponse(_) => {
            cannot(
                "a share of the requests is answered directly: Envoy answers it as it does for clusters that do not exist",
            );
            UNKNOWN_CLUSTER
        }
        WeightedAction::Redirect(_) => {
            cannot(
                "a share of the requests is redirected: Envoy answers it as it does for clusters that do not exist",
            );
            UNKNOWN_CLUSTER
        }
    };
    out.set("name", name);
    out.set("weight", share.weight);
    header_mutations(&mut out, &share.headers);
    metadata_match(&mut out, &share.metadata_match);
    out.some("host_rewrite_literal", share.host_rewrite_literal.as_deref());
    if share.path_rewrite.is_some() {
        cannot("a share of the requests gets another path: Envoy leaves the path as the route has it");
    }
    context.filters.level(&mut out, &share.filters, &mut active.clone());
    out.done()
}

fn redirect(context: &Context<'_>, route: &Route, action: &RedirectAction) -> Value {
    let mut out = Out::new(&REDIRECT_ACTION);
    out.some("scheme_redirect", action.scheme.as_deref());
    out.some("host_redirect", action.host.as_deref());
    let https = action.scheme.as_deref().map_or(context.is_tls, |scheme| scheme == "https");
    match action.port {
        RedirectPort::OfRequest | RedirectPort::Kept => {}
        RedirectPort::UnlessDefault(port) if port == if https { 443 } else { 80 } => {
            if action.host.is_none() {
                let what = format!(
                    "the redirect shows no port: Envoy shows that of the request if its host has one other than {port}"
                );
                context.writer.cannot(&route.origin, what);
            }
        }
        RedirectPort::Always(port) | RedirectPort::UnlessDefault(port) => out.set("port_redirect", port),
    }
    match &action.path {
        None => {}
        Some(RedirectPath::Path(path)) => out.set("path_redirect", &**path),
        Some(RedirectPath::Prefix(prefix)) => out.set("prefix_rewrite", &**prefix),
        Some(RedirectPath::PathElements(replacement)) => {
            let cannot = |what| context.writer.cannot(&route.origin, what);
            let rewrite = elements(&route.route_match.path, replacement, cannot);
            out.set("regex_rewrite", regex_rewrite(&rewrite));
        }
        Some(RedirectPath::Regex(substitution)) => {
            out.set("regex_rewrite", written_substitution(substitution));
        }
        Some(RedirectPath::Format(format)) => out.set("path_rewrite", format.source()),
    }
    out.name("response_code", &RESPONSE_CODE, &action.response_code, &StatusCode::MOVED_PERMANENTLY);
    out.unless("strip_query", action.strip_query, false);
    out.done()
}
