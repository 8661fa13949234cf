//! Cross-origin resource sharing: what the `cors` filter answers.

use serde::Serialize;

use crate::{matching::StringMatcher, route::Fraction};

/// Which origins may do what on a route.
///
/// Responses to an origin that is allowed get its `access-control-*` headers; preflight requests of it are answered
/// with them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CorsPolicy {
    /// Allowed origins: any of these matches. Case-sensitive unless the matcher says otherwise.
    pub allow_origins: Vec<OriginMatcher>,
    /// `access-control-allow-methods` of answers to preflight requests. Default none.
    pub allow_methods: AllowList,
    /// `access-control-allow-headers` of answers to preflight requests. Default none.
    pub allow_headers: AllowList,
    /// `access-control-expose-headers` of responses; empty = none.
    pub expose_headers: String,
    /// `access-control-max-age` of answers to preflight requests, seconds. Default none.
    pub max_age: Option<String>,
    /// Send `access-control-allow-credentials: true`. Default false.
    pub allow_credentials: Option<bool>,
    /// Let preflight requests of origins that are not allowed go on to the upstream (true), or answer them without any
    /// permission (false). Default true, as in Envoy; the Gateway API wants false.
    pub forward_not_matching_preflights: Option<bool>,
    /// Send `access-control-allow-private-network: true` to those who ask for it. Default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_private_network: Option<bool>,
    /// For which share of the requests it counts. Default all.
    #[serde(skip_serializing_if = "is_all")]
    pub enabled: Fraction,
    /// For which share of the others origins are counted. Default none.
    #[serde(skip_serializing_if = "is_none")]
    pub shadow: Fraction,
}

fn is_all(share: &Fraction) -> bool {
    *share == Fraction::ALL
}

fn is_none(share: &Fraction) -> bool {
    *share == Fraction::NONE
}

impl Default for CorsPolicy {
    fn default() -> Self {
        Self {
            allow_origins: Vec::new(),
            allow_methods: AllowList::default(),
            allow_headers: AllowList::default(),
            expose_headers: String::new(),
            max_age: None,
            allow_credentials: None,
            forward_not_matching_preflights: None,
            allow_private_network: None,
            enabled: Fraction::ALL,
            shadow: Fraction::NONE,
        }
    }
}

/// Condition on an origin.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum OriginMatcher {
    /// Every origin (`*`).
    Any,
    /// The whole origin passes.
    String(StringMatcher),
    /// `<start>*<end>`, where `*` is at least one character: `https://*.example.com`.
    Wildcard {
        /// What stands before the asterisk.
        start: String,
        /// What stands behind it.
        end: String,
    },
}

impl OriginMatcher {
    /// Whether an origin passes.
    #[must_use]
    pub fn matches(&self, origin: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::String(matcher) => matcher.matches(origin),
            Self::Wildcard { start, end } => {
                let rest = origin.strip_prefix(start.as_bytes());
                rest.and_then(|rest| rest.strip_suffix(end.as_bytes())).is_some_and(|rest| !rest.is_empty())
            }
        }
    }
}

/// What is allowed, as the answer to a preflight request says it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub enum AllowList {
    /// Nothing is said.
    #[default]
    Unsaid,
    /// This, as it is: `GET, POST` or `*`.
    Value(String),
    /// What the request asks for, and nothing if it asks for nothing: `*` where credentials are allowed.
    AsRequested,
}

impl CorsPolicy {
    /// The policy where this one and one of a less specific level meet: that one says what this one does not.
    #[must_use]
    pub fn over(&self, general: &Self) -> Self {
        let list = |own: &AllowList, other: &AllowList| match own {
            AllowList::Unsaid => other.clone(),
            own => own.clone(),
        };
        let chosen = if self.allow_origins.is_empty() { general } else { self };
        let exposing = if self.expose_headers.is_empty() { general } else { self };
        Self {
            allow_origins: chosen.allow_origins.clone(),
            allow_methods: list(&self.allow_methods, &general.allow_methods),
            allow_headers: list(&self.allow_headers, &general.allow_headers),
            expose_headers: exposing.expose_headers.clone(),
            max_age: self.max_age.clone().or_else(|| general.max_age.clone()),
            allow_credentials: self.allow_credentials.or(general.allow_credentials),
            forward_not_matching_preflights: self
                .forward_not_matching_preflights
                .or(general.forward_not_matching_preflights),
            allow_private_network: self.allow_private_network.or(general.allow_private_network),
            enabled: self.enabled,
            shadow: self.shadow,
        }
    }

    /// Whether an origin is allowed.
    #[must_use]
    pub fn allows(&self, origin: &[u8]) -> bool {
        self.allow_origins.iter().any(|allowed| allowed.matches(origin))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Dialects 9.6: `*` alone, or as a greedy wildcard on the left.
    #[test]
    fn origins() {
        let policy = |allowed| CorsPolicy { allow_origins: vec![allowed], ..CorsPolicy::default() };
        let exact = policy(OriginMatcher::String(StringMatcher::Exact("https://a.test".to_owned())));
        assert!(exact.allows(b"https://a.test"));
        assert!(!exact.allows(b"http://a.test"));
        let wildcard = policy(OriginMatcher::Wildcard { start: "https://".into(), end: ".a.test".into() });
        for (origin, allowed) in [
            ("https://b.a.test", true),
            ("https://c.b.a.test", true),
            ("https://.a.test", false),
            ("https://a.test", false),
            ("http://b.a.test", false),
        ] {
            assert_eq!(wildcard.allows(origin.as_bytes()), allowed, "{origin}");
        }
        assert!(policy(OriginMatcher::Any).allows(b"null"));
        assert!(!CorsPolicy::default().allows(b"https://a.test"));
    }
}
