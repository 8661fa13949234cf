//! Which policy applies where (EG-40 to EG-45).

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    rc::Rc,
};

use super::{
    ExtensionPolicy,
    world::{Level, Target, World, ancestor_by, levels, sites},
};
use crate::{
    kubernetes::{Object, status::ParentReference},
    translation::{Gateway, Site, Translator},
};

/// A policy by its index, the oldest first.
pub(super) type PolicyIndex = usize;

/// Which policy applies where.
#[derive(Debug)]
pub(super) struct Attachments {
    pub(super) policies: Vec<Rc<Object<ExtensionPolicy>>>,
    winners: HashMap<Target, PolicyIndex>,
    /// What became of the targets of each policy.
    pub(super) targets: Vec<Vec<AttachedTarget>>,
    /// What other policies do to each of them.
    pub(super) relations: BTreeMap<(PolicyIndex, Target), Relations>,
}

/// A target of a policy that exists.
#[derive(Debug)]
pub(super) struct AttachedTarget {
    pub(super) target: Target,
    pub(super) ancestors: Vec<ParentReference>,
    pub(super) result: Result<(), NotAttached>,
}

/// Why a policy is not attached to a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotAttached {
    /// An older policy has it.
    Conflicted,
    /// It has no such section.
    SectionNotFound,
}

/// What applies to a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Chosen {
    pub(super) policy: PolicyIndex,
    /// The policy that gives what this one leaves out (EG-43).
    pub(super) parent: Option<PolicyIndex>,
}

/// What other policies do to a policy at a target.
#[derive(Debug, Default)]
pub(super) struct Relations {
    /// Names of more specific targets with policies of their own.
    pub(super) overridden: BTreeMap<Overriding, BTreeSet<String>>,
    /// Routes whose policies take something from this one.
    pub(super) merged_by: BTreeSet<String>,
    /// The policy that this one takes something from, by the ancestor.
    pub(super) merged_with: BTreeMap<ParentReference, PolicyIndex>,
    /// The gateways where it applies, with all it is merged with.
    pub(super) applied: BTreeSet<(usize, Chosen)>,
}

/// Kinds of more specific targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Overriding {
    GatewayListeners,
    ListenerSets,
    ListenerSetListeners,
    Routes,
    RouteRules,
}

impl Attachments {
    pub(super) fn new(translator: &Translator<'_>, gateways: &[Gateway], world: &World) -> Self {
        let policies = translator.resources.envoy_gateway.extension_policies.by_age();
        let mut attachments = Self {
            policies: policies.into_iter().map(Rc::clone).collect(),
            winners: HashMap::new(),
            targets: Vec::new(),
            relations: BTreeMap::new(),
        };
        for index in 0..attachments.policies.len() {
            attachments.attach(index, world, translator);
        }
        attachments.relate(gateways, world);
        attachments
    }

    fn attach(&mut self, index: PolicyIndex, world: &World, translator: &Translator<'_>) {
        let policy = Rc::clone(&self.policies[index]);
        let mut attached = Vec::new();
        for target in world.expand(&policy.spec.targets, &policy.meta, translator) {
            // EG-44: nothing is said about what does not exist.
            let Some(known) = world.get(&target.object) else { continue };
            let missing = target.section.as_ref().is_some_and(|section| !known.has_section(section));
            let result = if missing {
                Err(NotAttached::SectionNotFound)
            } else if self.winners.contains_key(&target) {
                Err(NotAttached::Conflicted)
            } else {
                self.winners.insert(target.clone(), index);
                Ok(())
            };
            attached.push(AttachedTarget { ancestors: known.ancestors_of(&target), target, result });
        }
        if attached.is_empty() && policy.errors.is_empty() {
            let place = &policy.meta.place;
            if policy.spec.targets.refs.is_empty() {
                let message = format!("{} selects nothing: no object has such labels", policy.reference());
                translator.diagnostics.exposing(place, message, None);
            } else if world
                .expand(&policy.spec.targets, &policy.meta, translator)
                .iter()
                .any(|target| translator.resources.has(&target.object))
            {
                // What is wrong with targets that do not exist is said where they are named.
                let message =
                    format!("{} is attached to nothing: no Gateway uses its targets", policy.reference());
                translator.diagnostics.warning(place, message, None);
            }
        }
        self.targets.push(attached);
    }

    /// What applies to a rule.
    pub(super) fn choose(&self, site: &Site<'_>) -> Option<Chosen> {
        self.choose_among(&levels(site)).map(|(chosen, _)| chosen)
    }

    /// The most specific policy, and which of the levels it is at.
    fn choose_among(&self, levels: &[(Level, Target)]) -> Option<(Chosen, usize)> {
        let winner = |(_, target): &(Level, Target)| self.winners.get(target).copied();
        let (at, policy) = levels.iter().enumerate().find_map(|(at, level)| Some((at, winner(level)?)))?;
        let merges = self.policies[policy].spec.merges && levels[at].0.is_route();
        let parent = merges
            .then(|| levels.iter().filter(|(level, _)| !level.is_route()).find_map(winner))
            .flatten()
            .filter(|parent| *parent != policy);
        Some((Chosen { policy, parent }, at))
    }

    /// Finds out what policies do to each other.
    fn relate(&mut self, gateways: &[Gateway], world: &World) {
        for (gateway, site) in sites(gateways) {
            let levels = levels(&site);
            let Some((chosen, at)) = self.choose_among(&levels) else { continue };
            let relations = self.relations_of(chosen.policy, &levels[at].1);
            relations.applied.insert((gateway, chosen));
            if let Some(parent) = chosen.parent {
                relations.merged_with.entry(ancestor_by(&site.attached.parent)).or_insert(parent);
            }
            let route = site.attached.route.object.key().to_string();
            for lower in at + 1..levels.len() {
                let Some(&policy) = self.winners.get(&levels[lower].1) else { continue };
                if policy == chosen.policy {
                    continue;
                }
                let (specific, general) = (&levels[at], &levels[lower]);
                let relations = self.relations.entry((policy, general.1.clone())).or_default();
                if chosen.parent == Some(policy) {
                    relations.merged_by.insert(route.clone());
                } else if let Some((kind, name)) = overriding(specific, general.0) {
                    relations.overridden.entry(kind).or_default().insert(name);
                }
            }
        }
        self.relate_listeners(gateways);
        self.apply_everywhere(world);
    }

    /// Policies of listeners override those of their owner, whether there are routes or not.
    fn relate_listeners(&mut self, gateways: &[Gateway]) {
        for gateway in gateways {
            for listener in &gateway.listeners {
                let whole = |object| Target { object, section: None };
                let owned = Target { object: listener.owner.clone(), section: Some(listener.name.clone()) };
                let is_set = listener.owner != gateway.object;
                let mut chain =
                    vec![(if is_set { Level::ListenerSetListener } else { Level::GatewayListener }, owned)];
                if is_set {
                    chain.push((Level::ListenerSet, whole(listener.owner.clone())));
                }
                chain.push((Level::Gateway, whole(gateway.object.clone())));
                for (lower, general) in chain.iter().enumerate() {
                    let Some(&policy) = self.winners.get(&general.1) else { continue };
                    for specific in &chain[..lower] {
                        let Some(&other) = self.winners.get(&specific.1) else { continue };
                        if other != policy
                            && let Some((kind, name)) = overriding(specific, general.0)
                        {
                            let relations = self.relations_of(policy, &general.1);
                            relations.overridden.entry(kind).or_default().insert(name);
                        }
                    }
                }
            }
        }
    }

    /// A policy is checked on every gateway of its targets, whether a rule needs it or not.
    fn apply_everywhere(&mut self, world: &World) {
        let winners: Vec<_> = self.winners.iter().map(|(target, policy)| (target.clone(), *policy)).collect();
        for (target, policy) in winners {
            let Some(known) = world.get(&target.object) else { continue };
            let relations = self.relations_of(policy, &target);
            let merged: BTreeSet<usize> = relations.applied.iter().map(|(gateway, _)| *gateway).collect();
            let others = known.gateways.difference(&merged);
            relations.applied.extend(others.map(|gateway| (*gateway, Chosen { policy, parent: None })));
        }
    }

    fn relations_of(&mut self, policy: PolicyIndex, target: &Target) -> &mut Relations {
        self.relations.entry((policy, target.clone())).or_default()
    }
}

/// How a more specific policy is shown to a less specific one.
fn overriding(specific: &(Level, Target), general: Level) -> Option<(Overriding, String)> {
    let (level, target) = specific;
    let object = || target.object.key().to_string();
    let section = || target.section.clone().unwrap_or_default();
    Some(match level {
        Level::Rule if general == Level::Route => (Overriding::RouteRules, section()),
        Level::Rule | Level::Route => (Overriding::Routes, object()),
        Level::ListenerSetListener => (Overriding::ListenerSetListeners, section()),
        Level::ListenerSet => (Overriding::ListenerSets, object()),
        Level::GatewayListener => (Overriding::GatewayListeners, section()),
        Level::Gateway => return None,
    })
}
