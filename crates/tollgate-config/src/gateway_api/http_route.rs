//! HTTPRoute (9.6).

mod rule_settings;

use self::rule_settings::{read_retry, read_session_persistence, read_timeouts};
use super::{
    backend_ref::read_backends,
    filters::{FilterSite, ReadFilters, read_filters},
    http_match::{every_request, read_matches},
    route::{RouteSpec, check_numbers, read_hostnames, read_parents, read_rule_name, rule_values},
};
use crate::{
    kubernetes::Place,
    routing::{Filters, Rule, Timeouts},
    schema::{Schema, Value, read, refused},
};

static SPEC: Schema = Schema {
    name: "HTTPRouteSpec",
    title: "",
    fields: &[
        read("parentRefs", "[]", "What the route is attached to, at most 32."),
        read("hostnames", "every host", "Host names, at most 16."),
        read("rules", "one for every request", "1 to 16 rules."),
        refused("useDefaultGateways", "name a Gateway in `parentRefs`"),
    ],
    unsupported: &[],
};

static RULE: Schema = Schema {
    name: "HTTPRouteRule",
    title: "",
    fields: &[
        read("name", "", "Unique name, for policies."),
        read("matches", "every request", "Which requests it matches; at most 64."),
        read("filters", "[]", "What is changed, at most 16."),
        read("backendRefs", "[]", "Where requests go, at most 16."),
        read("timeouts", "{}", "How long things may take."),
        read("retry", "", "What is tried again."),
        read("sessionPersistence", "", "Requests of a session go to one endpoint."),
    ],
    unsupported: &[],
};

/// Reads an HTTPRoute of `namespace`.
pub(super) fn read_http_route(value: &Value<'_>, namespace: &str) -> Option<RouteSpec> {
    let spec = value.message(&SPEC)?;
    let parents = read_parents(&spec, namespace);
    let (hostnames, hostnames_lost) = read_hostnames(&spec);
    let mut incompatible_filters = None;
    let mut rules: Vec<Rule> = Vec::new();
    if spec.get("rules").is_none() {
        rules.push(default_rule(value));
    }
    for rule in rule_values(&spec) {
        rules.extend(read_rule(&rule, namespace, &rules, &mut incompatible_filters));
    }
    check_numbers(&spec, &rules);
    Some(RouteSpec { parents, hostnames, hostnames_lost, rules, incompatible_filters })
}

/// What a route without rules says.
fn default_rule(value: &Value<'_>) -> Rule {
    Rule {
        name: None,
        place: Place::of(value),
        invalid: None,
        extension_refs: Vec::new(),
        backends: Vec::new(),
        matches: vec![every_request()],
        filters: Filters::default(),
        timeouts: Timeouts::default(),
        retry: None,
        session_persistence: None,
    }
}

fn read_rule(
    value: &Value<'_>,
    namespace: &str,
    others: &[Rule],
    incompatible: &mut Option<String>,
) -> Option<Rule> {
    let message = value.message(&RULE)?;
    let mut invalid = None;
    let matches = read_matches(&message, &mut invalid);
    let site = FilterSite { namespace, matches: &matches, of_backend: false, grpc: false };
    let ReadFilters { filters, extension_refs } = read_filters(&message, site, incompatible);
    let backends = read_backends(&message, site, incompatible);
    if filters.redirect.is_some() && !backends.is_empty() {
        let problem = "RequestRedirect filter must not be used together with backendRefs";
        value.error(problem);
        incompatible.get_or_insert_with(|| problem.to_owned());
    }
    Some(Rule {
        name: read_rule_name(&message, others),
        place: Place::of(value),
        invalid,
        extension_refs,
        backends,
        timeouts: read_timeouts(&message),
        retry: message.get("retry").and_then(|retry| read_retry(&retry)),
        session_persistence: message
            .get("sessionPersistence")
            .and_then(|persistence| read_session_persistence(&persistence)),
        matches,
        filters,
    })
}
