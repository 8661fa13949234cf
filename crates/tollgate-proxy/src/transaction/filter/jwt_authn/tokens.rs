//! Where a request has its tokens.

use extproc::{RequestHeaders, remove_fields};
use http::{HeaderName, header::AUTHORIZATION};
use tollgate_model::{
    filter::JwtProvider,
    route::{cookie, split_path},
};

use crate::{format::decode_parameter, transaction::filter::header_mutation::remove_query_parameter};

/// A token of a request.
#[derive(Debug)]
pub(super) struct Found<'p> {
    pub(super) text: Vec<u8>,
    location: Location<'p>,
    /// Whose tokens are taken there; an empty one = anybody's.
    issuers: Vec<&'p str>,
}

/// Where tokens may be, in the order in which they are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Location<'p> {
    /// Name and what stands before the token.
    Header(&'p str, &'p str),
    Parameter(&'p str),
    Cookie(&'p str),
}

/// The tokens of a request that these providers want, those that are looked at first last.
pub(super) fn find<'p>(
    providers: impl Iterator<Item = &'p JwtProvider>,
    request: &RequestHeaders,
) -> Vec<Found<'p>> {
    let mut locations: Vec<(Location<'p>, Vec<&'p str>)> = Vec::new();
    for provider in providers {
        let headers = provider.from_headers.iter();
        let headers = headers.map(|(name, prefix)| Location::Header(name.as_str(), prefix));
        let parameters = provider.from_params.iter().map(|name| Location::Parameter(name));
        let cookies = provider.from_cookies.iter().map(|name| Location::Cookie(name));
        for location in headers.chain(parameters).chain(cookies) {
            match locations.iter_mut().find(|(known, _)| *known == location) {
                Some((_, issuers)) => issuers.push(&provider.issuer),
                None => locations.push((location, vec![&provider.issuer])),
            }
        }
    }
    locations.sort_unstable();
    let mut found = Vec::new();
    for (location, issuers) in locations {
        for text in location.texts(request) {
            found.push(Found { text, location, issuers: issuers.clone() });
        }
    }
    found
}

impl Found<'_> {
    /// Whether tokens of this issuer are taken where it was.
    pub(super) fn may_be_of(&self, issuer: &str) -> bool {
        self.issuers.iter().any(|known| known.is_empty() || *known == issuer)
    }

    /// Takes it out of the request. Cookies stay, as in Envoy.
    pub(super) fn remove(&self, request: &mut RequestHeaders) {
        match self.location {
            Location::Header(name, _) => {
                if let Ok(name) = HeaderName::try_from(name) {
                    remove_fields(&mut request.fields, &[name]);
                }
            }
            Location::Parameter(name) => remove_query_parameter(name, request),
            Location::Cookie(_) => {}
        }
    }
}

impl Location<'_> {
    fn texts(self, request: &RequestHeaders) -> Vec<Vec<u8>> {
        match self {
            Self::Header(name, prefix) => {
                let values = request.fields.get_all(name).iter().map(|value| value.as_bytes());
                // Several of these are one.
                let values: Vec<Vec<u8>> = match HeaderName::try_from(name) {
                    Ok(AUTHORIZATION) => {
                        let all: Vec<&[u8]> = values.collect();
                        if all.is_empty() { Vec::new() } else { vec![all.join(&b',')] }
                    }
                    _ => values.map(<[u8]>::to_vec).collect(),
                };
                values.into_iter().filter_map(|value| after_prefix(value, prefix.as_bytes())).collect()
            }
            Self::Parameter(name) => {
                let (_, query) = split_path(request.path.as_bytes());
                parameter(query, name.as_bytes()).into_iter().collect()
            }
            Self::Cookie(name) => cookie(&request.fields, name).map(<[u8]>::to_vec).into_iter().collect(),
        }
    }
}

/// What follows a prefix, wherever that is, and what cannot be part of a token behind it; `None` without the prefix.
fn after_prefix(value: Vec<u8>, prefix: &[u8]) -> Option<Vec<u8>> {
    if prefix.is_empty() {
        return Some(value);
    }
    let start = memchr::memmem::find(&value, prefix)? + prefix.len();
    let is_of_token = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    match value[start..].iter().position(is_of_token) {
        Some(skipped) => Some(value[start + skipped..].to_vec()),
        None => Some(value),
    }
}

/// The first value of a parameter, decoded.
fn parameter(query: &[u8], name: &[u8]) -> Option<Vec<u8>> {
    query.split(|byte| *byte == b'&').find_map(|pair| {
        let end = pair.iter().position(|byte| *byte == b'=')?;
        (decode_parameter(&pair[..end]) == name).then(|| decode_parameter(&pair[end + 1..]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes() {
        let after = |value: &str, prefix: &str| {
            after_prefix(value.into(), prefix.as_bytes()).map(|text| String::from_utf8(text).unwrap())
        };
        assert_eq!(after("Bearer a.b.c", "Bearer ").as_deref(), Some("a.b.c"));
        assert_eq!(after("x Bearer =a.b.c", "Bearer ").as_deref(), Some("a.b.c"));
        assert_eq!(after("bearer a.b.c", "Bearer "), None);
        assert_eq!(after("Bearer =", "Bearer ").as_deref(), Some("Bearer ="));
        assert_eq!(after("a.b.c", "").as_deref(), Some("a.b.c"));
    }

    #[test]
    fn parameters() {
        let found =
            |query: &str| parameter(query.as_bytes(), b"t").map(|text| String::from_utf8(text).unwrap());
        assert_eq!(found("a=b&t=%31&t=2").as_deref(), Some("1"));
        assert_eq!((found("t"), found("tt=1"), found("")), (None, None, None));
    }
}
