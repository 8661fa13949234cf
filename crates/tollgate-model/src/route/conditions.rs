//! Conditions of routes on more than the head of a request.

use extproc::{RequestHeaders, metadata::DynamicMetadata};
use http::{HeaderMap, header::COOKIE};
use serde::Serialize;

use super::Fraction;
use crate::matching::{MetadataMatcher, StringMatcher};

/// What conditions of routes look at beside the head of a request.
#[derive(Debug, Clone, Copy, Default)]
pub struct RequestFacts<'a> {
    /// Drawn once for a request: every look at its route comes to the same end.
    pub random: u64,
    /// The client presented a certificate.
    pub certificate_presented: bool,
    /// And that was verified.
    pub certificate_validated: bool,
    /// What filters have set so far.
    pub metadata: Option<&'a DynamicMetadata>,
}

/// Conditions that few routes have: all of them must hold.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct MoreConditions {
    /// Which part of the requests; `None` = all.
    pub fraction: Option<Fraction>,
    /// Conditions on cookies.
    pub cookies: Vec<CookieMatcher>,
    /// Whether the client presented a certificate. `None` = either way.
    pub certificate_presented: Option<bool>,
    /// Whether the client's certificate was verified. `None` = either way.
    pub certificate_validated: Option<bool>,
    /// Conditions on what filters have set.
    pub dynamic_metadata: Vec<DynamicMetadataCondition>,
}

/// A condition on a cookie.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CookieMatcher {
    /// Its name.
    pub name: String,
    /// What its value must be. The first cookie of the name counts.
    pub value: StringMatcher,
    /// It must not be there with such a value.
    pub invert: bool,
}

/// A condition on dynamic metadata.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DynamicMetadataCondition {
    /// What must be there.
    pub matcher: MetadataMatcher,
    /// It must not be there.
    pub invert: bool,
}

impl MoreConditions {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether all of them hold.
    #[must_use]
    pub fn hold(&self, request: &RequestHeaders, facts: &RequestFacts<'_>) -> bool {
        let agrees = |wanted: Option<bool>, found: bool| wanted.is_none_or(|wanted| wanted == found);
        self.fraction.is_none_or(|fraction| fraction.includes(facts.random))
            && agrees(self.certificate_presented, facts.certificate_presented)
            && agrees(self.certificate_validated, facts.certificate_validated)
            && self.cookies.iter().all(|matcher| matcher.matches(&request.fields))
            && self.dynamic_metadata.iter().all(|condition| condition.holds(facts.metadata))
    }
}

impl CookieMatcher {
    /// Whether these fields meet it.
    #[must_use]
    pub fn matches(&self, fields: &HeaderMap) -> bool {
        let found = cookie(fields, &self.name).is_some_and(|value| self.value.matches(value));
        found != self.invert
    }
}

impl DynamicMetadataCondition {
    /// Whether the metadata that filters have set meet it.
    pub(crate) fn holds(&self, metadata: Option<&DynamicMetadata>) -> bool {
        let found = metadata.and_then(|metadata| self.matcher.find(|name| metadata.namespace(name)));
        found.is_some_and(|value| self.matcher.matches(value)) != self.invert
    }
}

/// The first cookie of that name, without its quotes.
#[must_use]
pub fn cookie<'a>(fields: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let mut pairs =
        fields.get_all(COOKIE).iter().flat_map(|field| field.as_bytes().split(|byte| *byte == b';'));
    pairs.find_map(|pair| {
        let value = pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        let quoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
        Some(quoted.unwrap_or(value))
    })
}
