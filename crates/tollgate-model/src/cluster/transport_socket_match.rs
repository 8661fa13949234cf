//! TLS that some endpoints of a cluster use instead of the cluster's.

use std::sync::Arc;

use extproc::messages::{Metadata, Struct};
use serde::Serialize;

/// The namespace of metadata in which endpoints and localities say what they want.
pub const TRANSPORT_SOCKET_MATCH: &str = "envoy.transport_socket_match";

/// What endpoints use whose metadata have certain values. `T` is TLS, as in [`Cluster`](super::Cluster).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TransportSocketMatch<T> {
    /// Any name, for logs.
    pub name: String,
    /// The values that the metadata must have; nothing = every endpoint matches.
    #[serde(serialize_with = "crate::metadata::serialize_struct")]
    pub criteria: Struct,
    /// TLS; `None` is cleartext.
    pub tls: Option<Arc<T>>,
}

impl<T> TransportSocketMatch<T> {
    /// Whether metadata have all the values.
    #[must_use]
    pub fn matches(&self, metadata: &Metadata) -> bool {
        let own = metadata.filter_metadata.get(TRANSPORT_SOCKET_MATCH);
        self.criteria.fields.iter().all(|(name, wanted)| {
            own.and_then(|own| own.fields.get(name)).is_some_and(|value| value == wanted)
        })
    }

    /// The first of the list that is for the metadata of an endpoint, then the first that is for those of its locality.
    #[must_use]
    pub fn find(list: &[Self], endpoint: &Metadata, locality: &Metadata) -> Option<usize> {
        let first = |metadata| list.iter().position(|one| one.matches(metadata));
        first(endpoint).or_else(|| first(locality))
    }

    /// The same with other TLS.
    ///
    /// # Errors
    /// What `tls` says.
    pub fn try_map<T2, P>(
        self,
        tls: impl FnOnce(Arc<T>) -> Result<Arc<T2>, P>,
    ) -> Result<TransportSocketMatch<T2>, P> {
        Ok(TransportSocketMatch {
            name: self.name,
            criteria: self.criteria,
            tls: self.tls.map(tls).transpose()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use extproc::messages::{Value, value::Kind};

    use super::*;

    fn values(entries: &[(&str, &str)]) -> Struct {
        let text = |text: &str| Value { kind: Some(Kind::StringValue(text.to_owned())) };
        Struct { fields: entries.iter().map(|(name, value)| ((*name).to_owned(), text(value))).collect() }
    }

    fn metadata(namespace: &str, entries: &[(&str, &str)]) -> Metadata {
        let filter_metadata = std::iter::once((namespace.to_owned(), values(entries))).collect();
        Metadata { filter_metadata, ..Metadata::default() }
    }

    fn matching(entries: &[(&str, &str)]) -> TransportSocketMatch<()> {
        TransportSocketMatch { name: String::new(), criteria: values(entries), tls: None }
    }

    #[test]
    fn the_first_that_matches_an_endpoint_is_taken_then_the_first_for_its_locality() {
        let list = [matching(&[("a", "1"), ("b", "2")]), matching(&[("a", "1")])];
        let find =
            |endpoint: &Metadata, locality: &Metadata| TransportSocketMatch::find(&list, endpoint, locality);
        let (one, both) = (
            metadata(TRANSPORT_SOCKET_MATCH, &[("a", "1")]),
            metadata(TRANSPORT_SOCKET_MATCH, &[("a", "1"), ("b", "2"), ("c", "3")]),
        );
        let nothing = Metadata::default();
        assert_eq!(find(&both, &nothing), Some(0));
        assert_eq!(find(&one, &both), Some(1));
        assert_eq!(find(&nothing, &both), Some(0));
        assert_eq!(find(&metadata("envoy.lb", &[("a", "1")]), &nothing), None);
    }

    #[test]
    fn no_criteria_are_for_everybody() {
        let nothing = Metadata::default();
        assert_eq!(TransportSocketMatch::find(&[matching(&[])], &nothing, &nothing), Some(0));
    }
}
