//! The systems whose configuration is understood.

use std::sync::OnceLock;

use super::{Controller, Dialect, Gateway, Translator};
use crate::kubernetes::{Catalogue, Kind};

/// A system whose configuration is understood: everything that is different about it. What a system does not have is that of
/// [`System::PLAIN`].
pub(crate) struct System {
    /// What people call it.
    pub(crate) name: &'static str,
    /// The kinds of its objects.
    pub(crate) kinds: &'static [Kind],
    /// Kinds that exist, are not read, and protect nothing at a gateway: group and kind.
    pub(crate) not_implemented: &'static [(&'static str, &'static str)],
    /// Those of its kinds that are attached to other objects by references in `spec`.
    pub(crate) policies: &'static [PolicyKind],
    /// Kinds that policies of any system are attached to: group and kind.
    pub(crate) targets: &'static [(&'static str, &'static str)],
    /// Whose defaults, names and words hold for gateways of its classes.
    pub(crate) controller: Option<&'static Controller>,
    /// Gateways of an API of its own; those of Gateway API have their ports already.
    pub(crate) gateways: Option<ReadGateways>,
    /// What its policies mean for the gateways of Gateway API.
    pub(crate) dialect: Option<NewDialect>,
}

/// Reads the gateways of an API of its own.
pub(crate) type ReadGateways = fn(&Translator<'_>, &[Gateway]) -> Vec<Gateway>;

/// Reads the policies of a system.
pub(crate) type NewDialect = for<'a> fn(&'a Translator<'a>, &'a [Gateway]) -> Box<dyn Dialect + 'a>;

/// A kind of policies that name what they are attached to.
pub(crate) struct PolicyKind {
    pub(crate) group: &'static str,
    pub(crate) kind: &'static str,
    /// One without a target is a mistake: it protects nothing.
    pub(crate) needs_target: bool,
    /// Kinds of targets whose sections are no business of the guard: the system itself says which there are.
    pub(crate) own_sections: &'static [&'static str],
    /// It has `subPolicies` for sections of its target.
    pub(crate) sub_policies: bool,
}

impl PolicyKind {
    /// A kind of policies of which each names a target.
    pub(crate) const fn new(group: &'static str, kind: &'static str) -> Self {
        Self { group, kind, needs_target: true, own_sections: &[], sub_policies: false }
    }

    /// One whose policies need not name a target.
    pub(crate) const fn without_target(group: &'static str, kind: &'static str) -> Self {
        Self { needs_target: false, ..Self::new(group, kind) }
    }
}

impl System {
    /// One that has nothing.
    pub(crate) const PLAIN: Self = Self {
        name: "",
        kinds: &[],
        not_implemented: &[],
        policies: &[],
        targets: &[],
        controller: None,
        gateways: None,
        dialect: None,
    };
}

/// All systems, in the order in which their dialects are asked.
pub(crate) struct Systems {
    all: Vec<&'static System>,
    /// Whose rules apply to Gateways of an unknown class.
    pub(crate) otherwise: &'static Controller,
    catalogue: OnceLock<Catalogue>,
}

impl Systems {
    pub(crate) fn new(
        all: impl IntoIterator<Item = &'static System>,
        otherwise: &'static Controller,
    ) -> Self {
        Self { all: all.into_iter().collect(), otherwise, catalogue: OnceLock::new() }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &'static System> + '_ {
        self.all.iter().copied()
    }

    /// Every kind of all of them.
    pub(crate) fn catalogue(&self) -> &Catalogue {
        self.catalogue.get_or_init(|| {
            let kinds = self.iter().flat_map(|system| system.kinds);
            Catalogue::new(kinds, self.iter().flat_map(|system| system.not_implemented.iter().copied()))
        })
    }

    pub(super) fn controllers(&self) -> impl Iterator<Item = &'static Controller> + '_ {
        self.iter().filter_map(|system| system.controller)
    }

    /// The kind of policies that an object is of.
    pub(crate) fn policy_kind(&self, group: &str, kind: &str) -> Option<&'static PolicyKind> {
        let mut policies = self.iter().flat_map(|system| system.policies);
        policies.find(|policy| policy.group == group && policy.kind == kind)
    }
}
