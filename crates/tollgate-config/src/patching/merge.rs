//! From what was read again to what was translated.

use std::{collections::HashMap, sync::Arc};

use tollgate_ir::{HttpFilter, Listener, Resources, RouteTable, Sourced};

use super::{By, Touched};
use crate::{Explanation, Explanations, Origin, ProcessorOrigin, RouteKey, RouteOrigin};

/// Takes over what was changed. Whatever else was read again is the same, but does not know where it comes from.
pub(super) fn merge(
    touched: &Touched,
    mut read: Resources,
    explained: &Explanations,
    resources: &mut Resources,
    explanations: &mut Explanations,
) {
    for name in &touched.clusters {
        let Some(cluster) = read.clusters.remove(name) else { continue };
        resources.clusters.insert(name.clone(), cluster);
        resources.endpoints.insert(name.clone(), read.endpoints.remove(name).unwrap_or_default());
        match read.cluster_http_filters.remove(name) {
            Some(filters) => resources.cluster_http_filters.insert(name.clone(), filters),
            None => resources.cluster_http_filters.remove(name),
        };
    }
    // Those that were there stay.
    resources.secrets.add_missing(std::mem::take(&mut read.secrets));
    resources.listeners.retain(|listener| !touched.removed.contains(&listener.name));
    for (name, by) in &touched.listeners {
        let Some(new) = read.listeners.iter().find(|one| one.name == *name) else { continue };
        let mut new = new.value.clone();
        let old = resources.listeners.iter().position(|one| one.name == *name);
        let before = old.map(|index| Arc::clone(&resources.listeners[index]));
        if let Some(before) = &before {
            keep_what_is_the_same(&mut new, before, touched);
        }
        let mut tables = Tables { listener: name, by, touched, read: &mut read, explained, explanations };
        for (chain, at) in new.filter_chains.iter().zip(0..).map(|(chain, index)| (chain, Some(index))) {
            let same_routes = before.is_some() && !touched.routes_of.contains(name);
            tables.take(&chain.http.route_config, at, same_routes, resources);
        }
        if let Some(chain) = &new.default_filter_chain {
            tables.take(&chain.http.route_config, None, false, resources);
        }
        match (old, before) {
            (Some(index), Some(before)) => {
                let origin = Arc::clone(&before.origin);
                resources.listeners[index] = Arc::new(Sourced { value: new, origin });
            }
            _ => {
                let origin = by.origin();
                resources.listeners.push(Arc::new(Sourced { value: new, origin }));
            }
        }
    }
}

impl By {
    fn origin(&self) -> Arc<tollgate_ir::Origin> {
        self.place.origin(Some(self.policy.object_name()))
    }
}

/// Gives a listener back what it had before and does not say itself: where its filters come from, and how it treats requests
/// for other filter chains.
fn keep_what_is_the_same(new: &mut Listener, before: &Listener, touched: &Touched) {
    let name = new.name.clone();
    for (chain, old) in new.filter_chains.iter_mut().zip(&before.filter_chains) {
        chain.misdirected_requests = old.misdirected_requests.clone();
        let http = Arc::make_mut(&mut chain.http);
        for (list, old) in [
            (&mut http.http_filters, &old.http.http_filters),
            (&mut http.upstream_http_filters, &old.http.upstream_http_filters),
        ] {
            for filter in list.iter_mut() {
                let same = |old: &&HttpFilter| old.name == filter.name;
                if let Some(old) = old.iter().find(same) {
                    filter.origin = Arc::clone(&old.origin);
                } else if let Some(by) = touched.added.get(&(name.clone(), Arc::clone(&filter.name))) {
                    filter.origin = by.origin();
                }
            }
        }
    }
}

/// The route tables of a listener.
struct Tables<'m> {
    listener: &'m str,
    by: &'m By,
    touched: &'m Touched,
    read: &'m mut Resources,
    explained: &'m Explanations,
    explanations: &'m mut Explanations,
}

impl Tables<'_> {
    /// Takes over the route table of a filter chain, unless its routes are the `same`, and explains its routes.
    fn take(&mut self, key: &str, filter_chain: Option<usize>, same: bool, resources: &mut Resources) {
        let before = resources.route_tables.get(key).cloned();
        let Some(mut table) = self.read.route_tables.remove(key) else { return };
        if same && let Some(before) = &before {
            table = Arc::clone(before);
        } else if let Some(before) = &before {
            keep_origins(Arc::make_mut(&mut table), before, self.by);
        }
        let old: HashMap<(&str, &str), Arc<Explanation>> =
            before.as_deref().map(|before| self.by_name(before, filter_chain)).unwrap_or_default();
        let mut explained = Vec::new();
        for (virtual_host, host) in table.virtual_hosts.iter().enumerate() {
            for (route, one) in host.routes.iter().enumerate() {
                let key = RouteKey { listener: self.listener.to_owned(), filter_chain, virtual_host, route };
                let fresh = self.explained.get(&key);
                let old = old.get(&(host.name.as_str(), one.name.as_str()));
                explained.push((key, self.explanation(old, fresh)));
            }
        }
        let without = self.explained.without_route(self.listener, filter_chain);
        let without = without.iter().map(|one| self.processor(one)).collect();
        for (key, explanation) in explained {
            self.explanations.insert(key, Arc::new(explanation));
        }
        self.explanations.insert_without_route(self.listener.to_owned(), filter_chain, without);
        resources.route_tables.insert(key.to_owned(), table);
    }

    /// What is said about the routes of a table, by the names of their virtual hosts and their own.
    fn by_name<'t>(
        &self,
        table: &'t RouteTable,
        filter_chain: Option<usize>,
    ) -> HashMap<(&'t str, &'t str), Arc<Explanation>> {
        let mut found = HashMap::new();
        for (virtual_host, host) in table.virtual_hosts.iter().enumerate() {
            for (route, one) in host.routes.iter().enumerate() {
                let key = RouteKey { listener: self.listener.to_owned(), filter_chain, virtual_host, route };
                if let Some(explanation) = self.explanations.get(&key) {
                    found.insert((host.name.as_str(), one.name.as_str()), Arc::clone(explanation));
                }
            }
        }
        found
    }

    /// What is said about a route: what was said before, and the processors that patches have added.
    fn explanation(&self, old: Option<&Arc<Explanation>>, fresh: Option<&Arc<Explanation>>) -> Explanation {
        let fresh = fresh.map(|fresh| fresh.processors.as_slice()).unwrap_or_default();
        let known = old.map(|old| old.processors.as_slice()).unwrap_or_default();
        let processors = fresh.iter().map(|one| {
            let same = known.iter().find(|known| known.filter == one.filter);
            same.map_or_else(|| self.processor(one), Arc::clone)
        });
        let processors: Vec<Arc<ProcessorOrigin>> = processors.collect();
        match old {
            // A rule that is not served passes its processors all the same.
            Some(old) if old.replaced.is_some() => (**old).clone(),
            Some(old) => Explanation { processors, ..(**old).clone() },
            None => Explanation {
                origin: RouteOrigin::Envoy { virtual_host: self.by.place.clone() },
                place: self.by.place.clone(),
                processors,
                backends: Default::default(),
                replaced: None,
            },
        }
    }

    /// A processor that a patch has put there.
    fn processor(&self, read: &ProcessorOrigin) -> Arc<ProcessorOrigin> {
        let key = (self.listener.to_owned(), Arc::from(read.filter.as_str()));
        let by = self.touched.added.get(&key).unwrap_or(self.by);
        let origin = || Origin { name: by.policy.to_string(), place: by.place.clone() };
        let sources = read.sources.keys().map(|name| (*name, by.place.clone())).collect();
        Arc::new(ProcessorOrigin { defined_by: origin(), enabled_by: origin(), sources, ..read.clone() })
    }
}

/// Routes that were there come from where they came from.
fn keep_origins(table: &mut RouteTable, before: &RouteTable, by: &By) {
    let routes = before.virtual_hosts.iter().flat_map(|host| &host.routes);
    let origins: HashMap<&str, _> = routes.map(|route| (route.name.as_str(), &route.origin)).collect();
    for route in table.virtual_hosts.iter_mut().flat_map(|host| &mut Arc::make_mut(host).routes) {
        route.origin = match origins.get(route.name.as_str()) {
            Some(origin) => Arc::clone(origin),
            None => by.origin(),
        };
    }
}
