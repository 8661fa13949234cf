//! Changes of paths and authorities on the way to the upstream.

use extproc::RequestHeaders;
use http::HeaderValue;

use super::{HostRewrite, PathMatch, PathRewrite, split_path};

impl PartialEq for PathRewrite {
    /// Patterns are equal when they are written in the same way.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Prefix(one), Self::Prefix(other))
            | (Self::PathElements(one), Self::PathElements(other))
            | (Self::Full(one), Self::Full(other)) => one == other,
            (
                Self::Regex { pattern, substitution, .. },
                Self::Regex { pattern: other_pattern, substitution: other_substitution, .. },
            ) => pattern.as_str() == other_pattern.as_str() && substitution == other_substitution,
            (Self::Format(one), Self::Format(other)) => one == other,
            (Self::Template(one), Self::Template(other)) => one == other,
            (
                Self::Prefix(_)
                | Self::PathElements(_)
                | Self::Full(_)
                | Self::Regex { .. }
                | Self::Format(_)
                | Self::Template(_),
                _,
            ) => false,
        }
    }
}

impl PathRewrite {
    /// The new path, with the old query. `None` when it stays as it is, or when more than the request has to be known
    /// ([`PathRewrite::Format`]).
    #[must_use]
    pub fn rewrite(&self, route_match: &PathMatch, path: &HeaderValue) -> Option<HeaderValue> {
        let whole = path.as_bytes();
        let (before_query, _) = split_path(whole);
        match self {
            Self::Prefix(replacement) if replacement.is_empty() => None,
            Self::Prefix(replacement) => {
                let kept = &whole[route_match.replaced_length(before_query)?..];
                HeaderValue::from_bytes(&[replacement.as_bytes(), kept].concat()).ok()
            }
            Self::PathElements(replacement) => {
                let kept = &whole[route_match.replaced_length(before_query)?..];
                HeaderValue::from_bytes(&join_elements(replacement.as_bytes(), kept)).ok()
            }
            Self::Full(replacement) => {
                let query = &whole[before_query.len()..];
                HeaderValue::from_bytes(&[replacement.as_bytes(), query].concat()).ok()
            }
            Self::Format(_) => None,
            Self::Template(rewrite) => {
                let PathMatch::Template(template) = route_match else { return None };
                let rewritten = rewrite.rewrite(template, before_query)?;
                HeaderValue::from_bytes(&[&rewritten, &whole[before_query.len()..]].concat()).ok()
            }
            Self::Regex { pattern, substitution, .. } => {
                let rewritten = pattern.replace_all(before_query, substitution.as_bytes());
                HeaderValue::from_bytes(&[&*rewritten, &whole[before_query.len()..]].concat()).ok()
            }
        }
    }
}

/// What replaces a prefix, and what follows the prefix (query included), with exactly one slash between them (9.6).
fn join_elements(replacement: &[u8], kept: &[u8]) -> Vec<u8> {
    let (path, _) = split_path(kept);
    if path.is_empty() {
        let replacement = if replacement.is_empty() { b"/" } else { replacement };
        return [replacement, kept].concat();
    }
    let start = replacement.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
    let end = kept.iter().position(|byte| *byte != b'/').unwrap_or(kept.len());
    [&replacement[..start], b"/", &kept[end..]].concat()
}

impl HostRewrite {
    /// The new authority. `None` when it stays as it is, or when it depends on more than the request ([`HostRewrite::Auto`],
    /// [`HostRewrite::Format`]).
    #[must_use]
    pub fn rewrite(&self, request: &RequestHeaders) -> Option<HeaderValue> {
        match self {
            Self::Literal(host) => HeaderValue::from_str(host).ok(),
            Self::Header(name) => {
                let host = name.first_in_request(request).filter(|host| !host.is_empty())?;
                HeaderValue::from_bytes(host).ok()
            }
            Self::PathRegex(substitution) => {
                let (path, _) = split_path(request.path.as_bytes());
                HeaderValue::from_bytes(&substitution.replace_all(path)).ok()
            }
            Self::Auto | Self::Format(_) => None,
        }
    }
}
