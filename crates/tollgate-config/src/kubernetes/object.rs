//! Objects and sets of them.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde::Serialize;
use tollgate_ir::ObjectName;

use super::Metadata;
use crate::yaml::Node;

/// Namespace and name. Ordered as ties between objects are broken: `<namespace>/<name>`, byte by byte (CF-9).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ObjectKey {
    /// Empty for objects of the cluster.
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl ObjectKey {
    pub(crate) fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            formatter.write_str(&self.name)
        } else {
            write!(formatter, "{}/{}", self.namespace, self.name)
        }
    }
}

/// An object by all its names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub(crate) struct ObjectRef {
    pub(crate) group: String,
    pub(crate) kind: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl ObjectRef {
    pub(crate) fn new(group: &str, kind: &str, key: &ObjectKey) -> Self {
        Self {
            group: group.to_owned(),
            kind: kind.to_owned(),
            namespace: key.namespace.clone(),
            name: key.name.clone(),
        }
    }

    pub(crate) fn key(&self) -> ObjectKey {
        ObjectKey::new(&*self.namespace, &*self.name)
    }

    /// As resources name it, by the same words as it is shown.
    pub(crate) fn object_name(&self) -> ObjectName {
        ObjectName { kind: self.kind.as_str().into(), name: self.key().to_string().into() }
    }
}

impl fmt::Display for ObjectRef {
    /// `HTTPRoute default/myapp`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.kind, self.key())
    }
}

/// One object as it was read.
#[derive(Debug)]
pub(crate) struct Object<T> {
    pub(crate) meta: Arc<Metadata>,
    /// What it says. With [`errors`](Self::errors) it is what could be had of it.
    pub(crate) spec: T,
    /// What an API server would have refused it for (CF-13); empty for a sound object.
    pub(crate) errors: Vec<String>,
    /// The document, as it was written.
    pub(crate) node: Arc<Node>,
}

impl<T> Object<T> {
    pub(crate) fn reference(&self) -> ObjectRef {
        ObjectRef::new(&self.meta.group, &self.meta.kind, &self.meta.key)
    }
}

/// All objects of one kind, by namespace and name. A later document replaces an earlier one of the same name.
#[derive(Debug)]
pub(crate) struct Objects<T>(BTreeMap<ObjectKey, Arc<Object<T>>>);

impl<T> Default for Objects<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T> Objects<T> {
    /// Adds an object; gives the one that it replaces.
    pub(crate) fn insert(&mut self, object: Arc<Object<T>>) -> Option<Arc<Object<T>>> {
        self.0.insert(object.meta.key.clone(), object)
    }

    pub(crate) fn get(&self, key: &ObjectKey) -> Option<&Arc<Object<T>>> {
        self.0.get(key)
    }

    /// All, ordered by namespace and name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Object<T>>> {
        self.0.values()
    }

    /// All, the oldest first (CF-9).
    pub(crate) fn by_age(&self) -> Vec<&Arc<Object<T>>> {
        let mut all: Vec<_> = self.0.values().collect();
        all.sort_by_cached_key(|object| object.meta.age());
        all
    }
}
