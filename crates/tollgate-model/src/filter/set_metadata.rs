//! The `set_metadata` filter: it sets dynamic metadata of requests.

use extproc::messages::Struct;
use serde::Serialize;

/// Settings of the filter.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct SetMetadata {
    /// What is set, in order.
    pub metadata: Vec<MetadataEntry>,
    /// What the most specific level sets behind that.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub by_route: Vec<MetadataEntry>,
}

/// Values of one namespace.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MetadataEntry {
    /// The namespace.
    pub namespace: String,
    /// A namespace that is there already takes the values in, lists at their ends; without, it stays as it is. Default false.
    pub allow_overwrite: bool,
    /// The values.
    #[serde(serialize_with = "crate::metadata::serialize_struct")]
    pub value: Struct,
}
