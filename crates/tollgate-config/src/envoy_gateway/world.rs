//! What policies can be attached to: the gateways, their listeners and routes, whether they are served or not.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use super::{
    GROUP,
    targets::{SelectedNamespaces, TargetSelector, Targets},
};
use crate::{
    gateway_api,
    kubernetes::{Metadata, ObjectKey, ObjectRef, Referrer, status::ParentReference},
    translation::{Gateway, Listener, Route, Site, Translator},
};

/// An object or a section of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Target {
    pub(super) object: ObjectRef,
    /// A listener or a rule; `None` = the whole object.
    pub(super) section: Option<String>,
}

/// How specific a target is: the greater one wins (EG-40).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Gateway,
    GatewayListener,
    ListenerSet,
    ListenerSetListener,
    Route,
    Rule,
}

impl Level {
    /// Whether it is a route or a part of it.
    pub(super) fn is_route(self) -> bool {
        self >= Self::Route
    }
}

/// An object that policies can be attached to.
#[derive(Debug)]
pub(super) struct Known {
    meta: Rc<Metadata>,
    /// Names of its listeners or rules.
    sections: BTreeSet<String>,
    /// What a status about it is related to, in the order of the configuration.
    ancestors: Vec<ParentReference>,
    /// The gateways that it belongs to, by their index.
    pub(super) gateways: BTreeSet<usize>,
}

/// All objects that policies can be attached to.
#[derive(Debug, Default)]
pub(super) struct World(BTreeMap<ObjectRef, Known>);

impl World {
    pub(super) fn new(gateways: &[Gateway]) -> Self {
        let mut world = Self::default();
        for (index, gateway) in gateways.iter().enumerate() {
            let whole = ParentReference::to(&gateway.object);
            world.add(&gateway.object, &gateway.meta, index).ancestor(whole);
            for listener in &gateway.listeners {
                let owner = world.add(&listener.owner, &listener.owner_meta, index);
                owner.ancestor(ParentReference::to(&listener.owner));
                owner.sections.insert(listener.name.clone());
                for attached in &listener.routes {
                    let route = world.add(&attached.route.object, &attached.route.meta, index);
                    route.ancestors_of_route(&attached.route, &attached.parent);
                    route.sections.extend(attached.route.rules.iter().filter_map(|rule| rule.name.clone()));
                }
            }
            for (owner, meta, name) in &gateway.idle.listeners {
                let owner_known = world.add(owner, meta, index);
                owner_known.ancestor(ParentReference::to(owner));
                owner_known.sections.insert(name.clone());
            }
            for (route, parent) in &gateway.idle.routes {
                let known = world.add(&route.object, &route.meta, index);
                known.ancestors_of_route(route, parent);
                known.sections.extend(route.rules.iter().filter_map(|rule| rule.name.clone()));
            }
        }
        world
    }

    fn add(&mut self, object: &ObjectRef, meta: &Rc<Metadata>, gateway: usize) -> &mut Known {
        let known = self.0.entry(object.clone()).or_insert_with(|| Known {
            meta: Rc::clone(meta),
            sections: BTreeSet::new(),
            ancestors: Vec::new(),
            gateways: BTreeSet::new(),
        });
        known.gateways.insert(gateway);
        known
    }

    pub(super) fn get(&self, object: &ObjectRef) -> Option<&Known> {
        self.0.get(object)
    }

    /// What a policy is attached to, whether it exists or not, each target once.
    pub(super) fn expand(
        &self,
        targets: &Targets,
        policy: &Metadata,
        translator: &Translator<'_>,
    ) -> Vec<Target> {
        let mut found = Vec::new();
        for target in &targets.refs {
            let key = ObjectKey::new(&*policy.key.namespace, &*target.name);
            let object = ObjectRef::new(gateway_api::GROUP, &target.kind, &key);
            found.push(Target { object, section: target.section_name.clone() });
        }
        for selector in &targets.selectors {
            let selected = self.0.iter().filter(|(object, known)| {
                object.kind == selector.kind
                    && selector.labels.matches(&known.meta.labels)
                    && is_selected_namespace(selector, &object.namespace, &policy.key.namespace, translator)
                    && is_permitted(object, policy, translator)
            });
            found.extend(selected.map(|(object, _)| Target { object: object.clone(), section: None }));
        }
        let mut seen = BTreeSet::new();
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
        SelectedNamespaces::Matching(labels) => {
            let object = translator.resources.core.namespaces.get(&ObjectKey::new("", namespace));
            let mut found = object.map(|object| object.meta.labels.clone()).unwrap_or_default();
            // Every namespace of Kubernetes has this one.
            found.insert("kubernetes.io/metadata.name".to_owned(), namespace.to_owned());
            labels.matches(&found)
        }
    }
}

/// Objects of other namespaces are selected only if those allow it; the others are left out in silence (6.2).
fn is_permitted(object: &ObjectRef, policy: &Metadata, translator: &Translator<'_>) -> bool {
    let referrer = Referrer { group: GROUP, kind: &policy.kind, namespace: &policy.key.namespace };
    translator.grants.permit(referrer, object)
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

    pub(super) fn has_section(&self, section: &str) -> bool {
        self.sections.contains(section)
    }

    /// What a status about the target is related to.
    pub(super) fn ancestors_of(&self, target: &Target) -> Vec<ParentReference> {
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

/// The targets that a policy for a rule can have, the most specific one first (EG-40).
pub(super) fn levels(site: &Site<'_>) -> Vec<(Level, Target)> {
    let route = &site.attached.route.object;
    let mut levels = Vec::with_capacity(5);
    if let Some(name) = &site.rule().name {
        levels.push((Level::Rule, target(route, Some(name))));
    }
    levels.push((Level::Route, target(route, None)));
    levels.extend(levels_of_listener(site.gateway, site.listener));
    levels
}

/// Those that a policy for a listener can have.
pub(super) fn levels_of_listener(gateway: &Gateway, listener: &Listener) -> Vec<(Level, Target)> {
    let mut levels = Vec::with_capacity(3);
    let own = target(&listener.owner, Some(&listener.name));
    if listener.owner == gateway.object {
        levels.push((Level::GatewayListener, own));
    } else {
        levels.push((Level::ListenerSetListener, own));
        levels.push((Level::ListenerSet, target(&listener.owner, None)));
    }
    levels.push((Level::Gateway, target(&gateway.object, None)));
    levels
}

fn target(object: &ObjectRef, section: Option<&String>) -> Target {
    Target { object: object.clone(), section: section.cloned() }
}

/// Every rule of every route of every listener.
pub(super) fn sites(gateways: &[Gateway]) -> impl Iterator<Item = (usize, Site<'_>)> {
    gateways.iter().enumerate().flat_map(|(index, gateway)| {
        gateway.listeners.iter().flat_map(move |listener| {
            listener.routes.iter().flat_map(move |attached| {
                let rules = 0..attached.route.rules.len();
                rules.map(move |rule_index| (index, Site { gateway, listener, attached, rule_index }))
            })
        })
    })
}
