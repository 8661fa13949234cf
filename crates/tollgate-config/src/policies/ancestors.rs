//! What statuses of policies are related to.

use std::collections::HashMap;

use crate::kubernetes::{
    Metadata,
    status::{AncestorStatus, Conditions, ParentReference},
};

/// Most ancestors of a policy.
const MOST: usize = 16;

/// The ancestors of a policy, in the order of their first mention, as many as a status can have.
pub(crate) struct Ancestors<'a> {
    meta: &'a Metadata,
    of: Vec<(ParentReference, Conditions)>,
    known: HashMap<ParentReference, usize>,
    /// There were more.
    truncated: bool,
}

impl<'a> Ancestors<'a> {
    pub(crate) fn new(meta: &'a Metadata) -> Self {
        Self { meta, of: Vec::new(), known: HashMap::new(), truncated: false }
    }

    /// The conditions of an ancestor; `None` = the status has no room for it.
    pub(crate) fn get(&mut self, ancestor: &ParentReference) -> Option<&mut Conditions> {
        let at = match self.known.get(ancestor) {
            Some(at) => *at,
            None if self.of.len() < MOST => {
                self.known.insert(ancestor.clone(), self.of.len());
                self.of.push((ancestor.clone(), Conditions::default()));
                self.of.len() - 1
            }
            None => {
                self.truncated = true;
                return None;
            }
        };
        Some(&mut self.of[at].1)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    /// The entries of the status, which this controller writes.
    pub(crate) fn finish(mut self, controller_name: &str) -> Vec<AncestorStatus> {
        if self.truncated {
            let text = "Ancestors have been truncated because the number of policy ancestors exceeds 16.";
            if let Some((_, conditions)) = self.of.last_mut() {
                conditions.set("Aggregated", true, "Aggregated", text, self.meta);
            }
        }
        let ancestors = self.of.into_iter().map(|(ancestor_ref, conditions)| AncestorStatus {
            ancestor_ref,
            controller_name: controller_name.to_owned(),
            conditions,
        });
        ancestors.collect()
    }
}
