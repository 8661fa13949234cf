//! Where a part of a configuration was written.

use std::{fmt, ops::Deref, sync::Arc};

use serde::{Serialize, Serializer};

/// Where a part of a configuration was written.
///
/// All origins are equal: two parts that say the same are the same part, wherever they stand. So a configuration whose lines
/// moved is no other one.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Origin {
    /// The object. `None` in a file that holds no objects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectName>,
    /// Name of the file; empty = it is not known, or there is none.
    pub file: Arc<str>,
    /// Line, from 1; 0 = it is not known.
    pub line: usize,
    /// Path of the field in its document, as `spec.rules[0]`. May be empty.
    pub path: Arc<str>,
}

impl PartialEq for Origin {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Origin {}

/// An object by its kind and its name, as `HTTPRoute default/app` or `Cluster app`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName {
    /// Its kind.
    pub kind: Arc<str>,
    /// Its name among those of its kind.
    pub name: Arc<str>,
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

impl Serialize for ObjectName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Origin {
    /// `gateway.yaml:12: HTTPRoute default/app`, or only the object where there is no file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.object {
            Some(object) if self.file.is_empty() => return write!(f, "{object}"),
            _ => write!(f, "{}:{}", self.file, self.line)?,
        }
        match &self.object {
            Some(object) => write!(f, ": {object}"),
            None if self.path.is_empty() => Ok(()),
            None => write!(f, ": {}", self.path),
        }
    }
}

/// A part of a configuration and where it was written.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sourced<T> {
    /// What was written.
    #[serde(flatten)]
    pub value: T,
    /// Where.
    pub origin: Arc<Origin>,
}

impl<T> Deref for Sourced<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}
