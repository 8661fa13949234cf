//! Which policy applies where (EG-40 to EG-45).

use std::sync::Arc;

use super::{ExtensionPolicy, Objects};
use crate::{
    kubernetes::Object,
    policies::{AttachedTarget, Attachments, Chosen, Relations, World, levels},
    translation::{Gateway, Site, Translator},
};

/// All policies with processors, and which of them applies where.
#[derive(Debug)]
pub(super) struct Attached {
    /// The oldest first.
    pub(super) policies: Vec<Arc<Object<ExtensionPolicy>>>,
    attachments: Attachments,
    /// What became of the targets of each policy.
    pub(super) targets: Vec<Vec<AttachedTarget>>,
    /// What other policies do to each of them.
    pub(super) relations: Relations,
}

impl Attached {
    pub(super) fn new(translator: &Translator<'_>, gateways: &[Gateway], world: &World) -> Self {
        let policies = translator.store.of::<Objects>().extension_policies.by_age();
        let policies: Vec<_> = policies.into_iter().map(Arc::clone).collect();
        let mut attachments = Attachments::default();
        let mut targets = Vec::new();
        for (index, policy) in policies.iter().enumerate() {
            let expanded = world.expand(&policy.spec.targets, &policy.meta, translator);
            let exists = expanded.iter().any(|target| translator.store.has(&target.object));
            let attached = attachments.attach_alone(index, expanded, world);
            if attached.is_empty() && policy.errors.is_empty() {
                report_idle(policy, exists, translator);
            }
            targets.push(attached);
        }
        let merges = |policy: usize| policies[policy].spec.merges;
        let relations = Relations::new(&attachments, merges, gateways, world);
        Self { attachments, targets, relations, policies }
    }

    /// What applies to a rule.
    pub(super) fn choose(&self, site: &Site<'_>) -> Option<Chosen> {
        let merges = |policy: usize| self.policies[policy].spec.merges;
        self.attachments.choose(&levels(site), merges).map(|(chosen, _)| chosen)
    }
}

/// A policy that is attached to nothing, although one of its targets may exist.
fn report_idle(policy: &Object<ExtensionPolicy>, exists: bool, translator: &Translator<'_>) {
    let place = &policy.meta.place;
    if policy.spec.targets.refs.is_empty() {
        let message = format!("{} selects nothing: no object has such labels", policy.reference());
        translator.diagnostics.exposing(place, message, None);
    } else if exists {
        // What is wrong with targets that do not exist is said where they are named.
        let message = format!("{} is attached to nothing: no Gateway uses its targets", policy.reference());
        translator.diagnostics.warning(place, message, None);
    }
}
