//! TrafficPolicy: what turns a provider on (4.4).

use extproc::ProcessingMode;

use super::modes::read_processing_mode;
use crate::{
    gateway_api,
    kubernetes::{Place, selector::LabelSelector},
    policies::{SelectedNamespaces, TargetRef, TargetSelector, Targets},
    schema::{Message, Schema, Value, harmless, protects, read, unimplemented},
    suggestion::{did_you_mean, nearest},
};

/// What turns a provider on, or all of them off.
#[derive(Debug)]
pub(crate) struct TrafficPolicy {
    pub(super) targets: Targets,
    pub(super) ext_proc: Option<ExtProcPolicy>,
}

/// `extProc`.
#[derive(Debug, Clone)]
pub(super) enum ExtProcPolicy {
    /// KG-23: no processor at all.
    Disable,
    /// A provider, perhaps in another mode.
    Extension { name: String, namespace: Option<String>, mode: Option<(ProcessingMode, Place)>, place: Place },
}

const LATER: &str = "it is not implemented; external processing works without it";
const SECURITY: &str = "Not implemented: a policy that sets it is invalid, and its routes answer 500.";

static SPEC: Schema = Schema {
    name: "TrafficPolicySpec",
    title: "",
    fields: &[
        read("targetRefs", "[]", "Gateways, ListenerSets and routes, at most 16."),
        read("targetSelectors", "[]", "The same, by labels."),
        read("extProc", "", "External processing."),
        protects("acl", SECURITY),
        protects("extAuth", SECURITY),
        protects("rbac", SECURITY),
        protects("jwt", SECURITY),
        protects("jwtAuth", SECURITY),
        protects("basicAuth", SECURITY),
        protects("apiKeyAuth", SECURITY),
        protects("apiKeyAuthentication", SECURITY),
        protects("oauth2", SECURITY),
        protects("csrf", SECURITY),
        protects("rateLimit", SECURITY),
        protects("buffer", SECURITY),
        unimplemented("ai", LATER),
        unimplemented("autoHostRewrite", LATER),
        unimplemented("compression", LATER),
        unimplemented("cors", LATER),
        unimplemented("faultInjection", LATER),
        unimplemented("hashPolicies", LATER),
        unimplemented("headerModifiers", LATER),
        unimplemented("internalRedirect", LATER),
        unimplemented("retry", LATER),
        harmless("statPrefix", "there are no statistics of single routes"),
        unimplemented("timeouts", LATER),
        unimplemented("tracing", LATER),
        unimplemented("transformation", LATER),
        unimplemented("urlRewrite", LATER),
    ],
    unsupported: &[],
};

static TARGET_REF: Schema = Schema {
    name: "TrafficPolicyTargetReference",
    title: "",
    fields: &[
        read("group", "", "`gateway.networking.k8s.io`. Required."),
        read("kind", "", "Gateway, HTTPRoute, GRPCRoute or ListenerSet. Required."),
        read("name", "", "Name of the object. Required."),
        read("sectionName", "the whole object", "Name of a listener or of a rule."),
    ],
    unsupported: &[],
};

static TARGET_SELECTOR: Schema = Schema {
    name: "TrafficPolicyTargetSelector",
    title: "",
    fields: &[
        read("group", "", "`gateway.networking.k8s.io`. Required."),
        read("kind", "", "Gateway, HTTPRoute, GRPCRoute or ListenerSet. Required."),
        read("matchLabels", "{}", "Labels of the objects."),
        read("sectionName", "the whole object", "Name of a listener or of a rule."),
    ],
    unsupported: &[],
};

static EXT_PROC: Schema = Schema {
    name: "ExtProcPolicy",
    title: "",
    fields: &[
        read("extensionRef", "", "The provider. This or disable is required."),
        read("disable", "", "`{}` turns all external processing off."),
        read("processingMode", "that of the provider", "What is sent to the processor."),
    ],
    unsupported: &[],
};

static EXTENSION_REF: Schema = Schema {
    name: "NamespacedObjectReference",
    title: "",
    fields: &[
        read("name", "", "Name of the GatewayExtension. Required."),
        read("namespace", "that of the policy", "Namespace; another one needs a ReferenceGrant."),
    ],
    unsupported: &[],
};

/// `disable: {}`.
static DISABLE: Schema = Schema { name: "PolicyDisable", title: "", fields: &[], unsupported: &[] };

/// Reads a policy.
pub(super) fn read_traffic_policy(value: &Value<'_>) -> Option<TrafficPolicy> {
    let spec = value.message(&SPEC)?;
    let targets = spec.list("targetRefs");
    if targets.len() > 16 {
        value.error("targetRefs must have at most 16 entries");
    }
    // KG-11: what protects something is not left out.
    spec.refuse_protections(
        "the routes of this policy answer 500: remove the field, or serve the policy with kgateway",
    );
    Some(TrafficPolicy {
        targets: Targets {
            refs: targets.iter().filter_map(read_target).collect(),
            selectors: spec.list("targetSelectors").iter().filter_map(read_selector_of).collect(),
            deprecated: false,
        },
        ext_proc: spec.get("extProc").and_then(|ext_proc| read_ext_proc(&ext_proc)),
    })
}

fn read_target(value: &Value<'_>) -> Option<TargetRef> {
    let message = value.message(&TARGET_REF)?;
    let (group, kind) = read_kind(&message);
    Some(TargetRef { group, kind, name: message.required_string("name"), section: section(&message) })
}

fn read_selector_of(value: &Value<'_>) -> Option<TargetSelector> {
    let message = value.message(&TARGET_SELECTOR)?;
    let (group, kind) = read_kind(&message);
    Some(TargetSelector {
        group,
        kind,
        namespaces: SelectedNamespaces::Same,
        labels: read_labels(&message),
        section: section(&message),
    })
}

/// A selector that has nothing but labels.
fn read_labels(message: &Message<'_>) -> LabelSelector {
    let labels = message.map("matchLabels").into_iter();
    LabelSelector::of_labels(labels.filter_map(|(key, value)| Some((key.to_owned(), value.string()?))))
}

fn section(message: &Message<'_>) -> Option<String> {
    Some(message.string("sectionName")).filter(|name| !name.is_empty())
}

fn read_kind(message: &Message<'_>) -> (String, String) {
    let (group, kind) = (message.string("group"), message.required_string("kind"));
    let known = matches!(
        (&*group, &*kind),
        (gateway_api::GROUP, "Gateway" | "HTTPRoute" | "GRPCRoute" | "ListenerSet")
            | ("gateway.networking.x-k8s.io", "XListenerSet")
    );
    if !known && !kind.is_empty() {
        let kinds = ["Gateway", "HTTPRoute", "GRPCRoute", "ListenerSet"];
        let near = nearest(&kind, kinds).filter(|near| *near != kind);
        let help = near.map_or_else(
            || "Gateway, HTTPRoute, GRPCRoute or ListenerSet of gateway.networking.k8s.io".to_owned(),
            did_you_mean,
        );
        let problem = format!("{kind} of group \"{group}\" cannot be a target");
        message.value().error_exposing(problem, Some(help));
    }
    (group, kind)
}

fn read_ext_proc(value: &Value<'_>) -> Option<ExtProcPolicy> {
    let message = value.message(&EXT_PROC)?;
    match message.required_one_of(&["extensionRef", "disable"])? {
        ("disable", disable) => {
            disable.message(&DISABLE)?;
            Some(ExtProcPolicy::Disable)
        }
        (_, extension) => {
            let reference = extension.message(&EXTENSION_REF)?;
            let mode = message.get("processingMode");
            Some(ExtProcPolicy::Extension {
                name: reference.required_string("name"),
                namespace: Some(reference.string("namespace")).filter(|namespace| !namespace.is_empty()),
                mode: mode.and_then(|mode| Some((read_processing_mode(&mode)?, Place::of(&mode)))),
                place: Place::of(&extension),
            })
        }
    }
}
