//! `metadata` of objects.

use std::collections::BTreeMap;

use super::{ObjectKey, Place};
use crate::schema::{Message, Schema, bookkeeping, read};

pub(crate) static METADATA: Schema = Schema {
    name: "ObjectMeta",
    title: "",
    fields: &[
        read("name", "", "Name of the object. Required."),
        read("namespace", "the one chosen by `--namespace`, else `default`", "Namespace of the object."),
        read("labels", "{}", "What selectors look at."),
        read("annotations", "{}", "Notes, some of which have a meaning to a dialect."),
        read(
            "creationTimestamp",
            "",
            "Age; without it the order of documents decides which object is older.",
        ),
        read("generation", "1", "Version of the spec, shown as `observedGeneration`."),
        bookkeeping("deletionGracePeriodSeconds"),
        bookkeeping("deletionTimestamp"),
        bookkeeping("finalizers"),
        bookkeeping("generateName"),
        bookkeeping("managedFields"),
        bookkeeping("ownerReferences"),
        bookkeeping("resourceVersion"),
        bookkeeping("selfLink"),
        bookkeeping("uid"),
    ],
    unsupported: &[],
};

/// `metadata` of an object, with what it is.
#[derive(Debug)]
pub(crate) struct Metadata {
    /// API group; empty for the core group.
    pub(crate) group: String,
    pub(crate) kind: String,
    pub(crate) key: ObjectKey,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
    /// RFC 3339 in UTC, so that texts compare as times do.
    pub(crate) creation_timestamp: Option<String>,
    /// Version of the spec (CF-10).
    pub(crate) generation: i64,
    /// Position among all documents, which stands for the age of objects without a timestamp (CF-9).
    pub(crate) order: usize,
    /// The whole object.
    pub(crate) place: Place,
}

/// Age of an object: the older one is less. Ties are broken by `<namespace>/<name>` (CF-9).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Age {
    /// Objects that an API server has stored are older than those that it has yet to see.
    without_timestamp: bool,
    timestamp: String,
    order: usize,
    key: ObjectKey,
}

impl Metadata {
    pub(crate) fn age(&self) -> Age {
        Age {
            without_timestamp: self.creation_timestamp.is_none(),
            timestamp: self.creation_timestamp.clone().unwrap_or_default(),
            // Equal timestamps leave the decision to the names.
            order: if self.creation_timestamp.is_some() { 0 } else { self.order },
            key: self.key.clone(),
        }
    }
}

/// What `metadata` itself says; the namespace as it was written.
pub(super) struct Written {
    pub(super) name: String,
    pub(super) namespace: Option<String>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) creation_timestamp: Option<String>,
    pub(super) generation: Option<i64>,
}

impl Written {
    /// That of an object of which only the name is known.
    pub(super) fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            namespace: None,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            creation_timestamp: None,
            generation: None,
        }
    }
}

/// Reads `metadata`. Without a name there is no object.
pub(super) fn read_metadata(object: &Message<'_>) -> Option<Written> {
    let metadata = object.required("metadata")?.message(&METADATA)?;
    let texts = |name| {
        let entries = metadata.map(name);
        entries.iter().filter_map(|(key, value)| Some(((*key).to_owned(), value.string()?))).collect()
    };
    let name = metadata.required_string("name");
    let generation = metadata.get("generation").and_then(|generation| generation.integer(0..=i64::MAX));
    Some(Written {
        namespace: Some(metadata.string("namespace")).filter(|namespace| !namespace.is_empty()),
        labels: texts("labels"),
        annotations: texts("annotations"),
        creation_timestamp: Some(metadata.string("creationTimestamp")).filter(|text| !text.is_empty()),
        generation,
        name: Some(name).filter(|name| !name.is_empty())?,
    })
}
