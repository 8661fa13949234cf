//! Dynamic metadata: values that filters and processors leave for each other (section 14).

use std::collections::BTreeMap;

use prost::Message;

use crate::messages::{Any, Struct, value::Kind};

mod context;

pub use context::MetadataContext;

/// The largest size of the dynamic metadata of a request, in bytes as it is sent to processors. A processor may add to it
/// with every reply.
pub const MAX_BYTES: usize = 1024 * 1024;

/// The dynamic metadata of one request, of at most [`MAX_BYTES`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DynamicMetadata {
    untyped: BTreeMap<String, Struct>,
    typed: BTreeMap<String, Any>,
    /// The size is not larger than this.
    size_bound: usize,
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

    /// Takes over what a processor sent: the top-level keys are namespaces, those not in `allowed` are dropped, and the
    /// values are merged in. A value that is no struct merges as an empty one (D-3). False if there is too much now; it is
    /// not for use then.
    #[must_use]
    pub fn merge(&mut self, values: Struct, allowed: &[String]) -> bool {
        for (name, value) in values.fields {
            if !allowed.contains(&name) {
                continue;
            }
            let values = match value.kind {
                Some(Kind::StructValue(values)) => values,
                _ => Struct::default(),
            };
            self.size_bound += name.len() + values.encoded_len();
            // The keys of the namespace survive, their values are replaced whole.
            self.untyped.entry(name).or_default().fields.extend(values.fields);
        }
        self.fits()
    }

    /// Sets values of a namespace; those of other keys survive. False as in [`merge`](Self::merge).
    #[must_use]
    pub fn set(&mut self, namespace: &str, values: Struct) -> bool {
        self.size_bound += namespace.len() + values.encoded_len();
        self.untyped.entry(namespace.to_owned()).or_default().fields.extend(values.fields);
        self.fits()
    }

    /// Takes values into a namespace and the objects in it; lists go to the ends of lists. False as in
    /// [`merge`](Self::merge).
    #[must_use]
    pub fn update(&mut self, namespace: &str, values: &Struct) -> bool {
        self.size_bound += namespace.len() + values.encoded_len();
        update(self.untyped.entry(namespace.to_owned()).or_default(), values);
        self.fits()
    }

    /// Takes over typed values by namespace (D-5). False as in [`merge`](Self::merge).
    #[must_use]
    pub fn merge_typed(&mut self, values: BTreeMap<String, Any>, allowed: &[String]) -> bool {
        for (name, value) in values {
            if allowed.contains(&name) {
                self.size_bound += name.len() + value.encoded_len();
                self.typed.insert(name, value);
            }
        }
        self.fits()
    }

    /// Whether all of it is within the bound. Values that replaced others are counted twice until that matters.
    fn fits(&mut self) -> bool {
        if self.size_bound > MAX_BYTES {
            let untyped = self.untyped.iter().map(|(name, values)| name.len() + values.encoded_len());
            let typed = self.typed.iter().map(|(name, value)| name.len() + value.encoded_len());
            self.size_bound = untyped.chain(typed).sum();
        }
        self.size_bound <= MAX_BYTES
    }
}

fn update(object: &mut Struct, values: &Struct) {
    for (key, value) in &values.fields {
        let Some(old) = object.fields.get_mut(key) else {
            object.fields.insert(key.clone(), value.clone());
            continue;
        };
        match (&mut old.kind, &value.kind) {
            (Some(Kind::StructValue(old)), Some(Kind::StructValue(new))) => update(old, new),
            (Some(Kind::ListValue(old)), Some(Kind::ListValue(new))) => {
                old.values.extend(new.values.iter().cloned());
            }
            _ => *old = value.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::Value;

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
        assert!(metadata.merge(fields(first), &allowed));
        let second = object(&[
            ("a", object(&[("x", Value::string("new"))])),
            ("b", Value::string("not a struct")),
            ("c", object(&[("z", Value::bool(true))])),
        ]);
        assert!(metadata.merge(fields(second), &allowed));
        let expected = fields(object(&[("x", Value::string("new")), ("y", Value::bool(true))]));
        assert_eq!(metadata.namespace("a"), Some(&expected));
        assert_eq!(metadata.namespace("b"), Some(&Struct::default()));
        assert_eq!(metadata.namespace("c"), None);
    }

    #[test]
    fn objects_and_lists_take_values_in() {
        let list = |values| Value { kind: Some(Kind::ListValue(crate::messages::ListValue { values })) };
        let mut metadata = DynamicMetadata::default();
        let first = object(&[
            ("o", object(&[("x", Value::number(1.0))])),
            ("l", list(vec![Value::number(1.0)])),
            ("t", Value::string("a")),
        ]);
        assert!(metadata.update("n", &fields(first)));
        let second = object(&[
            ("o", object(&[("y", Value::number(2.0))])),
            ("l", list(vec![Value::number(2.0)])),
            ("t", object(&[("q", Value::number(1.0))])),
        ]);
        assert!(metadata.update("n", &fields(second)));
        let expected = object(&[
            ("o", object(&[("x", Value::number(1.0)), ("y", Value::number(2.0))])),
            ("l", list(vec![Value::number(1.0), Value::number(2.0)])),
            ("t", object(&[("q", Value::number(1.0))])),
        ]);
        assert_eq!(metadata.namespace("n"), Some(&fields(expected)));
        assert!(metadata.set("n", fields(object(&[("o", Value::bool(true))]))));
        assert_eq!(metadata.namespace("n").unwrap().fields.get("o"), Some(&Value::bool(true)));
        assert_eq!(metadata.namespace("n").unwrap().fields.len(), 3);
    }

    /// D-7: what is replaced does not count, what is added does.
    #[test]
    fn is_bounded() {
        let allowed = ["a".to_owned()];
        let half = || Value::string("x".repeat(MAX_BYTES / 2));
        let mut metadata = DynamicMetadata::default();
        for _ in 0..10 {
            assert!(metadata.merge(fields(object(&[("a", object(&[("k", half())]))])), &allowed));
        }
        assert!(metadata.merge(fields(object(&[("other", object(&[("k", half())]))])), &allowed));
        assert!(!metadata.merge(fields(object(&[("a", object(&[("l", half())]))])), &allowed));
    }
}
