//! Which gateways a policy of Istio is for.

use std::collections::HashMap;

use super::GROUP;
use crate::{
    gateway_api,
    guard::{labels, targets},
    kubernetes::{Metadata, ObjectKey, ObjectRef},
    translation::Translator,
    yaml::Node,
};

/// Namespace whose policies are for everything.
pub(super) const ROOT_NAMESPACE: &str = "istio-system";
/// Labels that the pods of a Gateway of Gateway API have, and had in Istio before 1.19.
const GATEWAY_NAMES: [&str; 2] = ["gateway.networking.k8s.io/gateway-name", "istio.io/gateway-name"];
/// Labels of the gateways that Istio installs.
const USUAL_LABELS: [(&str, &str); 4] = [
    ("istio", "ingressgateway"),
    ("istio", "ingress"),
    ("app", "istio-ingressgateway"),
    ("app", "istio-ingress"),
];

/// What a policy is for.
pub(super) struct Scope {
    namespace: String,
    wanted: Wanted,
}

enum Wanted {
    Targets(Vec<ObjectRef>),
    /// Pods with these labels.
    Pods(Vec<(String, String)>),
    /// Everything in its namespace.
    Namespace,
}

/// What Istio's Gateways say about the pods that serve them, by the Gateway.
pub(super) struct Selectors(HashMap<ObjectRef, Vec<(String, String)>>);

impl Selectors {
    pub(super) fn new(translator: &Translator<'_>) -> Self {
        let documents = translator.store.documents().iter();
        let gateways =
            documents.filter(|object| (&*object.meta.group, &*object.meta.kind) == (GROUP, "Gateway"));
        let selectors = gateways.map(|object| {
            let selector = object.node.member("spec").and_then(|spec| spec.member("selector"));
            (object.reference(), owned(labels(selector)))
        });
        Self(selectors.collect())
    }
}

impl Scope {
    pub(super) fn of(meta: &Metadata, node: &Node) -> Self {
        let namespace = meta.key.namespace.clone();
        let named: Vec<ObjectRef> =
            targets(node, &namespace).into_iter().map(|target| target.object).collect();
        let spec = node.member("spec");
        let of =
            |selector, name| spec.and_then(|spec| spec.member(selector)).and_then(|found| found.member(name));
        let mut selected = labels(of("selector", "matchLabels"));
        selected.extend(labels(of("workloadSelector", "labels")));
        let wanted = match (named.is_empty(), selected.is_empty()) {
            (false, _) => Wanted::Targets(named),
            (true, false) => Wanted::Pods(owned(selected)),
            (true, true) => Wanted::Namespace,
        };
        Self { namespace, wanted }
    }

    /// Whether a Gateway is served by what the policy is for.
    pub(super) fn concerns(
        &self,
        gateway: &ObjectRef,
        selectors: &Selectors,
        translator: &Translator<'_>,
    ) -> bool {
        let of_istio = gateway.group == GROUP;
        match &self.wanted {
            Wanted::Targets(targets) => targets.iter().any(|target| {
                let is_class = target.kind == "GatewayClass" && self.namespace == ROOT_NAMESPACE;
                target == gateway || (is_class && class_of(gateway, translator) == Some(&*target.name))
            }),
            Wanted::Pods(labels) if of_istio => {
                let own = selectors.0.get(gateway).map(Vec::as_slice).unwrap_or_default();
                labels
                    .iter()
                    .any(|label| own.contains(label) || USUAL_LABELS.contains(&(&*label.0, &*label.1)))
            }
            Wanted::Pods(labels) => {
                self.namespace == gateway.namespace
                    && labels
                        .iter()
                        .any(|(name, value)| GATEWAY_NAMES.contains(&&**name) && *value == gateway.name)
            }
            Wanted::Namespace => {
                self.namespace == ROOT_NAMESPACE || (!of_istio && self.namespace == gateway.namespace)
            }
        }
    }

    /// Whether it is for everything in the namespace of a Gateway of Istio, whose pods may be there or elsewhere.
    pub(super) fn is_beside(&self, gateway: &ObjectRef) -> bool {
        matches!(self.wanted, Wanted::Namespace) && self.namespace == gateway.namespace
    }
}

fn class_of<'s>(gateway: &ObjectRef, translator: &'s Translator<'_>) -> Option<&'s str> {
    let gateways = &translator.store.of::<gateway_api::Objects>().gateways;
    let key = ObjectKey::new(&*gateway.namespace, &*gateway.name);
    Some(&gateways.get(&key).filter(|_| gateway.group == gateway_api::GROUP)?.spec.class)
}

fn owned(labels: Vec<(&str, &str)>) -> Vec<(String, String)> {
    labels.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
