//! What is not served although no dialect has anything against it.
//!
//! A policy that cannot be carried out must not open what it was to protect: one of an unknown kind, one that names its target
//! wrongly, one that changes HTTP filters in a way that has no counterpart here. What it is for answers 500, as far as that can
//! be found out, and the error [exposes](crate::Diagnostic::exposes) something where it cannot.

mod istio;
mod nodes;
mod targets;

use std::collections::HashMap;

use http::StatusCode;

use self::{
    nodes::{changes_http_filters, member, text},
    targets::{Target, World, are_misplaced, has_selectors, sub_sections, targets},
};
use crate::{
    envoy_gateway, gateway_api, htnn, kgateway,
    kubernetes::{Metadata, ObjectKey, ObjectRef, Place, status::ObjectStatus},
    suggestion::did_you_mean,
    translation::{Dialect, ExtensionRef, Replacement, RuleExtensions, Site, Translator},
    yaml::Node,
};

/// Kinds of policies, which are attached to objects of their namespace.
const POLICIES: [(&str, &str); 12] = [
    (envoy_gateway::GROUP, "EnvoyExtensionPolicy"),
    (envoy_gateway::GROUP, "SecurityPolicy"),
    (envoy_gateway::GROUP, "ClientTrafficPolicy"),
    (envoy_gateway::GROUP, "BackendTrafficPolicy"),
    (envoy_gateway::GROUP, PATCH),
    (kgateway::GROUP, "TrafficPolicy"),
    (kgateway::GROUP, "RoutePolicy"),
    (kgateway::GROUP, "HTTPListenerPolicy"),
    (kgateway::GROUP, "ListenerPolicy"),
    (htnn::GROUP, "FilterPolicy"),
    (htnn::GROUP, "HTTPFilterPolicy"),
    (gateway_api::GROUP, "BackendTLSPolicy"),
];

/// The kind of patches of Envoy Gateway.
const PATCH: &str = "EnvoyPatchPolicy";

/// What is not served.
pub(crate) struct Guard {
    by_object: HashMap<ObjectRef, Vec<Guarded>>,
    of_istio: istio::Policies,
}

/// A place in the file of a policy.
fn place_of(meta: &Metadata, at: &nodes::At) -> Place {
    Place { file: meta.place.file.clone(), location: at.location, path: at.path.as_str().into() }
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
        let resources = translator.resources;
        let world = World::new(resources.documents());
        let of_istio = istio::Policies::new(translator);
        let mut guard = Self { by_object: HashMap::new(), of_istio };
        for (meta, node) in resources.documents() {
            if !POLICIES.contains(&(&meta.group, &meta.kind)) {
                continue;
            }
            let policy = ObjectRef::new(&meta.group, &meta.kind, &meta.key);
            let found = targets(node, &meta.key.namespace);
            let needs_a_target = ![kgateway::GROUP, gateway_api::GROUP].contains(&&*meta.group);
            if found.is_empty() && needs_a_target && !has_selectors(node) {
                let message = format!("{policy} names no target: it protects nothing");
                translator.diagnostics.exposing(&meta.place, message, None);
            }
            for target in found {
                guard.check(&policy, meta, &target, &world, translator);
                guard.check_sub_sections(&policy, meta, node, &target, &world);
                if are_misplaced(node) {
                    let reason = format!("{policy} is invalid: its targets cannot be read");
                    guard.add(target.object, None, reason, &meta.place);
                }
            }
            if (&*meta.group, &*meta.kind) == (envoy_gateway::GROUP, PATCH) {
                guard.patch(&policy, meta, node, &world, translator);
            }
        }
        for unknown in resources.unknown() {
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
        // HTNN has sections of some kinds only, and says so itself.
        if sections.contains(&section.as_str()) || (meta.group == htnn::GROUP && object.kind == "HTTPRoute") {
            return;
        }
        let message = format!("{object} has no section \"{section}\": {policy} protects nothing there");
        let near = translator.diagnostics.nearest(section, sections.iter().copied());
        let help = near.map_or_else(|| nodes::known_sections(&sections), did_you_mean);
        translator.diagnostics.exposing(&place(at), message, Some(help));
        let reason = format!("{policy} names its section \"{section}\", which does not exist");
        self.add(object.clone(), None, reason, &place(at));
    }

    /// Closes a VirtualService of which a policy means routes that it does not have; HTNN's reader says so.
    fn check_sub_sections(
        &mut self,
        policy: &ObjectRef,
        meta: &Metadata,
        node: &Node,
        target: &Target,
        world: &World<'_>,
    ) {
        let Some(object) = world.get(&target.object).filter(|_| meta.group == htnn::GROUP) else { return };
        let known = nodes::sections(&target.object.kind, object);
        for (section, at) in sub_sections(node) {
            if !known.contains(&section.as_str()) {
                let reason = format!("{policy} names its section \"{section}\", which does not exist");
                self.add(target.object.clone(), None, reason, &place_of(meta, &at));
            }
        }
    }

    /// A patch that changes HTTP filters may put a processor in front of everything.
    fn patch(
        &mut self,
        policy: &ObjectRef,
        meta: &Metadata,
        node: &Node,
        world: &World<'_>,
        translator: &Translator<'_>,
    ) {
        if !changes_http_filters(node) {
            let help = "the settings of the gateway itself hold".to_owned();
            let message = format!("{policy} has no effect: the kind is not implemented");
            return translator.diagnostics.warning(&meta.place, message, Some(help));
        }
        let message = format!("{policy} changes HTTP filters, which is not implemented");
        let help = "its targets answer 500; attach processors with an EnvoyExtensionPolicy".to_owned();
        translator.diagnostics.error(&meta.place, message, Some(help));
        let spec = member(node, "spec");
        let target = spec.and_then(|spec| member(spec, "targetRef"));
        let of_class = target.filter(|target| {
            member(target, "kind").and_then(text).is_some_and(|kind| kind == "GatewayClass")
        });
        let gateways: Vec<ObjectRef> = match of_class {
            Some(target) => {
                let class = member(target, "name").and_then(text).unwrap_or_default();
                let gateways = translator.resources.gateway_api.gateways.iter();
                gateways
                    .filter(|gateway| gateway.spec.class == class)
                    .map(|gateway| gateway.reference())
                    .collect()
            }
            None => targets(node, &meta.key.namespace).into_iter().map(|target| target.object).collect(),
        };
        if of_class.is_none() && !gateways.iter().any(|gateway| world.get(gateway).is_some()) {
            let message = format!("the targets of {policy} cannot be read");
            translator.diagnostics.exposing(&meta.place, message, None);
        }
        for gateway in gateways {
            let reason = format!("{policy} changes HTTP filters, which is not implemented");
            self.add(gateway, None, reason, &meta.place);
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
    fn claims(&self, _: &ExtensionRef) -> bool {
        false
    }

    fn extend(&mut self, site: &Site<'_>) -> RuleExtensions {
        let listener = Some(&*site.listener.name);
        let found = self
            .find(&site.attached.route.object, site.rule().name.as_deref())
            .or_else(|| self.find(&site.listener.owner, listener))
            .or_else(|| self.find(&site.gateway.object, listener))
            .or_else(|| self.of_istio.find(site));
        let replaced = found.map(|guarded| Replacement {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            body: "",
            reason: guarded.reason.clone(),
            place: guarded.place.clone(),
        });
        RuleExtensions { replaced, ..RuleExtensions::default() }
    }

    fn statuses(self: Box<Self>) -> Vec<ObjectStatus> {
        Vec::new()
    }
}

/// The key of an object in a document that is of no known kind.
pub(crate) fn key_of(node: &Node, default_namespace: &str) -> ObjectKey {
    let metadata = member(node, "metadata");
    let of = |name| metadata.and_then(|metadata| member(metadata, name)).and_then(text);
    ObjectKey::new(of("namespace").unwrap_or(default_namespace), of("name").unwrap_or_default())
}
