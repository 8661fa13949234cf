//! Where routes of a snapshot come from.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use serde::Serialize;

use crate::kubernetes::Place;

/// Where the routes of a snapshot come from, for those that were translated from Kubernetes objects.
#[derive(Debug, Default)]
pub struct Explanations(HashMap<RouteKey, Arc<Explanation>>);

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
    /// The object that the route is written in.
    pub object: Origin,
    /// The Gateway or ListenerSet, and the name of its listener, that the route is attached to.
    pub listener: Origin,
    /// Name of that listener.
    pub section_name: String,
    /// Index of the rule in the object.
    pub rule: usize,
    /// Name of the rule, if it has one.
    pub rule_name: Option<String>,
    /// Index of the match in the rule.
    pub match_index: usize,
    /// Where the rule is written.
    pub place: Place,
    /// Processors that requests stop at, in the order of the request.
    pub processors: Vec<ProcessorOrigin>,
    /// Where requests to a backend stop at others: by its index among the shares of the route, which are the backends with a
    /// weight.
    pub backends: BTreeMap<usize, Vec<ProcessorOrigin>>,
    /// Why the rule is not served.
    pub replaced: Option<ReplacedBecause>,
}

/// An object and where it is written.
#[derive(Debug, Clone, Serialize)]
pub struct Origin {
    /// `HTTPRoute default/myapp`.
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
    /// The object that defines it.
    pub defined_by: Origin,
    /// The object that turns it on for the route.
    pub enabled_by: Origin,
    /// Where settings are written, by their name in Envoy's `ExternalProcessor`; the others have their default.
    pub sources: BTreeMap<&'static str, Place>,
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
        self.0.get(route)
    }

    /// Remembers where a route comes from.
    pub(crate) fn insert(&mut self, route: RouteKey, explanation: Arc<Explanation>) {
        self.0.insert(route, explanation);
    }
}
