//! References to backends (9.6).

use super::{
    filters::{FilterSite, ReadFilters, read_filters},
    names::{bounded, checked, is_kind, is_subdomain, optional},
};
use crate::{
    kubernetes::{ObjectKey, ObjectRef, Place, values::port_number},
    routing::{BackendReference, RuleBackend},
    schema::{Message, Schema, Value, read},
};

static BACKEND_REF: Schema = Schema {
    name: "BackendRef",
    title: "",
    fields: &[
        read("group", "the core group", "API group."),
        read("kind", "Service", "Kind."),
        read("name", "", "Name. Required."),
        read("namespace", "that of the route", "Namespace; another one needs a ReferenceGrant."),
        read("port", "", "Port of the service. Required for services."),
        read("weight", "1", "Share of the requests, 0 to 1000000."),
        read("filters", "[]", "Filters for this backend only, at most 16."),
    ],
    unsupported: &[],
};

static BACKEND_OBJECT: Schema = Schema {
    name: "BackendObjectReference",
    title: "",
    fields: &[
        read("group", "the core group", "API group."),
        read("kind", "Service", "Kind."),
        read("name", "", "Name. Required."),
        read("namespace", "that of the route", "Namespace; another one needs a ReferenceGrant."),
        read("port", "", "Port of the service. Required for services."),
    ],
    unsupported: &[],
};

/// Reads `backendRefs` of a rule of a route in `namespace`.
pub(super) fn read_backends(
    rule: &Message<'_>,
    site: FilterSite<'_>,
    incompatible: &mut Option<String>,
) -> Vec<RuleBackend> {
    let values = bounded(rule, "backendRefs", 16);
    let backends = values.iter().filter_map(|value| {
        let message = value.message(&BACKEND_REF)?;
        let weight = message.get("weight").and_then(|weight| weight.integer(0..=1_000_000));
        let ReadFilters { filters, extension_refs } =
            read_filters(&message, FilterSite { of_backend: true, ..site }, incompatible);
        Some(RuleBackend {
            extension_refs,
            reference: reference(&message, site.namespace)?,
            weight: weight.and_then(|weight| u32::try_from(weight).ok()).unwrap_or(1),
            filters,
        })
    });
    backends.collect()
}

/// Reads a reference that stands alone.
pub(super) fn read_backend_object(value: &Value<'_>, namespace: &str) -> Option<BackendReference> {
    reference(&value.message(&BACKEND_OBJECT)?, namespace)
}

fn reference(message: &Message<'_>, namespace: &str) -> Option<BackendReference> {
    let group = checked(message, "group", is_subdomain, "an API group").unwrap_or_default();
    let kind = checked(message, "kind", is_kind, "a kind").unwrap_or_else(|| "Service".to_owned());
    let name = message.required_string("name");
    let port = message.get("port").and_then(|port| port_number(&port));
    if group.is_empty() && kind == "Service" && port.is_none() {
        message.value().error("Must have port for Service reference");
    }
    let namespace = optional(message, "namespace").unwrap_or_else(|| namespace.to_owned());
    let object = ObjectRef::new(&group, &kind, &ObjectKey::new(namespace, name));
    Some(BackendReference { object, port, place: Place::of(message.value()) })
}
