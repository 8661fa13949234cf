//! Which policies are attached to what.

use std::collections::HashMap;

use super::{Level, Target, TargetView, World};
use crate::kubernetes::{ObjectRef, status::ParentReference};

/// A policy by its index: the one with precedence has the smaller one.
pub(crate) type PolicyIndex = usize;

/// Which policies are attached to what.
#[derive(Debug, Default)]
pub(crate) struct Attachments(HashMap<ObjectRef, AtObject>);

/// The policies of an object; the one with precedence first.
#[derive(Debug, Default)]
struct AtObject {
    whole: Vec<PolicyIndex>,
    sections: HashMap<String, Vec<PolicyIndex>>,
}

/// A target of a policy that exists.
#[derive(Debug)]
pub(crate) struct AttachedTarget {
    pub(crate) target: Target,
    /// What a status about it is related to.
    pub(crate) ancestors: Vec<ParentReference>,
    pub(crate) result: Result<(), NotAttached>,
}

/// Why a policy is not attached to a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotAttached {
    /// A policy with precedence has it.
    Conflicted,
    /// It has no such section.
    SectionNotFound,
}

/// What applies to a rule where a target has one policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Chosen {
    pub(crate) policy: PolicyIndex,
    /// The policy that gives what this one leaves out (EG-43).
    pub(crate) parent: Option<PolicyIndex>,
}

impl Attachments {
    /// Attaches a policy to a target, whatever else is attached there. Policies are attached in the order of their precedence.
    pub(crate) fn attach(&mut self, policy: PolicyIndex, target: Target) {
        let at = self.0.entry(target.object).or_default();
        let policies = match target.section {
            None => &mut at.whole,
            Some(section) => at.sections.entry(section).or_default(),
        };
        if policies.last() != Some(&policy) {
            policies.push(policy);
        }
    }

    /// Attaches a policy to those of its targets that exist and that no other policy has. Gives what became of those whose
    /// object exists.
    pub(crate) fn attach_alone(
        &mut self,
        policy: PolicyIndex,
        targets: Vec<Target>,
        world: &World,
    ) -> Vec<AttachedTarget> {
        let attached = targets.into_iter().filter_map(|target| {
            // EG-44: nothing is said about what does not exist.
            let known = world.get(&target.object)?;
            let result = if !known.has(&target) {
                Err(NotAttached::SectionNotFound)
            } else if self.at(target.view()).is_empty() {
                self.attach(policy, target.clone());
                Ok(())
            } else {
                Err(NotAttached::Conflicted)
            };
            Some(AttachedTarget { ancestors: known.ancestors_of(&target), target, result })
        });
        attached.collect()
    }

    /// The policies at a target, the one with precedence first.
    pub(crate) fn at(&self, target: TargetView<'_>) -> &[PolicyIndex] {
        let Some(at) = self.0.get(target.object) else { return &[] };
        match target.section {
            None => &at.whole,
            Some(section) => at.sections.get(section).map(Vec::as_slice).unwrap_or_default(),
        }
    }

    /// Whether anything is attached to an object or to a section of it.
    pub(crate) fn has(&self, object: &ObjectRef) -> bool {
        self.0.contains_key(object)
    }

    /// Whether nothing is attached anywhere.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Everything that has a policy, and the one with precedence.
    pub(super) fn winners(&self) -> impl Iterator<Item = (TargetView<'_>, PolicyIndex)> {
        self.0.iter().flat_map(|(object, at)| {
            let whole = at.whole.first().map(|policy| (TargetView { object, section: None }, *policy));
            let sections = at.sections.iter().filter_map(move |(section, policies)| {
                Some((TargetView { object, section: Some(section) }, *policies.first()?))
            });
            whole.into_iter().chain(sections)
        })
    }

    /// The policy with precedence at the most specific level that has one, and the index of that level.
    pub(crate) fn most_specific(&self, levels: &[(Level, TargetView<'_>)]) -> Option<(PolicyIndex, usize)> {
        levels.iter().enumerate().find_map(|(index, (_, target))| Some((*self.at(*target).first()?, index)))
    }

    /// The same with the policy that it is merged with, if it `merges`: policies of routes take what they leave out from that of
    /// the next level which is no route.
    pub(crate) fn choose(
        &self,
        levels: &[(Level, TargetView<'_>)],
        merges: impl Fn(PolicyIndex) -> bool,
    ) -> Option<(Chosen, usize)> {
        let (policy, at) = self.most_specific(levels)?;
        let parent = || {
            let mut general = levels.iter().filter(|(level, _)| !level.is_route());
            general.find_map(|(_, target)| self.at(*target).first().copied())
        };
        let merged = levels[at].0.is_route() && merges(policy);
        let parent = if merged { parent().filter(|parent| *parent != policy) } else { None };
        Some((Chosen { policy, parent }, at))
    }
}
