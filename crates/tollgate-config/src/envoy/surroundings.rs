//! What a bootstrap says about the resources that are delivered for it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{Scope, http_filters::Filters, runtime::Runtime, scope::Clusters, tls::KnownSecrets};

/// What a bootstrap says about the resources that a management server delivers for it: the prefix of the proxy's own headers,
/// runtime keys, and limits of listeners.
#[derive(Debug, Clone, PartialEq)]
pub struct Surroundings(Arc<Said>);

#[derive(Debug, PartialEq)]
struct Said {
    header_prefix: String,
    runtime: Runtime,
    /// Most connections of listeners that are not in the bootstrap, by name.
    connection_limits: BTreeMap<String, u64>,
    /// Names of the bootstrap's clusters.
    clusters: BTreeSet<String>,
}

impl Default for Surroundings {
    /// A bootstrap that says nothing.
    fn default() -> Self {
        Self::new("x-envoy".to_owned(), Runtime::default(), BTreeMap::new(), BTreeSet::new())
    }
}

impl Surroundings {
    pub(super) fn new(
        header_prefix: String,
        runtime: Runtime,
        connection_limits: BTreeMap<String, u64>,
        clusters: BTreeSet<String>,
    ) -> Self {
        Self(Arc::new(Said { header_prefix, runtime, connection_limits, clusters }))
    }

    /// What the parts of a resource refer to that brings its secrets along.
    pub(super) fn scope(&self, secrets: KnownSecrets) -> Scope {
        Scope {
            header_prefix: self.0.header_prefix.clone(),
            runtime: self.0.runtime.clone(),
            clusters: Clusters::NotKnown,
            of_clusters: Filters::default(),
            secrets,
        }
    }

    /// Whether the bootstrap has a cluster of that name.
    pub(super) fn has_cluster(&self, name: &str) -> bool {
        self.0.clusters.contains(name)
    }

    /// Most connections of the listener of that name.
    pub(super) fn connection_limit(&self, listener: &str) -> Option<u64> {
        self.0.connection_limits.get(listener).copied()
    }
}
