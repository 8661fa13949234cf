//! Where something was written.

use std::{fmt, sync::Arc};

use serde::{Serialize, Serializer, ser::SerializeStruct as _};

use tollgate_ir::Origin;

/// A place in a source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Location {
    /// Line, from 1.
    pub(crate) line: usize,
    /// Column in characters, from 1.
    pub(crate) column: usize,
    /// Characters on that line.
    pub(crate) length: usize,
}

/// Where something was written: cheap to clone, and independent of the document it came from.
#[derive(Clone, PartialEq, Eq)]
pub struct Place {
    /// Name of the source.
    pub(crate) file: Arc<str>,
    pub(crate) location: Location,
    /// Path of the field in its document.
    pub(crate) path: Arc<str>,
}

impl Place {
    /// Name of the source.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Line, from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.location.line
    }

    /// Column in characters, from 1.
    #[must_use]
    pub fn column(&self) -> usize {
        self.location.column
    }

    /// The place for people who read resources, in an object or in a file without objects.
    pub(crate) fn origin(&self, object: Option<&dyn fmt::Display>) -> Arc<Origin> {
        Arc::new(Origin {
            object: object.map(|object| Arc::from(object.to_string())),
            file: Arc::clone(&self.file),
            line: self.location.line,
            path: Arc::clone(&self.path),
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}:{}", self.file, self.location.line, self.location.column)
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self}")?;
        if self.path.is_empty() { Ok(()) } else { write!(formatter, " ({})", self.path) }
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut place = serializer.serialize_struct("Place", 4)?;
        place.serialize_field("file", &*self.file)?;
        place.serialize_field("line", &self.location.line)?;
        place.serialize_field("column", &self.location.column)?;
        place.serialize_field("path", &*self.path)?;
        place.end()
    }
}
