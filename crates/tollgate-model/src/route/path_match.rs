//! Conditions on paths.

use super::PathMatch;

impl PathMatch {
    /// Whether a path (without its query) passes.
    #[must_use]
    pub fn matches(&self, path: &[u8]) -> bool {
        match self {
            Self::Prefix { prefix, case_sensitive } => starts_with(path, prefix, *case_sensitive),
            Self::Path { path: expected, case_sensitive } => {
                path.len() == expected.len() && starts_with(path, expected, *case_sensitive)
            }
            Self::PathSeparatedPrefix { prefix, case_sensitive } => {
                starts_with(path, prefix, *case_sensitive)
                    && path.get(prefix.len()).is_none_or(|next| *next == b'/')
            }
            Self::SafeRegex(regex) => regex.is_match(path),
            Self::Template(template) => template.matches(path),
        }
    }

    /// How many bytes of a path a prefix rewrite replaces: the configured prefix, or the whole path of a regular
    /// expression. `None`: the path does not begin with the prefix, in whatever case, because it was changed after the
    /// match or has path parameters that the match did not look at. As in Envoy it stays as it is then.
    #[must_use]
    pub fn replaced_length(&self, path: &[u8]) -> Option<usize> {
        let prefix = match self {
            Self::Prefix { prefix, .. } | Self::PathSeparatedPrefix { prefix, .. } => prefix,
            Self::Path { path: expected, .. } => expected,
            Self::SafeRegex(_) | Self::Template(_) => return Some(path.len()),
        };
        starts_with(path, prefix, false).then_some(prefix.len())
    }
}

fn starts_with(path: &[u8], prefix: &str, case_sensitive: bool) -> bool {
    path.get(..prefix.len()).is_some_and(|start| {
        if case_sensitive {
            start == prefix.as_bytes()
        } else {
            start.eq_ignore_ascii_case(prefix.as_bytes())
        }
    })
}
