//! Where a part of a configuration was written.

use std::{fmt, ops::Deref, sync::Arc};

use serde::Serialize;

/// Where a part of a configuration was written.
///
/// All origins are equal: two parts that say the same are the same part, wherever they stand. So a configuration whose lines
/// moved is no other one.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Origin {
    /// The object, as `HTTPRoute default/app`. `None` in a file that holds no objects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<Arc<str>>,
    /// Name of the file; empty = it is not known.
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

impl fmt::Display for Origin {
    /// `gateway.yaml:12: HTTPRoute default/app`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)?;
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
