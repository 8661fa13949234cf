//! Which references across namespaces are permitted (9.8).

use std::collections::HashMap;

use super::{Objects, ReferenceGrant};
use crate::kubernetes::{ObjectRef, ObjectStore};

/// Who refers to something.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Referrer<'a> {
    pub(crate) group: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) namespace: &'a str,
}

/// All grants, by the namespace whose objects they open.
#[derive(Debug, Default)]
pub(crate) struct Grants<'a>(HashMap<&'a str, Vec<&'a ReferenceGrant>>);

impl<'a> Grants<'a> {
    pub(crate) fn new(store: &'a ObjectStore) -> Self {
        let mut grants = Self::default();
        for grant in store.of::<Objects>().reference_grants.iter().filter(|grant| grant.errors.is_empty()) {
            grants.0.entry(&grant.meta.key.namespace).or_default().push(&grant.spec);
        }
        grants
    }

    /// Whether the reference is within a namespace, or a grant in the namespace of its target permits it.
    pub(crate) fn permit(&self, from: Referrer<'_>, to: &ObjectRef) -> bool {
        from.namespace == to.namespace
            || self.0.get(&*to.namespace).is_some_and(|grants| {
                grants.iter().any(|grant| {
                    grant.from.iter().any(|allowed| {
                        allowed.group == from.group
                            && allowed.kind == from.kind
                            && allowed.namespace == from.namespace
                    }) && grant.to.iter().any(|allowed| {
                        allowed.group == to.group
                            && allowed.kind == to.kind
                            && allowed.name.as_ref().is_none_or(|name| *name == to.name)
                    })
                })
            })
    }
}
