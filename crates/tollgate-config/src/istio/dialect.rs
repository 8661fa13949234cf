//! What Istio's objects mean for gateways: the hosts that routes name, and what protects them.

use http::StatusCode;

use super::{
    GROUP, HOSTNAME, SUBSET, envoy_filter,
    protecting::{Policies, Protected},
};
use crate::{
    routing::BackendReference,
    translation::{
        BackendError, Destination, Dialect, Gateway, Patchable, Replacement, RuleExtensions, Site, Translator,
    },
};

/// What Istio's objects mean for gateways.
pub(super) struct Istio<'a> {
    translator: &'a Translator<'a>,
    policies: Policies,
}

impl<'a> Istio<'a> {
    pub(super) fn new(translator: &'a Translator<'a>) -> Self {
        Self { translator, policies: Policies::new(translator) }
    }
}

impl Dialect for Istio<'_> {
    fn extend(&mut self, site: &Site<'_>) -> RuleExtensions {
        let replaced =
            self.policies.find(site, self.translator).map(|Protected { reason, place }| Replacement {
                status: StatusCode::INTERNAL_SERVER_ERROR,
                body: "",
                reason: reason.clone(),
                place: place.clone(),
            });
        RuleExtensions { replaced, ..RuleExtensions::default() }
    }

    fn meaning(&self, reference: &BackendReference) -> Option<BackendReference> {
        let object = &reference.object;
        (object.group == GROUP && object.kind == HOSTNAME).then(|| self.translator.service_of_host(reference))
    }

    fn backend(
        &self,
        reference: &BackendReference,
        _: &Gateway,
    ) -> Option<Result<Destination, BackendError>> {
        let object = &reference.object;
        match &*object.kind {
            HOSTNAME if object.group == GROUP => Some(self.translator.host_destination(reference)),
            SUBSET if object.group == GROUP => {
                // The other endpoints are not what was asked for.
                let (host, subset) = object.name.rsplit_once('|').unwrap_or_default();
                let reason = "DestinationRules are not read";
                Some(Err(BackendError::NotFound(format!(
                    "no endpoint of {host} is in the subset {subset}: {reason}"
                ))))
            }
            _ => None,
        }
    }

    fn patch(&mut self, patchable: &mut Patchable<'_>) {
        envoy_filter::apply(self.translator, patchable);
    }
}
