//! Which policy applies where (3.3, 3.4).

use std::{collections::BTreeMap, sync::Arc};

use super::{
    GROUP,
    embedded::{Embedded, embedded},
    plugin::{Configured, PluginName, configure},
    policy::{FilterPolicy, Plugin, SubPolicy, TargetRef},
};
use crate::{
    gateway_api, istio,
    kubernetes::{Metadata, Object, ObjectKey, ObjectRef, Place},
    suggestion::{did_you_mean, nearest},
    translation::Translator,
};

/// A policy, as far as external processing goes.
#[derive(Debug)]
pub(super) struct Policy {
    pub(super) object: ObjectRef,
    pub(super) meta: Arc<Metadata>,
    pub(super) target: Option<ObjectRef>,
    /// Where the target is named.
    pub(super) target_place: Place,
    /// What it says about the target as a whole or a section of it.
    pub(super) parts: Vec<Part>,
    /// Why it does not apply (3.3).
    pub(super) invalid: Option<String>,
    /// Written into its target, where it has no status.
    pub(super) embedded: bool,
}

/// What a policy says about its target or a section of it.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) section: Option<String>,
    pub(super) plugins: BTreeMap<PluginName, Result<Configured, String>>,
}

impl Policy {
    /// Reads and validates a stored policy.
    pub(super) fn stored(object: &Object<FilterPolicy>, translator: &Translator<'_>) -> Self {
        let target = object.spec.target_ref.as_ref();
        let policy = Self::new(object.reference(), Arc::clone(&object.meta), target);
        policy.read(&object.spec, &object.errors, translator)
    }

    /// Reads and validates the policy that its target carries.
    pub(super) fn embedded_in(meta: &Arc<Metadata>, translator: &Translator<'_>) -> Option<Self> {
        let Embedded { policy: spec, errors, name } = embedded(meta, translator)?;
        let object = ObjectRef::new(GROUP, "FilterPolicy", &ObjectKey::new(&*meta.key.namespace, name));
        let policy = Self::new(object, Arc::clone(meta), spec.target_ref.as_ref());
        Some(Self { embedded: true, ..policy }.read(&spec, &errors, translator))
    }

    fn read(mut self, spec: &FilterPolicy, errors: &[String], translator: &Translator<'_>) -> Self {
        let target = spec.target_ref.as_ref();
        self.invalid = errors.first().cloned().or_else(|| validate(spec, &self.meta));
        if let Some(message) = self.invalid.as_ref().filter(|_| errors.is_empty()) {
            // It is about something else than what it names, or about nothing.
            let place = target.map_or(&self.meta.place, |target| &target.place);
            let kinds = ["HTTPRoute", "VirtualService", "Gateway"];
            let near =
                target.and_then(|target| nearest(&target.kind, kinds).filter(|near| *near != target.kind));
            translator.diagnostics.exposing(place, message.clone(), near.map(did_you_mean));
        }
        self.check_gateway_target(spec, translator);
        self.take_parts(spec, target, translator);
        if self.invalid.is_none()
            && let Some(message) = validate_sub_policies(&spec.sub_policies)
        {
            translator.diagnostics.error(&self.target_place, message.clone(), None);
            self.invalid = Some(message);
        }
        if let Some(message) = &self.invalid
            && self.parts.iter().all(|part| part.plugins.is_empty())
        {
            // What it was to do is not known.
            let unknown = PluginName::ALL.map(|plugin| (plugin, Err(message.clone())));
            self.parts.push(Part { section: None, plugins: unknown.into() });
        }
        self
    }

    fn new(object: ObjectRef, meta: Arc<Metadata>, target: Option<&TargetRef>) -> Self {
        let target_place = target.map_or_else(|| meta.place.clone(), |target| target.place.clone());
        let target = target.map(|target| ObjectRef {
            group: target.group.clone(),
            kind: target.kind.clone(),
            namespace: meta.key.namespace.clone(),
            name: target.name.clone(),
        });
        Self { object, meta, target, target_place, parts: Vec::new(), invalid: None, embedded: false }
    }

    fn take_parts(&mut self, spec: &FilterPolicy, target: Option<&TargetRef>, translator: &Translator<'_>) {
        // HTTPRoutes have no sections here, so what names one is about the whole route; it is invalid (HT-13, HT-15).
        let target = target.filter(|target| target.kind != "HTTPRoute");
        let section = target.and_then(|target| target.section_name.clone());
        self.take_part(section, &spec.plugins, translator);
        for sub_policy in &spec.sub_policies {
            let section = target.map(|_| sub_policy.section_name.clone());
            self.take_part(section, &sub_policy.plugins, translator);
        }
    }

    fn take_part(&mut self, section: Option<String>, plugins: &[Plugin], translator: &Translator<'_>) {
        let mut part = Part { section, plugins: BTreeMap::new() };
        for plugin in plugins {
            if LAYER_4.contains(&&*plugin.name) && self.is_about_routes() {
                // HT-17
                let message = "configure layer 4 plugins to route is invalid";
                translator.diagnostics.error(&plugin.place, message.to_owned(), None);
                self.invalid.get_or_insert_with(|| message.to_owned());
                continue;
            }
            let Some(name) = PluginName::from_str(&plugin.name) else {
                // HT-4
                if let Some(message) = report_other(plugin, translator) {
                    self.invalid.get_or_insert(message);
                }
                continue;
            };
            let configured = configure(name, plugin, &self.object, translator);
            if let Err(message) = &configured {
                self.invalid.get_or_insert_with(|| message.clone());
            }
            part.plugins.insert(name, configured);
        }
        self.parts.push(part);
    }

    fn is_about_routes(&self) -> bool {
        self.target.as_ref().is_some_and(|target| matches!(&*target.kind, "HTTPRoute" | "VirtualService"))
    }

    /// HT-16: the original has no external processing for whole gateways; here it means all of their routes.
    fn check_gateway_target(&mut self, spec: &FilterPolicy, translator: &Translator<'_>) {
        let target = spec.target_ref.as_ref().filter(|target| target.kind == "Gateway");
        let Some(target) = target else { return };
        let is_native = |plugin: &Plugin| PluginName::from_str(&plugin.name).is_some();
        if self.invalid.is_none() && spec.plugins.iter().any(is_native) {
            let message = "configure native plugins to the Gateway is not implemented";
            let help = "it is done for every route of the Gateway here; HTNN itself refuses it".to_owned();
            if !translator.diagnostics.tolerated(&target.place, message, Some(help)) {
                self.invalid = Some(message.to_owned());
            }
        }
    }
}

/// Plugins that protect nothing: requests may go on without them.
const HARMLESS: [&str; 5] = ["demo", "debugMode", "fault", "cors", "tlsInspector"];
/// The other plugins there are.
const NOT_IMPLEMENTED: [&str; 24] = [
    "AIContentSecurity",
    "bandwidthLimit",
    "buffer",
    "casbin",
    "celScript",
    "consumerRestriction",
    "extAuth",
    "extProc",
    "hmacAuth",
    "innerLua",
    "keyAuth",
    "limitCountRedis",
    "limitReq",
    "limitToken",
    "listenerPatch",
    "localRatelimit",
    "lua",
    "networkRBAC",
    "oidc",
    "opa",
    "outerLua",
    "routePatch",
    "sentinel",
    "traceIDFilter",
];

/// Reports a plugin that does not work here; gives why its policy is invalid because of it.
fn report_other(plugin: &Plugin, translator: &Translator<'_>) -> Option<String> {
    let Plugin { name, place, .. } = plugin;
    let ours = "the plugins that work here are outerExtProc and innerExtProc";
    let message = format!("unknown http filter: {name}");
    if HARMLESS.contains(&&**name) {
        let accepted = translator.diagnostics.tolerated(place, message.clone(), Some(ours.to_owned()));
        return (!accepted).then_some(message);
    }
    if NOT_IMPLEMENTED.contains(&&**name) {
        let message = format!("the plugin {name} is not implemented and must not be left out");
        translator.diagnostics.error(place, message.clone(), Some(ours.to_owned()));
        return Some(message);
    }
    let known = PluginName::ALL.iter().map(|plugin| plugin.as_str());
    let near = nearest(name, known.chain(HARMLESS).chain(NOT_IMPLEMENTED));
    let help = near.map_or_else(|| ours.to_owned(), did_you_mean);
    translator.diagnostics.exposing(place, message.clone(), Some(help));
    Some(message)
}

/// Plugins for connections; routes cannot have them.
const LAYER_4: [&str; 3] = ["listenerPatch", "networkRBAC", "tlsInspector"];

/// Section 3.3 up to the plugins, in its order.
fn validate(spec: &FilterPolicy, meta: &Metadata) -> Option<String> {
    let Some(target) = &spec.target_ref else {
        return Some("targetRef is required".to_owned()); // HT-10
    };
    let (group, kind) = (&*target.group, &*target.kind);
    if target.namespace.as_ref().is_some_and(|namespace| *namespace != meta.key.namespace) {
        // HT-11, in these words for the kind of the old name too.
        return Some("namespace in TargetRef doesn't match FilterPolicy's namespace".to_owned());
    }
    if target.section_name.is_some() && !spec.sub_policies.is_empty() {
        return Some("targetRef.SectionName and SubPolicies can not be used together".to_owned()); // HT-12
    }
    if target.section_name.is_some() && kind == "HTTPRoute" {
        return Some("targetRef.SectionName is not supported for HTTPRoute".to_owned()); // HT-13
    }
    let known = matches!(
        (group, kind),
        (gateway_api::GROUP, "HTTPRoute" | "Gateway") | (istio::GROUP, "VirtualService" | "Gateway")
    );
    if !known {
        return Some("unsupported targetRef.group or targetRef.kind".to_owned()); // HT-14
    }
    if !spec.sub_policies.is_empty() && kind != "VirtualService" {
        return Some("subPolicies can not be used with this referred target".to_owned()); // HT-15
    }
    None
}

/// HT-20; the plugins come before it.
fn validate_sub_policies(sub_policies: &[SubPolicy]) -> Option<String> {
    let mut sections: Vec<&str> = Vec::new();
    for (index, sub_policy) in sub_policies.iter().enumerate() {
        let name = &*sub_policy.section_name;
        if name.is_empty() {
            return Some(format!("sectionName in SubPolicies[{index}] is required"));
        }
        if sub_policy.plugins.is_empty() {
            return Some(format!("filters in SubPolicies[{index}] is required"));
        }
        if sections.contains(&name) {
            return Some(format!("multiple SubPolicies should not have same sectionName {name}"));
        }
        sections.push(name);
    }
    None
}
