//! What all kinds of routes have.

use super::{
    GROUP,
    names::{bounded, hostname, optional},
};
use crate::{
    kubernetes::{ObjectKey, ObjectRef, Place, status::ParentReference, values::port_number},
    routing::Rule,
    schema::{Message, Schema, Value, read},
};

/// A route as it is written.
#[derive(Debug)]
pub(crate) struct RouteSpec {
    pub(crate) parents: Vec<Parent>,
    /// Lower case, exact or `*.suffix`; empty = every host.
    pub(crate) hostnames: Vec<String>,
    /// Host names are given, and none of them can be read.
    pub(crate) hostnames_lost: bool,
    pub(crate) rules: Vec<Rule>,
    /// Filters that cannot be together.
    pub(crate) incompatible_filters: Option<String>,
}

/// A reference to what a route is attached to.
#[derive(Debug)]
pub(crate) struct Parent {
    pub(crate) reference: ParentReference,
    pub(crate) place: Place,
}

impl Parent {
    /// The object.
    pub(crate) fn object(&self) -> ObjectRef {
        let reference = &self.reference;
        let key = ObjectKey::new(&*reference.namespace, &*reference.name);
        ObjectRef::new(&reference.group, &reference.kind, &key)
    }
}

static PARENT: Schema = Schema {
    name: "ParentReference",
    title: "",
    fields: &[
        read("group", "gateway.networking.k8s.io", "API group."),
        read("kind", "Gateway", "Gateway or ListenerSet."),
        read("namespace", "that of the route", "Namespace."),
        read("name", "", "Name. Required."),
        read("sectionName", "every listener", "A listener of it."),
        read("port", "every port", "Listeners of this port."),
    ],
    unsupported: &[],
};

pub(super) fn read_parents(spec: &Message<'_>, namespace: &str) -> Vec<Parent> {
    let values = bounded(spec, "parentRefs", 32);
    let parents = values.iter().filter_map(|value| {
        let message = value.message(&PARENT)?;
        let reference = ParentReference {
            group: message.get("group").map_or_else(|| Some(GROUP.to_owned()), |group| group.string())?,
            kind: optional(&message, "kind").unwrap_or_else(|| "Gateway".to_owned()),
            namespace: optional(&message, "namespace").unwrap_or_else(|| namespace.to_owned()),
            name: message.required_string("name"),
            section_name: optional(&message, "sectionName"),
            port: message.get("port").and_then(|port| port_number(&port)),
        };
        Some(Parent { reference, place: Place::of(value) })
    });
    parents.collect()
}

/// Reads `hostnames`, and whether all that are given are lost.
pub(super) fn read_hostnames(spec: &Message<'_>) -> (Vec<String>, bool) {
    let values = bounded(spec, "hostnames", 16);
    let mut names: Vec<String> = values.iter().filter_map(hostname).collect();
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    let lost = names.is_empty() && spec.get("hostnames").is_some_and(|names| !names.is_empty_list());
    (names, lost)
}

/// The name of a rule, which no other rule of the route may have.
pub(super) fn read_rule_name(message: &Message<'_>, rules: &[Rule]) -> Option<String> {
    let name = optional(message, "name")?;
    if rules.iter().any(|rule| rule.name.as_deref() == Some(&*name)) {
        message.value().error("Rule name must be unique within the route");
    }
    Some(name)
}

/// The bounds of rules and matches.
pub(super) fn check_numbers(spec: &Message<'_>, rules: &[Rule]) {
    let matches: usize = rules.iter().map(|rule| rule.matches.len()).sum();
    if matches > 128 {
        spec.value().error(
            "While 16 rules and 64 matches per rule are allowed, the total number of matches across all rules in a \
             route must be less than 128",
        );
    }
}

/// The values of `rules`, at most 16.
pub(super) fn rule_values<'a>(spec: &Message<'a>) -> Vec<Value<'a>> {
    bounded(spec, "rules", 16)
}
