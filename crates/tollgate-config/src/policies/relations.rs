//! What policies do to each other.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Attachments, Chosen, Level, PolicyIndex, Target, TargetView, World, level::levels_of_listener, levels,
    world::ancestor_by,
};
use crate::{
    kubernetes::status::ParentReference,
    translation::{Gateway, Site},
};

/// What policies do to each other, where a target has one policy.
#[derive(Debug, Default)]
pub(crate) struct Relations(BTreeMap<(PolicyIndex, Target), Relation>);

/// What other policies do to a policy at a target.
#[derive(Debug, Default)]
pub(crate) struct Relation {
    /// Names of more specific targets with policies of their own.
    pub(crate) overridden: BTreeMap<Overriding, BTreeSet<String>>,
    /// Routes whose policies take something from this one.
    pub(crate) merged_by: BTreeSet<String>,
    /// The policy that this one takes something from, by the ancestor.
    pub(crate) merged_with: BTreeMap<ParentReference, PolicyIndex>,
    /// The gateways where it applies, with all it is merged with.
    pub(crate) applied: BTreeSet<(usize, Chosen)>,
}

/// Kinds of more specific targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Overriding {
    GatewayListeners,
    ListenerSets,
    ListenerSetListeners,
    Routes,
    RouteRules,
}

impl Relations {
    /// Finds out what policies do to each other; some of them take what they leave out from others.
    pub(crate) fn new(
        attachments: &Attachments,
        merges: impl Fn(PolicyIndex) -> bool,
        gateways: &[Gateway],
        world: &World,
    ) -> Self {
        let mut relations = Self::default();
        if attachments.is_empty() {
            return relations;
        }
        for (gateway, site) in sites(gateways) {
            let levels = levels(&site);
            let Some((chosen, at)) = attachments.choose(&levels, &merges) else { continue };
            relations.relate(attachments, &site, &levels, gateway, (chosen, at));
        }
        relations.relate_listeners(attachments, gateways);
        relations.apply_everywhere(attachments, world);
        relations
    }

    /// What other policies do to a policy at a target; `None` = it applies nowhere.
    pub(crate) fn get(&self, policy: PolicyIndex, target: &Target) -> Option<&Relation> {
        self.0.get(&(policy, target.clone()))
    }

    fn of(&mut self, policy: PolicyIndex, target: TargetView<'_>) -> &mut Relation {
        self.0.entry((policy, target.to_target())).or_default()
    }

    fn relate(
        &mut self,
        attachments: &Attachments,
        site: &Site<'_>,
        levels: &[(Level, TargetView<'_>)],
        gateway: usize,
        (chosen, at): (Chosen, usize),
    ) {
        let own = self.of(chosen.policy, levels[at].1);
        own.applied.insert((gateway, chosen));
        if let Some(parent) = chosen.parent {
            own.merged_with.entry(ancestor_by(&site.attached.parent)).or_insert(parent);
        }
        for general in &levels[at + 1..] {
            let Some(&policy) = attachments.at(general.1).first() else { continue };
            if policy == chosen.policy {
                continue;
            }
            let relation = self.of(policy, general.1);
            if chosen.parent == Some(policy) {
                relation.merged_by.insert(site.attached.route.object.key().to_string());
            } else if let Some((kind, name)) = overriding(&levels[at], general.0) {
                relation.overridden.entry(kind).or_default().insert(name);
            }
        }
    }

    /// Policies of listeners override those of their owner, whether there are routes or not.
    fn relate_listeners(&mut self, attachments: &Attachments, gateways: &[Gateway]) {
        let listeners = gateways
            .iter()
            .flat_map(|gateway| gateway.listeners.iter().map(move |listener| (gateway, listener)));
        for (gateway, listener) in listeners {
            let levels = levels_of_listener(gateway, listener);
            for (lower, general) in levels.iter().enumerate() {
                let Some(&policy) = attachments.at(general.1).first() else { continue };
                for specific in &levels[..lower] {
                    let Some(&other) = attachments.at(specific.1).first() else { continue };
                    if other != policy
                        && let Some((kind, name)) = overriding(specific, general.0)
                    {
                        self.of(policy, general.1).overridden.entry(kind).or_default().insert(name);
                    }
                }
            }
        }
    }

    /// A policy is checked on every gateway of its targets, whether a rule needs it or not.
    fn apply_everywhere(&mut self, attachments: &Attachments, world: &World) {
        for (target, policy) in attachments.winners() {
            let Some(known) = world.get(target.object) else { continue };
            let relation = self.of(policy, target);
            let merged: BTreeSet<usize> = relation.applied.iter().map(|(gateway, _)| *gateway).collect();
            let others = known.gateways.difference(&merged);
            relation.applied.extend(others.map(|gateway| (*gateway, Chosen { policy, parent: None })));
        }
    }
}

/// How a more specific policy is shown to a less specific one.
fn overriding(specific: &(Level, TargetView<'_>), general: Level) -> Option<(Overriding, String)> {
    let (level, target) = specific;
    let object = || target.object.key().to_string();
    let section = || target.section.unwrap_or_default().to_owned();
    Some(match level {
        Level::Rule if general == Level::Route => (Overriding::RouteRules, section()),
        Level::Rule | Level::Route => (Overriding::Routes, object()),
        Level::ListenerSetListener => (Overriding::ListenerSetListeners, section()),
        Level::ListenerSet => (Overriding::ListenerSets, object()),
        Level::GatewayListener => (Overriding::GatewayListeners, section()),
        Level::Gateway => return None,
    })
}

/// Every rule of every route of every listener, with the index of its gateway.
fn sites(gateways: &[Gateway]) -> impl Iterator<Item = (usize, Site<'_>)> {
    gateways.iter().enumerate().flat_map(|(index, gateway)| {
        gateway.listeners.iter().flat_map(move |listener| {
            listener.routes.iter().flat_map(move |attached| {
                let rules = 0..attached.route.rules.len();
                rules.map(move |rule_index| (index, Site::new(gateway, listener, attached, rule_index)))
            })
        })
    })
}
