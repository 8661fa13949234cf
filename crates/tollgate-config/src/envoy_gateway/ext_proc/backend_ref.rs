//! References to the endpoints of a processor.

use crate::{
    envoy_gateway::GROUP,
    kubernetes::Place,
    schema::{Message, Schema, Value, read},
};

/// A reference to a service or a Backend, as it was written.
#[derive(Debug, Clone)]
pub(in crate::envoy_gateway) struct BackendRef {
    /// `None` where nothing was said, which is not the same as the core group (EG-49).
    pub(in crate::envoy_gateway) group: Option<String>,
    pub(in crate::envoy_gateway) kind: String,
    pub(in crate::envoy_gateway) name: String,
    /// `None` = that of the policy.
    pub(in crate::envoy_gateway) namespace: Option<String>,
    pub(in crate::envoy_gateway) port: Option<u16>,
    pub(in crate::envoy_gateway) weight: u32,
    /// For when no other endpoint is healthy (EG-33).
    pub(in crate::envoy_gateway) fallback: bool,
    pub(in crate::envoy_gateway) place: Place,
}

static BACKEND_REF: Schema = Schema {
    name: "BackendRef",
    title: "",
    fields: &[
        read("group", "", "API group: empty for services, `gateway.envoyproxy.io` for Backends."),
        read("kind", "Service", "Service, ServiceImport or Backend."),
        read("name", "", "Name of the object. Required."),
        read("namespace", "the namespace of the policy", "Namespace of the object."),
        read("port", "", "Port of the service; for a Backend it chooses the BackendTLSPolicy."),
        read("weight", "1", "Share of this backend, 0 to 1000000."),
        read("fallback", "false", "Used when the others are unhealthy."),
    ],
    unsupported: &[],
};

static OLD_BACKEND_REF: Schema = Schema {
    name: "BackendObjectReference",
    title: "",
    fields: &[
        read("group", "", "API group: empty for services, `gateway.envoyproxy.io` for Backends."),
        read("kind", "Service", "Service, ServiceImport or Backend."),
        read("name", "", "Name of the object. Required."),
        read("namespace", "the namespace of the policy", "Namespace of the object."),
        read("port", "", "Port of the service; for a Backend it chooses the BackendTLSPolicy."),
    ],
    unsupported: &[],
};

/// Largest weight.
const LARGEST_WEIGHT: i64 = 1_000_000;

pub(super) fn read_backend_ref(value: &Value<'_>) -> Option<BackendRef> {
    let message = value.message(&BACKEND_REF)?;
    let weight = message.get("weight").and_then(|weight| weight.integer(0..=LARGEST_WEIGHT));
    let mut backend = read_reference(&message)?;
    backend.weight = weight.and_then(|weight| u32::try_from(weight).ok()).unwrap_or(1);
    backend.fallback = message.boolean("fallback", false);
    Some(backend)
}

/// The form without a weight, of the field `backendRef`.
pub(super) fn read_old_backend_ref(value: &Value<'_>) -> Option<BackendRef> {
    read_reference(&value.message(&OLD_BACKEND_REF)?)
}

fn read_reference(message: &Message<'_>) -> Option<BackendRef> {
    let kind = match message.string("kind") {
        kind if kind.is_empty() => "Service".to_owned(),
        kind => kind,
    };
    // EG-7
    if !["Service", "ServiceImport", "Backend"].contains(&kind.as_str()) {
        message.value().error("BackendRefs only supports Service, ServiceImport, and Backend kind.");
    }
    let group = message.get("group").and_then(|group| group.string());
    // EG-8
    if group.as_deref().is_some_and(|group| !["", "multicluster.x-k8s.io", GROUP].contains(&group)) {
        message.value().error(
            "BackendRefs only supports Core, multicluster.x-k8s.io, and gateway.envoyproxy.io groups.",
        );
    }
    let name = message.required_string("name");
    Some(BackendRef {
        group,
        kind,
        name: Some(name).filter(|name| !name.is_empty())?,
        namespace: Some(message.string("namespace")).filter(|namespace| !namespace.is_empty()),
        port: message.get("port").and_then(|port| port.port(1)),
        weight: 1,
        fallback: false,
        place: Place::of(message.value()),
    })
}
