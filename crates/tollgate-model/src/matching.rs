//! Matchers of strings and headers, as Envoy's `StringMatcher` and `HeaderMatcher`.

use regex::Regex;
use serde::{Serialize, Serializer};

/// A test of one string.
#[derive(Debug, Clone, Serialize)]
pub enum StringMatcher {
    /// Equal.
    Exact(String),
    /// Equal, ASCII case ignored.
    ExactIgnoreCase(String),
    /// Starts with; the flag ignores ASCII case.
    Prefix(String, bool),
    /// Ends with; the flag ignores ASCII case.
    Suffix(String, bool),
    /// Contains; the flag ignores ASCII case.
    Contains(String, bool),
    /// The whole string matches (RE2 syntax).
    SafeRegex(FullRegex),
}

/// A regular expression that must match the whole input.
///
/// The pattern is compiled as `^(?:…)$`, so that alternations behave as RE2's full match does.
#[derive(Debug, Clone)]
pub struct FullRegex {
    pattern: String,
    regex: Regex,
}

impl FullRegex {
    /// Compiles `pattern`.
    ///
    /// # Errors
    /// When the pattern is not valid or its program is too large.
    pub fn new(pattern: &str) -> Result<Self, regex::Error> {
        let regex = regex::RegexBuilder::new(&format!("^(?:{pattern})$")).size_limit(1 << 20).build()?;
        Ok(Self { pattern: pattern.to_owned(), regex })
    }

    /// Whether the whole of `text` matches.
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// The pattern as written.
    #[must_use]
    pub fn pattern(&self) -> &str {
        &self.pattern
    }
}

impl Serialize for FullRegex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.pattern)
    }
}

/// A condition on a header.
#[derive(Debug, Clone, Serialize)]
pub struct HeaderMatcher {
    /// Lower-case name; pseudo-headers allowed (`:method`, `:authority`, `:path`, `:scheme`).
    pub name: String,
    /// What its value must be; repeated values are joined with a comma.
    pub value: HeaderValueMatch,
    /// Negate the result.
    pub invert_match: bool,
    /// A missing header counts as empty instead of failing the match.
    pub treat_missing_header_as_empty: bool,
}

/// What a header's value must be.
#[derive(Debug, Clone, Serialize)]
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

/// A condition on a query parameter.
#[derive(Debug, Clone, Serialize)]
pub struct QueryParameterMatcher {
    /// Name, case-sensitive.
    pub name: String,
    /// `None` = present.
    pub value: Option<StringMatcher>,
}

pub(crate) fn serialize_pattern<S: Serializer>(regex: &Regex, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(regex.as_str())
}
