//! Policies of Istio that put something in front of a gateway, none of which is implemented.

use super::{CONTROLLER, GROUP, PROTECTING};
use crate::{
    guard::{changes_http_filters, labels, targets},
    kubernetes::{Metadata, ObjectRef, Place, Stored},
    translation::{Site, Translator},
    yaml::Node,
};

/// Namespace whose policies are for everything.
const ROOT_NAMESPACE: &str = "istio-system";
/// The label that the pods of a Gateway of Gateway API have.
const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";
/// Labels of the gateways that Istio installs.
const USUAL_LABELS: [(&str, &str); 4] = [
    ("istio", "ingressgateway"),
    ("istio", "ingress"),
    ("app", "istio-ingressgateway"),
    ("app", "istio-ingress"),
];

/// Why something is not served.
pub(super) struct Protected {
    pub(super) reason: String,
    pub(super) place: Place,
}

/// The policies that protect something.
pub(super) struct Policies(Vec<Policy>);

struct Policy {
    protected: Protected,
    namespace: String,
    scope: Scope,
    /// Selectors of Istio's Gateways, by the Gateway.
    selectors: Vec<(ObjectRef, Vec<(String, String)>)>,
}

/// What a policy is for.
enum Scope {
    Targets(Vec<ObjectRef>),
    /// Pods with these labels.
    Pods(Vec<(String, String)>),
    /// Everything in its namespace.
    Namespace,
}

impl Policies {
    pub(super) fn new(translator: &Translator<'_>) -> Self {
        let mut policies = Vec::new();
        let documents = translator.store.documents();
        let gateways =
            documents.iter().filter(|object| (&*object.meta.group, &*object.meta.kind) == (GROUP, "Gateway"));
        let selectors: Vec<_> = gateways
            .map(|Stored { meta, node, .. }| {
                let selector = node.member("spec").and_then(|spec| spec.member("selector"));
                (ObjectRef::new(&meta.group, &meta.kind, &meta.key), owned(labels(selector)))
            })
            .collect();
        for Stored { meta, node, .. } in documents {
            if !PROTECTING.contains(&(&meta.group, &meta.kind)) {
                continue;
            }
            let reference = ObjectRef::new(&meta.group, &meta.kind, &meta.key);
            let reason = format!("{reference} is not implemented");
            if meta.kind == "EnvoyFilter" && !(changes_http_filters(node) && is_for_gateways(node)) {
                let message = format!("{reason}: it has no effect");
                translator.diagnostics.warning(&meta.place, message, None);
                continue;
            }
            policies.push(Policy {
                protected: Protected { reason, place: meta.place.clone() },
                namespace: meta.key.namespace.clone(),
                scope: scope(meta, node),
                selectors: selectors.clone(),
            });
            report(&reference, &meta.place, translator);
        }
        Self(policies)
    }

    /// The policy that protects a rule.
    pub(super) fn find(&self, site: &Site<'_>) -> Option<&Protected> {
        if !site.gateway.controller.is(&CONTROLLER) {
            return None;
        }
        self.0.iter().find(|policy| policy.concerns(site)).map(|policy| &policy.protected)
    }
}

fn report(policy: &ObjectRef, place: &Place, translator: &Translator<'_>) {
    let message = format!("{policy} is not implemented: the gateways that it applies to answer 500");
    let help = "remove it if they may be reached without it".to_owned();
    translator.diagnostics.warning(place, message, Some(help));
}

fn scope(meta: &Metadata, node: &Node) -> Scope {
    let of_targets: Vec<ObjectRef> =
        targets(node, &meta.key.namespace).into_iter().map(|target| target.object).collect();
    if !of_targets.is_empty() {
        return Scope::Targets(of_targets);
    }
    let spec = node.member("spec");
    let of =
        |selector, name| spec.and_then(|spec| spec.member(selector)).and_then(|found| found.member(name));
    let mut selected = labels(of("selector", "matchLabels"));
    selected.extend(labels(of("workloadSelector", "labels")));
    if selected.is_empty() { Scope::Namespace } else { Scope::Pods(owned(selected)) }
}

fn owned(labels: Vec<(&str, &str)>) -> Vec<(String, String)> {
    labels.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Whether one of the patches of an `EnvoyFilter` is for gateways: those that name no context are for everything.
fn is_for_gateways(node: &Node) -> bool {
    let patches = node.member("spec").and_then(|spec| spec.member("configPatches"));
    patches.map(Node::items).unwrap_or_default().iter().any(|patch| {
        let context = patch.member("match").and_then(|found| found.member("context")).and_then(Node::text);
        context.is_none_or(|context| !context.starts_with("SIDECAR"))
    })
}

impl Policy {
    fn concerns(&self, site: &Site<'_>) -> bool {
        let of_istio = site.gateway.object.group == GROUP;
        let gateway = if of_istio { &site.listener.owner } else { &site.gateway.object };
        match &self.scope {
            Scope::Targets(targets) => targets.contains(gateway),
            Scope::Pods(labels) if of_istio => {
                let selector = self.selectors.iter().find(|(object, _)| object == gateway);
                let own = selector.map(|(_, labels)| labels.as_slice()).unwrap_or_default();
                labels
                    .iter()
                    .any(|label| own.contains(label) || USUAL_LABELS.contains(&(&*label.0, &*label.1)))
            }
            Scope::Pods(labels) => {
                self.namespace == gateway.namespace
                    && labels.iter().any(|(name, value)| name == GATEWAY_NAME && *value == gateway.name)
            }
            Scope::Namespace => {
                self.namespace == ROOT_NAMESPACE || (!of_istio && self.namespace == gateway.namespace)
            }
        }
    }
}
