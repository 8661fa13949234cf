//! Dynamic metadata: values that filters and processors leave for each other (section 14).

use std::collections::BTreeMap;

use prost::Message;

use crate::{
    messages::{Any, Metadata, Struct, value::Kind},
    plan::MetadataNamespaces,
};

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

    /// The values of these namespaces; those without a value are left out. A processor is told them with a message (D-1);
    /// [`add_cluster_metadata`] adds those of the cluster.
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

/// Adds the namespaces of the cluster that a processor may see to what it is told with a message (D-1). What is there from
/// the request stays.
pub fn add_cluster_metadata(context: &mut Metadata, wanted: &MetadataNamespaces, cluster: &Metadata) {
    for name in &wanted.untyped {
        if let Some(values) = cluster.filter_metadata.get(name) {
            context.filter_metadata.entry(name.clone()).or_insert_with(|| values.clone());
        }
    }
    for name in &wanted.typed {
        if let Some(value) = cluster.typed_filter_metadata.get(name) {
            context.typed_filter_metadata.entry(name.clone()).or_insert_with(|| value.clone());
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

    /// D-1: listed and present.
    #[test]
    fn selects() {
        let mut metadata = DynamicMetadata::default();
        let value = object(&[("a", object(&[("x", Value::number(1.0))])), ("b", object(&[]))]);
        assert!(metadata.merge(fields(value), &["a".to_owned(), "b".to_owned()]));
        let wanted = MetadataNamespaces { untyped: vec!["a".into(), "missing".into()], typed: vec![] };
        let selected = metadata.select(&wanted);
        assert_eq!(selected.filter_metadata.keys().collect::<Vec<_>>(), ["a"]);
    }

    /// D-1: the cluster's namespaces are there too, and those of the request win.
    #[test]
    fn the_context_holds_the_metadata_of_the_cluster() {
        let mut metadata = DynamicMetadata::default();
        let own = object(&[("a", object(&[("x", Value::string("request"))]))]);
        assert!(metadata.merge(fields(own), &["a".to_owned()]));
        let cluster = Metadata {
            filter_metadata: ["a", "b", "c"]
                .map(|name| (name.to_owned(), fields(object(&[("x", Value::string("cluster"))]))))
                .into(),
            ..Metadata::default()
        };
        let namespaces = |names: &[&str]| MetadataNamespaces {
            untyped: names.iter().map(ToString::to_string).collect(),
            typed: Vec::new(),
        };
        let values = |context: &Metadata| -> Vec<(String, Option<Value>)> {
            context
                .filter_metadata
                .iter()
                .map(|(name, values)| (name.clone(), values.fields.get("x").cloned()))
                .collect()
        };
        let expected = [("a", "request"), ("b", "cluster")]
            .map(|(name, text)| (name.to_owned(), Some(Value::string(text))));
        let mut context = metadata.select(&namespaces(&["a"]));
        assert_eq!(values(&context), expected[..1]);
        add_cluster_metadata(&mut context, &namespaces(&["a", "b", "missing"]), &cluster);
        assert_eq!(values(&context), expected);
    }
}
