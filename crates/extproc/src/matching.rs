//! Matchers of strings: Envoy's `StringMatcher` and the full match of its regular expressions.

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

impl StringMatcher {
    /// Whether `text` passes.
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        let bytes = text.as_bytes();
        match self {
            Self::Exact(exact) => text == exact,
            Self::ExactIgnoreCase(exact) => text.eq_ignore_ascii_case(exact),
            Self::Prefix(prefix, false) => text.starts_with(prefix.as_str()),
            Self::Prefix(prefix, true) => {
                bytes.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
            }
            Self::Suffix(suffix, false) => text.ends_with(suffix.as_str()),
            Self::Suffix(suffix, true) => bytes
                .len()
                .checked_sub(suffix.len())
                .is_some_and(|at| bytes[at..].eq_ignore_ascii_case(suffix.as_bytes())),
            Self::Contains(part, false) => text.contains(part.as_str()),
            Self::Contains(part, true) => {
                part.is_empty()
                    || bytes.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part.as_bytes()))
            }
            Self::SafeRegex(regex) => regex.is_match(text),
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn regex(pattern: &str) -> FullRegex {
        FullRegex::new(pattern).expect("valid pattern")
    }

    #[test]
    fn regexes_match_the_whole_text() {
        assert!(regex("a|bc").is_match("bc"));
        assert!(!regex("a|bc").is_match("ab"));
        assert!(!regex("a").is_match("a\n"));
        assert!(FullRegex::new("(").is_err());
    }

    /// E-7.
    #[test]
    fn every_kind_of_string_matcher_matches() {
        use StringMatcher::*;
        let text = |text: &str| text.to_owned();
        for (matcher, yes, no) in [
            (Exact(text("x-a")), "x-a", "X-a"),
            (ExactIgnoreCase(text("x-A")), "X-a", "x-ab"),
            (Prefix(text("x-"), false), "x-a", "X-a"),
            (Prefix(text("X-"), true), "x-a", "x"),
            (Suffix(text("-a"), false), "x-a", "x-A"),
            (Suffix(text("-A"), true), "x-a", "a"),
            (Contains(text("oo"), false), "foot", "fOot"),
            (Contains(text("OO"), true), "foot", "fot"),
            (Contains(text(""), true), "", "\u{0}never"),
            (SafeRegex(regex("x-.*")), "x-a", "ax-a"),
        ] {
            assert!(matcher.is_match(yes), "{matcher:?} {yes}");
            assert!(no == "\u{0}never" || !matcher.is_match(no), "{matcher:?} {no}");
        }
        assert!(!Prefix(text("é"), true).is_match("e"));
    }
}
