//! Where something was written.

use std::{fmt, sync::Arc};

use serde::{Serialize, Serializer, ser::SerializeStruct as _};

use tollgate_ir::{ObjectName, Origin};

/// A place in a source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Location {
    /// Line, from 1.
    pub(crate) line: usize,
    /// Column in characters, from 1.
    pub(crate) column: usize,
    /// Characters on that line.
    pub(crate) length: usize,
}

/// What something is written in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Whole {
    /// A file, by its name.
    File(Arc<str>),
    /// An object that came without a file.
    Object(ObjectName),
}

impl Whole {
    /// A place in it.
    pub(crate) fn place(&self, location: Location, path: impl Into<Arc<str>>) -> Place {
        let spot = match self {
            Self::File(file) => Spot::File { file: Arc::clone(file), location },
            Self::Object(object) => Spot::Object(object.clone()),
        };
        Place { spot, path: path.into() }
    }
}

/// A position in a file, or an object that came without one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Spot {
    File { file: Arc<str>, location: Location },
    Object(ObjectName),
}

/// Where something was written, in a file or in an object that came without one: cheap to clone, and independent of the document
/// it came from.
#[derive(Clone, PartialEq, Eq)]
pub struct Place {
    spot: Spot,
    /// Path of the field in its document.
    pub(crate) path: Arc<str>,
}

impl Place {
    /// A place in a file.
    pub(crate) fn in_file(file: impl Into<Arc<str>>, location: Location, path: impl Into<Arc<str>>) -> Self {
        Whole::File(file.into()).place(location, path)
    }

    /// Another place in the same file or object.
    pub(crate) fn elsewhere(&self, location: Location, path: impl Into<Arc<str>>) -> Self {
        self.whole().place(location, path)
    }

    /// What it is in.
    pub(crate) fn whole(&self) -> Whole {
        match &self.spot {
            Spot::File { file, .. } => Whole::File(Arc::clone(file)),
            Spot::Object(object) => Whole::Object(object.clone()),
        }
    }

    /// Where it is in its file; the beginning of an object.
    pub(crate) fn location(&self) -> Location {
        match &self.spot {
            Spot::File { location, .. } => *location,
            Spot::Object(_) => Location { line: 1, column: 1, length: 1 },
        }
    }

    /// What places are sorted and compared by: the path follows from it.
    pub(crate) fn spot(&self) -> &Spot {
        &self.spot
    }

    /// Name of the file; `None` = it is in an object that came without one.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        match &self.spot {
            Spot::File { file, .. } => Some(file),
            Spot::Object(_) => None,
        }
    }

    /// The object that came without a file.
    #[must_use]
    pub fn object(&self) -> Option<&ObjectName> {
        match &self.spot {
            Spot::File { .. } => None,
            Spot::Object(object) => Some(object),
        }
    }

    /// Line in the file, from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.location().line
    }

    /// Column in characters, from 1.
    #[must_use]
    pub fn column(&self) -> usize {
        self.location().column
    }

    /// Path of the field, `static_resources.listeners[0].name`; empty for the whole document.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The place for people who read resources, in an object or in a file without objects.
    pub(crate) fn origin(&self, object: Option<ObjectName>) -> Arc<Origin> {
        let (file, line) = match &self.spot {
            Spot::File { file, location } => (Arc::clone(file), location.line),
            Spot::Object(_) => (Arc::default(), 0),
        };
        let object = object.or_else(|| self.object().cloned());
        Arc::new(Origin { object, file, line, path: Arc::clone(&self.path) })
    }

    /// What an origin was made of, as far as it says.
    pub(crate) fn of_origin(origin: &Origin) -> Self {
        match &origin.object {
            Some(object) if origin.file.is_empty() => {
                Whole::Object(object.clone()).place(Location::default(), Arc::clone(&origin.path))
            }
            _ => {
                let location = Location { line: origin.line.max(1), column: 1, length: 1 };
                Self::in_file(Arc::clone(&origin.file), location, Arc::clone(&origin.path))
            }
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.spot {
            Spot::File { file, location } => {
                write!(formatter, "{file}:{}:{}", location.line, location.column)
            }
            Spot::Object(object) => write!(formatter, "{object}"),
        }
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
        match &self.spot {
            Spot::File { file, location } => {
                place.serialize_field("file", &**file)?;
                place.serialize_field("line", &location.line)?;
                place.serialize_field("column", &location.column)?;
            }
            Spot::Object(object) => place.serialize_field("object", object)?,
        }
        place.serialize_field("path", &*self.path)?;
        place.end()
    }
}
