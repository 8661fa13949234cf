//! Objects as they were written, with the status that a controller would give them.

use std::collections::HashMap;

use serde_json::{Map, Number, Value};

use super::{
    ObjectRef, ObjectStore, Place, Stored,
    status::{ObjectStatus, Status},
};
use crate::{schema::to_json, yaml::Node};

/// An object as it was written, with the status that a controller would give it.
#[derive(Debug, Clone)]
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
    /// The value of `.status`, for objects that get one.
    pub status: Option<Value>,
    typed: Option<Status>,
    stored: Stored,
}

impl ObjectReport {
    /// The document. Secrets keep their values to themselves.
    #[must_use]
    pub fn document(&self) -> Value {
        let node = &self.stored.node;
        if self.kind == "Secret" { without_values(node) } else { to_json(node) }
    }

    /// The status as a controller that goes by `names` writes it over the one that an object has: entries of other controllers
    /// stay, and so do conditions that it does not write and the times of those that do not change. `None` for objects that get
    /// none.
    #[must_use]
    pub fn status_over(&self, written: &Value, names: &[&str]) -> Option<Value> {
        Some(self.typed.as_ref()?.over(written, names))
    }

    /// The object as it was read.
    pub(super) fn stored(&self) -> &Stored {
        &self.stored
    }
}

/// All objects in the order of their documents; of those with the same name the last.
pub(crate) fn report_objects(store: &ObjectStore, statuses: Vec<ObjectStatus>) -> Vec<ObjectReport> {
    let mut statuses: HashMap<ObjectRef, Status> =
        statuses.into_iter().map(|status| (status.object, status.status)).collect();
    let last: HashMap<ObjectRef, usize> =
        store.documents().iter().map(|object| (object.reference(), object.meta.order)).collect();
    let in_force = store.documents().iter().filter_map(|object| {
        let reference = object.reference();
        (last.get(&reference) == Some(&object.meta.order)).then_some((reference, object))
    });
    in_force
        .map(|(reference, object)| {
            let typed = statuses.remove(&reference);
            let ObjectRef { group, kind, namespace, name } = reference;
            ObjectReport {
                group,
                kind,
                namespace,
                name,
                generation: object.meta.generation,
                place: object.meta.place.clone(),
                status: typed.as_ref().map(Status::to_json),
                typed,
                stored: object.clone(),
            }
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
