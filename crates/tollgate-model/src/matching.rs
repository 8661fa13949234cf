//! Matchers of strings and headers, as Envoy's `StringMatcher` and `HeaderMatcher`.

mod metadata;
mod substitution;
#[cfg(test)]
mod tests;
mod unified;

use extproc::{RequestHeaders, ResponseHeaders};
use http::{HeaderMap, HeaderValue};
use regex::bytes::Regex;
use serde::{Serialize, Serializer};

use crate::{header::FieldName, route::split_parameter};

pub use self::{
    metadata::{MetadataMatcher, ValueMatcher},
    substitution::Substitution,
    unified::{Conditions, MatchFacts, MatchInput, Matcher, OnMatch, Predicate},
};
pub use extproc::matching::{FullRegex, StringMatcher};

/// A condition on a header.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HeaderMatcher {
    /// Which header.
    pub name: FieldName,
    /// What one of its values must be.
    pub value: HeaderValueMatch,
    /// Negate the result: no value may match. A missing header does not match either way, unless presence is asked for.
    pub invert_match: bool,
    /// A missing header counts as an empty value.
    pub treat_missing_header_as_empty: bool,
}

/// What a header's value must be.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum HeaderValueMatch {
    /// Present (true) or absent (false).
    Present(bool),
    /// The value passes the matcher.
    String(StringMatcher),
    /// An integer in `start..end`.
    Range {
        /// First value in the range.
        start: i64,
        /// First value behind it.
        end: i64,
    },
}

impl HeaderMatcher {
    /// Whether the condition holds for a request.
    #[must_use]
    pub fn matches(&self, request: &RequestHeaders) -> bool {
        self.holds(&request.fields, || self.name.first_in_request(request))
    }

    /// Whether the condition holds for a response.
    #[must_use]
    pub fn matches_response(&self, response: &ResponseHeaders) -> bool {
        self.holds(&response.fields, || self.name.first_in_response(response))
    }

    /// Whether the condition holds where there are no headers at all.
    #[must_use]
    pub fn matches_nothing(&self) -> bool {
        self.holds(&HeaderMap::new(), || None)
    }

    fn holds<'a>(&self, fields: &HeaderMap, first: impl FnOnce() -> Option<&'a [u8]>) -> bool {
        match &self.value {
            HeaderValueMatch::Present(present) => {
                let is_there = self.treat_missing_header_as_empty || first().is_some();
                (is_there == *present) != self.invert_match
            }
            HeaderValueMatch::String(matcher) => {
                self.any_value(fields, first, |value| matcher.matches(value))
            }
            HeaderValueMatch::Range { start, end } => self.any_value(fields, first, |value| {
                integer(value).is_some_and(|number| (*start..*end).contains(&number))
            }),
        }
    }

    /// Whether a value passes, or none if inverted. A missing header does neither.
    fn any_value<'a>(
        &self,
        fields: &HeaderMap,
        first: impl FnOnce() -> Option<&'a [u8]>,
        test: impl Fn(&[u8]) -> bool,
    ) -> bool {
        let found = match &self.name {
            FieldName::Field(name) => {
                let mut values = fields.get_all(name).iter().map(HeaderValue::as_bytes).peekable();
                values.peek().is_some().then(|| values.any(&test))
            }
            _ => first().map(&test),
        };
        match found {
            Some(found) => found != self.invert_match,
            None => self.treat_missing_header_as_empty && test(b"") != self.invert_match,
        }
    }
}

/// A decimal integer with an optional sign.
fn integer(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

impl QueryParameterMatcher {
    /// Whether the condition holds for a query (without `?`). Names and values are compared as they are, nothing is
    /// decoded; of a repeated parameter the first counts.
    #[must_use]
    pub fn matches(&self, query: &[u8]) -> bool {
        let mut parameters = query.split(|byte| *byte == b'&').map(split_parameter);
        let value = parameters.find(|(name, _)| *name == self.name.as_bytes()).map(|(_, value)| value);
        match (&self.value, value) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(matcher), Some(value)) => matcher.matches(value),
        }
    }
}

/// A condition on a query parameter.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QueryParameterMatcher {
    /// Name, case-sensitive.
    pub name: String,
    /// `None` = present.
    pub value: Option<StringMatcher>,
}

pub(crate) fn serialize_pattern<S: Serializer>(regex: &Regex, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(regex.as_str())
}
