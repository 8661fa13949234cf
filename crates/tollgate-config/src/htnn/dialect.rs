//! What HTNN's policies mean for routes, and their statuses (3.4, 3.6, 3.8).

use std::{
    collections::{HashMap, HashSet},
    rc::Rc,
};

use http::StatusCode;
use serde_json::json;

use super::{
    attachment::{Part, Policy, Precedence, Scope},
    plugin::{Configured, PluginName},
};
use crate::{
    gateway_api, istio,
    kubernetes::{
        Diagnostics, ObjectRef,
        status::{Conditions, ObjectStatus},
    },
    translation::{
        Applied, Dialect, ExtensionRef, Position, Processor, Replacement, RuleExtensions, Site, Translator,
    },
};

/// The dialect of HTNN.
pub(crate) struct Htnn<'a> {
    diagnostics: &'a Diagnostics,
    policies: Vec<Policy>,
    /// Policies by what they are for.
    by_target: HashMap<ObjectRef, Vec<usize>>,
    /// Targets of which a part was seen under a Gateway of their namespace.
    seen: HashSet<ObjectRef>,
    /// Sections that were seen, with the target they belong to.
    seen_sections: HashSet<(ObjectRef, String)>,
    /// Targets that exist, attached or not.
    existing: HashSet<ObjectRef>,
    /// VirtualServices that the original cannot put a policy on, and why.
    unsuitable: HashMap<ObjectRef, &'static str>,
}

impl<'a> Htnn<'a> {
    /// Reads all policies.
    pub(crate) fn new(translator: &Translator<'a>) -> Self {
        let objects = &translator.resources.htnn;
        let stored = objects.filter_policies.iter().chain(objects.http_filter_policies.iter());
        let istio = &translator.resources.istio;
        let carriers = istio.virtual_services.iter().map(|object| &object.meta);
        let carriers = carriers.chain(istio.gateways.iter().map(|object| &object.meta));
        let embedded = carriers.filter_map(|meta| Policy::embedded_in(meta, translator));
        let policies: Vec<Policy> =
            stored.map(|object| Policy::stored(object, translator)).chain(embedded).collect();
        let mut by_target: HashMap<ObjectRef, Vec<usize>> = HashMap::new();
        for (index, policy) in policies.iter().enumerate() {
            if let Some(target) = &policy.target {
                by_target.entry(target.clone()).or_default().push(index);
            }
        }
        let existing = by_target.keys().filter(|target| exists(target, translator)).cloned().collect();
        let unsuitable = istio.virtual_services.iter().filter_map(|object| {
            let reference = object.reference();
            let problem =
                object.spec.unsuitable_for_policies().filter(|_| by_target.contains_key(&reference))?;
            Some((reference, problem))
        });
        let unsuitable = unsuitable.collect();
        Self {
            diagnostics: translator.diagnostics,
            policies,
            by_target,
            seen: HashSet::new(),
            seen_sections: HashSet::new(),
            existing,
            unsuitable,
        }
    }

    /// The parts that are about a rule, each with its precedence.
    fn candidates(&self, site: &Site<'_>) -> Vec<(Precedence, &Policy, &Part)> {
        let route = &site.attached.route.object;
        let gateway = gateway(site);
        let rule_name = site.rule().name.as_deref();
        let mut found = Vec::new();
        for (target, section, with_section, without) in [
            (route, rule_name, Scope::RouteSection, Scope::Route),
            (gateway, Some(&*site.listener.name), Scope::GatewaySection, Scope::Gateway),
        ] {
            // HT-35: a policy, its target and the target's Gateway share one namespace.
            if target.namespace != gateway.namespace || self.unsuitable.contains_key(target) {
                continue;
            }
            for index in self.by_target.get(target).into_iter().flatten() {
                let policy = &self.policies[*index];
                found.extend(policy.parts.iter().filter_map(|part| {
                    let scope = match &part.section {
                        None => without,
                        Some(wanted) if Some(wanted.as_str()) == section => with_section,
                        Some(_) => return None,
                    };
                    Some((policy.precedence(scope), policy, part))
                }));
            }
        }
        found
    }

    fn mark_seen(&mut self, site: &Site<'_>) {
        let route = &site.attached.route.object;
        let gateway = gateway(site);
        if route.namespace == gateway.namespace {
            self.seen.insert(route.clone());
            if let Some(name) = &site.rule().name {
                self.seen_sections.insert((route.clone(), name.clone()));
            }
        }
        self.seen.insert(gateway.clone());
        self.seen_sections.insert((gateway.clone(), site.listener.name.clone()));
    }
}

impl Dialect for Htnn<'_> {
    fn claims(&self, _: &ExtensionRef) -> bool {
        false
    }

    fn extend(&mut self, site: &Site<'_>) -> RuleExtensions {
        if self.policies.is_empty() {
            return RuleExtensions::default();
        }
        self.mark_seen(site);
        // Redirects to TLS are made before anything else.
        if site.attached.route.object == *gateway(site) {
            return RuleExtensions::default();
        }
        let route = &site.attached.route.object;
        if let (Some(problem), Some(policies)) = (self.unsuitable.get(route), self.by_target.get(route))
            && let Some(policy) = policies.first().map(|index| &self.policies[*index])
        {
            return RuleExtensions { replaced: Some(refused(policy, problem)), ..RuleExtensions::default() };
        }
        let candidates = self.candidates(site);
        let mut extensions = RuleExtensions::default();
        for plugin in PluginName::ALL {
            // HT-31: of every plugin the configuration of the most specific scope counts, whole.
            let best = candidates
                .iter()
                .filter_map(|(precedence, policy, part)| {
                    Some((precedence, *policy, part.plugins.get(&plugin)?))
                })
                .min_by(|(left, ..), (right, ..)| left.cmp(right));
            match best {
                None => {}
                Some((_, policy, Ok(configured))) if policy.invalid.is_none() => {
                    extensions.processors.push(applied(plugin, policy, configured));
                }
                Some((_, policy, configured)) => {
                    let problem = match (&policy.invalid, configured) {
                        (Some(message), _) | (None, Err(message)) => message.clone(),
                        (None, Ok(_)) => String::new(),
                    };
                    extensions.replaced = Some(refused(policy, &problem));
                }
            }
        }
        extensions
    }

    fn statuses(self: Box<Self>) -> Vec<ObjectStatus> {
        self.policies
            .iter()
            .filter(|policy| !policy.embedded)
            .map(|policy| {
                let mut conditions = Conditions::default();
                let (holds, reason, message) = match (&policy.invalid, self.missing(policy)) {
                    (Some(message), _) => (false, "Invalid", message.clone()),
                    (None, Some(missing)) => {
                        if let Some(message) = missing.to_report(policy) {
                            self.diagnostics.exposing(&policy.target_place, message, None);
                        }
                        (false, "TargetNotFound", missing.in_status)
                    }
                    (None, None) => (true, "Accepted", "The policy has been accepted".to_owned()),
                };
                conditions.set("Accepted", holds, reason, message, &policy.meta);
                ObjectStatus::new(policy.object.clone(), json!({ "conditions": conditions }))
            })
            .collect()
    }
}

impl Htnn<'_> {
    /// Why the target of a policy is not there.
    fn missing(&self, policy: &Policy) -> Option<Missing> {
        let target = policy.target.as_ref()?;
        let known = |in_status: &str| Some(Missing { in_status: in_status.to_owned(), said: true });
        let new = |in_status: &str| Some(Missing { in_status: in_status.to_owned(), said: false });
        if !self.existing.contains(target) {
            return known("The policy targets non-existent resource");
        }
        if let Some(problem) = self.unsuitable.get(target) {
            return new(problem);
        }
        if !self.seen.contains(target) {
            return new(NO_GATEWAY); // HT-35
        }
        let unknown = policy
            .parts
            .iter()
            .filter_map(|part| part.section.as_ref())
            .find(|section| !self.seen_sections.contains(&(target.clone(), (*section).clone())))?;
        let in_status = match (&*target.group, &*target.kind) {
            (gateway_api::GROUP, "Gateway") => format!("There is not Listener.Name {unknown}"),
            (_, "Gateway") => format!("There is not Server.Name {unknown}"),
            _ => format!("sectionName {unknown} not found"),
        };
        // A section that the target itself names is looked for with all targets.
        Some(Missing { in_status, said: policy.parts.len() == 1 && !policy.embedded })
    }
}

/// HT-35, in the words of HTNN.
const NO_GATEWAY: &str = "all gateways are not found or unsupported";

/// Why the target of a policy is not there.
struct Missing {
    /// In the words of HTNN.
    in_status: String,
    /// It was said where the target is named.
    said: bool,
}

impl Missing {
    /// What people are told.
    fn to_report(&self, policy: &Policy) -> Option<String> {
        if self.said {
            return None;
        }
        match (&policy.target, &*self.in_status) {
            (Some(target), NO_GATEWAY) => Some(format!(
                "{} is attached to nothing: no Gateway of its namespace serves {target}",
                policy.object
            )),
            _ => Some(self.in_status.clone()),
        }
    }
}

/// Whether there is an object that a policy is for.
fn exists(target: &ObjectRef, translator: &Translator<'_>) -> bool {
    let objects = &translator.resources.gateway_api;
    let istio = &translator.resources.istio;
    match (&*target.group, &*target.kind) {
        (gateway_api::GROUP, "HTTPRoute") => objects.http_routes.get(&target.key()).is_some(),
        (gateway_api::GROUP, "Gateway") => objects.gateways.get(&target.key()).is_some(),
        (istio::GROUP, "VirtualService") => istio.virtual_services.get(&target.key()).is_some(),
        (istio::GROUP, "Gateway") => istio.gateways.get(&target.key()).is_some(),
        _ => false,
    }
}

/// The Gateway that a policy would name: Istio's share one of ours.
fn gateway<'s>(site: &Site<'s>) -> &'s ObjectRef {
    if site.gateway.object.group == istio::GROUP { &site.listener.owner } else { &site.gateway.object }
}

fn applied(plugin: PluginName, policy: &Policy, configured: &Configured) -> Applied {
    Applied {
        processor: Rc::new(Processor {
            name: plugin.filter_name().to_owned(),
            position: match plugin {
                PluginName::Outer => Position::HtnnOuter,
                PluginName::Inner => Position::HtnnInner,
            },
            stat_prefix: String::new(),
            object: policy.object.clone(),
            place: configured.place.clone(),
        }),
        settings: configured.settings.clone(),
        policy: policy.object.clone(),
        policy_place: policy.meta.place.clone(),
        sources: configured.sources.clone(),
    }
}

/// A policy with an error never opens a route: what it was to process is not served.
fn refused(policy: &Policy, problem: &str) -> Replacement {
    Replacement {
        status: StatusCode::INTERNAL_SERVER_ERROR,
        body: "",
        reason: format!("{}: {problem}", policy.object),
        place: policy.meta.place.clone(),
    }
}
