//! Header changes that a route configuration asks for.

use http::HeaderName;
use serde::{Serialize, Serializer};

use crate::format::Format;

/// `request_headers_to_add/remove` and `response_headers_to_add/remove` of one level.
#[derive(Debug, Default, Serialize)]
pub struct HeaderMutations {
    /// Added to requests, in order.
    pub request_add: Vec<HeaderAddition>,
    /// Removed from requests.
    #[serde(serialize_with = "names")]
    pub request_remove: Vec<HeaderName>,
    /// Added to responses, in order.
    pub response_add: Vec<HeaderAddition>,
    /// Removed from responses.
    #[serde(serialize_with = "names")]
    pub response_remove: Vec<HeaderName>,
}

/// One `HeaderValueOption` of a configuration.
#[derive(Debug, Serialize)]
pub struct HeaderAddition {
    /// Lower-case name.
    #[serde(serialize_with = "name")]
    pub name: HeaderName,
    /// Value with `%OPERATOR%`s.
    pub value: Format,
    /// What to do when it exists.
    pub append_action: AppendAction,
    /// Add the header even if its value is empty. Default false.
    pub keep_empty_value: bool,
}

/// What to do with an existing header of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AppendAction {
    /// Add another value.
    AppendIfExistsOrAdd,
    /// Only when there is none.
    AddIfAbsent,
    /// Replace.
    OverwriteIfExistsOrAdd,
    /// Replace, never add.
    OverwriteIfExists,
}

fn name<S: Serializer>(name: &HeaderName, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(name.as_str())
}

fn names<S: Serializer>(names: &[HeaderName], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(names.iter().map(HeaderName::as_str))
}
