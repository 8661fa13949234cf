//! Which policies are about a rule (4.5).

use std::{cmp::Reverse, collections::HashMap, sync::Arc};

use super::{GROUP, Objects, policy::TrafficPolicy};
use crate::{
    gateway_api,
    kubernetes::{Metadata, Object, ObjectKey},
    policies::{Attachments, Level, PolicyIndex, TargetSelector, World, levels},
    routing::ExtensionRef,
    translation::{Gateway, Site, Translator},
};

/// Policies and what they are for.
#[derive(Debug)]
pub(super) struct Attached {
    /// The one with the greater weight first, then the older one (KG-21).
    pub(super) policies: Vec<Arc<Object<TrafficPolicy>>>,
    by_key: HashMap<ObjectKey, PolicyIndex>,
    attachments: Attachments,
}

/// Policies about a rule, by level; each the best first (KG-21).
#[derive(Debug, Default)]
pub(super) struct Levels {
    /// The whole Gateway.
    pub(super) gateway: Vec<PolicyIndex>,
    /// Its listener, or the ListenerSet. A policy on a Gateway's listener does not reach the listeners of a ListenerSet.
    pub(super) listener: Vec<PolicyIndex>,
    /// The rule: filters, then its name, then the whole route.
    pub(super) route: Vec<PolicyIndex>,
}

impl Attached {
    pub(super) fn new(translator: &Translator<'_>, gateways: &[Gateway]) -> Self {
        let world = World::new(gateways);
        let mut policies: Vec<_> = translator.store.of::<Objects>().policies.iter().map(Arc::clone).collect();
        policies.sort_by_cached_key(|policy| (Reverse(policy_weight(&policy.meta)), policy.meta.age()));
        let mut attachments = Attachments::default();
        for (index, policy) in policies.iter().enumerate() {
            let targets = &policy.spec.targets;
            for target in world.expand(targets, &policy.meta, translator) {
                attachments.attach(index, target);
            }
            let selects = |selector: &TargetSelector| selects(selector, &policy.meta, translator);
            if !targets.selectors.is_empty()
                && targets.refs.is_empty()
                && policy.errors.is_empty()
                && !targets.selectors.iter().any(selects)
            {
                let message = format!("{} selects nothing: no object has such labels", policy.reference());
                translator.diagnostics.exposing(&policy.meta.place, message, None);
            }
        }
        let by_key = policies.iter().enumerate().map(|(index, policy)| (policy.meta.key.clone(), index));
        Self { by_key: by_key.collect(), policies, attachments }
    }

    /// The policy that a filter of a route in `namespace` means.
    pub(super) fn of_filter(&self, extension: &ExtensionRef, namespace: &str) -> Option<PolicyIndex> {
        self.by_key.get(&ObjectKey::new(namespace, &*extension.name)).copied()
    }

    /// The policies about a rule. `filters` are those that filters of the rule name.
    pub(super) fn levels(&self, site: &Site<'_>, filters: Vec<PolicyIndex>) -> Levels {
        let mut found = Levels { route: filters, ..Levels::default() };
        for (level, target) in levels(site) {
            let list = match level {
                Level::Gateway => &mut found.gateway,
                // The whole ListenerSet is as specific as a listener.
                Level::GatewayListener | Level::ListenerSet | Level::ListenerSetListener => {
                    &mut found.listener
                }
                Level::Route | Level::Rule => &mut found.route,
            };
            list.extend(self.attachments.at(target));
        }
        found
    }
}

/// Whether there is an object that a selector of a policy means.
fn selects(selector: &TargetSelector, policy: &Metadata, translator: &Translator<'_>) -> bool {
    let objects = translator.store.of::<gateway_api::Objects>();
    let chosen =
        |meta: &Metadata| meta.key.namespace == policy.key.namespace && selector.labels.matches(&meta.labels);
    match &*selector.kind {
        "Gateway" => objects.gateways.iter().any(|object| chosen(&object.meta)),
        "HTTPRoute" => objects.http_routes.iter().any(|object| chosen(&object.meta)),
        "GRPCRoute" => objects.grpc_routes.iter().any(|object| chosen(&object.meta)),
        _ => objects.listener_sets.iter().any(|object| chosen(&object.meta)),
    }
}

/// What an annotation says about precedence; more goes first (KG-21, KG-22).
pub(super) fn policy_weight(meta: &Metadata) -> i64 {
    let weight = meta.annotations.get("kgateway.dev/policy-weight");
    weight.and_then(|weight| weight.parse().ok()).unwrap_or(0)
}

/// Whether a filter names a policy of this dialect.
pub(super) fn is_policy(extension: &ExtensionRef) -> bool {
    extension.group == GROUP && matches!(&*extension.kind, "TrafficPolicy" | "RoutePolicy")
}
