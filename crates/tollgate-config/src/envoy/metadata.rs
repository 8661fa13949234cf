//! Static metadata.

use std::collections::BTreeMap;

use extproc::messages::{ListValue, Metadata, Struct, Value as Field, value::Kind};

use crate::schema::{Json, Message, Schema, Value, read, refused};

pub(super) static METADATA: Schema = Schema {
    name: "envoy.config.core.v3.Metadata",
    title: "",
    fields: &[
        read("filter_metadata", "{}", "Any values, by namespace."),
        refused("typed_filter_metadata", "use filter_metadata"),
    ],
    unsupported: &[],
};

/// The schemas of this module.
pub(super) static SCHEMAS: [&Schema; 1] = [&METADATA];

/// Reads the field `metadata` of a message.
pub(super) fn read_metadata(message: &Message<'_>) -> Metadata {
    message.message("metadata", &METADATA).map(|metadata| read_namespaces(&metadata)).unwrap_or_default()
}

/// Reads a `Metadata`.
pub(super) fn read_namespaces(metadata: &Message<'_>) -> Metadata {
    let filter_metadata = metadata
        .map("filter_metadata")
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), read_struct(&value)?)))
        .collect();
    Metadata { filter_metadata, typed_filter_metadata: BTreeMap::new() }
}

/// Reads a `google.protobuf.Struct`.
pub(super) fn read_struct(value: &Value<'_>) -> Option<Struct> {
    match value.json() {
        Json::Object(entries) => Some(Struct { fields: fields(&entries) }),
        _ => {
            value.error("expected a mapping");
            None
        }
    }
}

fn fields(entries: &[(&str, Value<'_>)]) -> BTreeMap<String, Field> {
    entries.iter().map(|(name, value)| ((*name).to_owned(), field(value))).collect()
}

fn field(value: &Value<'_>) -> Field {
    let kind = match value.json() {
        Json::Null => Kind::NullValue(0),
        Json::Bool(value) => Kind::BoolValue(value),
        // Whole numbers of YAML that are exact in JSON.
        #[expect(clippy::cast_precision_loss, reason = "larger ones are kept as strings")]
        Json::Number(number) => Kind::NumberValue(number as f64),
        Json::String(text) => Kind::StringValue(text),
        Json::List(values) => Kind::ListValue(ListValue { values: values.iter().map(field).collect() }),
        Json::Object(entries) => Kind::StructValue(Struct { fields: fields(&entries) }),
    };
    Field { kind: Some(kind) }
}
