//! Format strings with `%OPERATOR%`s: access logs, header values, processor metadata.

use serde::{Serialize, Serializer};

/// A compiled format string.
#[derive(Debug, Clone)]
pub struct Format {
    source: String,
}

impl Format {
    /// The string as written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }
}

impl Serialize for Format {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.source)
    }
}
