//! GatewayClass (9.2).

use super::names::optional;
use crate::{
    kubernetes::{ObjectKey, ObjectRef, Place},
    schema::{Schema, Value, bookkeeping, read},
};

/// Who looks after the Gateways of a class.
#[derive(Debug)]
pub(crate) struct GatewayClass {
    pub(crate) controller_name: String,
    pub(crate) parameters: Option<ParametersRef>,
}

/// An object with further settings.
#[derive(Debug, Clone)]
pub(crate) struct ParametersRef {
    pub(crate) object: ObjectRef,
    pub(crate) place: Place,
}

static SPEC: Schema = Schema {
    name: "GatewayClassSpec",
    title: "",
    fields: &[
        read("controllerName", "", "Which system its Gateways are for. Required."),
        read("parametersRef", "", "An object with further settings."),
        bookkeeping("description"),
    ],
    unsupported: &[],
};

static PARAMETERS: Schema = Schema {
    name: "ParametersReference",
    title: "",
    fields: &[
        read("group", "", "API group. Required."),
        read("kind", "", "Kind. Required."),
        read("name", "", "Name. Required."),
        read("namespace", "", "Namespace, unless the object belongs to the cluster."),
    ],
    unsupported: &[],
};

pub(super) fn read_gateway_class(value: &Value<'_>) -> Option<GatewayClass> {
    let spec = value.message(&SPEC)?;
    let controller_name = spec.required_string("controllerName");
    if !controller_name.is_empty() && !is_domain_prefixed(&controller_name) {
        spec.value().error("\"controllerName\" must be of the form DOMAIN/PATH");
    }
    let parameters = spec.get("parametersRef").and_then(|value| read_parameters(&value, None));
    Some(GatewayClass { controller_name, parameters })
}

/// Reads a reference to further settings. A `namespace` that is given leaves no choice.
pub(super) fn read_parameters(value: &Value<'_>, namespace: Option<&str>) -> Option<ParametersRef> {
    let message = value.message(&PARAMETERS)?;
    let group = message.required("group")?.string()?;
    let (kind, name) = (message.required_string("kind"), message.required_string("name"));
    let namespace = namespace.map(str::to_owned).or_else(|| optional(&message, "namespace"));
    let key = ObjectKey::new(namespace.unwrap_or_default(), name);
    Some(ParametersRef { object: ObjectRef::new(&group, &kind, &key), place: Place::of(value) })
}

fn is_domain_prefixed(name: &str) -> bool {
    name.split_once('/').is_some_and(|(domain, path)| domain.contains('.') && !path.is_empty())
}
