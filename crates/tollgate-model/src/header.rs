//! Header changes that a route configuration asks for.

use extproc::{RequestHeaders, ResponseHeaders};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Serialize, Serializer};

use crate::format::Format;

/// The name of something in a message head: a pseudo-header or a field.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum FieldName {
    /// `:method`.
    Method,
    /// `:scheme`.
    Scheme,
    /// `:authority`, also written `host`.
    Authority,
    /// `:path`.
    Path,
    /// `:status`.
    Status,
    /// A header field.
    Field(HeaderName),
}

impl FieldName {
    /// Reads a name in any case. `None` when no header can have it.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        if let Some(pseudo) = name.strip_prefix(':') {
            return Some(match pseudo.to_ascii_lowercase().as_str() {
                "method" => Self::Method,
                "scheme" => Self::Scheme,
                "authority" => Self::Authority,
                "path" => Self::Path,
                "status" => Self::Status,
                _ => return None,
            });
        }
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        Some(if name == http::header::HOST { Self::Authority } else { Self::Field(name) })
    }

    /// The name as it is written, lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Method => ":method",
            Self::Scheme => ":scheme",
            Self::Authority => ":authority",
            Self::Path => ":path",
            Self::Status => ":status",
            Self::Field(name) => name.as_str(),
        }
    }

    /// The first value in a request head.
    #[must_use]
    pub fn first_in_request<'a>(&self, request: &'a RequestHeaders) -> Option<&'a [u8]> {
        match self {
            Self::Method => Some(request.method.as_str().as_bytes()),
            Self::Scheme => Some(request.scheme.as_bytes()),
            Self::Authority => Some(request.authority.as_bytes()),
            Self::Path => Some(request.path.as_bytes()),
            Self::Status => None,
            Self::Field(name) => request.fields.get(name).map(HeaderValue::as_bytes),
        }
    }

    /// The first value in a response head.
    #[must_use]
    pub fn first_in_response<'a>(&self, response: &'a ResponseHeaders) -> Option<&'a [u8]> {
        match self {
            Self::Status => Some(response.status.as_str().as_bytes()),
            Self::Field(name) => response.fields.get(name).map(HeaderValue::as_bytes),
            Self::Method | Self::Scheme | Self::Authority | Self::Path => None,
        }
    }

    /// The first value in trailers.
    #[must_use]
    pub fn first_in_trailers<'a>(&self, trailers: &'a HeaderMap) -> Option<&'a [u8]> {
        match self {
            Self::Field(name) => trailers.get(name).map(HeaderValue::as_bytes),
            _ => None,
        }
    }
}

impl Serialize for FieldName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// `request_headers_to_add/remove` and `response_headers_to_add/remove` of one level.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
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
#[derive(Debug, Clone, PartialEq, Serialize)]
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
