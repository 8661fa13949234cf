//! The dialect of HTNN (section 3): `FilterPolicy` with `outerExtProc` and `innerExtProc`.
//!
//! A policy names a route or a gateway and holds the configuration of plugins, of which two are external processing. Each
//! is one filter of a listener, off unless a policy turns it on for a route.

mod attachment;
mod cluster_name;
mod dialect;
mod embedded;
mod plugin;
mod policy;
#[cfg(test)]
mod tests;

pub(crate) use self::dialect::Htnn;
use self::policy::{FilterPolicy, read_filter_policy};
use crate::kubernetes::{Kind, Objects as Set};

/// The group of HTNN.
pub(crate) const GROUP: &str = "htnn.mosn.io";

/// The objects of this dialect.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    pub(crate) filter_policies: Set<FilterPolicy>,
    pub(crate) http_filter_policies: Set<FilterPolicy>,
}

pub(crate) const KINDS: &[Kind] = &[
    Kind {
        group: GROUP,
        kind: "FilterPolicy",
        versions: &["v1"],
        cluster_scoped: false,
        take: |candidate, all| candidate.store(&mut all.htnn.filter_policies, read_filter_policy),
    },
    // The name that FilterPolicy had before.
    Kind {
        group: GROUP,
        kind: "HTTPFilterPolicy",
        versions: &["v1"],
        cluster_scoped: false,
        take: |candidate, all| candidate.store(&mut all.htnn.http_filter_policies, read_filter_policy),
    },
];
