//! Kinds that are read and not implemented (6.1).

use super::targets::read_targets;
use crate::{
    kubernetes::{Candidate, SetOf, Stored},
    policies::Targets,
    schema::{Schema, Value, protects, read, unimplemented},
};

/// An object that nothing is done about but to say so.
#[derive(Debug)]
pub(crate) struct Unimplemented;

/// Takes such an object in.
pub(super) fn take(candidate: Candidate<'_>, objects: SetOf<Unimplemented>) -> Stored {
    let (kind, key) = (candidate.meta.kind.clone(), candidate.meta.key.clone());
    candidate.store(objects, |spec| {
        let help = "rules with a filter of this kind answer 500";
        spec.warning(format!("{kind} {key} has no effect: the kind is not implemented"), help);
        Some(Unimplemented)
    })
}

/// What a policy means that sets a field which must not be left out.
pub(super) const NOT_LEFT_OUT: &str =
    "the targets of this policy answer 500: remove the field if they may be reached without it";
/// The same for the reference.
pub(super) const REFUSED: &str =
    "Not implemented: a policy that sets it is invalid, and its targets answer 500.";

/// How requests go to backends: of it only the limits count, none of which is implemented.
#[derive(Debug)]
pub(crate) struct BackendTrafficPolicy {
    pub(super) targets: Targets,
}

const OF_THE_GATEWAY: &str = "the settings of the gateway itself hold";

static BACKEND_TRAFFIC_POLICY: Schema = Schema {
    name: "BackendTrafficPolicySpec",
    title: "",
    fields: &[
        read("targetRef", "", "Deprecated: one target."),
        read("targetRefs", "[]", "What the policy is attached to."),
        read("targetSelectors", "[]", "The same, by labels."),
        protects("rateLimit", REFUSED),
        protects("circuitBreaker", REFUSED),
        protects("requestBuffer", REFUSED),
        protects("admissionControl", REFUSED),
        protects("bandwidthLimit", REFUSED),
        unimplemented("mergeType", OF_THE_GATEWAY),
        unimplemented("loadBalancer", OF_THE_GATEWAY),
        unimplemented("retry", OF_THE_GATEWAY),
        unimplemented("proxyProtocol", OF_THE_GATEWAY),
        unimplemented("tcpKeepalive", OF_THE_GATEWAY),
        unimplemented("healthCheck", OF_THE_GATEWAY),
        unimplemented("faultInjection", OF_THE_GATEWAY),
        unimplemented("timeout", OF_THE_GATEWAY),
        unimplemented("connection", OF_THE_GATEWAY),
        unimplemented("dns", OF_THE_GATEWAY),
        unimplemented("http2", OF_THE_GATEWAY),
        unimplemented("useClientProtocol", OF_THE_GATEWAY),
        unimplemented("compression", OF_THE_GATEWAY),
        unimplemented("compressor", OF_THE_GATEWAY),
        unimplemented("responseOverride", OF_THE_GATEWAY),
        unimplemented("httpUpgrade", OF_THE_GATEWAY),
        unimplemented("telemetry", OF_THE_GATEWAY),
        unimplemented("routingType", OF_THE_GATEWAY),
        unimplemented("panicThreshold", OF_THE_GATEWAY),
    ],
    unsupported: &[],
};

pub(super) fn read_backend_traffic_policy(value: &Value<'_>) -> Option<BackendTrafficPolicy> {
    let spec = value.message(&BACKEND_TRAFFIC_POLICY)?;
    spec.refuse_protections(NOT_LEFT_OUT);
    Some(BackendTrafficPolicy { targets: read_targets(&spec) })
}
