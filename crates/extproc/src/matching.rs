//! Matchers of strings: Envoy's `StringMatcher` and the full match of its regular expressions.

use std::fmt;

use regex::bytes;
use serde::{Serialize, Serializer};

/// Bytes a compiled regular expression may take.
const REGEX_SIZE_LIMIT: usize = 1 << 20;

/// A test of one string.
#[derive(Debug, Clone, PartialEq, Serialize)]
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
    /// Whether `text` passes. Texts are bytes, since header values may be anything.
    #[must_use]
    pub fn matches(&self, text: &[u8]) -> bool {
        match self {
            Self::Exact(expected) => text == expected.as_bytes(),
            Self::ExactIgnoreCase(expected) => text.eq_ignore_ascii_case(expected.as_bytes()),
            Self::Prefix(prefix, ignore_case) => {
                text.get(..prefix.len()).is_some_and(|start| equal(start, prefix.as_bytes(), *ignore_case))
            }
            Self::Suffix(suffix, ignore_case) => {
                let start = text.len().checked_sub(suffix.len());
                start.is_some_and(|start| equal(&text[start..], suffix.as_bytes(), *ignore_case))
            }
            Self::Contains(part, ignore_case) => {
                part.is_empty()
                    || text.windows(part.len()).any(|window| equal(window, part.as_bytes(), *ignore_case))
            }
            Self::SafeRegex(regex) => regex.is_match(text),
        }
    }
}

fn equal(left: &[u8], right: &[u8], ignore_case: bool) -> bool {
    if ignore_case { left.eq_ignore_ascii_case(right) } else { left == right }
}

/// A regular expression that must match the whole input.
///
/// The pattern is compiled as `^(?:…)$`, so that alternations behave as RE2's full match does. It sees bytes, as Envoy's do:
/// header values need not be UTF-8, and a byte that no expression could match would be a way past each that forbids
/// something.
#[derive(Clone)]
pub struct FullRegex {
    /// In the syntax of the library.
    pattern: String,
    /// As a configuration has it, in the syntax of RE2.
    written: String,
    regex: bytes::Regex,
}

impl FullRegex {
    /// Compiles `pattern`.
    ///
    /// # Errors
    /// When the pattern is not valid or its program is too large.
    pub fn new(pattern: &str) -> Result<Self, regex::Error> {
        Self::translated(pattern, pattern)
    }

    /// Compiles `pattern`, which says in the syntax of the library what `written` says in that of RE2.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn translated(written: &str, pattern: &str) -> Result<Self, regex::Error> {
        let compile = |pattern: &str| {
            bytes::RegexBuilder::new(pattern).unicode(false).size_limit(REGEX_SIZE_LIMIT).build()
        };
        // On its own first: parentheses that do not match could become valid by the wrapping.
        compile(pattern)?;
        Ok(Self {
            pattern: pattern.to_owned(),
            written: written.to_owned(),
            regex: compile(&format!("^(?:{pattern})$"))?,
        })
    }

    /// Whether the whole of `text` matches.
    #[must_use]
    pub fn is_match(&self, text: &[u8]) -> bool {
        self.regex.is_match(text)
    }

    /// The pattern in the syntax of the library.
    #[must_use]
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// The pattern as a configuration has it, in the syntax of RE2.
    #[must_use]
    pub fn written(&self) -> &str {
        &self.written
    }
}

impl fmt::Debug for FullRegex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FullRegex").field("pattern", &self.pattern).field("regex", &self.regex).finish()
    }
}

impl PartialEq for FullRegex {
    /// The same pattern, which is always compiled in the same way.
    fn eq(&self, other: &Self) -> bool {
        self.pattern == other.pattern
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
        assert!(regex("a|bc").is_match(b"bc"));
        assert!(!regex("a|bc").is_match(b"ab"));
        assert!(!regex("a").is_match(b"a\n"));
        // Every byte is one, whatever the text is.
        assert!(regex(".*bad").is_match(b"\xe9bad") && regex("a.b").is_match(b"a\xe9b"));
        assert!(regex("[^a]").is_match(b"\xff") && !regex("a.b").is_match("aéb".as_bytes()));
        assert!(FullRegex::new("(").is_err() && FullRegex::new("a)|(b").is_err());
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
            (SafeRegex(regex("x-.*")), "x-a", "ax-a"),
        ] {
            assert!(matcher.matches(yes.as_bytes()), "{matcher:?} {yes}");
            assert!(!matcher.matches(no.as_bytes()), "{matcher:?} {no}");
        }
        // Everything contains nothing.
        for anything in ["", "a"] {
            assert!(Contains(text(""), true).matches(anything.as_bytes()), "{anything}");
        }
        assert!(!Prefix(text("é"), true).matches(b"e"));
    }
}
