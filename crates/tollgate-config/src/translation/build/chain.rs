//! One filter chain: its filters, virtual hosts and routes.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use tollgate_ir::{HttpConnectionManager, PerFilter, Route, RouteTable, VirtualHost};
use tollgate_model::{
    header::HeaderMutations,
    route::{PathParameters, TlsRequirement},
};

use super::{Builder, Member, action::Prepared, filters::Filters, rules::RuleSite};
use crate::{
    Explanation,
    routing::{Match, Rank, Rule},
    translation::{Controller, Gateway, Listener, access_log::default_logs, controller::RouteSite},
};

/// What a filter chain serves.
pub(super) struct Chain<'g> {
    /// The one whose settings hold for the port.
    pub(super) gateway: &'g Gateway,
    /// The listeners that it serves.
    pub(super) members: &'g [Member<'g>],
    /// The host names of all listeners of the port.
    pub(super) hosts: &'g Hosts<'g>,
    /// The port that is bound.
    pub(super) port: u16,
}

/// Explanations by the places of virtual host and route.
pub(super) type Explained = Vec<((usize, usize), Arc<Explanation>)>;

/// A route that is about to be built: the order of these is that of routes.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    /// Of routes that meet in a host name the one with the more specific name comes first, where the controller wants it.
    specificity: Option<Reverse<(bool, usize)>>,
    rank: Option<Rank>,
    /// Routes are attached by age.
    attached: usize,
    rule_index: usize,
    match_index: usize,
    /// For preflight requests of the match, instead of those that it is for.
    preflight: bool,
    /// Index of the rule among all of the chain.
    site: usize,
}

impl Builder<'_, '_> {
    /// The connection manager of a chain with these settings, and its route table, which it knows by `table_name`.
    pub(super) fn chain(
        &mut self,
        chain: &Chain<'_>,
        table_name: String,
        mut http: HttpConnectionManager,
    ) -> (HttpConnectionManager, RouteTable, Explained) {
        let controller = chain.gateway.controller;
        let keep_order = chain.gateway.settings.preserve_route_order;
        let mut sites: Vec<RuleSite<'_>> = Vec::new();
        // Which routes each host name has: an ordered map, so that the same input gives the same snapshot.
        let mut domains: BTreeMap<&str, Vec<Candidate>> = BTreeMap::new();
        for Member { gateway, listener, .. } in chain.members {
            // Requests for the host name of a listener are its own, even if it has no route for them.
            domains.entry(listener.hostname.as_deref().unwrap_or("*")).or_default();
            for (attached_index, attached) in listener.routes.iter().enumerate() {
                for (rule_index, rule) in attached.route.rules.iter().enumerate() {
                    if rule.invalid.is_some() {
                        continue;
                    }
                    let index = sites.len();
                    let site = self.rule_site(gateway, listener, attached, rule_index);
                    let hostnames = attached.hostnames.iter();
                    for hostname in hostnames.filter(|hostname| chain.hosts.serve(&hostname.name, listener)) {
                        let specificity = (!keep_order && controller.defaults.specific_hosts_first)
                            .then_some(Reverse(hostname.specificity));
                        let candidates = domains.entry(&hostname.name).or_default();
                        for (match_index, one) in site.rule.matches.iter().enumerate() {
                            let candidate = |one: &Match, preflight| Candidate {
                                specificity,
                                rank: (!keep_order).then(|| one.precedence.rank(controller.defaults.ranking)),
                                attached: attached_index,
                                rule_index,
                                match_index,
                                preflight,
                                site: index,
                            };
                            candidates.push(candidate(one, false));
                            let preflight = preflight_of(&site.rule, one, controller);
                            candidates.extend(preflight.map(|preflight| candidate(&preflight, true)));
                        }
                    }
                    sites.push(site);
                }
            }
        }
        let filters = Filters::of(&sites);
        let prepared: Vec<Prepared> = sites.iter().map(|site| self.prepare(chain, site, &filters)).collect();
        let mut explained = Explained::new();
        let mut known: HashMap<(usize, usize), Arc<Explanation>> = HashMap::new();
        let mut virtual_hosts = Vec::with_capacity(domains.len());
        for (virtual_host, (domain, mut candidates)) in domains.into_iter().enumerate() {
            candidates.sort_unstable();
            let routes = candidates.iter().enumerate().map(|(route, candidate)| {
                let site = &sites[candidate.site];
                let explanation = known
                    .entry((candidate.site, candidate.match_index))
                    .or_insert_with(|| site.explanation(candidate.match_index));
                explained.push(((virtual_host, route), Arc::clone(explanation)));
                let rule = &site.rule;
                let one = &rule.matches[candidate.match_index];
                let preflight = candidate.preflight.then(|| preflight_of(rule, one, controller)).flatten();
                let one = preflight.as_ref().unwrap_or(one);
                route_of(chain, site, &prepared[candidate.site], one, candidate, domain)
            });
            virtual_hosts.push(Arc::new(VirtualHost {
                require_tls: TlsRequirement::None,
                name: virtual_host_name(chain, domain),
                domains: vec![domain.to_owned()],
                routes: routes.collect(),
                headers: HeaderMutations::default(),
                include_request_attempt_count: false,
                include_attempt_count_in_response: false,
                rate_limits: Vec::new(),
                metadata: extproc::messages::Metadata::default(),
                per_filter: PerFilter::default(),
            }));
        }
        let table = RouteTable {
            name: chain.name(),
            virtual_hosts,
            ignore_port_in_host_matching: true,
            path_parameters: PathParameters::Kept,
            headers: HeaderMutations::default(),
            most_specific_header_mutations_wins: false,
            per_filter: PerFilter::default(),
        };
        let first = chain.members[0].listener;
        let scheme = if first.tls.is_some() { "https" } else { "http" };
        let stat_prefix = format!("{scheme}-{}", first.port);
        let (downstream, upstream) = filters.build();
        (http.stat_prefix, http.route_config) = (stat_prefix, table_name);
        (http.http_filters, http.upstream_http_filters) = (downstream, upstream);
        let own = chain.gateway.settings.access_logs.clone();
        http.access_log = own.unwrap_or_else(|| default_logs(self.translator.options.access_log));
        (http, table, explained)
    }
}

impl Chain<'_> {
    /// The name of the route table.
    fn name(&self) -> String {
        format!("{}/{}", self.gateway.object.key(), self.members[0].listener.name)
    }
}

/// The host names of the listeners of a port.
pub(super) struct Hosts<'g>(HashSet<&'g str>);

impl<'g> Hosts<'g> {
    pub(super) fn of(members: &[Member<'g>]) -> Self {
        Self(members.iter().filter_map(|member| member.listener.hostname.as_deref()).collect())
    }

    /// Whether requests for a host name are those of a listener, and not of a more specific one (9.3).
    fn serve(&self, domain: &str, listener: &Listener) -> bool {
        self.best(domain) == listener.hostname.as_deref()
    }

    /// The most specific host name of a listener that covers another one; `None` = there is none, and it is for listeners of
    /// every host.
    fn best(&self, domain: &str) -> Option<&str> {
        let exact = self.0.get(domain);
        // An exact name is more specific than any wildcard, and of wildcards the longer one.
        let name = domain.strip_prefix('*').unwrap_or(domain);
        let mut dots = name.match_indices('.').filter(|(dot, _)| *dot > 0);
        let covering = || dots.find_map(|(dot, _)| self.0.get(&*format!("*{}", &name[dot..])));
        exact.or_else(covering).or_else(|| self.0.get("*")).copied()
    }
}

/// The match of preflight requests that a match leaves out, where the controller adds one.
fn preflight_of(rule: &Rule, one: &Match, controller: &Controller) -> Option<Match> {
    let wanted = rule.filters.cors.is_some() && controller.defaults.preflight_routes;
    if wanted { one.preflight() } else { None }
}

fn virtual_host_name(chain: &Chain<'_>, domain: &str) -> String {
    format!("{}/{}", chain.name(), domain.replace('.', "_"))
}

fn route_of(
    chain: &Chain<'_>,
    site: &RuleSite<'_>,
    prepared: &Prepared,
    one: &Match,
    candidate: &Candidate,
    domain: &str,
) -> Route {
    let route = &site.attached.route;
    let name = match route.api.named_by_rules {
        true => site.rule.name.clone().unwrap_or_default(),
        false => (chain.gateway.controller.names.route)(&RouteSite {
            object: &route.object,
            rule_index: site.rule_index,
            match_index: candidate.match_index,
            preflight: candidate.preflight,
            domain,
        }),
    };
    Route {
        name,
        route_match: one.to_model(),
        action: prepared.action(),
        headers: prepared.headers(),
        request_body_buffer_limit: None,
        metadata: extproc::messages::Metadata::default(),
        per_filter: prepared.filters.clone(),
        origin: Arc::clone(&site.origin),
    }
}
