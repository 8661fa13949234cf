//! What a controller would write into `.status`.

use serde::Serialize;
use serde_json::Value;

use super::{Metadata, ObjectRef};

mod over;

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
/// The time of its last change is left out: a status is a function of the objects alone. Whoever writes it over another one knows
/// which of them changed.
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

/// One entry of a route's `status.parents`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ParentStatus {
    pub(crate) parent_ref: ParentReference,
    pub(crate) controller_name: String,
    pub(crate) conditions: Conditions,
}

/// That of an object which is judged by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct OwnStatus {
    pub(crate) conditions: Conditions,
}

/// That of a GatewayClass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ClassStatus {
    pub(crate) conditions: Conditions,
    pub(crate) supported_features: Vec<Feature>,
}

/// The name of a feature whose tests pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Feature {
    pub(crate) name: &'static str,
}

/// That of a Gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GatewayStatus {
    pub(crate) addresses: Vec<Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) attached_listener_sets: Option<usize>,
    pub(crate) conditions: Conditions,
    pub(crate) listeners: Vec<ListenerStatus>,
}

/// An address that clients can connect to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Address {
    #[serde(rename = "type")]
    pub(crate) address_type: &'static str,
    pub(crate) value: String,
}

/// That of a ListenerSet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ListenerSetStatus {
    pub(crate) conditions: Conditions,
    pub(crate) listeners: Vec<ListenerStatus>,
}

/// That of a listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ListenerStatus {
    pub(crate) name: String,
    pub(crate) attached_routes: usize,
    pub(crate) supported_kinds: Vec<SupportedKind>,
    pub(crate) conditions: Conditions,
}

/// A kind of routes that a listener takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct SupportedKind {
    pub(crate) group: String,
    pub(crate) kind: String,
}

/// That of a route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct RouteStatus {
    pub(crate) parents: Vec<ParentStatus>,
}

/// That of a policy which is attached to objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct PolicyStatus {
    pub(crate) ancestors: Vec<AncestorStatus>,
}

/// The value of `.status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum Status {
    Own(OwnStatus),
    Class(ClassStatus),
    Gateway(GatewayStatus),
    ListenerSet(ListenerSetStatus),
    Route(RouteStatus),
    Policy(PolicyStatus),
}

impl Status {
    /// As it stands in JSON.
    pub(crate) fn to_json(&self) -> Value {
        // A status holds texts, numbers and lists of them: nothing of that can fail to be JSON.
        serde_json::to_value(self).unwrap_or_default()
    }
}

macro_rules! is_a_status {
    ($($variant:ident: $kind:ty),* $(,)?) => {$(
        impl From<$kind> for Status {
            fn from(status: $kind) -> Self {
                Self::$variant(status)
            }
        }
    )*};
}

is_a_status! {
    Own: OwnStatus,
    Class: ClassStatus,
    Gateway: GatewayStatus,
    ListenerSet: ListenerSetStatus,
    Route: RouteStatus,
    Policy: PolicyStatus,
}

/// The status of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ObjectStatus {
    pub(crate) object: ObjectRef,
    pub(crate) status: Status,
}

impl ObjectStatus {
    /// The status of an object.
    pub(crate) fn new(object: ObjectRef, status: impl Into<Status>) -> Self {
        Self { object, status: status.into() }
    }
}
