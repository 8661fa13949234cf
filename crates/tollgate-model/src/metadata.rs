//! Static metadata of listeners, routes, clusters and endpoints: what attributes and processors may be told.

use std::collections::BTreeMap;

use extproc::messages::{Metadata, Struct, Value, value::Kind};
use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeSeq},
};

/// Writes the namespaces of `filter_metadata` as JSON objects.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(metadata: &Metadata, serializer: S) -> Result<S::Ok, S::Error> {
    let namespaces: BTreeMap<&str, Fields<'_>> =
        metadata.filter_metadata.iter().map(|(name, fields)| (name.as_str(), Fields(fields))).collect();
    namespaces.serialize(serializer)
}

/// Whether there is nothing to write.
pub(crate) fn is_empty(metadata: &Metadata) -> bool {
    metadata.filter_metadata.is_empty()
}

struct Fields<'a>(&'a Struct);

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.fields.len()))?;
        for (name, value) in &self.0.fields {
            map.serialize_entry(name, &Json(value))?;
        }
        map.end()
    }
}

struct Json<'a>(&'a Value);

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0.kind {
            None | Some(Kind::NullValue(_)) => serializer.serialize_unit(),
            Some(Kind::NumberValue(number)) => serializer.serialize_f64(*number),
            Some(Kind::StringValue(text)) => serializer.serialize_str(text),
            Some(Kind::BoolValue(value)) => serializer.serialize_bool(*value),
            Some(Kind::StructValue(fields)) => Fields(fields).serialize(serializer),
            Some(Kind::ListValue(list)) => {
                let mut sequence = serializer.serialize_seq(Some(list.values.len()))?;
                for value in &list.values {
                    sequence.serialize_element(&Json(value))?;
                }
                sequence.end()
            }
        }
    }
}
