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

use self::dialect::Htnn;
use self::policy::{FilterPolicy, read_filter_policy};
use crate::{
    kubernetes::{Kind, Objects as Set, family},
    translation::{PolicyKind, System},
};

/// The group of HTNN.
const GROUP: &str = "htnn.mosn.io";

/// The objects of this dialect.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    pub(crate) filter_policies: Set<FilterPolicy>,
    pub(crate) http_filter_policies: Set<FilterPolicy>,
}

family!(Objects);

/// HTNN. Its gateways are Istio's.
pub(crate) static HTNN: System = System {
    name: "HTNN",
    kinds: KINDS,
    not_implemented: &[(GROUP, "Consumer"), (GROUP, "DynamicConfig"), (GROUP, "ServiceRegistry")],
    policies: &[policy_kind("FilterPolicy"), policy_kind("HTTPFilterPolicy")],
    dialect: Some(|translator, _| Box::new(Htnn::new(translator))),
    ..System::PLAIN
};

/// HTNN says itself which sections an HTTPRoute has not.
const fn policy_kind(kind: &'static str) -> PolicyKind {
    PolicyKind { own_sections: &["HTTPRoute"], sub_policies: true, ..PolicyKind::new(GROUP, kind) }
}

const KINDS: &[Kind] = &[
    Kind {
        group: GROUP,
        kind: "FilterPolicy",
        versions: &["v1"],
        cluster_scoped: false,
        default_name: None,
        take: |candidate| {
            candidate.store(|all| &mut all.of_mut::<Objects>().filter_policies, read_filter_policy)
        },
    },
    // The name that FilterPolicy had before.
    Kind {
        group: GROUP,
        kind: "HTTPFilterPolicy",
        versions: &["v1"],
        cluster_scoped: false,
        default_name: None,
        take: |candidate| {
            candidate.store(|all| &mut all.of_mut::<Objects>().http_filter_policies, read_filter_policy)
        },
    },
];
