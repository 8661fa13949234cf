//! Route tables.

pub(super) mod action;
pub(super) mod hash_policy;
mod matching;
pub(super) mod mirror;
pub(super) mod reply;
pub(super) mod retry;
pub(super) mod schema;
pub(super) mod uri_template;
mod weighted;

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use tollgate_ir::{Action, Route, RouteTable, VirtualHost};
use tollgate_model::route::{PathParameters, RequestMirrorPolicy, RetryPolicy, TlsRequirement};

pub(crate) use self::action::read_regex_rewrite;
pub(super) use self::{
    action::read_regex_substitution,
    matching::read_route_match,
    mirror::{
        DENOMINATOR as FRACTION_DENOMINATORS, FRACTIONAL_PERCENT, RUNTIME_FRACTIONAL_PERCENT, read_fraction,
    },
    schema::{REGEX_MATCH_AND_SUBSTITUTE, SCHEMAS},
};
use self::{
    action::read_route_action,
    mirror::read_request_mirror_policies,
    reply::{read_direct_response, read_redirect},
    retry::read_retry_policy,
    schema::{NON_FORWARDING_ACTION, ROUTE, ROUTE_CONFIGURATION, VIRTUAL_HOST},
    uri_template::check_rewrite,
};
use super::{
    Scope,
    header::read_header_mutations,
    http_filters::Filters,
    metadata::read_metadata,
    per_route::{Folded, read_level},
    rate_limits::read_rate_limits,
};
use crate::{
    Explanation, ProcessorOrigin, RouteOrigin,
    place::Place,
    schema::{Enumeration, Message, Value},
    suggestion::did_you_mean,
};

/// What the routes of a table share.
struct Table<'a> {
    scope: &'a Scope,
    filters: &'a Filters,
    /// Unknown clusters are errors.
    validate_clusters: bool,
    max_direct_response_body_size: usize,
    request_mirror_policies: Vec<RequestMirrorPolicy>,
}

/// What a virtual host says for those of its routes that do not say it themselves.
struct Defaults {
    buffer_limit: Option<usize>,
    retry_policy: Option<Arc<RetryPolicy>>,
    request_mirror_policies: Vec<RequestMirrorPolicy>,
}

/// Where the routes of a table come from.
pub(super) struct TableOrigins {
    /// What requests without a route stop at.
    pub(super) without_route: Vec<Arc<ProcessorOrigin>>,
    /// By virtual host, then by route.
    pub(super) routes: Vec<Vec<Arc<Explanation>>>,
}

/// Where the processors of shares come from, by the index of the share.
type ShareOrigins = BTreeMap<usize, Vec<Arc<ProcessorOrigin>>>;

impl Table<'_> {
    /// Says so when `value` names a cluster that does not exist.
    fn check_cluster(&self, value: &Value<'_>, name: &str) {
        if !self.scope.clusters.lacks(name) {
            return;
        }
        let message = format!("there is no cluster \"{name}\"");
        let near = value.context.report.nearest(name, self.scope.clusters.names());
        let help = near.map_or_else(|| "add it to static_resources.clusters".to_owned(), did_you_mean);
        if self.validate_clusters {
            value.error_with_help(message, help);
        } else {
            value.warning(format!("{message}; requests get the reply for that"), help);
        }
    }
}

/// Reads a `RouteConfiguration` for this chain of filters; whether unknown clusters are errors unless it says so.
pub(super) fn read_route_configuration(
    value: &Value<'_>,
    filters: &Filters,
    scope: &Scope,
    validate_clusters: bool,
) -> Option<(RouteTable, TableOrigins)> {
    let message = value.message(&ROUTE_CONFIGURATION)?;
    let mut table = Table {
        scope,
        filters,
        validate_clusters: message.boolean("validate_clusters", validate_clusters),
        max_direct_response_body_size: message
            .u32("max_direct_response_body_size_bytes")
            .map_or(4096, |size| size as usize),
        request_mirror_policies: Vec::new(),
    };
    table.request_mirror_policies = read_request_mirror_policies(&message, &table);
    let level = read_level(&message, "the route table".to_owned(), filters, scope);
    let above = Folded::new(&filters.processors);
    let folded = above.below(&filters.processors, &level);
    let mut names = HashSet::new();
    let mut domains = HashSet::new();
    let (virtual_hosts, routes) = message
        .list("virtual_hosts")
        .iter()
        .filter_map(|value| read_virtual_host(value, &table, &folded, &mut names, &mut domains))
        .unzip::<_, _, Vec<_>, _>();
    let configuration = RouteTable {
        name: message.string("name"),
        virtual_hosts,
        ignore_port_in_host_matching: message.boolean("ignore_port_in_host_matching", false),
        path_parameters: match message.boolean("ignore_path_parameters_in_path_matching", false) {
            false => PathParameters::Kept,
            true if scope.runtime.cut_at_path_parameters => PathParameters::EndThePath,
            true => PathParameters::Ignored,
        },
        headers: read_header_mutations(&message),
        most_specific_header_mutations_wins: message.boolean("most_specific_header_mutations_wins", false),
        per_filter: level.per_filter(),
    };
    // Filters behind the router have no part in them.
    let mut without_route = above.processors();
    without_route.retain(|processor| !processor.upstream);
    Some((configuration, TableOrigins { without_route, routes }))
}

pub(super) static TLS_REQUIREMENT: Enumeration<TlsRequirement> = Enumeration {
    values: &[
        ("NONE", 0, Some(TlsRequirement::None)),
        ("EXTERNAL_ONLY", 1, Some(TlsRequirement::ExternalOnly)),
        ("ALL", 2, Some(TlsRequirement::All)),
    ],
};

/// What a level says, or what the one above it does.
fn own_or<T: Clone>(own: Vec<T>, above: &[T]) -> Vec<T> {
    if own.is_empty() { above.to_vec() } else { own }
}

fn read_virtual_host(
    value: &Value<'_>,
    table: &Table<'_>,
    above: &Folded<'_>,
    names: &mut HashSet<String>,
    domains: &mut HashSet<String>,
) -> Option<(Arc<VirtualHost>, Vec<Arc<Explanation>>)> {
    let message = value.message(&VIRTUAL_HOST)?;
    let name = message.required_string("name");
    if !name.is_empty() && !names.insert(name.clone()) {
        value.warning(
            format!("there are two virtual hosts named \"{name}\""),
            "their metrics are counted together; give them different names",
        );
    }
    let level = read_level(&message, format!("virtual host {name}"), table.filters, table.scope);
    let folded = above.below(&table.filters.processors, &level);
    let defaults = Defaults {
        buffer_limit: read_buffer_limit(&message),
        retry_policy: message.get("retry_policy").and_then(|value| read_retry_policy(&value)).map(Arc::new),
        request_mirror_policies: own_or(
            read_request_mirror_policies(&message, table),
            &table.request_mirror_policies,
        ),
    };
    let place = Place::of(value);
    let (routes, origins) = message
        .list("routes")
        .iter()
        .filter_map(|route| read_route(route, table, &folded, &defaults, &place))
        .map(|(route, origin)| (route, Arc::new(origin)))
        .unzip();
    let virtual_host = VirtualHost {
        name,
        domains: read_domains(&message, domains),
        routes,
        headers: read_header_mutations(&message),
        metadata: read_metadata(&message),
        include_request_attempt_count: message.boolean("include_request_attempt_count", false),
        include_attempt_count_in_response: message.boolean("include_attempt_count_in_response", false),
        rate_limits: read_rate_limits(&message),
        require_tls: message.enumeration("require_tls", &TLS_REQUIREMENT, TlsRequirement::None),
        per_filter: level.per_filter(),
    };
    Some((Arc::new(virtual_host), origins))
}

fn read_domains(message: &Message<'_>, taken: &mut HashSet<String>) -> Vec<String> {
    let values = message.list("domains");
    if values.is_empty() {
        message.value().error("\"domains\" is missing: the host names, or \"*\" for all");
    }
    let mut domains = Vec::new();
    for value in values {
        let Some(domain) = value.non_empty_string() else { continue };
        let domain = domain.to_ascii_lowercase();
        let stars = domain.matches('*').count();
        let at_end = domain.starts_with('*') || domain.ends_with('*');
        if stars > 1 || stars == 1 && !at_end {
            value.error("a wildcard is one \"*\" at the beginning or the end");
        }
        if !taken.insert(domain.clone()) {
            value.error(format!("the domain \"{domain}\" is in the table twice"));
        }
        domains.push(domain);
    }
    domains
}

fn read_buffer_limit(message: &Message<'_>) -> Option<usize> {
    let old = message.get("per_request_buffer_limit_bytes");
    let value = message.get("request_body_buffer_limit").or(old)?;
    usize::try_from(value.integer(0..=i64::MAX)?).ok()
}

fn read_route(
    value: &Value<'_>,
    table: &Table<'_>,
    above: &Folded<'_>,
    defaults: &Defaults,
    virtual_host: &Place,
) -> Option<(Route, Explanation)> {
    let message = value.message(&ROUTE)?;
    let name = message.string("name");
    let level_name = if name.is_empty() { "the route".to_owned() } else { format!("route {name}") };
    let level = read_level(&message, level_name, table.filters, table.scope);
    let folded = above.below(&table.filters.processors, &level);
    let route_match = message.required("match").and_then(|value| read_route_match(&value));
    let mut shares = ShareOrigins::new();
    let action = message
        .required_one_of(&["route", "redirect", "direct_response", "non_forwarding_action"])
        .and_then(|(kind, value)| read_action(kind, &value, table, &folded, defaults, &mut shares));
    if let (Some(matched), Some(Action::Route(action)), Some(value)) =
        (&route_match, &action, message.get("route"))
    {
        check_rewrite(&value, &matched.path, action.path_rewrite.as_ref());
    }
    let headers = read_header_mutations(&message);
    let buffer_limit = read_buffer_limit(&message).or(defaults.buffer_limit);
    let explanation = Explanation {
        origin: RouteOrigin::Envoy { virtual_host: virtual_host.clone() },
        place: Place::of(value),
        processors: folded.processors(),
        backends: shares,
        replaced: None,
    };
    let route = Route {
        name,
        route_match: route_match?,
        action: action?,
        headers,
        request_body_buffer_limit: buffer_limit,
        metadata: read_metadata(&message),
        per_filter: level.per_filter(),
        origin: Place::of(value).origin(None),
    };
    Some((route, explanation))
}

fn read_action(
    kind: &str,
    value: &Value<'_>,
    table: &Table<'_>,
    folded: &Folded<'_>,
    defaults: &Defaults,
    shares: &mut ShareOrigins,
) -> Option<Action> {
    Some(match kind {
        "route" => Action::Route(Box::new(read_route_action(value, table, folded, defaults, shares)?)),
        "redirect" => Action::Redirect(Box::new(read_redirect(value)?)),
        "direct_response" => Action::DirectResponse(read_direct_response(value, table)?),
        _ => {
            value.message(&NON_FORWARDING_ACTION)?;
            Action::NonForwarding
        }
    })
}
