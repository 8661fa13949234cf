//! The filter `rbac`.

use std::ops::Range;

use ipnet::IpNet;
use serde_json::{Map, Value, json};
use tollgate_cel::Options;
use tollgate_model::{
    filter::{
        Rbac, RbacAction, RbacCondition as Condition, RbacEngine, RbacMetadataSource, RbacPolicy, RbacRules,
    },
    matching::StringMatcher,
};

use crate::envoy::{
    http_filters::rbac::{
        ACTION, ACTIONS, AUTHENTICATED, INT32_RANGE, METADATA_SOURCES, PATH_MATCHER, PERMISSION, PERMISSIONS,
        POLICY, PRINCIPAL, PRINCIPALS, RBAC, RBAC_PER_ROUTE, RULES, SOURCED_METADATA,
    },
    write::{
        access_log::metadata_matcher,
        cel::{cel_options, expression_tree},
        listener::range as address_range,
        matcher::matcher,
        matchers::{header_matcher, string_matcher},
        out::Out,
    },
};

/// Settings that a level has instead.
pub(super) fn per_route(settings: &Rbac) -> Value {
    let mut out = Out::new(&RBAC_PER_ROUTE);
    out.set("rbac", rbac(settings).done());
    out.any()
}

pub(super) fn written(settings: &Rbac) -> Value {
    rbac(settings).any()
}

fn rbac(settings: &Rbac) -> Out {
    let mut out = Out::new(&RBAC);
    let all = [
        (&settings.rules, "rules", "matcher", "rules_stat_prefix"),
        (&settings.shadow_rules, "shadow_rules", "shadow_matcher", "shadow_rules_stat_prefix"),
    ];
    for (rules, as_rules, as_matcher, prefix) in all {
        let Some(RbacRules { stat_prefix, engine }) = rules else { continue };
        out.unless(prefix, &**stat_prefix, "");
        match engine {
            RbacEngine::Policies { action, policies } => {
                let mut rules = Out::new(&RULES);
                rules.name("action", &ACTIONS, action, &RbacAction::Allow);
                let policies: Map<_, _> =
                    policies.iter().map(|(name, one)| (name.clone(), policy(one))).collect();
                if !policies.is_empty() {
                    rules.set("policies", policies);
                }
                out.set(as_rules, rules.done());
            }
            RbacEngine::Matcher(by) => {
                let written = matcher(by, &|verdict| {
                    let mut action = Out::new(&ACTION);
                    action.set("name", &*verdict.name);
                    action.name("action", &ACTIONS, &verdict.action, &RbacAction::Allow);
                    action.any()
                });
                out.set(as_matcher, written);
            }
        }
    }
    out.unless("track_per_rule_stats", settings.track_per_rule_stats, false);
    out
}

fn policy(policy: &RbacPolicy) -> Value {
    let mut out = Out::new(&POLICY);
    out.list("permissions", policy.permissions.iter().map(permission).collect());
    out.list("principals", policy.principals.iter().map(principal).collect());
    if let Some(expression) = &policy.condition {
        out.set("condition", expression_tree(expression));
        if expression.options() != Options::default() {
            out.set("cel_config", cel_options(expression.options()));
        }
    }
    out.done()
}

fn permission(condition: &Condition) -> Value {
    let mut out = Out::new(&PERMISSION);
    let set = |all: &[Condition]| {
        let mut set = Out::new(&PERMISSIONS);
        set.list("rules", all.iter().map(permission).collect());
        set.done()
    };
    match condition {
        Condition::And(all) => out.set("and_rules", set(all)),
        Condition::Or(all) => out.set("or_rules", set(all)),
        Condition::Not(inner) => out.set("not_rule", permission(inner)),
        Condition::DestinationIp(range) => out.set("destination_ip", address_range(range)),
        Condition::DestinationPort(port) => out.set("destination_port", *port),
        Condition::DestinationPorts(Range { start, end }) => {
            let mut range = Out::new(&INT32_RANGE);
            range.set("start", *start);
            range.set("end", *end);
            out.set("destination_port_range", range.done());
        }
        Condition::RequestedServerName(matcher) => out.set("requested_server_name", string_matcher(matcher)),
        condition => shared(condition, &mut out),
    }
    out.done()
}

fn principal(condition: &Condition) -> Value {
    let mut out = Out::new(&PRINCIPAL);
    let set = |all: &[Condition]| {
        let mut set = Out::new(&PRINCIPALS);
        set.list("ids", all.iter().map(principal).collect());
        set.done()
    };
    let range = |name: &'static str, range: &IpNet, out: &mut Out| out.set(name, address_range(range));
    match condition {
        Condition::And(all) => out.set("and_ids", set(all)),
        Condition::Or(all) => out.set("or_ids", set(all)),
        Condition::Not(inner) => out.set("not_id", principal(inner)),
        Condition::SourceIp(net) => range("source_ip", net, &mut out),
        Condition::DirectRemoteIp(net) => range("direct_remote_ip", net, &mut out),
        Condition::RemoteIp(net) => range("remote_ip", net, &mut out),
        Condition::Authenticated(name) => {
            let mut authenticated = Out::new(&AUTHENTICATED);
            authenticated.some("principal_name", name.as_ref().map(string_matcher));
            out.set("authenticated", authenticated.done());
        }
        condition => shared(condition, &mut out),
    }
    out.done()
}

/// What permissions and principals have in common.
fn shared(condition: &Condition, out: &mut Out) {
    match condition {
        Condition::Header(matcher) => out.set("header", header_matcher(matcher)),
        Condition::UrlPath(matcher) => out.set("url_path", path(matcher)),
        Condition::Metadata { source: RbacMetadataSource::Dynamic, matcher } => {
            out.set("metadata", metadata_matcher(matcher));
        }
        Condition::Metadata { source, matcher } => {
            let mut sourced = Out::new(&SOURCED_METADATA);
            sourced.set("metadata_matcher", metadata_matcher(matcher));
            sourced.name("metadata_source", &METADATA_SOURCES, source, &RbacMetadataSource::Dynamic);
            out.set("sourced_metadata", sourced.done());
        }
        _ => out.set("any", json!(true)),
    }
}

fn path(matcher: &StringMatcher) -> Value {
    let mut path = Out::new(&PATH_MATCHER);
    path.set("path", string_matcher(matcher));
    path.done()
}
