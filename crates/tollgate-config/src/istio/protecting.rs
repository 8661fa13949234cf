//! Policies of Istio that put something in front of a gateway, and are not implemented.

use super::{
    CONTROLLER, GROUP, PROTECTING,
    scope::{Scope, Selectors},
};
use crate::{
    kubernetes::{ObjectRef, Place, Stored},
    translation::{Site, Translator},
};

/// Why something is not served.
pub(super) struct Protected {
    pub(super) reason: String,
    pub(super) place: Place,
}

/// The policies that protect something.
pub(super) struct Policies {
    all: Vec<(Scope, Protected)>,
    selectors: Selectors,
}

impl Policies {
    pub(super) fn new(translator: &Translator<'_>) -> Self {
        let documents = translator.store.documents().iter();
        let protecting =
            documents.filter(|object| PROTECTING.contains(&(&*object.meta.group, &*object.meta.kind)));
        let all = protecting.map(|object| {
            let Stored { meta, node, .. } = object;
            let reference = object.reference();
            report(&reference, &meta.place, translator);
            let reason = format!("{reference} is not implemented");
            (Scope::of(meta, node), Protected { reason, place: meta.place.clone() })
        });
        Self { all: all.collect(), selectors: Selectors::new(translator) }
    }

    /// The policy that protects a rule.
    pub(super) fn find(&self, site: &Site<'_>, translator: &Translator<'_>) -> Option<&Protected> {
        if !site.gateway.controller.is(&CONTROLLER) {
            return None;
        }
        let of_istio = site.gateway.object.group == GROUP;
        let gateway = if of_istio { &site.listener.owner } else { &site.gateway.object };
        let mut concerned =
            self.all.iter().filter(|(scope, _)| scope.concerns(gateway, &self.selectors, translator));
        concerned.next().map(|(_, protected)| protected)
    }
}

fn report(policy: &ObjectRef, place: &Place, translator: &Translator<'_>) {
    let message = format!("{policy} is not implemented: the gateways that it applies to answer 500");
    let help = "remove it if they may be reached without it".to_owned();
    translator.diagnostics.warning(place, message, Some(help));
}
