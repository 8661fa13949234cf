//! Static metadata of listeners, routes, clusters and endpoints: what attributes and processors may be told.

use std::collections::BTreeMap;

use extproc::messages::{Metadata, Struct, Value, value::Kind};
use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeSeq},
};

/// Where a value of metadata is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MetadataKey {
    /// The namespace.
    pub namespace: String,
    /// Keys from outside in; never empty.
    pub path: Vec<String>,
}

impl MetadataKey {
    /// The string that is there in the fields of the namespace. `None` if there is none, or something else.
    #[must_use]
    pub fn string<'a>(&self, namespace: Option<&'a Struct>) -> Option<&'a str> {
        let (last, outer) = self.path.split_last()?;
        match map_at(outer, namespace?)?.fields.get(last)?.kind.as_ref()? {
            Kind::StringValue(text) => Some(text),
            _ => None,
        }
    }

    /// The map that is there in the fields of the namespace. `None` if there is none, or something else.
    #[must_use]
    pub fn map<'a>(&self, namespace: Option<&'a Struct>) -> Option<&'a Struct> {
        map_at(&self.path, namespace?)
    }

    /// Metadata with nothing but this string there, by namespace.
    #[must_use]
    pub fn holding(&self, text: &str) -> Struct {
        let value = Value { kind: Some(Kind::StringValue(text.to_owned())) };
        let keys = std::iter::once(&self.namespace).chain(&self.path).rev();
        let value = keys.fold(value, |inner, key| {
            let fields = std::iter::once((key.clone(), inner)).collect();
            Value { kind: Some(Kind::StructValue(Struct { fields })) }
        });
        match value.kind {
            Some(Kind::StructValue(namespaces)) => namespaces,
            _ => Struct::default(),
        }
    }
}

fn map_at<'a>(path: &[String], mut fields: &'a Struct) -> Option<&'a Struct> {
    for key in path {
        match fields.fields.get(key)?.kind.as_ref()? {
            Kind::StructValue(inner) => fields = inner,
            _ => return None,
        }
    }
    Some(fields)
}

/// Writes the namespaces of `filter_metadata` as JSON objects.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(metadata: &Metadata, serializer: S) -> Result<S::Ok, S::Error> {
    let namespaces: BTreeMap<&str, Fields<'_>> =
        metadata.filter_metadata.iter().map(|(name, fields)| (name.as_str(), Fields(fields))).collect();
    namespaces.serialize(serializer)
}

/// Writes a structure as a JSON object.
///
/// # Errors
/// Those of the serializer.
pub fn serialize_struct<S: Serializer>(value: &Struct, serializer: S) -> Result<S::Ok, S::Error> {
    Fields(value).serialize(serializer)
}

/// Whether there is nothing to write.
pub(crate) fn is_empty(metadata: &Metadata) -> bool {
    metadata.filter_metadata.is_empty()
}

/// Whether there is nothing to write.
pub(crate) fn is_empty_struct(fields: &Struct) -> bool {
    fields.fields.is_empty()
}

/// Writes the values of a namespace as a JSON object.
pub(crate) struct Fields<'a>(pub(crate) &'a Struct);

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

#[cfg(test)]
mod tests {
    use super::*;

    fn key(path: &[&str]) -> MetadataKey {
        MetadataKey { namespace: "envoy.lb".into(), path: path.iter().map(|key| (*key).into()).collect() }
    }

    #[test]
    fn what_a_key_holds_is_found_by_it() {
        for path in [&["a"][..], &["a", "b", "c"]] {
            let held = key(path).holding("10.0.0.1:80");
            let Some(Kind::StructValue(namespace)) = &held.fields["envoy.lb"].kind else {
                panic!("{held:?}")
            };
            assert_eq!(key(path).string(Some(namespace)), Some("10.0.0.1:80"));
            assert_eq!(key(&["a", "x"]).string(Some(namespace)), None);
            assert_eq!(key(&["x"]).string(Some(namespace)), None);
        }
    }

    #[test]
    fn other_values_are_no_strings() {
        let number = Value { kind: Some(Kind::NumberValue(1.0)) };
        let namespace = Struct { fields: std::iter::once(("a".to_owned(), number)).collect() };
        assert_eq!(key(&["a"]).string(Some(&namespace)), None);
        assert_eq!(key(&["a", "b"]).string(Some(&namespace)), None);
        assert_eq!(key(&["a"]).string(None), None);
    }
}
