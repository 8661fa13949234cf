//! What is not served although no dialect has anything against it.
//!
//! A policy that cannot be carried out must not open what it was to protect: one of an unknown kind, one that names its target
//! wrongly. What it is for answers 500, as far as that can
//! be found out, and the error [exposes](crate::Diagnostic::exposes) something where it cannot.

mod nodes;
mod targets;

use std::collections::HashMap;

use http::StatusCode;

use self::targets::{Target, World, are_misplaced, has_selectors, sub_sections};
pub(crate) use self::{
    nodes::{changes_http_filters, labels},
    targets::targets,
};
use crate::{
    kubernetes::{Metadata, ObjectRef, Place, Stored},
    suggestion::did_you_mean,
    translation::{Dialect, PolicyKind, Replacement, RuleExtensions, Site, Translator},
    yaml::Node,
};

/// What is not served.
pub(crate) struct Guard {
    by_object: HashMap<ObjectRef, Vec<Guarded>>,
}

/// A place in the file of a policy.
fn place_of(meta: &Metadata, at: &nodes::At) -> Place {
    meta.place.elsewhere(at.location, at.path.as_str())
}

/// Why an object is not served.
#[derive(Debug, Clone)]
struct Guarded {
    /// A listener or a rule; `None` = all of it.
    section: Option<String>,
    reason: String,
    place: Place,
}

impl Guard {
    /// Looks at everything that is a policy, or might have been one.
    pub(crate) fn new(translator: &Translator<'_>) -> Self {
        let store = translator.store;
        let world = World::new(store.documents(), translator.systems);
        let mut guard = Self { by_object: HashMap::new() };
        for Stored { meta, node, .. } in store.documents() {
            let Some(kind) = translator.systems.policy_kind(&meta.group, &meta.kind) else { continue };
            let policy = ObjectRef::new(&meta.group, &meta.kind, &meta.key);
            let found = targets(node, &meta.key.namespace);
            if found.is_empty() && kind.needs_target && !has_selectors(node) {
                let message = format!("{policy} names no target: it protects nothing");
                translator.diagnostics.exposing(&meta.place, message, None);
            }
            for target in found {
                guard.check(&policy, kind, meta, &target, &world, translator);
                guard.check_sub_sections(&policy, kind, meta, node, &target, &world);
                if are_misplaced(node) {
                    let reason = format!("{policy} is invalid: its targets cannot be read");
                    guard.add(target.object, None, reason, &meta.place);
                }
            }
        }
        for unknown in store.unknown() {
            for target in targets(&unknown.node, &unknown.namespace) {
                let reason = format!("{} is not known", unknown.name);
                guard.add(target.object, target.section.map(|(name, _)| name), reason, &unknown.place);
            }
        }
        guard
    }

    /// Says what is wrong with a target, and closes what was probably meant.
    fn check(
        &mut self,
        policy: &ObjectRef,
        kind: &PolicyKind,
        meta: &Metadata,
        target: &Target,
        world: &World<'_>,
        translator: &Translator<'_>,
    ) {
        let place = |at: &nodes::At| place_of(meta, at);
        let object = &target.object;
        let Some(node) = world.get(object) else {
            let meant = world.similar(object, translator.diagnostics);
            if world.is_kind(object) {
                let message = format!("{object} not found: {policy} protects nothing there");
                let help = meant.as_ref().map_or_else(
                    || "a target is an object of the policy's namespace".to_owned(),
                    |meant| did_you_mean(&meant.name),
                );
                translator.diagnostics.exposing(&place(&target.name_at), message, Some(help));
            }
            if let Some(meant) = meant {
                let reason = format!("{policy} names {object}, which does not exist");
                self.add(meant, None, reason, &place(&target.name_at));
            }
            return;
        };
        let Some((section, at)) = &target.section else { return };
        let sections = nodes::sections(&object.kind, node);
        if sections.contains(&section.as_str()) || kind.own_sections.contains(&&*object.kind) {
            return;
        }
        let message = format!("{object} has no section \"{section}\": {policy} protects nothing there");
        let near = translator.diagnostics.nearest(section, sections.iter().copied());
        let help = near.map_or_else(|| nodes::known_sections(&sections), did_you_mean);
        translator.diagnostics.exposing(&place(at), message, Some(help));
        let reason = format!("{policy} names its section \"{section}\", which does not exist");
        self.add(object.clone(), None, reason, &place(at));
    }

    /// Closes an object of which a policy means sections that it does not have; its system says so.
    fn check_sub_sections(
        &mut self,
        policy: &ObjectRef,
        kind: &PolicyKind,
        meta: &Metadata,
        node: &Node,
        target: &Target,
        world: &World<'_>,
    ) {
        let Some(object) = world.get(&target.object).filter(|_| kind.sub_policies) else { return };
        let known = nodes::sections(&target.object.kind, object);
        for (section, at) in sub_sections(node) {
            if !known.contains(&section.as_str()) {
                let reason = format!("{policy} names its section \"{section}\", which does not exist");
                self.add(target.object.clone(), None, reason, &place_of(meta, &at));
            }
        }
    }

    fn add(&mut self, object: ObjectRef, section: Option<String>, reason: String, place: &Place) {
        self.by_object.entry(object).or_default().push(Guarded { section, reason, place: place.clone() });
    }

    /// What is said about an object or a section of it.
    fn find(&self, object: &ObjectRef, section: Option<&str>) -> Option<&Guarded> {
        let all = self.by_object.get(object)?;
        all.iter().find(|guarded| guarded.section.as_deref().is_none_or(|name| Some(name) == section))
    }
}

impl Dialect for Guard {
    fn extend(&mut self, site: &Site<'_>) -> RuleExtensions {
        let listener = Some(&*site.listener.name);
        let found = self
            .find(&site.attached.route.object, site.rule().name.as_deref())
            .or_else(|| self.find(&site.listener.owner, listener))
            .or_else(|| self.find(&site.gateway.object, listener));
        let replaced = found.map(|guarded| Replacement {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            body: "",
            reason: guarded.reason.clone(),
            place: guarded.place.clone(),
        });
        RuleExtensions { replaced, ..RuleExtensions::default() }
    }
}
