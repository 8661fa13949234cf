//! What HTNN's policies mean for routes, and their statuses (3.4, 3.6, 3.8).

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use http::StatusCode;

use super::{
    HTNN,
    attachment::{Part, Policy},
    plugin::{Configured, PluginName},
};
use crate::{
    gateway_api, istio,
    kubernetes::{
        Diagnostics, ObjectRef,
        status::{Conditions, ObjectStatus, OwnStatus},
    },
    policies::{Attachments, Target, levels_under},
    translation::{
        Applied, Dialect, Position, Processor, Replacement, RuleExtensions, Site, Translator, Zone,
    },
};

/// The dialect of HTNN.
pub(super) struct Htnn<'a> {
    diagnostics: &'a Diagnostics,
    /// The embedded ones first (HT-33), then the older ones (HT-32).
    policies: Vec<Policy>,
    /// What each says about its target or a section of it, by the index of the policy and of the part.
    parts: Vec<(usize, usize)>,
    /// The parts by what they are about.
    attachments: Attachments,
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
    pub(super) fn new(translator: &Translator<'a>) -> Self {
        let objects = &translator.store.of::<crate::htnn::Objects>();
        let stored = objects.filter_policies.iter().chain(objects.http_filter_policies.iter());
        let istio = translator.store.of::<istio::Objects>();
        let carriers = istio.virtual_services.iter().map(|object| &object.meta);
        let carriers = carriers.chain(istio.gateways.iter().map(|object| &object.meta));
        let embedded = carriers.filter_map(|meta| Policy::embedded_in(meta, translator));
        let mut policies: Vec<Policy> =
            stored.map(|object| Policy::stored(object, translator)).chain(embedded).collect();
        policies.sort_by_cached_key(|policy| (!policy.embedded, policy.meta.age()));
        let (mut parts, mut attachments) = (Vec::new(), Attachments::default());
        for (index, policy) in policies.iter().enumerate() {
            let Some(object) = &policy.target else { continue };
            for (part, found) in policy.parts.iter().enumerate() {
                let target = Target { object: object.clone(), section: found.section.clone() };
                attachments.attach(parts.len(), target);
                parts.push((index, part));
            }
        }
        let targets = policies.iter().filter_map(|policy| policy.target.as_ref());
        let existing = targets.filter(|target| exists(target, translator)).cloned().collect();
        let unsuitable = istio.virtual_services.iter().filter_map(|object| {
            let reference = object.reference();
            let problem = object.spec.unsuitable_for_policies().filter(|_| attachments.has(&reference))?;
            Some((reference, problem))
        });
        let unsuitable = unsuitable.collect();
        Self {
            diagnostics: translator.diagnostics,
            policies,
            parts,
            attachments,
            seen: HashSet::new(),
            seen_sections: HashSet::new(),
            existing,
            unsuitable,
        }
    }

    /// The parts that are about a rule, the one with precedence first (HT-30).
    fn candidates(&self, site: &Site<'_>) -> impl Iterator<Item = (&Policy, &Part)> {
        let gateway = gateway(site);
        // HT-35: a policy, its target and the target's Gateway share one namespace.
        let fits = |target: &ObjectRef| {
            target.namespace == gateway.namespace && !self.unsuitable.contains_key(target)
        };
        let levels = levels_under(site, gateway).into_iter().filter(|(_, target)| fits(target.object));
        let parts: Vec<usize> = levels.flat_map(|(_, target)| self.attachments.at(target).to_vec()).collect();
        parts.into_iter().map(|part| {
            let (policy, part) = self.parts[part];
            let policy = &self.policies[policy];
            (policy, &policy.parts[part])
        })
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
        if let Some(problem) = self.unsuitable.get(route)
            && let Some(policy) = self.policies.iter().find(|policy| policy.target.as_ref() == Some(route))
        {
            return RuleExtensions { replaced: Some(refused(policy, problem)), ..RuleExtensions::default() };
        }
        let candidates: Vec<_> = self.candidates(site).collect();
        let mut extensions = RuleExtensions::default();
        for plugin in PluginName::ALL {
            // HT-31: of every plugin the configuration of the most specific scope counts, whole.
            let mut found = candidates.iter();
            match found.find_map(|(policy, part)| Some((*policy, part.plugins.get(&plugin)?))) {
                None => {}
                Some((policy, Ok(configured))) if policy.invalid.is_none() => {
                    extensions.processors.push(applied(plugin, policy, configured));
                }
                Some((policy, configured)) => {
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
                ObjectStatus::new(policy.object.clone(), OwnStatus { conditions })
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
    let objects = translator.store.of::<gateway_api::Objects>();
    let istio = translator.store.of::<istio::Objects>();
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
        processor: Arc::new(Processor {
            name: plugin.filter_name().to_owned(),
            system: HTNN.name,
            position: Position::in_zone(match plugin {
                PluginName::Outer => Zone::Outermost,
                PluginName::Inner => Zone::Innermost,
            }),
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
