//! GRPCRoute (9.7).

use tollgate_model::{matching::FullRegex, route::PathMatch};

use super::{
    backend_ref::read_backends,
    filters::{FilterSite, ReadFilters, read_filters},
    http_match::{VALUE_TYPE, ValueType, compile, every_request, exact_path, path_prefix, read_headers},
    names::bounded,
    route::{RouteSpec, check_numbers, read_hostnames, read_parents, read_rule_name, rule_values},
};
use crate::{
    kubernetes::Place,
    routing::{InvalidRule, Match, Precedence, Rule, Timeouts},
    schema::{Schema, Value, read, refused},
};

static SPEC: Schema = Schema {
    name: "GRPCRouteSpec",
    title: "",
    fields: &[
        read("parentRefs", "[]", "What the route is attached to, at most 32."),
        read("hostnames", "every host", "Host names, at most 16."),
        read("rules", "[]", "At most 16 rules."),
        refused("useDefaultGateways", "name a Gateway in `parentRefs`"),
    ],
    unsupported: &[],
};

static RULE: Schema = Schema {
    name: "GRPCRouteRule",
    title: "",
    fields: &[
        read("name", "", "Unique name, for policies."),
        read("matches", "every call", "Which calls it matches; at most 64."),
        read("filters", "[]", "What is changed, at most 16."),
        read("backendRefs", "[]", "Where calls go, at most 16."),
        refused("sessionPersistence", "use an HTTPRoute"),
    ],
    unsupported: &[],
};

static MATCH: Schema = Schema {
    name: "GRPCRouteMatch",
    title: "",
    fields: &[
        read("method", "every method", "Condition on service and method."),
        read("headers", "[]", "Conditions on headers, at most 16."),
    ],
    unsupported: &[],
};

static METHOD: Schema = Schema {
    name: "GRPCMethodMatch",
    title: "",
    fields: &[
        read("type", "Exact", "Exact or RegularExpression."),
        read("service", "every service", "The service."),
        read("method", "every method", "The method."),
    ],
    unsupported: &[],
};

/// Reads a GRPCRoute of `namespace`.
pub(super) fn read_grpc_route(value: &Value<'_>, namespace: &str) -> Option<RouteSpec> {
    let spec = value.message(&SPEC)?;
    let mut incompatible_filters = None;
    let mut rules: Vec<Rule> = Vec::new();
    for rule in rule_values(&spec) {
        rules.extend(read_rule(&rule, namespace, &rules, &mut incompatible_filters));
    }
    check_numbers(&spec, &rules);
    let (hostnames, hostnames_lost) = read_hostnames(&spec);
    let parents = read_parents(&spec, namespace);
    Some(RouteSpec { parents, hostnames, hostnames_lost, rules, incompatible_filters })
}

fn read_rule(
    value: &Value<'_>,
    namespace: &str,
    others: &[Rule],
    incompatible: &mut Option<String>,
) -> Option<Rule> {
    let message = value.message(&RULE)?;
    let values = bounded(&message, "matches", 64);
    let mut invalid = None;
    let matches = values.iter().filter_map(|value| read_match(value, &mut invalid));
    let mut matches: Vec<Match> = matches.collect();
    if matches.is_empty() {
        matches.push(Match { precedence: Precedence::grpc(0, 0, &[]), ..every_request() });
    }
    let site = FilterSite { namespace, matches: &matches, of_backend: false, grpc: true };
    let ReadFilters { filters, extension_refs } = read_filters(&message, site, incompatible);
    let backends = read_backends(&message, site, incompatible);
    Some(Rule {
        name: read_rule_name(&message, others),
        place: Place::of(value),
        invalid,
        extension_refs,
        backends,
        matches,
        filters,
        timeouts: Timeouts::default(),
        retry: None,
        session_persistence: None,
    })
}

fn read_match(value: &Value<'_>, invalid: &mut Option<InvalidRule>) -> Option<Match> {
    let message = value.message(&MATCH)?;
    let headers = read_headers(&message, invalid);
    let (path, service, method) = match message.get("method") {
        None => (path_prefix("/"), 0, 0),
        Some(method) => read_method(&method, invalid)?,
    };
    let precedence = Precedence::grpc(service, method, &headers);
    Some(Match { path, headers, query_parameters: Vec::new(), precedence })
}

/// The path that stands for a service and a method, and the lengths of both.
fn read_method(value: &Value<'_>, invalid: &mut Option<InvalidRule>) -> Option<(PathMatch, usize, usize)> {
    let message = value.message(&METHOD)?;
    let part = |name| message.get(name).filter(|part| part.node.content.describe() != "\"\"");
    let (service, method) = (part("service"), part("method"));
    if service.is_none() && method.is_none() {
        value.error("One or both of 'service' or 'method' must be specified");
        return None;
    }
    let exact = matches!(message.enumeration("type", &VALUE_TYPE, ValueType::Exact), ValueType::Exact);
    let mut read = |part: Option<Value<'_>>| match part {
        None => Some(None),
        Some(part) if exact => name(&part).map(Some),
        // Each part has to be an expression of its own, whatever the other one is.
        Some(part) => compile(&part, invalid).map(|regex| Some(regex.pattern().to_owned())),
    };
    let (service, method) = (read(service)?, read(method)?);
    let length = |part: &Option<String>| part.as_ref().map_or(0, String::len);
    let lengths = (length(&service), length(&method));
    let path = match (service, method, exact) {
        (Some(service), Some(method), true) => exact_path(format!("/{service}/{method}")),
        (Some(service), None, true) => path_prefix(&format!("/{service}")),
        (service, method, _) => {
            let any = || "[^/]+".to_owned();
            let escaped = |part: String| if exact { regex::escape(&part) } else { part };
            let service = service.map_or_else(any, escaped);
            let method = method.map_or_else(any, escaped);
            PathMatch::SafeRegex(FullRegex::new(&format!("/(?:{service})/(?:{method})")).ok()?)
        }
    };
    Some((path, lengths.0, lengths.1))
}

/// The name of a service or method.
fn name(value: &Value<'_>) -> Option<String> {
    let text = value.non_empty_string()?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.';
    if !text.bytes().all(allowed) {
        value.error("must only contain letters, digits, '_' and '.'");
        return None;
    }
    Some(text)
}
