//! Dynamic metadata: values that filters and processors leave for each other (section 14).

use std::collections::BTreeMap;

use crate::{
    messages::{Any, Metadata, Struct, Value, value::Kind},
    plan::MetadataNamespaces,
};

/// The dynamic metadata of one request.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DynamicMetadata {
    untyped: BTreeMap<String, Struct>,
    typed: BTreeMap<String, Any>,
}

impl DynamicMetadata {
    /// The values of a namespace.
    #[must_use]
    pub fn namespace(&self, name: &str) -> Option<&Struct> {
        self.untyped.get(name)
    }

    /// All untyped namespaces.
    pub fn namespaces(&self) -> impl Iterator<Item = (&str, &Struct)> {
        self.untyped.iter().map(|(name, values)| (name.as_str(), values))
    }

    /// What is sent to a processor that is to see these namespaces; those without a value are left out (D-1).
    #[must_use]
    pub fn select(&self, namespaces: &MetadataNamespaces) -> Metadata {
        let mut selected = Metadata::default();
        for name in &namespaces.untyped {
            if let Some(values) = self.untyped.get(name) {
                selected.filter_metadata.insert(name.clone(), values.clone());
            }
        }
        for name in &namespaces.typed {
            if let Some(value) = self.typed.get(name) {
                selected.typed_filter_metadata.insert(name.clone(), value.clone());
            }
        }
        selected
    }

    /// Takes over what a processor sent: the top-level keys are namespaces, those not in `allowed` are dropped, and the
    /// values are merged in. A value that is no struct merges as an empty one (D-3).
    pub fn merge(&mut self, values: Struct, allowed: &[String]) {
        for (name, value) in values.fields {
            if !allowed.contains(&name) {
                continue;
            }
            let values = match value.kind {
                Some(Kind::StructValue(values)) => values,
                _ => Struct::default(),
            };
            merge_struct(self.untyped.entry(name).or_default(), values);
        }
    }

    /// Takes over typed values by namespace (D-5, decision 9).
    pub fn merge_typed(&mut self, values: BTreeMap<String, Any>, allowed: &[String]) {
        self.typed.extend(values.into_iter().filter(|(name, _)| allowed.contains(name)));
    }
}

/// Structs are merged key by key, anything else is replaced.
fn merge_struct(into: &mut Struct, from: Struct) {
    for (key, value) in from.fields {
        match (into.fields.get_mut(&key), value) {
            (
                Some(Value { kind: Some(Kind::StructValue(old)) }),
                Value { kind: Some(Kind::StructValue(new)) },
            ) => merge_struct(old, new),
            (_, value) => {
                into.fields.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(entries: &[(&str, Value)]) -> Value {
        let fields = entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        Value { kind: Some(Kind::StructValue(Struct { fields })) }
    }

    fn fields(value: Value) -> Struct {
        match value.kind {
            Some(Kind::StructValue(fields)) => fields,
            _ => Struct::default(),
        }
    }

    /// D-3: allowed namespaces only, other keys survive, non-structs change nothing.
    #[test]
    fn merges() {
        let allowed = ["a".to_owned(), "b".to_owned()];
        let mut metadata = DynamicMetadata::default();
        let first = object(&[("a", object(&[("x", Value::number(1.0)), ("y", Value::bool(true))]))]);
        metadata.merge(fields(first), &allowed);
        let second = object(&[
            ("a", object(&[("x", Value::string("new"))])),
            ("b", Value::string("not a struct")),
            ("c", object(&[("z", Value::bool(true))])),
        ]);
        metadata.merge(fields(second), &allowed);
        let expected = fields(object(&[("x", Value::string("new")), ("y", Value::bool(true))]));
        assert_eq!(metadata.namespace("a"), Some(&expected));
        assert_eq!(metadata.namespace("b"), Some(&Struct::default()));
        assert_eq!(metadata.namespace("c"), None);
    }

    /// D-1: listed and present.
    #[test]
    fn selects() {
        let mut metadata = DynamicMetadata::default();
        let value = object(&[("a", object(&[("x", Value::number(1.0))])), ("b", object(&[]))]);
        metadata.merge(fields(value), &["a".to_owned(), "b".to_owned()]);
        let wanted = MetadataNamespaces { untyped: vec!["a".into(), "missing".into()], typed: vec![] };
        let selected = metadata.select(&wanted);
        assert_eq!(selected.filter_metadata.keys().collect::<Vec<_>>(), ["a"]);
    }
}
