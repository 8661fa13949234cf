//! The filter `rbac`.

use std::sync::Arc;

use tollgate_ir::{FilterConfig, Override};
use tollgate_model::filter::{
    FilterSettings, Rbac, RbacAction, RbacCondition as Condition, RbacEngine, RbacMetadataSource, RbacPolicy,
    RbacRules, RbacVerdict,
};

use super::kinds::{Kind, PerRoute};
use crate::{
    envoy::{
        Scope,
        cel::{read_cel_options, read_expression_tree},
        listener::read_cidr_range,
        matcher::read_matcher,
        matchers::{read_header_matcher, read_string_matcher},
        metadata_matcher::read_metadata_matcher,
    },
    schema::{Any, Enumeration, Message, Schema, Value, read, refused},
};

pub(in crate::envoy) static RBAC: Schema = Schema {
    name: "envoy.extensions.filters.http.rbac.v3.RBAC",
    title: "",
    fields: &[
        read("rules", "everything passes", "What is enforced. Not beside matcher."),
        read("shadow_rules", "none", "What is counted and noted only. Not beside shadow_matcher."),
        read("rules_stat_prefix", "", "Stands before the names of counters and metadata of rules."),
        read(
            "shadow_rules_stat_prefix",
            "",
            "Stands before the names of counters and metadata of shadow rules.",
        ),
        read("matcher", "", "A matcher with actions of rbac; what it leads nowhere is denied."),
        read("shadow_matcher", "", "The same, counted and noted only."),
        read("track_per_rule_stats", "false", "Count by policy, too."),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static RBAC_PER_ROUTE: Schema = Schema {
    name: "envoy.extensions.filters.http.rbac.v3.RBACPerRoute",
    title: "",
    fields: &[read("rbac", "the filter is off", "Other settings here.")],
    unsupported: &[],
};

pub(in crate::envoy) static RULES: Schema = Schema {
    name: "envoy.config.rbac.v3.RBAC",
    title: "",
    fields: &[
        read("action", "ALLOW", "ALLOW, DENY or LOG: what follows from a match."),
        read("policies", "{}", "Policies by name."),
        refused("audit_logging_options", "use an access log that shows dynamic metadata"),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static POLICY: Schema = Schema {
    name: "envoy.config.rbac.v3.Policy",
    title: "",
    fields: &[
        read("permissions", "", "What is done: one of these holds. Required."),
        read("principals", "", "Who does it: one of these holds. Required."),
        read("condition", "", "An expression that is true, too."),
        read("cel_config", "{}", "What the expression may use."),
        refused("checked_condition", "use condition"),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static PERMISSION: Schema = Schema {
    name: "envoy.config.rbac.v3.Permission",
    title: "",
    fields: &[
        read("and_rules", "", "All of these. One of the fields is required."),
        read("or_rules", "", "One of these."),
        read("any", "", "true: everything."),
        read("header", "", "On a header."),
        read("destination_ip", "", "The client connected to an address of this range."),
        read("destination_port", "", "The client connected to this port."),
        read("destination_port_range", "", "The client connected to a port of this range."),
        read("metadata", "", "On dynamic metadata."),
        read("not_rule", "", "Not this."),
        read("requested_server_name", "", "On the name the client asked for (SNI)."),
        read("url_path", "", "On the path without its query."),
        read("sourced_metadata", "", "On dynamic metadata or on that of the route."),
        refused("matcher", "no such extension is supported"),
        refused("uri_template", "use url_path"),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static PERMISSIONS: Schema = Schema {
    name: "envoy.config.rbac.v3.Permission.Set",
    title: "",
    fields: &[read("rules", "", "At least one.")],
    unsupported: &[],
};

pub(in crate::envoy) static PRINCIPAL: Schema = Schema {
    name: "envoy.config.rbac.v3.Principal",
    title: "",
    fields: &[
        read("and_ids", "", "All of these. One of the fields is required."),
        read("or_ids", "", "One of these."),
        read("any", "", "true: everybody."),
        read("authenticated", "", "The client speaks TLS, and has this name."),
        read("source_ip", "", "Old form of direct_remote_ip."),
        read("direct_remote_ip", "", "The peer of the connection is in this range."),
        read("remote_ip", "", "The client, as `x-forwarded-for` is trusted, is in this range."),
        read("header", "", "On a header."),
        read("metadata", "", "On dynamic metadata."),
        read("url_path", "", "On the path without its query."),
        read("not_id", "", "Not this."),
        read("sourced_metadata", "", "On dynamic metadata or on that of the route."),
        refused("filter_state", "filters have no such objects here"),
        refused("custom", "use authenticated"),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static PRINCIPALS: Schema = Schema {
    name: "envoy.config.rbac.v3.Principal.Set",
    title: "",
    fields: &[read("ids", "", "At least one.")],
    unsupported: &[],
};

pub(in crate::envoy) static AUTHENTICATED: Schema = Schema {
    name: "envoy.config.rbac.v3.Principal.Authenticated",
    title: "",
    fields: &[read(
        "principal_name",
        "everybody with TLS",
        "A URI, a DNS name or the subject of the client's certificate.",
    )],
    unsupported: &[],
};

pub(in crate::envoy) static SOURCED_METADATA: Schema = Schema {
    name: "envoy.config.rbac.v3.SourcedMetadata",
    title: "",
    fields: &[
        read("metadata_matcher", "", "The condition. Required."),
        read("metadata_source", "DYNAMIC", "DYNAMIC or ROUTE."),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static PATH_MATCHER: Schema = Schema {
    name: "envoy.type.matcher.v3.PathMatcher",
    title: "",
    fields: &[read("path", "", "The condition. Required.")],
    unsupported: &[],
};

pub(in crate::envoy) static INT32_RANGE: Schema = Schema {
    name: "envoy.type.v3.Int32Range",
    title: "",
    fields: &[read("start", "0", "First number in the range."), read("end", "0", "First number behind it.")],
    unsupported: &[],
};

pub(in crate::envoy) static ACTION: Schema = Schema {
    name: "envoy.config.rbac.v3.Action",
    title: "",
    fields: &[
        read("name", "", "Stands for the name of a policy. Required."),
        read("action", "ALLOW", "ALLOW, DENY or LOG."),
    ],
    unsupported: &[],
};

pub(super) static SCHEMAS: [&Schema; 13] = [
    &RBAC,
    &RBAC_PER_ROUTE,
    &RULES,
    &POLICY,
    &PERMISSION,
    &PERMISSIONS,
    &PRINCIPAL,
    &PRINCIPALS,
    &AUTHENTICATED,
    &SOURCED_METADATA,
    &PATH_MATCHER,
    &INT32_RANGE,
    &ACTION,
];

pub(in crate::envoy) static ACTIONS: Enumeration<RbacAction> = Enumeration {
    values: &[
        ("ALLOW", 0, Some(RbacAction::Allow)),
        ("DENY", 1, Some(RbacAction::Deny)),
        ("LOG", 2, Some(RbacAction::Log)),
    ],
};

pub(in crate::envoy) static METADATA_SOURCES: Enumeration<RbacMetadataSource> = Enumeration {
    values: &[
        ("DYNAMIC", 0, Some(RbacMetadataSource::Dynamic)),
        ("ROUTE", 1, Some(RbacMetadataSource::Route)),
    ],
};

pub(super) const KIND: Kind = Kind {
    settings: &RBAC,
    read: |value, _: &Scope| read_rbac(value).map(FilterConfig::Settings),
    per_route: Some(PerRoute { settings: &RBAC_PER_ROUTE, read: read_per_route }),
    upstream: true,
};

fn read_per_route(value: &Value<'_>, _scope: &Scope) -> Option<Override> {
    match value.message(&RBAC_PER_ROUTE)?.get("rbac") {
        Some(rbac) => read_rbac(&rbac).map(Override::Settings),
        None => Some(Override::Disabled),
    }
}

fn read_rbac(value: &Value<'_>) -> Option<FilterSettings> {
    let message = value.message(&RBAC)?;
    let rules = |rules: &'static str, matcher: &'static str, prefix: &'static str| {
        let engine = match message.one_of(&[rules, matcher]) {
            None => return Some(None),
            Some((kind, value)) if kind == rules => read_rules(&value),
            Some((_, value)) => read_matcher(&value, &read_action).map(RbacEngine::Matcher),
        };
        Some(Some(RbacRules { stat_prefix: message.string(prefix), engine: engine? }))
    };
    let enforced = rules("rules", "matcher", "rules_stat_prefix");
    let shadow = rules("shadow_rules", "shadow_matcher", "shadow_rules_stat_prefix");
    Some(FilterSettings::Rbac(Arc::new(Rbac {
        rules: enforced?,
        shadow_rules: shadow?,
        track_per_rule_stats: message.boolean("track_per_rule_stats", false),
    })))
}

fn read_action(any: &Any<'_>) -> Option<RbacVerdict> {
    if any.type_name != ACTION.name {
        any.unsupported("action", &[ACTION.name]);
        return None;
    }
    let message = any.value.message(&ACTION)?;
    let name = message.required("name")?.non_empty_string()?;
    Some(RbacVerdict { name, action: message.enumeration("action", &ACTIONS, RbacAction::Allow) })
}

fn read_rules(value: &Value<'_>) -> Option<RbacEngine> {
    let message = value.message(&RULES)?;
    let action = message.enumeration("action", &ACTIONS, RbacAction::Allow);
    // Every one is read, so that every problem is found.
    let read: Vec<_> = message
        .map("policies")
        .iter()
        .map(|(name, policy)| Some(((*name).to_owned(), read_policy(policy)?)))
        .collect();
    let mut policies = read.into_iter().collect::<Option<Vec<(String, RbacPolicy)>>>()?;
    policies.sort_by(|(left, _), (right, _)| left.cmp(right));
    Some(RbacEngine::Policies { action, policies })
}

fn read_policy(value: &Value<'_>) -> Option<RbacPolicy> {
    let message = value.message(&POLICY)?;
    let permissions = read_several(value, &message, "permissions", read_permission);
    let principals = read_several(value, &message, "principals", read_principal);
    let condition = match message.get("condition") {
        Some(tree) => Some(read_expression_tree(&tree, read_cel_options(&message))?),
        None => {
            message.get("cel_config");
            None
        }
    };
    Some(RbacPolicy { permissions: permissions?, principals: principals?, condition })
}

/// At least one.
fn read_several(
    value: &Value<'_>,
    message: &Message<'_>,
    name: &'static str,
    read: fn(&Value<'_>) -> Option<Condition>,
) -> Option<Vec<Condition>> {
    let all = message.list(name);
    if all.is_empty() {
        value.error(format!("\"{name}\" is missing: at least one"));
        return None;
    }
    let read: Vec<_> = all.iter().map(read).collect();
    read.into_iter().collect()
}

fn read_permission(value: &Value<'_>) -> Option<Condition> {
    let message = value.message(&PERMISSION)?;
    let kinds = &[
        "and_rules",
        "or_rules",
        "any",
        "header",
        "destination_ip",
        "destination_port",
        "destination_port_range",
        "metadata",
        "not_rule",
        "requested_server_name",
        "url_path",
        "sourced_metadata",
    ];
    let (kind, value) = message.required_one_of(kinds)?;
    let set = || read_several(&value, &value.message(&PERMISSIONS)?, "rules", read_permission);
    Some(match kind {
        "and_rules" => Condition::And(set()?),
        "or_rules" => Condition::Or(set()?),
        "not_rule" => Condition::Not(Box::new(read_permission(&value)?)),
        "destination_ip" => Condition::DestinationIp(read_cidr_range(&value)?),
        "destination_port" => Condition::DestinationPort(u16::try_from(value.integer(0..=65_535)?).ok()?),
        "destination_port_range" => {
            let range = value.message(&INT32_RANGE)?;
            let end = |name| match range.get(name) {
                Some(end) => end.integer(0..=65_536).and_then(|end| u32::try_from(end).ok()),
                None => Some(0),
            };
            let (start, end) = (end("start")?, end("end")?);
            if start >= end {
                value.error("a range begins before it ends");
                return None;
            }
            Condition::DestinationPorts(start..end)
        }
        "requested_server_name" => Condition::RequestedServerName(read_string_matcher(&value)?),
        kind => return read_shared(kind, &value),
    })
}

fn read_principal(value: &Value<'_>) -> Option<Condition> {
    let message = value.message(&PRINCIPAL)?;
    let kinds = &[
        "and_ids",
        "or_ids",
        "any",
        "authenticated",
        "source_ip",
        "direct_remote_ip",
        "remote_ip",
        "header",
        "metadata",
        "url_path",
        "not_id",
        "sourced_metadata",
    ];
    let (kind, value) = message.required_one_of(kinds)?;
    let set = || read_several(&value, &value.message(&PRINCIPALS)?, "ids", read_principal);
    Some(match kind {
        "and_ids" => Condition::And(set()?),
        "or_ids" => Condition::Or(set()?),
        "not_id" => Condition::Not(Box::new(read_principal(&value)?)),
        "source_ip" => Condition::SourceIp(read_cidr_range(&value)?),
        "direct_remote_ip" => Condition::DirectRemoteIp(read_cidr_range(&value)?),
        "remote_ip" => Condition::RemoteIp(read_cidr_range(&value)?),
        "authenticated" => {
            Condition::Authenticated(match value.message(&AUTHENTICATED)?.get("principal_name") {
                Some(name) => Some(read_string_matcher(&name)?),
                None => None,
            })
        }
        kind => return read_shared(kind, &value),
    })
}

/// What permissions and principals have in common.
fn read_shared(kind: &str, value: &Value<'_>) -> Option<Condition> {
    Some(match kind {
        "any" => {
            if !value.boolean()? {
                value.error_with_help("must be true", "not_rule or not_id negates");
                return None;
            }
            Condition::Any
        }
        "header" => Condition::Header(read_header_matcher(value)?),
        "url_path" => {
            let path = value.message(&PATH_MATCHER)?.required("path")?;
            Condition::UrlPath(read_string_matcher(&path)?)
        }
        "metadata" => {
            let matcher = read_metadata_matcher(value)?;
            Condition::Metadata { source: RbacMetadataSource::Dynamic, matcher }
        }
        _ => {
            let message = value.message(&SOURCED_METADATA)?;
            let matcher = read_metadata_matcher(&message.required("metadata_matcher")?)?;
            let source =
                message.enumeration("metadata_source", &METADATA_SOURCES, RbacMetadataSource::Dynamic);
            Condition::Metadata { source, matcher }
        }
    })
}
