//! What policies can be attached to: the gateways, their listeners and routes, whether they are served or not.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

use super::{SelectedNamespaces, Target, TargetSelector, Targets};
use crate::{
    gateway_api::Referrer,
    kubernetes::{Metadata, ObjectKey, ObjectRef, status::ParentReference},
    translation::{Gateway, Route, Translator},
};

/// An object that policies can be attached to.
#[derive(Debug)]
pub(crate) struct Known {
    meta: Arc<Metadata>,
    /// Names of its listeners or rules.
    sections: BTreeSet<String>,
    /// What a status about it is related to, in the order of the configuration.
    ancestors: Vec<ParentReference>,
    /// The gateways that it belongs to, by their index.
    pub(crate) gateways: BTreeSet<usize>,
}

/// All objects that policies can be attached to.
#[derive(Debug, Default)]
pub(crate) struct World(BTreeMap<ObjectRef, Known>);

impl World {
    pub(crate) fn new(gateways: &[Gateway]) -> Self {
        let mut world = Self::default();
        for (index, gateway) in gateways.iter().enumerate() {
            let whole = ParentReference::to(&gateway.object);
            world.add(&gateway.object, &gateway.meta, index).ancestor(whole);
            for listener in &gateway.listeners {
                let owner = world.add(&listener.owner, &listener.owner_meta, index);
                owner.ancestor(ParentReference::to(&listener.owner));
                owner.sections.insert(listener.name.clone());
                for attached in &listener.routes {
                    world.add_route(&attached.route, &attached.parent, index);
                }
            }
            for (owner, meta, name) in &gateway.idle.listeners {
                let owner_known = world.add(owner, meta, index);
                owner_known.ancestor(ParentReference::to(owner));
                owner_known.sections.insert(name.clone());
            }
            for (route, parent) in &gateway.idle.routes {
                world.add_route(route, parent, index);
            }
        }
        world
    }

    fn add_route(&mut self, route: &Route, parent: &ParentReference, gateway: usize) {
        let known = self.add(&route.object, &route.meta, gateway);
        known.ancestors_of_route(route, parent);
        known.sections.extend(route.rules.iter().filter_map(|rule| rule.name.clone()));
    }

    fn add(&mut self, object: &ObjectRef, meta: &Arc<Metadata>, gateway: usize) -> &mut Known {
        let known = self.0.entry(object.clone()).or_insert_with(|| Known {
            meta: Arc::clone(meta),
            sections: BTreeSet::new(),
            ancestors: Vec::new(),
            gateways: BTreeSet::new(),
        });
        known.gateways.insert(gateway);
        known
    }

    pub(crate) fn get(&self, object: &ObjectRef) -> Option<&Known> {
        self.0.get(object)
    }

    /// What a policy is attached to, whether it exists or not, each target once. Objects of other namespaces are selected only if
    /// those allow it; the others are left out in silence (6.2).
    pub(crate) fn expand(
        &self,
        targets: &Targets,
        policy: &Metadata,
        translator: &Translator<'_>,
    ) -> Vec<Target> {
        let mut found = Vec::new();
        for target in &targets.refs {
            let key = ObjectKey::new(&*policy.key.namespace, &*target.name);
            let object = ObjectRef::new(&target.group, &target.kind, &key);
            found.push(Target { object, section: target.section.clone() });
        }
        for selector in &targets.selectors {
            let selected = self.0.iter().filter(|(object, known)| {
                object.kind == selector.kind
                    && object.group == selector.group
                    && selector.labels.matches(&known.meta.labels)
                    && is_selected_namespace(selector, &object.namespace, &policy.key.namespace, translator)
                    && is_permitted(object, policy, translator)
            });
            let section = &selector.section;
            found.extend(
                selected.map(|(object, _)| Target { object: object.clone(), section: section.clone() }),
            );
        }
        let mut seen = HashSet::new();
        found.retain(|target| seen.insert(target.clone()));
        found
    }
}

fn is_selected_namespace(
    selector: &TargetSelector,
    namespace: &str,
    own: &str,
    translator: &Translator<'_>,
) -> bool {
    match &selector.namespaces {
        SelectedNamespaces::Same => namespace == own,
        SelectedNamespaces::All => true,
        SelectedNamespaces::Matching(labels) => translator.is_namespace_selected(labels, namespace),
    }
}

fn is_permitted(object: &ObjectRef, policy: &Metadata, translator: &Translator<'_>) -> bool {
    let (group, kind, namespace) = (&*policy.group, &*policy.kind, &*policy.key.namespace);
    translator.grants.permit(Referrer { group, kind, namespace }, object)
}

impl Known {
    fn ancestor(&mut self, ancestor: ParentReference) {
        if !self.ancestors.contains(&ancestor) {
            self.ancestors.push(ancestor);
        }
    }

    /// Ancestors of routes stand in the order of their parents.
    fn ancestors_of_route(&mut self, route: &Route, parent: &ParentReference) {
        self.ancestor(ancestor_by(parent));
        if self.ancestors.len() > 1 {
            let position = |ancestor: &ParentReference| {
                route.parents.iter().position(|parent| ancestor_by(parent) == *ancestor)
            };
            self.ancestors.sort_by_key(position);
        }
    }

    pub(crate) fn has_section(&self, section: &str) -> bool {
        self.sections.contains(section)
    }

    /// Whether it has what a target names.
    pub(crate) fn has(&self, target: &Target) -> bool {
        target.section.as_ref().is_none_or(|section| self.has_section(section))
    }

    /// What a status about the target is related to.
    pub(crate) fn ancestors_of(&self, target: &Target) -> Vec<ParentReference> {
        let mut ancestors = self.ancestors.clone();
        if !target.object.kind.ends_with("Route") {
            for ancestor in &mut ancestors {
                ancestor.section_name.clone_from(&target.section);
            }
        }
        ancestors
    }
}

/// What a status is related to, by the reference of a route.
pub(super) fn ancestor_by(parent: &ParentReference) -> ParentReference {
    ParentReference { port: None, ..parent.clone() }
}
