//! Kinds that are read and not implemented (6.1).

use super::targets::{Targets, read_targets};
use crate::{
    kubernetes::{Candidate, Objects as Set},
    protobuf::{Schema, Value, read},
};

/// An object that nothing is done about but to say so.
#[derive(Debug)]
pub(crate) struct Unimplemented;

/// Takes such an object in.
pub(super) fn take(candidate: Candidate<'_>, objects: &mut Set<Unimplemented>) {
    let (kind, key) = (candidate.meta.kind.clone(), candidate.meta.key.clone());
    candidate.store(objects, |spec| {
        let help = match kind.as_str() {
            "HTTPRouteFilter" => "rules with a filter of this kind answer 500",
            _ => "the settings of the gateway itself hold",
        };
        spec.warning(format!("{kind} {key} has no effect: the kind is not implemented"), help);
        Some(Unimplemented)
    });
}

/// What should protect routes and cannot: they are not served.
#[derive(Debug)]
pub(crate) struct SecurityPolicy {
    pub(super) targets: Targets,
}

/// The targets; everything else would not be done.
static SECURITY_POLICY: Schema = Schema {
    name: "SecurityPolicySpec",
    title: "",
    fields: &[
        read("targetRef", "", "Deprecated: one target."),
        read("targetRefs", "[]", "What the policy is attached to."),
        read("targetSelectors", "[]", "The same, by labels."),
        read("mergeType", "", "How policies are combined."),
        read("apiKeyAuth", "", "Not implemented."),
        read("authorization", "", "Not implemented."),
        read("basicAuth", "", "Not implemented."),
        read("cors", "", "Not implemented."),
        read("extAuth", "", "Not implemented."),
        read("jwt", "", "Not implemented."),
        read("oidc", "", "Not implemented."),
    ],
    unsupported: &[],
};

pub(super) fn read_security_policy(value: &Value<'_>) -> Option<SecurityPolicy> {
    let spec = value.message(&SECURITY_POLICY)?;
    value.warning(
        "SecurityPolicy is not implemented: requests to what it protects are answered with status 500",
        "remove the policy if its targets may be reached without it",
    );
    Some(SecurityPolicy { targets: read_targets(&spec) })
}
