//! The `header_to_metadata` filter: it makes dynamic metadata of header values and cookies.

use http::HeaderName;
use serde::{Serialize, Serializer};

use crate::{header::FieldName, matching::Substitution};

/// Settings of the filter.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct HeaderToMetadata {
    /// Rules for heads of requests, in order.
    pub request_rules: Vec<HeaderToMetadataRule>,
    /// Rules for heads of responses, in order.
    pub response_rules: Vec<HeaderToMetadataRule>,
    /// Counters are kept under `http_filter_name.<stat_prefix>.`; empty = nothing is counted.
    pub stat_prefix: String,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HeaderToMetadataRule {
    /// Where the value comes from.
    pub source: MetadataSource,
    /// What is set where there is one.
    pub on_present: Option<MetadataTarget>,
    /// What is set where there is none.
    pub on_missing: Option<MetadataTarget>,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum MetadataSource {
    /// All values of a header, joined with commas.
    Header {
        /// Its name.
        #[serde(serialize_with = "write_name")]
        name: HeaderName,
        /// The header is removed. Default false.
        remove: bool,
    },
    /// A pseudo-header.
    Pseudo(FieldName),
    /// A cookie.
    Cookie(String),
}

/// What is set, and how.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MetadataTarget {
    /// The namespace.
    pub namespace: String,
    /// The key in it.
    pub key: String,
    /// The value.
    pub value: TargetValue,
    /// What the value is.
    pub kind: MetadataKind,
    /// The value is base64-coded.
    pub base64: bool,
}

/// The value that is set. Nothing is set when it is empty or has 8 KiB or more.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum TargetValue {
    /// The one that was found.
    Found,
    /// This one.
    Fixed(String),
    /// The one that was found, rewritten.
    Rewritten(Substitution),
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum MetadataKind {
    /// A text.
    String,
    /// A number.
    Number,
    /// A `google.protobuf.Value` in its binary form.
    ProtobufValue,
}

fn write_name<S: Serializer>(name: &HeaderName, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(name.as_str())
}
