//! What is written instead of what an expression matches.

use std::borrow::Cow;

use regex::bytes::Regex;
use serde::{Serialize, Serializer, ser::SerializeStruct};

/// An expression, and what is written instead of everything that it matches.
#[derive(Debug, Clone)]
pub struct Substitution {
    /// What is searched for.
    pub pattern: Regex,
    /// The expression as it was written.
    pub written: String,
    /// What is written instead; groups as `${1}`.
    pub substitution: String,
}

impl Substitution {
    /// A text in which every match is replaced.
    #[must_use]
    pub fn replace_all<'t>(&self, text: &'t [u8]) -> Cow<'t, [u8]> {
        self.pattern.replace_all(text, self.substitution.as_bytes())
    }
}

impl PartialEq for Substitution {
    fn eq(&self, other: &Self) -> bool {
        self.pattern.as_str() == other.pattern.as_str() && self.substitution == other.substitution
    }
}

impl Serialize for Substitution {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Substitution", 2)?;
        fields.serialize_field("pattern", &self.written)?;
        fields.serialize_field("substitution", &self.substitution)?;
        fields.end()
    }
}
