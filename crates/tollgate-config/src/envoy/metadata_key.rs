//! Where a value of dynamic metadata is.

use tollgate_model::metadata::MetadataKey;

use crate::schema::{Schema, Value, read};

pub(super) static METADATA_KEY: Schema = Schema {
    name: "envoy.type.metadata.v3.MetadataKey",
    title: "",
    fields: &[
        read("key", "", "The namespace. Required."),
        read("path", "", "Keys from outside in. Required."),
    ],
    unsupported: &[],
};

pub(super) static PATH_SEGMENT: Schema = Schema {
    name: "envoy.type.metadata.v3.MetadataKey.PathSegment",
    title: "",
    fields: &[read("key", "", "A key. Required.")],
    unsupported: &["index"],
};

/// The schemas of this module.
pub(super) static SCHEMAS: [&Schema; 2] = [&METADATA_KEY, &PATH_SEGMENT];

/// Reads a `MetadataKey`.
pub(super) fn read_metadata_key(value: &Value<'_>) -> Option<MetadataKey> {
    let message = value.message(&METADATA_KEY)?;
    let namespace = message.required("key")?.non_empty_string()?;
    let path = message.list("path");
    if path.is_empty() {
        value.error("\"path\" is missing: at least one key");
        return None;
    }
    let keys = path.iter().map(|segment| segment.message(&PATH_SEGMENT)?.required("key")?.non_empty_string());
    Some(MetadataKey { namespace, path: keys.collect::<Option<_>>()? })
}
