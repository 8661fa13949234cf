//! Forwarding to clusters.

use std::{sync::Arc, time::Duration};

use extproc::messages::Struct;
use http::StatusCode;
use regex::bytes;
use tollgate_ir::{ClusterSpecifier, RouteAction};
use tollgate_model::{
    cluster::SUBSET_NAMESPACE,
    matching::Substitution,
    route::{HostRewrite, MaxStreamDuration, PathRewrite, RateLimits},
};

use super::{
    Defaults, ShareOrigins, Table,
    hash_policy::read_hash_policies,
    mirror::read_request_mirror_policies,
    own_or,
    retry::read_retry_policy,
    schema::{MAX_STREAM_DURATION, REGEX_MATCH_AND_SUBSTITUTE, ROUTE_ACTION, UPGRADE_CONFIG},
    uri_template::read_rewrite,
    weighted::read_weighted_clusters,
};
use crate::{
    envoy::{
        format::read_header_format,
        matchers::{compile, read_matched_header},
        metadata::{METADATA, read_namespaces},
        per_route::Folded,
        rate_limits::read_rate_limits,
    },
    schema::{Enumeration, Message, Value},
};

pub(in crate::envoy) static CLUSTER_NOT_FOUND_RESPONSE_CODE: Enumeration<StatusCode> = Enumeration {
    values: &[
        ("SERVICE_UNAVAILABLE", 0, Some(StatusCode::SERVICE_UNAVAILABLE)),
        ("NOT_FOUND", 1, Some(StatusCode::NOT_FOUND)),
        ("INTERNAL_SERVER_ERROR", 2, Some(StatusCode::INTERNAL_SERVER_ERROR)),
    ],
};

pub(super) fn read_route_action(
    value: &Value<'_>,
    table: &Table<'_>,
    folded: &Folded<'_>,
    defaults: &Defaults,
    shares: &mut ShareOrigins,
) -> Option<RouteAction> {
    let message = value.message(&ROUTE_ACTION)?;
    let cluster = message
        .required_one_of(&["cluster", "cluster_header", "weighted_clusters"])
        .and_then(|(kind, value)| read_cluster_specifier(kind, &value, table, folded, shares));
    let metadata_match = read_metadata_match(&message);
    let cluster = cluster.map(|cluster| with_metadata(cluster, &metadata_match));
    let idle_timeout = message.get("idle_timeout").map(|_| message.timeout("idle_timeout", None));
    let retry_policy = message.get("retry_policy").and_then(|value| read_retry_policy(&value)).map(Arc::new);
    Some(RouteAction {
        request_mirror_policies: own_or(
            read_request_mirror_policies(&message, table),
            &defaults.request_mirror_policies,
        ),
        retry_policy: retry_policy.or_else(|| defaults.retry_policy.clone()),
        cluster_not_found_response_code: message.enumeration(
            "cluster_not_found_response_code",
            &CLUSTER_NOT_FOUND_RESPONSE_CODE,
            StatusCode::SERVICE_UNAVAILABLE,
        ),
        path_rewrite: read_path_rewrite(&message),
        host_rewrite: read_host_rewrite(&message),
        append_x_forwarded_host: message.boolean("append_x_forwarded_host", false),
        timeout: message.timeout("timeout", Some(Duration::from_secs(15))),
        max_stream_duration: message.message("max_stream_duration", &MAX_STREAM_DURATION).map(|limits| {
            MaxStreamDuration {
                max: limits.duration("max_stream_duration"),
                grpc_timeout_header_max: limits.duration("grpc_timeout_header_max"),
                grpc_timeout_header_offset: limits.duration("grpc_timeout_header_offset"),
            }
        }),
        max_grpc_timeout: message.duration("max_grpc_timeout"),
        idle_timeout,
        upgrade_configs: read_upgrade_configs(&message),
        hash_policies: read_hash_policies(&message),
        rate_limits: RateLimits {
            policies: read_rate_limits(&message),
            include_virtual_host: message.boolean("include_vh_rate_limits", false),
        },
        metadata_match,
        ..RouteAction::new(cluster?)
    })
}

fn read_cluster_specifier(
    kind: &str,
    value: &Value<'_>,
    table: &Table<'_>,
    folded: &Folded<'_>,
    shares: &mut ShareOrigins,
) -> Option<ClusterSpecifier> {
    Some(match kind {
        "cluster" => {
            let name = value.non_empty_string()?;
            table.check_cluster(value, &name);
            ClusterSpecifier::Cluster(name)
        }
        "cluster_header" => ClusterSpecifier::ClusterHeader(read_matched_header(value)?),
        _ => ClusterSpecifier::WeightedClusters(read_weighted_clusters(value, table, folded, shares)?),
    })
}

/// What routes say about subsets; other namespaces do not count.
pub(super) fn read_metadata_match(message: &Message<'_>) -> Struct {
    let metadata = message.message("metadata_match", &METADATA).map(|metadata| read_namespaces(&metadata));
    metadata.and_then(|mut metadata| metadata.filter_metadata.remove(SUBSET_NAMESPACE)).unwrap_or_default()
}

/// Shares have what the route says beside what they say themselves.
fn with_metadata(mut cluster: ClusterSpecifier, of_route: &Struct) -> ClusterSpecifier {
    if let ClusterSpecifier::WeightedClusters(shares) = &mut cluster {
        for share in shares {
            let own = std::mem::replace(&mut share.metadata_match, of_route.clone());
            share.metadata_match.fields.extend(own.fields);
        }
    }
    cluster
}

fn read_path_rewrite(message: &Message<'_>) -> Option<PathRewrite> {
    // Envoy takes the two for one oneof when both are given with content.
    let (kind, value) =
        message.one_of(&["prefix_rewrite", "regex_rewrite", "path_rewrite", "path_rewrite_policy"])?;
    if kind == "path_rewrite_policy" {
        return read_rewrite(&value).map(PathRewrite::Template);
    }
    if kind == "path_rewrite" {
        return read_header_format(&value).map(PathRewrite::Format);
    }
    if kind == "prefix_rewrite" {
        return value.header_text().filter(|prefix| !prefix.is_empty()).map(PathRewrite::Prefix);
    }
    let rewrite = value.message(&REGEX_MATCH_AND_SUBSTITUTE)?;
    let pattern = rewrite.required("pattern").and_then(|pattern| compile(&pattern, new_pattern));
    read_substitution(pattern, rewrite.get("substitution"))
}

/// A pattern that is searched for, and how it is written.
pub(in crate::envoy) type Pattern = (bytes::Regex, String);

pub(in crate::envoy) fn new_pattern(written: &str, pattern: &str) -> Result<Pattern, regex::Error> {
    let regex = bytes::RegexBuilder::new(pattern).unicode(false).size_limit(1 << 20).build()?;
    Ok((regex, written.to_owned()))
}

/// Reads an expression and what is written instead of what it matches, both in RE2's syntax.
pub(crate) fn read_regex_rewrite(
    pattern: &Value<'_>,
    substitution: Option<Value<'_>>,
) -> Option<PathRewrite> {
    read_substitution(crate::envoy::compile_text(pattern, new_pattern), substitution)
}

fn read_substitution(pattern: Option<Pattern>, substitution: Option<Value<'_>>) -> Option<PathRewrite> {
    let substitution = match substitution {
        None => String::new(),
        Some(value) => {
            let text = value.header_text()?;
            translate_substitution(&text, pattern.as_ref().map_or(9, |(regex, _)| regex.captures_len()))
                .or_else(|| {
                    value.error(
                        "a backslash stands before a group that exists (\\0 to \\9) or another backslash",
                    );
                    None
                })?
        }
    };
    let (pattern, written) = pattern?;
    Some(PathRewrite::Regex { pattern, written, substitution })
}

/// Reads a `RegexMatchAndSubstitute`.
pub(in crate::envoy) fn read_regex_substitution(value: &Value<'_>) -> Option<Substitution> {
    let rewrite = value.message(&REGEX_MATCH_AND_SUBSTITUTE)?;
    let pattern = rewrite.required("pattern").and_then(|pattern| compile(&pattern, new_pattern));
    match read_substitution(pattern, rewrite.get("substitution"))? {
        PathRewrite::Regex { pattern, written, substitution } => {
            Some(Substitution { pattern, written, substitution })
        }
        _ => None,
    }
}

/// From RE2's notation of groups (`\1`) to the library's (`${1}`).
pub(in crate::envoy) fn translate_substitution(text: &str, groups: usize) -> Option<String> {
    let mut translated = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '$' => translated.push_str("$$"),
            '\\' => match letters.next()? {
                '\\' => translated.push('\\'),
                digit => {
                    let group = digit.to_digit(10).filter(|group| (*group as usize) < groups)?;
                    translated.push_str(&format!("${{{group}}}"));
                }
            },
            other => translated.push(other),
        }
    }
    Some(translated)
}

fn read_host_rewrite(message: &Message<'_>) -> Option<HostRewrite> {
    let (kind, value) = message.one_of(&[
        "host_rewrite_literal",
        "auto_host_rewrite",
        "host_rewrite_header",
        "host_rewrite_path_regex",
        "host_rewrite",
    ])?;
    match kind {
        "host_rewrite_literal" => {
            value.header_text().filter(|host| !host.is_empty()).map(HostRewrite::Literal)
        }
        "auto_host_rewrite" => value.boolean()?.then_some(HostRewrite::Auto),
        "host_rewrite_header" => Some(HostRewrite::Header(read_matched_header(&value)?)),
        "host_rewrite_path_regex" => read_regex_substitution(&value).map(HostRewrite::PathRegex),
        _ => read_header_format(&value).map(HostRewrite::Format),
    }
}

fn read_upgrade_configs(message: &Message<'_>) -> Vec<(String, bool)> {
    let mut configs: Vec<(String, bool)> = Vec::new();
    for value in message.list("upgrade_configs") {
        let Some(config) = value.message(&UPGRADE_CONFIG) else { continue };
        let upgrade_type = config.required_string("upgrade_type").to_ascii_lowercase();
        if upgrade_type == "connect" || upgrade_type == "connect-udp" {
            value.error(format!("the upgrade type \"{upgrade_type}\" is not supported"));
        }
        if configs.iter().any(|(known, _)| *known == upgrade_type) {
            value.error(format!("the upgrade type \"{upgrade_type}\" is given twice"));
        }
        configs.push((upgrade_type, config.boolean("enabled", true)));
    }
    configs
}

#[cfg(test)]
mod tests {
    use super::translate_substitution;

    #[test]
    fn groups_are_translated() {
        assert_eq!(translate_substitution(r"/\1/x$\\", 2).as_deref(), Some(r"/${1}/x$$\"));
        assert_eq!(translate_substitution(r"\0", 1).as_deref(), Some("${0}"));
        assert_eq!(translate_substitution(r"\2", 2), None);
        assert_eq!(translate_substitution(r"\", 2), None);
        assert_eq!(translate_substitution(r"\a", 2), None);
    }
}
