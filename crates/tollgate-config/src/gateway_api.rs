//! Gateway API: `gateway.networking.k8s.io` (section 9).

mod reference_grant;

pub(crate) use self::reference_grant::ReferenceGrant;
use crate::kubernetes::{Kind, Objects as Set};

/// The group of Gateway API.
pub(crate) const GROUP: &str = "gateway.networking.k8s.io";

/// The objects of Gateway API.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    pub(crate) reference_grants: Set<ReferenceGrant>,
}

pub(crate) const KINDS: &[Kind] = &[Kind {
    group: GROUP,
    kind: "ReferenceGrant",
    versions: &["v1", "v1beta1", "v1alpha2"],
    cluster_scoped: false,
    take: |candidate, all| {
        candidate.store(&mut all.gateway_api.reference_grants, reference_grant::read_reference_grant);
    },
}];
