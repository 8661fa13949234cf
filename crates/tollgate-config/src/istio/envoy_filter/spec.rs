//! EnvoyFilter as it is written.

use super::matching::{MATCH, read_match};
use crate::{
    envoy::compile_plain,
    kubernetes::Place,
    patching::{ApplyTo, ConfigPatch, ObjectMatch, PatchOperation},
    schema::{Enumeration, Message, Schema, Value, bookkeeping, harmless, read, refused},
};

/// The version of Istio whose proxies `proxyVersion` is about.
const ISTIO_VERSION: &str = "1.31.0";

/// Changes to the configuration of gateways.
#[derive(Debug)]
pub(crate) struct EnvoyFilter {
    /// Those with a lower number come first.
    pub(super) priority: i64,
    /// Those for gateways.
    pub(super) patches: Vec<ConfigPatch>,
    /// All of them say that they are for gateways.
    pub(super) only_gateways: bool,
}

static SPEC: Schema = Schema {
    name: "istio.EnvoyFilter",
    title: "",
    fields: &[
        read("configPatches", "[]", "The changes, in their order."),
        read("priority", "0", "Those with a lower number come first."),
        // Looked at where gateways are known.
        bookkeeping("workloadSelector"),
        bookkeeping("targetRefs"),
    ],
    unsupported: &[],
};

static CONFIG_PATCH: Schema = Schema {
    name: "istio.EnvoyFilter.EnvoyConfigObjectPatch",
    title: "",
    fields: &[
        read("applyTo", "", "What is changed. Required."),
        read("match", "everything", "Which of them."),
        read("patch", "", "The change. Required."),
    ],
    unsupported: &[],
};

static PATCH: Schema = Schema {
    name: "istio.EnvoyFilter.Patch",
    title: "",
    fields: &[
        read("operation", "", "How it is changed. Required."),
        read("value", "", "With what, as Envoy would read it. Required but for REMOVE."),
        harmless("filterClass", "the operation says where a filter is put"),
    ],
    unsupported: &[],
};

static PROXY: Schema = Schema {
    name: "istio.EnvoyFilter.ProxyMatch",
    title: "",
    fields: &[
        read("proxyVersion", "every version", "Expression (RE2) for the version of Istio."),
        refused("metadata", "what proxies say about themselves is not known here"),
    ],
    unsupported: &[],
};

static APPLY_TO: Enumeration<ApplyTo> = Enumeration {
    values: &[
        ("INVALID", 0, None),
        ("LISTENER", 1, Some(ApplyTo::Listener)),
        ("FILTER_CHAIN", 2, Some(ApplyTo::FilterChain)),
        ("NETWORK_FILTER", 3, Some(ApplyTo::NetworkFilter)),
        ("HTTP_FILTER", 4, Some(ApplyTo::HttpFilter)),
        ("ROUTE_CONFIGURATION", 5, Some(ApplyTo::RouteConfiguration)),
        ("VIRTUAL_HOST", 6, Some(ApplyTo::VirtualHost)),
        ("CLUSTER", 7, Some(ApplyTo::Cluster)),
        ("HTTP_ROUTE", 8, Some(ApplyTo::HttpRoute)),
        ("EXTENSION_CONFIG", 9, Some(ApplyTo::ExtensionConfig)),
        ("BOOTSTRAP", 10, None),
        ("LISTENER_FILTER", 11, Some(ApplyTo::ListenerFilter)),
    ],
};

static OPERATION: Enumeration<PatchOperation> = Enumeration {
    values: &[
        ("INVALID", 0, None),
        ("MERGE", 1, Some(PatchOperation::Merge)),
        ("ADD", 2, Some(PatchOperation::Add)),
        ("REMOVE", 3, Some(PatchOperation::Remove)),
        ("INSERT_BEFORE", 4, Some(PatchOperation::InsertBefore)),
        ("INSERT_AFTER", 5, Some(PatchOperation::InsertAfter)),
        ("INSERT_FIRST", 6, Some(PatchOperation::InsertFirst)),
        ("REPLACE", 7, Some(PatchOperation::Replace)),
        ("MERGE_AND_REPLACE_LIST", 8, Some(PatchOperation::MergeAndReplaceList)),
    ],
};

/// For whom a patch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Context {
    Any,
    Gateway,
    /// Proxies that are none.
    Others,
}

static CONTEXT: Enumeration<Context> = Enumeration {
    values: &[
        ("ANY", 0, Some(Context::Any)),
        ("SIDECAR_INBOUND", 1, Some(Context::Others)),
        ("SIDECAR_OUTBOUND", 2, Some(Context::Others)),
        ("GATEWAY", 3, Some(Context::Gateway)),
        ("WAYPOINT", 4, Some(Context::Others)),
    ],
};

/// Reads an EnvoyFilter.
pub(crate) fn read_envoy_filter(value: &Value<'_>) -> Option<EnvoyFilter> {
    let spec = value.message(&SPEC)?;
    let priority =
        spec.get("priority").and_then(|number| number.integer(i64::from(i32::MIN)..=i64::from(i32::MAX)));
    let mut filter =
        EnvoyFilter { priority: priority.unwrap_or(0), patches: Vec::new(), only_gateways: true };
    for value in spec.list("configPatches") {
        let Some(message) = value.message(&CONFIG_PATCH) else { continue };
        let found = message.message("match", &MATCH);
        let context = match &found {
            Some(found) => found.enumeration("context", &CONTEXT, Context::Any),
            None => Context::Any,
        };
        let proxy = found.as_ref().and_then(|found| found.message("proxy", &PROXY));
        if context == Context::Others || !proxy.is_none_or(|proxy| is_version_meant(&proxy)) {
            continue;
        }
        filter.only_gateways &= context == Context::Gateway;
        filter.patches.extend(read_patch(&value, &message, found.as_ref()));
    }
    Some(filter)
}

fn is_version_meant(proxy: &Message<'_>) -> bool {
    let Some(value) = proxy.get("proxyVersion") else { return true };
    let Some(text) = value.non_empty_string() else { return true };
    match compile_plain(&text, |_, pattern| regex::Regex::new(pattern)) {
        Ok(regex) => regex.is_match(ISTIO_VERSION),
        Err(problem) => {
            value.error(problem);
            true
        }
    }
}

fn read_patch(value: &Value<'_>, message: &Message<'_>, found: Option<&Message<'_>>) -> Option<ConfigPatch> {
    let apply_to = message.required("applyTo")?.enumeration(&APPLY_TO)?;
    let matching = match found {
        Some(found) => read_match(found, apply_to)?,
        None => ObjectMatch::Everything,
    };
    let patch = message.required("patch")?.message(&PATCH)?;
    let mut operation = patch.required("operation")?.enumeration(&OPERATION)?;
    let new = patch.get("value").map(|value| value.node.clone());
    if new.is_none() && operation != PatchOperation::Remove {
        patch.value().error("value is required for every operation but REMOVE");
        return None;
    }
    use PatchOperation::{Add, InsertAfter, InsertBefore, InsertFirst, Replace};
    let listed = [ApplyTo::HttpFilter, ApplyTo::NetworkFilter, ApplyTo::HttpRoute, ApplyTo::ListenerFilter];
    if matches!(operation, InsertAfter | InsertBefore | InsertFirst) && !listed.contains(&apply_to) {
        operation = Add;
    }
    let replaceable =
        [ApplyTo::HttpFilter, ApplyTo::NetworkFilter, ApplyTo::ListenerFilter, ApplyTo::VirtualHost];
    if operation == Replace && !replaceable.contains(&apply_to) {
        let help = "REPLACE is for HTTP_FILTER, NETWORK_FILTER, LISTENER_FILTER and VIRTUAL_HOST";
        patch.value().error_with_help("REPLACE has no effect on this", help);
        return None;
    }
    Some(ConfigPatch { apply_to, operation, value: new, matching, place: Place::of(value) })
}
