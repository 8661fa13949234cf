//! Kinds that are read and not implemented (6.1).

use super::targets::{Targets, read_targets};
use crate::{
    kubernetes::{Candidate, Objects as Set},
    protobuf::{Schema, Value, bookkeeping, no_effect, read},
};

/// An object that nothing is done about but to say so.
#[derive(Debug)]
pub(crate) struct Unimplemented;

/// Takes such an object in.
pub(super) fn take(candidate: Candidate<'_>, objects: &mut Set<Unimplemented>) {
    let (kind, key) = (candidate.meta.kind.clone(), candidate.meta.key.clone());
    candidate.store(objects, |spec| {
        let help = "rules with a filter of this kind answer 500";
        spec.warning(format!("{kind} {key} has no effect: the kind is not implemented"), help);
        Some(Unimplemented)
    });
}

/// What patches say is looked at as a whole.
pub(super) static PATCH: Schema = Schema {
    name: "EnvoyPatchPolicy",
    title: "",
    fields: &[
        read("apiVersion", "", "API group and version. Required."),
        read("kind", "", "What it is. Required."),
        read("metadata", "", "Names it. Required."),
        bookkeeping("spec"),
        bookkeeping("status"),
    ],
    unsupported: &[],
};

/// Reports a field that protects something and cannot be carried out: its policy is invalid.
pub(super) fn not_left_out(name: &str, field: &Value<'_>) {
    field.error_with_help(
        format!("{name} is not implemented and must not be left out"),
        "the targets of this policy answer 500: remove the field if they may be reached without it",
    );
}

/// How requests go to backends: of it only the limits count, none of which is implemented.
#[derive(Debug)]
pub(crate) struct BackendTrafficPolicy {
    pub(super) targets: Targets,
}

const OF_THE_GATEWAY: &str = "the settings of the gateway itself hold";
const LIMIT: &str = "Not implemented: a policy that sets it is invalid, and its targets answer 500.";

static BACKEND_TRAFFIC_POLICY: Schema = Schema {
    name: "BackendTrafficPolicySpec",
    title: "",
    fields: &[
        read("targetRef", "", "Deprecated: one target."),
        read("targetRefs", "[]", "What the policy is attached to."),
        read("targetSelectors", "[]", "The same, by labels."),
        read("rateLimit", "", LIMIT),
        read("circuitBreaker", "", LIMIT),
        read("requestBuffer", "", LIMIT),
        read("admissionControl", "", LIMIT),
        read("bandwidthLimit", "", LIMIT),
        no_effect("mergeType", OF_THE_GATEWAY),
        no_effect("loadBalancer", OF_THE_GATEWAY),
        no_effect("retry", OF_THE_GATEWAY),
        no_effect("proxyProtocol", OF_THE_GATEWAY),
        no_effect("tcpKeepalive", OF_THE_GATEWAY),
        no_effect("healthCheck", OF_THE_GATEWAY),
        no_effect("faultInjection", OF_THE_GATEWAY),
        no_effect("timeout", OF_THE_GATEWAY),
        no_effect("connection", OF_THE_GATEWAY),
        no_effect("dns", OF_THE_GATEWAY),
        no_effect("http2", OF_THE_GATEWAY),
        no_effect("useClientProtocol", OF_THE_GATEWAY),
        no_effect("compression", OF_THE_GATEWAY),
        no_effect("compressor", OF_THE_GATEWAY),
        no_effect("responseOverride", OF_THE_GATEWAY),
        no_effect("httpUpgrade", OF_THE_GATEWAY),
        no_effect("telemetry", OF_THE_GATEWAY),
        no_effect("routingType", OF_THE_GATEWAY),
        no_effect("panicThreshold", OF_THE_GATEWAY),
    ],
    unsupported: &[],
};

pub(super) fn read_backend_traffic_policy(value: &Value<'_>) -> Option<BackendTrafficPolicy> {
    let spec = value.message(&BACKEND_TRAFFIC_POLICY)?;
    let limits = ["rateLimit", "circuitBreaker", "requestBuffer", "admissionControl", "bandwidthLimit"];
    for (name, field) in limits.into_iter().filter_map(|name| Some((name, spec.get(name)?))) {
        not_left_out(name, &field);
    }
    Some(BackendTrafficPolicy { targets: read_targets(&spec) })
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
