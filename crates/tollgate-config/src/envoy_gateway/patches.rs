//! EnvoyPatchPolicy: what changes Envoy's configuration. Patches are not carried out, and what they may protect is not served.

use super::{Objects, Unimplemented};
use crate::{
    gateway_api,
    guard::{changes_http_filters, targets},
    kubernetes::{Object, ObjectRef, Place},
    translation::Translator,
    yaml::Node,
};

/// The kind of patches.
pub(super) const KIND: &str = "EnvoyPatchPolicy";

/// Gateways whose HTTP filters are to be changed, and why they are not served: a patch may put a processor in front of everything.
pub(super) fn patched(translator: &Translator<'_>) -> Vec<(ObjectRef, (String, Place))> {
    let mut patched = Vec::new();
    for object in translator.store.of::<Objects>().patch_policies.iter() {
        if changes_http_filters(&object.node) {
            let reason = reason(object);
            let gateways = gateways(object, translator).into_iter();
            patched.extend(gateways.map(|gateway| (gateway, (reason.clone(), object.meta.place.clone()))));
        }
    }
    patched
}

/// Says what becomes of all patches.
pub(super) fn report(translator: &Translator<'_>) {
    for object in translator.store.of::<Objects>().patch_policies.iter() {
        let (policy, place) = (object.reference(), &object.meta.place);
        if !changes_http_filters(&object.node) {
            let help = "the settings of the gateway itself hold".to_owned();
            let message = format!("{policy} has no effect: the kind is not implemented");
            translator.diagnostics.warning(place, message, Some(help));
            continue;
        }
        let help = "its targets answer 500; attach processors with an EnvoyExtensionPolicy".to_owned();
        translator.diagnostics.error(place, reason(object), Some(help));
        let gateways = gateways(object, translator);
        if class(object).is_none() && !gateways.iter().any(|gateway| translator.store.has(gateway)) {
            let message = format!("the targets of {policy} cannot be read");
            translator.diagnostics.exposing(place, message, None);
        }
    }
}

fn reason(object: &Object<Unimplemented>) -> String {
    format!("{} changes HTTP filters, which is not implemented", object.reference())
}

/// The GatewayClass that a patch is for; `None` = it is for objects of its namespace.
fn class(object: &Object<Unimplemented>) -> Option<&str> {
    let target = object.node.member("spec")?.member("targetRef")?;
    let is_class = target.member("kind").and_then(Node::text) == Some("GatewayClass");
    is_class.then(|| target.member("name").and_then(Node::text).unwrap_or_default())
}

fn gateways(object: &Object<Unimplemented>, translator: &Translator<'_>) -> Vec<ObjectRef> {
    match class(object) {
        Some(class) => {
            let gateways = translator.store.of::<gateway_api::Objects>().gateways.iter();
            gateways
                .filter(|gateway| gateway.spec.class == class)
                .map(|gateway| gateway.reference())
                .collect()
        }
        None => {
            let targets = targets(&object.node, &object.meta.key.namespace);
            targets.into_iter().map(|target| target.object).collect()
        }
    }
}
