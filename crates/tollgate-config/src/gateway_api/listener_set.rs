//! ListenerSet, and XListenerSet as it was called first (9.4).

use super::{
    GROUP,
    listener::{ListenerEntry, read_listeners},
    names::optional,
};
use crate::{
    kubernetes::{ObjectKey, Place},
    schema::{Schema, Value, read},
};

/// More listeners for a Gateway.
#[derive(Debug)]
pub(crate) struct ListenerSet {
    /// The Gateway.
    pub(crate) parent: ObjectKey,
    pub(crate) parent_place: Place,
    pub(crate) listeners: Vec<ListenerEntry>,
}

static SPEC: Schema = Schema {
    name: "ListenerSetSpec",
    title: "",
    fields: &[
        read("parentRef", "", "The Gateway. Required."),
        read("listeners", "", "1 to 64 listeners. Required."),
    ],
    unsupported: &[],
};

static PARENT: Schema = Schema {
    name: "ParentGatewayReference",
    title: "",
    fields: &[
        read("group", "gateway.networking.k8s.io", "API group."),
        read("kind", "Gateway", "Kind."),
        read("name", "", "Name. Required."),
        read("namespace", "that of the ListenerSet", "Namespace."),
    ],
    unsupported: &[],
};

/// Reads a ListenerSet of `namespace`.
pub(super) fn read_listener_set(value: &Value<'_>, namespace: &str) -> Option<ListenerSet> {
    let spec = value.message(&SPEC)?;
    let parent = spec.required("parentRef")?;
    let message = parent.message(&PARENT)?;
    let group = optional(&message, "group").unwrap_or_else(|| GROUP.to_owned());
    let kind = optional(&message, "kind").unwrap_or_else(|| "Gateway".to_owned());
    if group != GROUP || kind != "Gateway" {
        parent.error(format!("a ListenerSet belongs to a Gateway, not to a {kind} of {group}"));
    }
    let namespace = optional(&message, "namespace").unwrap_or_else(|| namespace.to_owned());
    let listeners = read_listeners(&spec);
    if spec.required("listeners").is_some() && listeners.is_empty() {
        spec.value().error("\"listeners\" must have 1 to 64 entries");
    }
    Some(ListenerSet {
        parent: ObjectKey::new(namespace, message.required_string("name")),
        parent_place: Place::of(&parent),
        listeners,
    })
}
