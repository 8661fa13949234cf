//! EnvoyPatchPolicy: what it says.

use crate::{
    kubernetes::Place,
    patching::{Change, Operation, Patch, ResourceKind},
    policies::TargetRef,
    schema::{Enumeration, Message, Schema, Value, read},
};

/// Changes the configuration as Envoy would get it.
#[derive(Debug)]
pub(crate) struct PatchPolicy {
    /// A Gateway, or the GatewayClass of gateways that are merged.
    pub(super) target: Option<TargetRef>,
    /// Policies with a lower number come first.
    pub(super) priority: i64,
    pub(super) patches: Vec<Patch>,
}

static SPEC: Schema = Schema {
    name: "EnvoyPatchPolicySpec",
    title: "",
    fields: &[
        read("type", "", "JSONPatch. Required."),
        read("jsonPatches", "[]", "The changes, in their order."),
        read("targetRef", "", "The Gateway, or the GatewayClass of merged Gateways. Required."),
        read("priority", "0", "Policies with a lower number come first."),
    ],
    unsupported: &[],
};

static JSON_PATCH: Schema = Schema {
    name: "EnvoyJSONPatchConfig",
    title: "",
    fields: &[
        read("type", "", "Type of the resource. Required."),
        read("name", "", "Name of the resource. Required."),
        read("operation", "", "The change. Required."),
    ],
    unsupported: &[],
};

static OPERATION: Schema = Schema {
    name: "JSONPatchOperation",
    title: "",
    fields: &[
        read("op", "", "add, remove, replace, move, copy or test. Required."),
        read("path", "", "JSON Pointer: what changes, from the root or from what jsonPath finds."),
        read("jsonPath", "", "JSONPath: where `path` begins."),
        read("from", "", "For move and copy: where from."),
        read("value", "", "For add, replace and test: the value."),
    ],
    unsupported: &[],
};

static TARGET: Schema = Schema {
    name: "LocalPolicyTargetReference",
    title: "",
    fields: &[
        read("group", "", "`gateway.networking.k8s.io`. Required."),
        read("kind", "", "Gateway or GatewayClass. Required."),
        read("name", "", "Name of the object. Required."),
    ],
    unsupported: &[],
};

static TYPE: Enumeration<()> = Enumeration { values: &[("JSONPatch", 0, Some(()))] };

static RESOURCE: Enumeration<ResourceKind> = Enumeration {
    values: &[
        ("type.googleapis.com/envoy.config.listener.v3.Listener", 0, Some(ResourceKind::Listener)),
        (
            "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
            1,
            Some(ResourceKind::RouteConfiguration),
        ),
        ("type.googleapis.com/envoy.config.cluster.v3.Cluster", 2, Some(ResourceKind::Cluster)),
        (
            "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            3,
            Some(ResourceKind::ClusterLoadAssignment),
        ),
        (
            "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
            4,
            Some(ResourceKind::Secret),
        ),
    ],
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    Add,
    Remove,
    Replace,
    Move,
    Copy,
    Test,
}

static OP: Enumeration<Op> = Enumeration {
    values: &[
        ("add", 0, Some(Op::Add)),
        ("remove", 1, Some(Op::Remove)),
        ("replace", 2, Some(Op::Replace)),
        ("move", 3, Some(Op::Move)),
        ("copy", 4, Some(Op::Copy)),
        ("test", 5, Some(Op::Test)),
    ],
};

pub(super) fn read_patch_policy(value: &Value<'_>) -> Option<PatchPolicy> {
    let spec = value.message(&SPEC)?;
    spec.required("type").and_then(|kind| kind.enumeration(&TYPE));
    let priority =
        spec.get("priority").and_then(|number| number.integer(i64::from(i32::MIN)..=i64::from(i32::MAX)));
    let patches = spec.list("jsonPatches");
    Some(PatchPolicy {
        target: spec.required("targetRef").and_then(|target| read_target(&target)),
        priority: priority.unwrap_or(0),
        patches: patches.iter().filter_map(read_patch).collect(),
    })
}

fn read_target(value: &Value<'_>) -> Option<TargetRef> {
    let target = value.message(&TARGET)?;
    let group = target.required_string("group");
    let kind = target.required_string("kind");
    let name = target.required_string("name");
    if group != crate::gateway_api::GROUP || !["Gateway", "GatewayClass"].contains(&kind.as_str()) {
        let message =
            "an EnvoyPatchPolicy can only target a Gateway or a GatewayClass of gateway.networking.k8s.io";
        value.error_exposing(message, None);
        return None;
    }
    (!name.is_empty()).then_some(TargetRef { group, kind, name, section: None })
}

fn read_patch(value: &Value<'_>) -> Option<Patch> {
    let patch = value.message(&JSON_PATCH)?;
    let kind = patch.required("type").and_then(|kind| kind.enumeration(&RESOURCE));
    let name = patch.required_string("name");
    let operation = patch.required("operation")?.message(&OPERATION)?;
    let change = read_change(&operation)?;
    Some(Patch { kind: kind?, name, change, place: Place::of(value) })
}

fn read_change(operation: &Message<'_>) -> Option<Change> {
    let op = operation.required("op")?.enumeration(&OP)?;
    let path = operation.string("path");
    let json_path = Some(operation.string("jsonPath")).filter(|path| !path.is_empty());
    let whole = path.is_empty() && json_path.is_none();
    let value = operation.get("value").map(|value| value.node.clone());
    let from = operation.string("from");
    let needs_value = matches!(op, Op::Add | Op::Replace | Op::Test);
    if needs_value != value.is_some() {
        let is = if needs_value { "needs a value" } else { "has no value" };
        operation.value().error(format!("the operation {} {is}", word(op)));
        return None;
    }
    let needs_from = matches!(op, Op::Move | Op::Copy);
    if needs_from == from.is_empty() {
        let is = if needs_from { "needs from" } else { "has no from" };
        operation.value().error(format!("the operation {} {is}", word(op)));
        return None;
    }
    let edit = |operation| Some(Change::Edit { json_path: json_path.clone(), path: path.clone(), operation });
    match (op, value) {
        (Op::Add, Some(value)) if whole => Some(Change::Put(value)),
        _ if whole => {
            operation.value().error(format!("the operation {} needs path or jsonPath", word(op)));
            None
        }
        (Op::Add, Some(value)) => edit(Operation::Add(value)),
        (Op::Replace, Some(value)) => edit(Operation::Replace(value)),
        (Op::Test, Some(value)) => edit(Operation::Test(value)),
        (Op::Remove, _) => edit(Operation::Remove),
        (Op::Move, _) => edit(Operation::Move(from)),
        (Op::Copy, _) => edit(Operation::Copy(from)),
        (Op::Add | Op::Replace | Op::Test, None) => None,
    }
}

fn word(op: Op) -> &'static str {
    OP.values.iter().find(|(_, _, known)| *known == Some(op)).map_or("", |(word, ..)| word)
}
