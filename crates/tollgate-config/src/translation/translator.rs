//! What every part of the translation needs.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use tollgate_model::{Snapshot, cluster::Cluster};

use super::backend_tls::TlsPolicies;
use crate::{
    Files, Options,
    kubernetes::{Diagnostics, Grants, ObjectKey, Resources, core::EndpointSlice},
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
    /// By the service they belong to.
    pub(super) endpoint_slices: HashMap<ObjectKey, Vec<&'a EndpointSlice>>,
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
            endpoint_slices: endpoint_slices(resources),
            tls_policies: TlsPolicies::new(resources),
            clusters: RefCell::default(),
        }
    }

    /// The labels of a namespace; every one has its name among them.
    pub(crate) fn namespace_labels(&self, namespace: &str) -> BTreeMap<String, String> {
        let object = self.resources.core.namespaces.get(&ObjectKey::new("", namespace));
        let mut labels = object.map(|object| object.meta.labels.clone()).unwrap_or_default();
        labels.insert("kubernetes.io/metadata.name".to_owned(), namespace.to_owned());
        labels
    }

    /// Makes a cluster part of the snapshot, unless there is one of that name.
    pub(crate) fn add_cluster(&self, name: &str, cluster: impl FnOnce() -> Cluster) {
        let mut clusters = self.clusters.borrow_mut();
        if !clusters.contains_key(name) {
            clusters.insert(name.to_owned(), Arc::new(cluster()));
        }
    }

    /// Makes a cluster part of the snapshot and says under which name: its own, or one with an end where another cluster
    /// has that.
    pub(crate) fn add_variant(&self, mut cluster: Cluster, end: &str) -> String {
        let mut clusters = self.clusters.borrow_mut();
        if clusters.get(&cluster.name).is_some_and(|other| **other != cluster) {
            cluster.name = format!("{}/{end}", cluster.name);
        }
        let name = cluster.name.clone();
        clusters.entry(name.clone()).or_insert_with(|| Arc::new(cluster));
        name
    }

    /// All clusters that were added.
    pub(crate) fn into_clusters(self) -> HashMap<String, Arc<Cluster>> {
        self.clusters.into_inner()
    }
}

fn endpoint_slices(resources: &Resources) -> HashMap<ObjectKey, Vec<&EndpointSlice>> {
    let mut by_service: HashMap<ObjectKey, Vec<&EndpointSlice>> = HashMap::new();
    let slices = resources.core.endpoint_slices.iter().map(|slice| (&slice.meta, &slice.spec));
    let endpoints = resources.core.endpoints.iter();
    let of_endpoints = endpoints.flat_map(|all| all.spec.iter().map(|slice| (&all.meta, slice)));
    for (meta, slice) in slices.chain(of_endpoints) {
        if let Some(service) = &slice.service {
            let key = ObjectKey::new(&*meta.key.namespace, &**service);
            by_service.entry(key).or_default().push(slice);
        }
    }
    by_service
}
