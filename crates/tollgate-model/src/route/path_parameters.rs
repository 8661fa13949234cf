//! What of a request the conditions of routes see.

use std::borrow::Cow;

use extproc::RequestHeaders;
use serde::Serialize;

use super::{RequestFacts, split_path};

/// What becomes of path parameters (what follows a semicolon in a segment) when a route is chosen. The path itself stays
/// as it is, for rewrites and for the upstream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PathParameters {
    /// They are a part of the path.
    #[default]
    Kept,
    /// They do not count: `/a;x/b` is `/a/b`.
    Ignored,
    /// Nothing counts from the first one on: `/a;x/b` is `/a`.
    EndThePath,
}

impl PathParameters {
    /// What counts of a path without its query.
    #[must_use]
    pub fn strip(self, path: &[u8]) -> Cow<'_, [u8]> {
        let Some(first) = path.iter().position(|byte| *byte == b';') else { return Cow::Borrowed(path) };
        match self {
            Self::Kept => Cow::Borrowed(path),
            Self::EndThePath => Cow::Borrowed(&path[..first]),
            Self::Ignored => {
                let mut kept = Vec::with_capacity(path.len());
                for (index, segment) in path.split(|byte| *byte == b'/').enumerate() {
                    if index > 0 {
                        kept.push(b'/');
                    }
                    kept.extend(segment.split(|byte| *byte == b';').next().unwrap_or_default());
                }
                Cow::Owned(kept)
            }
        }
    }
}

/// A request, taken apart once for the conditions of many routes.
#[derive(Debug, Clone)]
pub struct MatchedRequest<'a> {
    /// The request.
    pub request: &'a RequestHeaders,
    /// What counts of its path.
    pub path: Cow<'a, [u8]>,
    /// Its query, without `?`.
    pub query: &'a [u8],
    /// What else is known of it.
    pub facts: RequestFacts<'a>,
}

impl<'a> MatchedRequest<'a> {
    /// Takes a request apart.
    #[must_use]
    pub fn new(request: &'a RequestHeaders, parameters: PathParameters, facts: RequestFacts<'a>) -> Self {
        let (path, query) = split_path(request.path.as_bytes());
        Self { request, path: parameters.strip(path), query, facts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_of_segments() {
        let stripped = |parameters: PathParameters, path: &'static str| {
            String::from_utf8(parameters.strip(path.as_bytes()).into_owned()).unwrap()
        };
        for (path, ignored, cut) in [
            ("/a/b", "/a/b", "/a/b"),
            ("/a;x=1;y/b;z", "/a/b", "/a"),
            ("/;x/b", "//b", "/"),
            ("/a;x\\b/c;", "/a/c", "/a"),
            ("/a;", "/a", "/a"),
            ("/a;/", "/a/", "/a"),
            (";x", "", ""),
        ] {
            assert_eq!(stripped(PathParameters::Kept, path), path);
            assert_eq!(stripped(PathParameters::Ignored, path), ignored);
            assert_eq!(stripped(PathParameters::EndThePath, path), cut);
        }
    }
}
