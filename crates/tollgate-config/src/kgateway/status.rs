//! Statuses (4.8).

use super::{CONTROLLER, GROUP, dialect::Seen, policy::TrafficPolicy, processor::Processors};
use crate::{
    kubernetes::{
        Object, ObjectKey, ObjectRef,
        status::{AncestorStatus, Conditions, ObjectStatus, OwnStatus, ParentReference, PolicyStatus},
    },
    translation::Translator,
};

/// Those of all extensions.
pub(super) fn extensions(translator: &Translator<'_>, processors: &mut Processors) -> Vec<ObjectStatus> {
    let extensions = translator.store.of::<crate::kgateway::Objects>().extensions.iter();
    extensions
        .map(|extension| {
            let mut conditions = Conditions::default();
            match processors.get(&extension.meta.key, translator) {
                Ok(_) => conditions.set("Accepted", true, "Accepted", "", &extension.meta),
                Err(error) => conditions.set("Accepted", false, "Invalid", error, &extension.meta),
            }
            ObjectStatus::new(extension.reference(), OwnStatus { conditions })
        })
        .collect()
}

/// That of a policy: what became of it at each Gateway.
pub(super) fn policy(
    policy: &Object<TrafficPolicy>,
    error: Option<&str>,
    seen: Vec<(ParentReference, Seen)>,
) -> ObjectStatus {
    let is_attached = !seen.is_empty();
    let mut ancestors: Vec<AncestorStatus> = seen
        .into_iter()
        .take(16)
        .map(|(gateway, seen)| ancestor(gateway, attached(policy, error, seen)))
        .collect();
    if !is_attached {
        ancestors.extend(policy.spec.targets.refs.iter().take(16).map(|target| {
            let key = ObjectKey::new(&*policy.meta.key.namespace, &*target.name);
            let mut conditions = Conditions::default();
            let message = "Policy is not attached to targets that could not be resolved";
            conditions.set("Accepted", false, "TargetNotFound", message, &policy.meta);
            conditions.set("Attached", false, "Pending", "", &policy.meta);
            ancestor(ParentReference::to(&ObjectRef::new(&target.group, &target.kind, &key)), conditions)
        }));
    }
    let object = ObjectRef::new(GROUP, &policy.meta.kind, &policy.meta.key);
    ObjectStatus::new(object, PolicyStatus { ancestors })
}

fn attached(policy: &Object<TrafficPolicy>, error: Option<&str>, seen: Seen) -> Conditions {
    let meta = &policy.meta;
    let mut conditions = Conditions::default();
    match error {
        None => conditions.set("Accepted", true, "Valid", "Policy accepted", meta),
        Some(error) => conditions.set("Accepted", false, "Invalid", error, meta),
    }
    let (holds, reason, message) = match (error.is_some(), seen.in_force, seen.overridden) {
        (true, ..) => (false, "Pending", ""),
        (false, true, true) => (true, "Merged", "Merged with other policies in target(s) and attached"),
        (false, true, false) => (true, "Attached", "Attached to all targets"),
        (false, false, _) => {
            (false, "Overridden", "Overridden due to conflict with higher priority policy in target(s)")
        }
    };
    conditions.set("Attached", holds, reason, message, meta);
    conditions
}

fn ancestor(ancestor_ref: ParentReference, conditions: Conditions) -> AncestorStatus {
    AncestorStatus { ancestor_ref, controller_name: CONTROLLER.name.to_owned(), conditions }
}
