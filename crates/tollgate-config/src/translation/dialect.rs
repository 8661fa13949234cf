//! What a dialect gives to the translation.

use std::{borrow::Cow, collections::BTreeMap};

use http::StatusCode;
use tollgate_ir::{BareCluster, UpstreamTlsContext};

use super::{
    Applied, AppliedFilter, AttachedRoute, BackendError, BackendReference, Destination, ExtensionRef,
    Gateway, Listener, ListenerSettings, Patchable, Referring, Rule,
};
use crate::kubernetes::{Place, status::ObjectStatus};

/// A dialect: what the policies of a system mean for gateways that are served. Everything that it changes is a copy.
pub(crate) trait Dialect {
    /// Whether filters of type `ExtensionRef` to this kind of object are its business. A filter that no dialect claims
    /// makes its rule answer 500 (9.6).
    fn claims(&self, extension: &ExtensionRef) -> bool {
        let _ = extension;
        false
    }

    /// Changes a rule of a route under a listener: its matches, filters, timeouts, retries and backends. Called before
    /// [`extend`](Self::extend), by which time all dialects have changed it.
    fn rule(&self, site: &Site<'_>, rule: &mut Cow<'_, Rule>) {
        let _ = (site, rule);
    }

    /// What else applies to a rule of a route under a listener: processors, or that it is not served. Called once for each,
    /// in the order of the configuration.
    fn extend(&mut self, site: &Site<'_>) -> RuleExtensions {
        let _ = site;
        RuleExtensions::default()
    }

    /// Changes how a listener treats its clients.
    fn listener(&self, gateway: &Gateway, listener: &Listener, settings: &mut ListenerSettings) {
        let _ = (gateway, listener, settings);
    }

    /// What a reference to a backend really means, where that is another object; `None` = not its business.
    fn meaning(&self, reference: &BackendReference) -> Option<BackendReference> {
        let _ = reference;
        None
    }

    /// A backend of a kind of its own; `None` = not its business. The reference is permitted already.
    fn backend(
        &self,
        reference: &BackendReference,
        gateway: &Gateway,
    ) -> Option<Result<Destination, BackendError>> {
        let _ = (reference, gateway);
        None
    }

    /// TLS towards backends of routes that say nothing themselves: certificate and versions; `None` = not its business.
    ///
    /// # Errors
    /// Why there is none; then there must be no connection.
    fn backend_tls(&self, gateway: &Gateway) -> Option<Result<UpstreamTlsContext, String>> {
        let _ = gateway;
        None
    }

    /// Changes the cluster of a backend of a route.
    fn cluster(&self, site: Referring<'_>, cluster: &mut BareCluster) {
        let _ = (site, cluster);
    }

    /// Changes what came of everything, once every rule was seen.
    fn patch(&mut self, patchable: &mut Patchable<'_>) {
        let _ = patchable;
    }

    /// The statuses of its objects, once every rule was seen.
    fn statuses(self: Box<Self>) -> Vec<ObjectStatus> {
        Vec::new()
    }
}

/// A rule of a route under a listener.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Site<'a> {
    pub(crate) gateway: &'a Gateway,
    pub(crate) listener: &'a Listener,
    pub(crate) attached: &'a AttachedRoute,
    /// The rule as it is served.
    pub(crate) rule: &'a Rule,
}

impl<'a> Site<'a> {
    /// A rule as it was written.
    pub(crate) fn new(
        gateway: &'a Gateway,
        listener: &'a Listener,
        attached: &'a AttachedRoute,
        rule_index: usize,
    ) -> Self {
        Self { gateway, listener, attached, rule: &attached.route.rules[rule_index] }
    }

    /// The rule.
    pub(crate) fn rule(&self) -> &'a Rule {
        self.rule
    }
}

/// What applies to a rule.
#[derive(Debug, Default)]
pub(crate) struct RuleExtensions {
    /// Processors, in any order.
    pub(crate) processors: Vec<Applied>,
    /// Those of requests to one backend, by its index: instead of [`processors`](Self::processors), not in addition.
    pub(crate) backends: BTreeMap<usize, Vec<Applied>>,
    /// Filters of other kinds, in any order.
    pub(crate) filters: Vec<AppliedFilter>,
    /// Nothing of the rule is served; this is answered instead. The first dialect that says so wins.
    pub(crate) replaced: Option<Replacement>,
}

/// What is answered instead of serving a rule.
#[derive(Debug, Clone)]
pub(crate) struct Replacement {
    pub(crate) status: StatusCode,
    pub(crate) body: &'static str,
    /// Why, for people.
    pub(crate) reason: String,
    /// What has to be mended.
    pub(crate) place: Place,
}
