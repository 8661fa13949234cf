//! Objects as they were written, with the status that a controller would give them.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::{Map, Number, Value};

use super::{Metadata, ObjectRef, ObjectStore, Place, status::ObjectStatus};
use crate::{schema::to_json, yaml::Node};

/// An object as it was written, with the status that a controller would give it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectReport {
    /// API group; empty for the core group.
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Namespace; empty for objects of the cluster.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Version of its spec: 1, or what is written, or one more than in the configuration before if the spec is another one.
    pub generation: i64,
    /// Where it is written.
    pub place: Place,
    /// The document. Secrets keep their values to themselves.
    pub document: Value,
    /// The value of `.status`, for objects that get one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Value>,
}

/// All objects in the order of their documents; of those with the same name the last.
pub(crate) fn report_objects(resources: &ObjectStore, statuses: &[ObjectStatus]) -> Vec<ObjectReport> {
    let statuses: HashMap<&ObjectRef, &Value> =
        statuses.iter().map(|status| (&status.object, &status.status)).collect();
    let reference = |meta: &Metadata| ObjectRef::new(&meta.group, &meta.kind, &meta.key);
    let last: HashMap<ObjectRef, usize> =
        resources.documents.iter().map(|(meta, _)| (reference(meta), meta.order)).collect();
    let in_force =
        resources.documents.iter().filter(|(meta, _)| last.get(&reference(meta)) == Some(&meta.order));
    in_force
        .map(|(meta, node)| ObjectReport {
            status: statuses.get(&reference(meta)).map(|status| (*status).clone()),
            group: meta.group.clone(),
            kind: meta.kind.clone(),
            namespace: meta.key.namespace.clone(),
            name: meta.key.name.clone(),
            generation: meta.generation,
            place: meta.place.clone(),
            document: if meta.kind == "Secret" { without_values(node) } else { to_json(node) },
        })
        .collect()
}

/// A secret, with the sizes of its values instead of the values.
fn without_values(node: &Node) -> Value {
    let mut secret = to_json(node);
    for member in ["data", "stringData"] {
        if let Some(Value::Object(values)) = secret.get_mut(member) {
            let sizes = values.iter().map(|(key, value)| {
                let size = value.as_str().map_or(0, str::len);
                (key.clone(), Value::Number(Number::from(size)))
            });
            *values = sizes.collect::<Map<_, _>>();
        }
    }
    secret
}
