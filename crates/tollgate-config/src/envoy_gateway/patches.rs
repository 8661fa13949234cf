//! EnvoyPatchPolicy: how patches are applied, and what becomes of gateways whose patches cannot be.

use std::sync::Arc;

use super::{Configuration, Objects, patch_policy::PatchPolicy};
use crate::{
    gateway_api,
    guard::changes_http_filters,
    kubernetes::{
        Metadata, Object, ObjectKey, ObjectRef,
        status::{ObjectStatus, ParentReference, PolicyStatus},
    },
    patching::Failure,
    policies::Ancestors,
    translation::{Gateway, Patchable, Translator},
};

/// The kind of patches.
pub(super) const KIND: &str = "EnvoyPatchPolicy";

/// What became of a policy.
enum Outcome {
    Applied,
    /// The controller is configured without such policies.
    Disabled,
    Failed {
        reason: &'static str,
        message: String,
    },
}

/// Applies all policies in their order: by priority, the older ones first. Each is applied as a whole or not at all.
pub(super) fn apply(
    translator: &Translator<'_>,
    gateways: &[Gateway],
    configuration: &Configuration,
    patchable: &mut Patchable<'_>,
) -> Vec<ObjectStatus> {
    let mut policies = translator.store.of::<Objects>().patch_policies.by_age();
    policies.sort_by_key(|policy| policy.spec.priority);
    let mut statuses = Vec::new();
    let mut patching = None;
    let mut closed = Vec::new();
    for policy in policies {
        let targets = targets(policy, translator, gateways);
        if targets.is_empty() {
            // What does not exist is reported where it is named.
            continue;
        }
        let outcome = if configuration.patches_enabled {
            let patching = patching.get_or_insert_with(|| patchable.begin());
            let result = match policy.errors.first() {
                Some(error) => Err(Failure::Invalid {
                    message: error.clone(),
                    place: policy.meta.place.clone(),
                    help: None,
                }),
                None => patching.apply(&policy.reference(), &policy.meta.place, &policy.spec.patches),
            };
            match result {
                Ok(said) => {
                    translator.diagnostics.extend(said);
                    Outcome::Applied
                }
                Err(failure) => failed(policy, failure, translator),
            }
        } else {
            let message = format!("{} has no effect: it is turned off", policy.reference());
            let help = "set extensionApis.enableEnvoyPatchPolicy in the configuration of Envoy Gateway";
            translator.diagnostics.warning(&policy.meta.place, message, Some(help.to_owned()));
            Outcome::Disabled
        };
        if let Outcome::Failed { message, .. } = &outcome
            && changes_http_filters(&policy.node)
        {
            let reason = format!("{} cannot be applied: {message}", policy.reference());
            closed
                .extend(targets.iter().map(|gateway| (gateway.clone(), reason.clone(), &policy.meta.place)));
        }
        statuses.push(status(policy, &targets, &outcome, configuration));
    }
    if let Some(patching) = patching {
        patchable.end(patching);
    }
    for (gateway, reason, place) in closed {
        patchable.close(&gateway, &reason, place);
    }
    statuses
}

/// Says why a policy cannot be applied.
fn failed(policy: &Arc<Object<PatchPolicy>>, failure: Failure, translator: &Translator<'_>) -> Outcome {
    let (reason, message, place, help) = match failure {
        Failure::NotFound(names) => {
            let message = format!("unable to find xds resources: {}", names.join(","));
            ("ResourceNotFound", message, policy.meta.place.clone(), None)
        }
        Failure::Invalid { message, place, help } => ("Invalid", message, place, help),
    };
    let closes = changes_http_filters(&policy.node);
    let consequence = if closes { ": its targets answer 500" } else { "" };
    let text = format!("{} cannot be applied{consequence}: {message}", policy.reference());
    if policy.errors.is_empty() {
        translator.diagnostics.error(&place, text, help);
    }
    Outcome::Failed { reason, message }
}

/// The gateways that a policy is for.
fn targets(
    policy: &Object<PatchPolicy>,
    translator: &Translator<'_>,
    gateways: &[Gateway],
) -> Vec<ObjectRef> {
    let Some(target) = &policy.spec.target else { return Vec::new() };
    let key = ObjectKey::new(&*policy.meta.key.namespace, &*target.name);
    let object = ObjectRef::new(gateway_api::GROUP, "Gateway", &key);
    let known = &translator.store.of::<gateway_api::Objects>().gateways;
    let is_meant = |gateway: &&Gateway| match target.kind.as_str() {
        "GatewayClass" => {
            known.get(&gateway.object.key()).is_some_and(|known| known.spec.class == target.name)
        }
        _ => gateway.object == object,
    };
    gateways.iter().filter(is_meant).map(|gateway| gateway.object.clone()).collect()
}

fn status(
    policy: &Object<PatchPolicy>,
    targets: &[ObjectRef],
    outcome: &Outcome,
    configuration: &Configuration,
) -> ObjectStatus {
    let meta: &Metadata = &policy.meta;
    let mut ancestors = Ancestors::new(meta);
    for gateway in targets {
        let Some(conditions) = ancestors.get(&ParentReference::to(gateway)) else { continue };
        match outcome {
            Outcome::Applied => {
                conditions.set("Accepted", true, "Accepted", "Policy has been accepted.", meta);
                let text = "Patches have been successfully applied.";
                conditions.set("Programmed", true, "Programmed", text, meta);
            }
            Outcome::Disabled => {
                let text = "EnvoyPatchPolicy is disabled in the EnvoyGateway configuration";
                conditions.set("Accepted", false, "Disabled", text, meta);
            }
            Outcome::Failed { reason, message } => {
                conditions.set("Accepted", true, "Accepted", "Policy has been accepted.", meta);
                conditions.set("Programmed", false, reason, message.clone(), meta);
            }
        }
    }
    ObjectStatus::new(
        policy.reference(),
        PolicyStatus { ancestors: ancestors.finish(&configuration.controller_name) },
    )
}
