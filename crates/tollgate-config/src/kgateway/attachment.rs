//! Which policies are about a rule (4.5).

use std::{cmp::Reverse, collections::HashMap, rc::Rc};

use super::{
    GROUP,
    policy::{TargetSelector, TrafficPolicy},
};
use crate::{
    kubernetes::{Age, Metadata, Object, ObjectKey, ObjectRef},
    translation::{ExtensionRef, Site, Translator},
};

/// A policy by its index.
pub(super) type PolicyIndex = usize;

/// Policies and what they are for.
#[derive(Debug)]
pub(super) struct Attachments {
    pub(super) policies: Vec<Rc<Object<TrafficPolicy>>>,
    by_key: HashMap<ObjectKey, PolicyIndex>,
    by_target: HashMap<ObjectRef, Vec<(Option<String>, PolicyIndex)>>,
    with_selectors: Vec<PolicyIndex>,
}

/// Policies about a rule, by level; each the best first (KG-21).
#[derive(Debug, Default)]
pub(super) struct Levels {
    /// The whole Gateway.
    pub(super) gateway: Vec<PolicyIndex>,
    /// Its listener, or the ListenerSet.
    pub(super) listener: Vec<PolicyIndex>,
    /// The rule: filters, then its name, then the whole route.
    pub(super) route: Vec<PolicyIndex>,
}

/// Which of two policies of a level comes first: the smaller one.
type Rank = (Reverse<i64>, Age);

impl Attachments {
    pub(super) fn new(translator: &Translator<'_>) -> Self {
        let policies: Vec<_> = translator.resources.kgateway.policies.iter().map(Rc::clone).collect();
        let mut by_target: HashMap<ObjectRef, Vec<_>> = HashMap::new();
        let mut with_selectors = Vec::new();
        for (index, policy) in policies.iter().enumerate() {
            for target in &policy.spec.targets {
                let key = ObjectKey::new(&*policy.meta.key.namespace, &*target.name);
                let object = ObjectRef::new(&target.group, &target.kind, &key);
                by_target.entry(object).or_default().push((target.section_name.clone(), index));
            }
            if !policy.spec.selectors.is_empty() {
                with_selectors.push(index);
                if policy.spec.targets.is_empty()
                    && policy.errors.is_empty()
                    && !policy
                        .spec
                        .selectors
                        .iter()
                        .any(|selector| selects(selector, &policy.meta, translator))
                {
                    let message =
                        format!("{} selects nothing: no object has such labels", policy.reference());
                    translator.diagnostics.exposing(&policy.meta.place, message, None);
                }
            }
        }
        let by_key = policies.iter().enumerate().map(|(index, policy)| (policy.meta.key.clone(), index));
        Self { by_key: by_key.collect(), policies, by_target, with_selectors }
    }

    /// The policy that a filter of a route in `namespace` means.
    pub(super) fn of_filter(&self, extension: &ExtensionRef, namespace: &str) -> Option<PolicyIndex> {
        self.by_key.get(&ObjectKey::new(namespace, &*extension.name)).copied()
    }

    /// The policies about a rule. `filters` are those that filters of the rule name.
    pub(super) fn levels(&self, site: &Site<'_>, filters: Vec<PolicyIndex>) -> Levels {
        let gateway = (&site.gateway.object, &*site.gateway.meta);
        let owner = (&site.listener.owner, &*site.listener.owner_meta);
        let route = (&site.attached.route.object, &*site.attached.route.meta);
        let section = Some(&*site.listener.name);
        let mut listener = self.at(owner, section);
        if site.listener.owner != site.gateway.object {
            // The whole ListenerSet is as specific as a listener.
            listener.extend(self.at(owner, None));
            // A policy on a Gateway's listener does not reach the listeners of a ListenerSet.
        }
        let mut of_route = filters;
        if let Some(rule) = site.rule().name.as_deref() {
            of_route.extend(self.at(route, Some(rule)));
        }
        of_route.extend(self.at(route, None));
        Levels { gateway: self.at(gateway, None), listener, route: of_route }
    }

    /// The policies about an object or a section of it, the best first.
    fn at(&self, (object, meta): (&ObjectRef, &Metadata), section: Option<&str>) -> Vec<PolicyIndex> {
        let named = self.by_target.get(object).into_iter().flatten();
        let mut found: Vec<PolicyIndex> =
            named.filter(|(wanted, _)| wanted.as_deref() == section).map(|(_, index)| *index).collect();
        for index in &self.with_selectors {
            let policy = &self.policies[*index];
            let selected = |selector: &TargetSelector| {
                selector.group == object.group
                    && selector.kind == object.kind
                    && selector.section_name.as_deref() == section
                    && selector.labels.matches(&meta.labels)
            };
            if policy.meta.key.namespace == object.namespace && policy.spec.selectors.iter().any(selected) {
                found.push(*index);
            }
        }
        found.sort_by_cached_key(|index| self.rank(*index));
        found.dedup();
        found
    }

    fn rank(&self, index: PolicyIndex) -> Rank {
        let meta = &self.policies[index].meta;
        (Reverse(policy_weight(meta)), meta.age())
    }
}

/// Whether there is an object that a selector of a policy means.
fn selects(selector: &TargetSelector, policy: &Metadata, translator: &Translator<'_>) -> bool {
    let objects = &translator.resources.gateway_api;
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
