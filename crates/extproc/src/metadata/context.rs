//! The metadata that goes to a processor with a message (D-1).

use smallvec::SmallVec;

use super::DynamicMetadata;
use crate::{
    messages::{Any, Metadata, Struct},
    plan::MetadataNamespaces,
};

/// The namespaces a processor is shown, in the order of their names. It borrows them: a context is made for every message,
/// each piece of a body included, and the values may be large.
#[derive(Debug, Clone, Default)]
pub struct MetadataContext<'m> {
    untyped: Namespaces<'m, Struct>,
    typed: Namespaces<'m, Any>,
}

/// More than a few namespaces are rare.
type Namespaces<'m, V> = SmallVec<[(&'m str, &'m V); 4]>;

impl<'m> MetadataContext<'m> {
    /// The wanted namespaces of a request that have a value.
    #[must_use]
    pub fn of_request(metadata: &'m DynamicMetadata, wanted: &MetadataNamespaces) -> Self {
        let mut context = Self::default();
        for (name, values) in wanted.untyped.iter().filter_map(|name| metadata.untyped.get_key_value(name)) {
            add(&mut context.untyped, name, values);
        }
        for (name, value) in wanted.typed.iter().filter_map(|name| metadata.typed.get_key_value(name)) {
            add(&mut context.typed, name, value);
        }
        context
    }

    /// Adds the wanted namespaces of the cluster. What is there from the request stays.
    pub fn add_cluster(&mut self, cluster: &'m Metadata, wanted: &MetadataNamespaces) {
        let Metadata { filter_metadata, typed_filter_metadata } = cluster;
        for (name, values) in wanted.untyped.iter().filter_map(|name| filter_metadata.get_key_value(name)) {
            add(&mut self.untyped, name, values);
        }
        for (name, value) in wanted.typed.iter().filter_map(|name| typed_filter_metadata.get_key_value(name))
        {
            add(&mut self.typed, name, value);
        }
    }

    /// Values of `filter_metadata`.
    pub(crate) fn untyped(&self) -> &[(&'m str, &'m Struct)] {
        &self.untyped
    }

    /// Values of `typed_filter_metadata`.
    pub(crate) fn typed(&self) -> &[(&'m str, &'m Any)] {
        &self.typed
    }
}

impl<'m> From<&'m Metadata> for MetadataContext<'m> {
    fn from(metadata: &'m Metadata) -> Self {
        let Metadata { filter_metadata, typed_filter_metadata } = metadata;
        Self {
            untyped: filter_metadata.iter().map(|(name, values)| (name.as_str(), values)).collect(),
            typed: typed_filter_metadata.iter().map(|(name, value)| (name.as_str(), value)).collect(),
        }
    }
}

/// Adds a namespace in its place, unless it is there.
fn add<'m, V>(namespaces: &mut Namespaces<'m, V>, name: &'m str, value: &'m V) {
    if let Err(place) = namespaces.binary_search_by_key(&name, |(name, _)| name) {
        namespaces.insert(place, (name, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::Value;

    fn metadata(namespaces: &[&str], text: &str) -> Metadata {
        let values = || Struct { fields: [("x".to_owned(), Value::string(text))].into() };
        let value = || Any { type_url: text.to_owned(), ..Any::default() };
        Metadata {
            filter_metadata: namespaces.iter().map(|name| ((*name).to_owned(), values())).collect(),
            typed_filter_metadata: namespaces.iter().map(|name| ((*name).to_owned(), value())).collect(),
        }
    }

    fn of_request(namespaces: &[&str], text: &str) -> DynamicMetadata {
        let Metadata { filter_metadata, typed_filter_metadata } = metadata(namespaces, text);
        DynamicMetadata { untyped: filter_metadata, typed: typed_filter_metadata, size_bound: 0 }
    }

    fn wanted(names: &[&str]) -> MetadataNamespaces {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        MetadataNamespaces { untyped: names.clone(), typed: names }
    }

    fn names<V>(namespaces: &[(&str, V)]) -> Vec<String> {
        namespaces.iter().map(|(name, _)| (*name).to_owned()).collect()
    }

    /// D-1: listed and present, once each, in the order of the message struct.
    #[test]
    fn what_is_wanted_is_selected() {
        let metadata = of_request(&["a", "b", "c"], "request");
        let context = MetadataContext::of_request(&metadata, &wanted(&["c", "a", "missing", "c"]));
        assert_eq!(names(context.untyped()), ["a", "c"]);
        assert_eq!(names(context.typed()), ["a", "c"]);
    }

    /// D-1: the cluster's namespaces are there too, and those of the request win.
    #[test]
    fn the_cluster_comes_behind_the_request() {
        let (request, cluster) = (of_request(&["b", "e"], "request"), metadata(&["a", "b", "c"], "cluster"));
        let mut context = MetadataContext::of_request(&request, &wanted(&["b"]));
        context.add_cluster(&cluster, &wanted(&["c", "b", "a", "missing"]));
        let texts = |values: &Struct| values.fields.get("x").cloned();
        let untyped: Vec<_> = context.untyped().iter().map(|(name, values)| (*name, texts(values))).collect();
        let expected = [("a", "cluster"), ("b", "request"), ("c", "cluster")];
        assert_eq!(untyped, expected.map(|(name, text)| (name, Some(Value::string(text)))));
        let typed: Vec<_> =
            context.typed().iter().map(|(name, value)| (*name, value.type_url.as_str())).collect();
        assert_eq!(typed, expected);
    }

    /// However large the values are: they stay where they are.
    #[test]
    fn values_are_borrowed() {
        let (request, cluster) = (of_request(&["a"], "request"), metadata(&["b"], "cluster"));
        let mut context = MetadataContext::of_request(&request, &wanted(&["a"]));
        context.add_cluster(&cluster, &wanted(&["b"]));
        let [(_, first), (_, second)] = context.untyped() else { panic!("{context:?}") };
        assert!(std::ptr::eq(*first, &request.untyped["a"]));
        assert!(std::ptr::eq(*second, &cluster.filter_metadata["b"]));
        assert!(!context.untyped.spilled());
    }
}
