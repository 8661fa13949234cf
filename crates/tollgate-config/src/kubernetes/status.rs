//! What a controller would write into `.status`.

use serde::Serialize;

use super::{Metadata, ObjectRef};

/// Whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) enum Holds {
    True,
    False,
}

impl From<bool> for Holds {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

/// One condition of an object.
///
/// The time of its last change is left out: a status is a function of the objects alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Condition {
    #[serde(rename = "type")]
    pub(crate) condition_type: String,
    pub(crate) status: Holds,
    pub(crate) observed_generation: i64,
    pub(crate) reason: String,
    pub(crate) message: String,
}

/// The conditions of an object or of its relation to another one: one of a type, in the order of their first mention.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct Conditions(Vec<Condition>);

impl Conditions {
    /// Sets a condition; one of the same type is replaced.
    pub(crate) fn set(
        &mut self,
        condition_type: &str,
        status: impl Into<Holds>,
        reason: &str,
        message: impl Into<String>,
        meta: &Metadata,
    ) {
        let condition = Condition {
            condition_type: condition_type.to_owned(),
            status: status.into(),
            observed_generation: meta.generation,
            reason: reason.to_owned(),
            message: message.into(),
        };
        match self.0.iter_mut().find(|known| known.condition_type == condition_type) {
            Some(known) => *known = condition,
            None => self.0.push(condition),
        }
    }

    pub(crate) fn get(&self, condition_type: &str) -> Option<&Condition> {
        self.0.iter().find(|condition| condition.condition_type == condition_type)
    }
}

/// A reference to a parent of a route or an ancestor of a policy, as it stands in a status.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ParentReference {
    pub(crate) group: String,
    pub(crate) kind: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) section_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) port: Option<u16>,
}

impl ParentReference {
    /// An object as a whole.
    pub(crate) fn to(object: &ObjectRef) -> Self {
        Self {
            group: object.group.clone(),
            kind: object.kind.clone(),
            namespace: object.namespace.clone(),
            name: object.name.clone(),
            section_name: None,
            port: None,
        }
    }
}

/// One entry of a policy's `status.ancestors`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AncestorStatus {
    pub(crate) ancestor_ref: ParentReference,
    pub(crate) controller_name: String,
    pub(crate) conditions: Conditions,
}

/// The status of one object.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct ObjectStatus {
    pub(crate) object: ObjectRef,
    /// The value of `.status`.
    pub(crate) status: serde_json::Value,
}

impl ObjectStatus {
    /// The status of an object.
    pub(crate) fn new(object: ObjectRef, status: impl Serialize) -> Self {
        // A status holds texts, numbers and lists of them: nothing of that can fail to be JSON.
        Self { object, status: serde_json::to_value(status).unwrap_or_default() }
    }
}
