//! What a dialect gives to the translation.

use std::collections::BTreeMap;

use http::StatusCode;
use tollgate_ir::Cluster;
use tollgate_model::tls::UpstreamTlsSettings;

use super::{
    Applied, AttachedRoute, BackendError, BackendReference, ClientSettings, Destination, ExtensionRef,
    Gateway, Listener, Rule,
};
use crate::kubernetes::{Place, status::ObjectStatus};

/// A dialect: it says which processors requests stop at.
pub(crate) trait Dialect {
    /// Whether filters of type `ExtensionRef` to this kind of object are its business. A filter that no dialect claims
    /// makes its rule answer 500 (9.6).
    fn claims(&self, extension: &ExtensionRef) -> bool;

    /// What applies to a rule of a route under a listener. Called once for each, in the order of the configuration.
    fn extend(&mut self, site: &Site<'_>) -> RuleExtensions;

    /// How clients of a listener are treated; `None` = as its controller does it.
    fn client_settings(&self, gateway: &Gateway, listener: &Listener) -> Option<&ClientSettings> {
        let _ = (gateway, listener);
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
    fn backend_tls(&self, gateway: &Gateway) -> Option<Result<UpstreamTlsSettings, String>> {
        let _ = gateway;
        None
    }

    /// Changes a cluster of a gateway's routes as the settings of the gateway ask for it.
    fn adapt(&self, gateway: &Gateway, cluster: &mut Cluster) {
        let _ = (gateway, cluster);
    }

    /// The statuses of its objects, once every rule was seen.
    fn statuses(self: Box<Self>) -> Vec<ObjectStatus>;
}

/// A rule of a route under a listener.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Site<'a> {
    pub(crate) gateway: &'a Gateway,
    pub(crate) listener: &'a Listener,
    pub(crate) attached: &'a AttachedRoute,
    pub(crate) rule_index: usize,
}

impl<'a> Site<'a> {
    /// The rule.
    pub(crate) fn rule(&self) -> &'a Rule {
        &self.attached.route.rules[self.rule_index]
    }
}

/// What applies to a rule.
#[derive(Debug, Default)]
pub(crate) struct RuleExtensions {
    /// Processors, in any order.
    pub(crate) processors: Vec<Applied>,
    /// Those of requests to one backend, by its index: instead of [`processors`](Self::processors), not in addition.
    pub(crate) backends: BTreeMap<usize, Vec<Applied>>,
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
