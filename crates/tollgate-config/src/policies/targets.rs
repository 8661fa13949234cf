//! What policies say they are attached to.

use std::fmt;

use crate::kubernetes::{ObjectRef, selector::LabelSelector};

/// What a policy is attached to, as it is written.
#[derive(Debug, Default)]
pub(crate) struct Targets {
    pub(crate) refs: Vec<TargetRef>,
    pub(crate) selectors: Vec<TargetSelector>,
    /// They were written as the old `targetRef`.
    pub(crate) deprecated: bool,
}

/// An object of the policy's namespace.
#[derive(Debug)]
pub(crate) struct TargetRef {
    pub(crate) group: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    /// A listener or a rule of it; `None` = the whole object.
    pub(crate) section: Option<String>,
}

/// Every object of a kind with certain labels.
#[derive(Debug)]
pub(crate) struct TargetSelector {
    pub(crate) group: String,
    pub(crate) kind: String,
    pub(crate) namespaces: SelectedNamespaces,
    pub(crate) labels: LabelSelector,
    /// A listener or a rule of each; `None` = the whole objects.
    pub(crate) section: Option<String>,
}

/// Where selected objects may live.
#[derive(Debug)]
pub(crate) enum SelectedNamespaces {
    /// In the policy's own namespace.
    Same,
    All,
    Matching(LabelSelector),
}

/// An object or a section of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Target {
    pub(crate) object: ObjectRef,
    /// A listener or a rule; `None` = the whole object.
    pub(crate) section: Option<String>,
}

impl Target {
    /// The same to look it up by.
    pub(crate) fn view(&self) -> TargetView<'_> {
        TargetView { object: &self.object, section: self.section.as_deref() }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.section {
            Some(section) => write!(formatter, "{section} of {}", self.object),
            None => self.object.fmt(formatter),
        }
    }
}

/// An object or a section of it, to look it up by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TargetView<'a> {
    pub(crate) object: &'a ObjectRef,
    pub(crate) section: Option<&'a str>,
}

impl TargetView<'_> {
    pub(crate) fn to_target(self) -> Target {
        Target { object: self.object.clone(), section: self.section.map(str::to_owned) }
    }
}
