//! ClusterTrustBundle: certificates of authorities that every namespace may use (EG-65).

use super::Kind;
use crate::schema::{Schema, Value, bookkeeping, read};

/// Certificates of authorities.
#[derive(Debug)]
pub(crate) struct ClusterTrustBundle {
    /// PEM.
    pub(crate) trust_bundle: String,
}

pub(super) const KIND: Kind = Kind {
    group: "certificates.k8s.io",
    kind: "ClusterTrustBundle",
    versions: &["v1", "v1beta1", "v1alpha1"],
    cluster_scoped: true,
    default_name: None,
    take: |candidate| candidate.store(|all| &mut all.core.cluster_trust_bundles, read_bundle),
};

static SPEC: Schema = Schema {
    name: "ClusterTrustBundleSpec",
    title: "",
    fields: &[bookkeeping("signerName"), read("trustBundle", "", "The certificates, in PEM form. Required.")],
    unsupported: &[],
};

fn read_bundle(value: &Value<'_>) -> Option<ClusterTrustBundle> {
    let spec = value.message(&SPEC)?;
    Some(ClusterTrustBundle { trust_bundle: spec.required("trustBundle")?.string()? })
}
