//! The route of a request, the next one that would apply, and the nearest ones that do not.

use std::{cmp::Reverse, sync::Arc};

use extproc::RequestHeaders;
use serde_json::{Value, json};
use tollgate_config::{Explanation, Explanations, ProcessorOrigin, RouteKey, RouteOrigin};
use tollgate_model::{
    Snapshot,
    filter::{FilterOverride, FilterOverrides},
    route::{
        Action, ClusterSpecifier, MatchedRequest, RequestFacts, Route, RouteMatchResult, VirtualHost,
        VirtualHosts, WeightedAction, WeightedCluster, host_without_port,
    },
};
use tollgate_proxy::body_buffer_limit;

use super::{access::Access, action, headers, origin, place, processor, words};

/// Most routes that are reported because they do not apply.
const MOST_MISSES: usize = 3;
/// Most domains that are reported because a request has none of them.
const MOST_DOMAINS: usize = 20;

/// A request at a filter chain, as filters see it.
pub(super) struct Routing<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) explanations: &'a Explanations,
    pub(super) access: &'a Access<'a>,
    pub(super) request: &'a RequestHeaders,
    pub(super) http2: bool,
}

impl Routing<'_> {
    /// No route applies.
    pub(super) fn not_found(&self, answer: &mut Value) {
        answer["status"] = json!(404);
        // Filters that need no route to be on see the request before it is answered.
        let origins = self.explanations.without_route(&self.access.listener.name, self.access.index);
        answer["processors"] = self.processors(None, None, &FilterOverrides::default(), origins);
        let table = &self.access.chain.http.route_config;
        let host = self.request.authority.as_bytes();
        let host = if table.ignore_port_in_host_matching { host_without_port(host) } else { host };
        let Some((index, virtual_host)) = table.virtual_hosts.find(host) else {
            let host = String::from_utf8_lossy(host);
            let mut reasons = vec![match domains(&table.virtual_hosts) {
                None => "there are no routes here at all".to_owned(),
                Some(domains) => format!("no virtual host has the host \"{host}\"; there is {domains}"),
            }];
            let bare = host_without_port(host.as_bytes());
            if let Some((_, near)) = table.virtual_hosts.find(bare) {
                reasons.push(format!(
                    "without its port it would be that of {}: set ignore_port_in_host_matching, or name the port there",
                    near.name
                ));
            }
            answer["why_not"] = json!(reasons);
            return;
        };
        self.virtual_host(answer, virtual_host, self.explained(index, 0));
        let routes = virtual_host.routes.len();
        answer["why_not"] = json!([match routes {
            0 => match domains(&table.virtual_hosts) {
                None => "there are no routes here at all".to_owned(),
                Some(domains) => format!("the virtual host has no routes; others have, for {domains}"),
            },
            1 => "the only route of the virtual host does not apply".to_owned(),
            _ => format!("none of the {routes} routes of the virtual host applies"),
        }]);
        answer["nearest"] = self.nearest(index, virtual_host, None);
    }

    /// A route applies.
    pub(super) fn found(&self, answer: &mut Value, found: &RouteMatchResult<'_>) {
        let (host_index, virtual_host) = (found.virtual_host_index, &**found.virtual_host);
        let explanation = self.explained(host_index, found.route_index);
        self.virtual_host(answer, virtual_host, explanation);
        answer["route"] = self.route(found.route, explanation);
        answer["nearest"] = self.nearest(host_index, virtual_host, Some(found.route_index));
        let rest = virtual_host.routes.iter().enumerate().skip(found.route_index + 1);
        let matched = self.matched();
        let mut others = rest.filter(|(_, route)| route.route_match.matches(&matched));
        answer["runner_up"] = others
            .next()
            .map(|(index, route)| self.route(route, self.explained(host_index, index)))
            .unwrap_or_default();
        let origins = explanation.map(|explanation| explanation.processors.as_slice()).unwrap_or_default();
        let cluster = match &found.route.action {
            Action::Route(action) => action.cluster.choose(self.request, 0).map(|choice| choice.name),
            _ => None,
        };
        answer["processors"] = self.processors(Some(found.route), cluster, &found.route.filters, origins);
        if let Action::Route(action) = &found.route.action
            && let ClusterSpecifier::WeightedClusters(shares) = &action.cluster
        {
            let total: u64 = shares.iter().map(|share| u64::from(share.weight)).sum();
            let shares = shares.iter().enumerate().map(|(index, share)| {
                let own = explanation.and_then(|explanation| explanation.backends.get(&index));
                self.share(found.route, share, total, own.map_or(origins, Vec::as_slice))
            });
            answer["shares"] = shares.collect();
        }
    }

    fn virtual_host(&self, answer: &mut Value, host: &VirtualHost, explanation: Option<&Explanation>) {
        answer["virtual_host"] = json!({ "name": host.name, "domains": host.domains });
        if let Some(RouteOrigin::Envoy { virtual_host }) = explanation.map(|explanation| &explanation.origin)
        {
            answer["virtual_host"]["place"] = place(virtual_host);
        }
    }

    /// The request as the conditions of the routes see it.
    fn matched(&self) -> MatchedRequest<'_> {
        self.access.chain.http.route_config.matched(self.request, RequestFacts::default())
    }

    fn explained(&self, virtual_host: usize, route: usize) -> Option<&Explanation> {
        let (listener, filter_chain) = (self.access.listener.name.clone(), self.access.index);
        let key = RouteKey { listener, filter_chain, virtual_host, route };
        self.explanations.get(&key).map(|found| &**found)
    }

    fn route(&self, route: &Route, explanation: Option<&Explanation>) -> Value {
        let conditions = words::conditions(&route.route_match, &self.matched());
        let mut described = json!({
            "name": route.name,
            "match": serde_json::to_value(&route.route_match).unwrap_or_default(),
            "conditions": conditions.iter().map(|condition| &condition.words).collect::<Vec<_>>(),
            "headers": headers::describe(&route.headers),
        });
        action::describe(&mut described, route, self.request, self.snapshot);
        if let Some(explanation) = explanation {
            tell_origin(&mut described, explanation);
        }
        described
    }

    /// The routes that come nearest of those that do not apply: their path does, and most of the rest. Of equal ones those
    /// come first that would have been chosen instead.
    fn nearest(&self, host: usize, virtual_host: &VirtualHost, chosen: Option<usize>) -> Value {
        let matched = self.matched();
        let mut misses: Vec<_> = virtual_host
            .routes
            .iter()
            .enumerate()
            .filter(|(_, route)| !route.route_match.matches(&matched))
            .map(|(index, route)| {
                let conditions = words::conditions(&route.route_match, &matched);
                let unmet = conditions.iter().filter(|condition| !condition.met).count();
                let path = route.route_match.path.matches(&matched.path);
                let behind = chosen.is_some_and(|chosen| index > chosen);
                let distance = chosen.map_or(index, |chosen| chosen.abs_diff(index));
                ((Reverse(path), unmet, behind, distance), index, route, conditions)
            })
            .collect();
        misses.sort_by_key(|(key, ..)| *key);
        misses.truncate(MOST_MISSES);
        let misses = misses.into_iter().map(|(_, index, route, conditions)| {
            let (met, unmet): (Vec<_>, Vec<_>) = conditions.iter().partition(|condition| condition.met);
            let mut described = json!({
                "name": route.name,
                "met": met.iter().map(|condition| &condition.words).collect::<Vec<_>>(),
                "unmet": unmet.iter().map(|condition| condition.of_request()).collect::<Vec<_>>(),
            });
            if let Some(explanation) = self.explained(host, index) {
                tell_origin(&mut described, explanation);
            }
            described
        });
        misses.collect()
    }

    fn share(
        &self,
        route: &Route,
        share: &WeightedCluster,
        total: u64,
        origins: &[Arc<ProcessorOrigin>],
    ) -> Value {
        let mut described = json!({
            "weight": share.weight,
            "total": total,
            "headers": headers::describe(&share.headers),
        });
        action::describe_share(&mut described, share, route, self.request, self.snapshot);
        let cluster = match &share.action {
            WeightedAction::Cluster(name) => Some(&**name),
            _ => None,
        };
        let mut processors = self.processors(Some(route), cluster, &share.filters, origins);
        if !matches!(share.action, WeightedAction::Cluster(_)) {
            without_upstream(&mut processors);
        }
        described["processors"] = processors;
        described
    }

    /// The processors that are on, in the order of the request.
    fn processors(
        &self,
        route: Option<&Route>,
        cluster: Option<&str>,
        overrides: &FilterOverrides,
        origins: &[Arc<ProcessorOrigin>],
    ) -> Value {
        let Access { listener, chain, .. } = self.access;
        let limit = body_buffer_limit(listener, &chain.http, route, self.http2);
        let http = &chain.http;
        let behind_router = http.behind_router(cluster.unwrap_or_default());
        let places = (0..http.http_filters.len()).chain(behind_router);
        let filters =
            places.filter_map(|index| Some((index, http.filter(index)?))).filter_map(|(index, filter)| {
                let FilterOverride::ExtProc(settings) = overrides.get(index).unwrap_or(&filter.default)
                else {
                    return None;
                };
                let upstream = index >= http.http_filters.len();
                let of_clusters =
                    index.checked_sub(http.http_filters.len() + http.upstream_http_filters.len());
                let own = of_clusters.and(cluster);
                let mut origins = origins.iter();
                let origin = origins.find(|origin| {
                    origin.filter == filter.name
                        && origin.upstream == upstream
                        && origin.cluster.as_deref() == own
                });
                let at = processor::At { filter, upstream, limit, snapshot: self.snapshot };
                Some(processor::describe(&at, settings, origin.map(|origin| &**origin)))
            });
        let mut processors = filters.collect();
        if !matches!(route.map(|route| &route.action), Some(Action::Route(_))) {
            without_upstream(&mut processors);
        }
        processors
    }
}

/// The domains of virtual hosts that have routes.
fn domains(hosts: &VirtualHosts) -> Option<String> {
    let hosts = hosts.iter().filter(|host| !host.routes.is_empty());
    let mut domains: Vec<&str> = hosts.flat_map(|host| &host.domains).map(String::as_str).collect();
    let more = domains.len().saturating_sub(MOST_DOMAINS);
    domains.truncate(MOST_DOMAINS);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!domains.is_empty()).then(|| domains.join(", ") + &more)
}

/// What is answered here never comes to the filters behind the router.
fn without_upstream(processors: &mut Value) {
    if let Value::Array(processors) = processors {
        processors.retain(|processor| processor["upstream"] != true);
    }
}

/// Where a route is written.
fn tell_origin(described: &mut Value, explanation: &Explanation) {
    described["place"] = place(&explanation.place);
    if let RouteOrigin::Rule(rule) = &explanation.origin {
        described["object"] = origin(&rule.object);
        described["attached_to"] = origin(&rule.listener);
        described["section"] = json!(rule.section_name);
        described["rule"] = json!({
            "index": rule.index, "name": rule.name, "match": rule.match_index,
            "place": place(&explanation.place),
        });
    }
    if let Some(replaced) = &explanation.replaced {
        described["replaced"] = json!({ "reason": replaced.reason, "place": place(&replaced.place) });
    }
}
