//! What every part of the translation needs.

use std::{cell::RefCell, collections::HashMap, sync::Arc};

use tollgate_model::{Snapshot, cluster::Cluster};

use super::backend_tls::TlsPolicies;
use crate::{
    Files, Options,
    kubernetes::{Diagnostics, Grants, Resources},
};

/// What every part of the translation needs.
pub(crate) struct Translator<'a> {
    pub(crate) resources: &'a Resources,
    pub(crate) files: &'a dyn Files,
    pub(crate) options: &'a Options,
    pub(crate) diagnostics: &'a Diagnostics,
    pub(crate) grants: Grants<'a>,
    /// Clusters of an Envoy configuration in the same input, which names may refer to (HT-43).
    pub(crate) static_clusters: &'a HashMap<String, Arc<Cluster>>,
    pub(super) tls_policies: TlsPolicies,
    clusters: RefCell<HashMap<String, Arc<Cluster>>>,
}

impl<'a> Translator<'a> {
    pub(crate) fn new(
        resources: &'a Resources,
        native: &'a Snapshot,
        files: &'a dyn Files,
        options: &'a Options,
        diagnostics: &'a Diagnostics,
    ) -> Self {
        let grants = Grants::new(resources);
        Self {
            resources,
            files,
            options,
            diagnostics,
            grants,
            static_clusters: &native.clusters,
            tls_policies: TlsPolicies::new(resources),
            clusters: RefCell::default(),
        }
    }

    /// Makes a cluster part of the snapshot, unless there is one of that name.
    pub(crate) fn add_cluster(&self, name: &str, cluster: impl FnOnce() -> Cluster) {
        let mut clusters = self.clusters.borrow_mut();
        if !clusters.contains_key(name) {
            clusters.insert(name.to_owned(), Arc::new(cluster()));
        }
    }

    /// All clusters that were added.
    pub(crate) fn into_clusters(self) -> HashMap<String, Arc<Cluster>> {
        self.clusters.into_inner()
    }
}
