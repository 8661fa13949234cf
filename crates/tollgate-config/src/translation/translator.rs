//! What every part of the translation needs.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use tollgate_ir::{Cluster, Origin, Resources as Ir};

use super::backend_tls::TlsPolicies;
use crate::{
    Files, Options,
    kubernetes::{Diagnostics, Grants, ObjectKey, ObjectRef, Place, Resources, core::EndpointSlice},
};

/// What every part of the translation needs.
pub(crate) struct Translator<'a> {
    pub(crate) resources: &'a Resources,
    pub(crate) files: &'a dyn Files,
    pub(crate) options: &'a Options,
    pub(crate) diagnostics: &'a Diagnostics,
    pub(crate) grants: Grants<'a>,
    /// An Envoy configuration in the same input; names may refer to its clusters (HT-43).
    pub(crate) native: &'a Ir,
    pub(super) tls_policies: TlsPolicies,
    /// By the service they belong to.
    pub(super) endpoint_slices: HashMap<ObjectKey, Vec<&'a EndpointSlice>>,
    clusters: RefCell<BTreeMap<String, (Cluster, Arc<Origin>)>>,
}

impl<'a> Translator<'a> {
    pub(crate) fn new(
        resources: &'a Resources,
        native: &'a Ir,
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
            native,
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

    /// Makes a cluster part of the resources, unless there is one of that name. It is of an object, and of a place in it.
    pub(crate) fn add_cluster(
        &self,
        name: &str,
        place: &Place,
        object: &ObjectRef,
        cluster: impl FnOnce() -> Cluster,
    ) {
        let mut clusters = self.clusters.borrow_mut();
        if !clusters.contains_key(name) {
            clusters.insert(name.to_owned(), (cluster(), place.origin(Some(object))));
        }
    }

    /// Makes a cluster part of the resources and says under which name: its own, or one with an end where another cluster
    /// has that.
    pub(crate) fn add_variant(&self, mut cluster: Cluster, end: &str, origin: Arc<Origin>) -> String {
        let mut clusters = self.clusters.borrow_mut();
        if clusters.get(&cluster.name).is_some_and(|(other, _)| *other != cluster) {
            cluster.name = format!("{}/{end}", cluster.name);
        }
        let name = cluster.name.clone();
        clusters.entry(name.clone()).or_insert((cluster, origin));
        name
    }

    /// All clusters that were added.
    pub(crate) fn into_clusters(self) -> BTreeMap<String, (Cluster, Arc<Origin>)> {
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
