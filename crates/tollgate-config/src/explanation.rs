//! Where routes of a snapshot come from.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use serde::Serialize;

use crate::place::Place;

/// Where the routes of a snapshot come from.
#[derive(Debug, Default)]
pub struct Explanations {
    routes: HashMap<RouteKey, Arc<Explanation>>,
    /// Listeners of an Envoy configuration, by name.
    listeners: HashMap<String, Place>,
    /// What requests without a route stop at, by listener and filter chain.
    without_route: HashMap<(String, Option<usize>), Vec<Arc<ProcessorOrigin>>>,
}

/// A route of a snapshot, by its place there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RouteKey {
    /// Name of the listener.
    pub listener: String,
    /// Index of the filter chain; `None` = the default filter chain.
    pub filter_chain: Option<usize>,
    /// Index of the virtual host in the table.
    pub virtual_host: usize,
    /// Index of the route in the virtual host.
    pub route: usize,
}

/// Where a route comes from.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// What it is written in.
    pub origin: RouteOrigin,
    /// Where the rule is written, or the route of an Envoy configuration.
    pub place: Place,
    /// Processors that requests stop at, in the order of the request.
    pub processors: Vec<Arc<ProcessorOrigin>>,
    /// Where requests to a backend stop at others: by its index among the shares of the route, which are the backends with a
    /// weight.
    pub backends: BTreeMap<usize, Vec<Arc<ProcessorOrigin>>>,
    /// Why the rule is not served.
    pub replaced: Option<ReplacedBecause>,
}

/// What a route is written in.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RouteOrigin {
    /// A rule of a Kubernetes object.
    Rule(RuleOrigin),
    /// A route of an Envoy configuration.
    Envoy {
        /// Where its virtual host is written.
        virtual_host: Place,
    },
}

/// A match of a rule of a Kubernetes object.
#[derive(Debug, Clone, Serialize)]
pub struct RuleOrigin {
    /// The object that the route is written in.
    pub object: Origin,
    /// The Gateway or ListenerSet, and the name of its listener, that the route is attached to.
    pub listener: Origin,
    /// Name of that listener.
    pub section_name: String,
    /// Index of the rule in the object.
    pub index: usize,
    /// Name of the rule, if it has one.
    pub name: Option<String>,
    /// Index of the match in the rule.
    pub match_index: usize,
}

/// An object, or a part of an Envoy configuration, and where it is written.
#[derive(Debug, Clone, Serialize)]
pub struct Origin {
    /// `HTTPRoute default/myapp`, `virtual host app`.
    pub name: String,
    /// Where.
    pub place: Place,
}

/// Where a processor comes from.
#[derive(Debug, Clone, Serialize)]
pub struct ProcessorOrigin {
    /// Name of the filter.
    pub filter: String,
    /// Whether it runs behind the router, once for each attempt.
    pub upstream: bool,
    /// The cluster whose requests alone it is for: it stands behind the router.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// What defines it.
    pub defined_by: Origin,
    /// What turns it on for the route.
    pub enabled_by: Origin,
    /// Where settings are written, by their name in Envoy's `ExternalProcessor`; the others have their default.
    pub sources: BTreeMap<&'static str, Place>,
    /// Settings that `typed_per_filter_config` of an Envoy configuration overrides, and the level that does.
    pub overrides: BTreeMap<&'static str, Origin>,
}

/// Why a rule is not served.
#[derive(Debug, Clone, Serialize)]
pub struct ReplacedBecause {
    /// What is wrong.
    pub reason: String,
    /// What has to be mended.
    pub place: Place,
}

impl Explanations {
    /// Where a route comes from.
    #[must_use]
    pub fn get(&self, route: &RouteKey) -> Option<&Arc<Explanation>> {
        self.routes.get(route)
    }

    /// Where a listener of an Envoy configuration is written.
    #[must_use]
    pub fn listener(&self, name: &str) -> Option<&Place> {
        self.listeners.get(name)
    }

    /// Processors that requests without a route stop at, in the order of the request; `None` is the default filter chain.
    #[must_use]
    pub fn without_route(&self, listener: &str, filter_chain: Option<usize>) -> &[Arc<ProcessorOrigin>] {
        let found = self.without_route.get(&(listener.to_owned(), filter_chain));
        found.map(Vec::as_slice).unwrap_or_default()
    }

    /// Remembers where a route comes from.
    pub(crate) fn insert(&mut self, route: RouteKey, explanation: Arc<Explanation>) {
        self.routes.insert(route, explanation);
    }

    /// Remembers where a listener of an Envoy configuration is written.
    pub(crate) fn insert_listener(&mut self, name: String, place: Place) {
        self.listeners.insert(name, place);
    }

    /// Remembers what requests without a route stop at.
    pub(crate) fn insert_without_route(
        &mut self,
        listener: String,
        filter_chain: Option<usize>,
        processors: Vec<Arc<ProcessorOrigin>>,
    ) {
        self.without_route.insert((listener, filter_chain), processors);
    }

    /// Adds others; of the same listener the new ones count.
    pub(crate) fn extend(&mut self, others: Self) {
        self.routes.extend(others.routes);
        self.listeners.extend(others.listeners);
        self.without_route.extend(others.without_route);
    }
}
