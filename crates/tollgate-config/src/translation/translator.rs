//! What every part of the translation needs.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use tollgate_ir::{BareCluster, Cluster, Origin, Resources as Ir, Secrets, Sourced};
use tollgate_model::{cluster::Endpoint, shared::same};

use super::{Systems, backend_tls::TlsPolicies, cache::Cache};
use crate::{
    Files, Options,
    gateway_api::Grants,
    kubernetes::{Diagnostics, ObjectKey, ObjectStore, core::EndpointSlice, selector::LabelSelector},
};

/// What every part of the translation needs.
pub(crate) struct Translator<'a> {
    pub(crate) systems: &'a Systems,
    pub(crate) store: &'a ObjectStore,
    pub(crate) files: &'a dyn Files,
    pub(crate) options: &'a Options,
    pub(crate) diagnostics: &'a Diagnostics,
    pub(crate) grants: Grants<'a>,
    /// An Envoy configuration in the same input; names may refer to its clusters (HT-43).
    pub(crate) native: &'a Ir,
    pub(super) tls_policies: TlsPolicies,
    /// By the service they belong to.
    pub(super) endpoint_slices: HashMap<ObjectKey, Vec<&'a EndpointSlice>>,
    pub(super) cache: Cache,
    clusters: RefCell<BTreeMap<String, Added>>,
    /// Those of the Envoy configuration, and what was found in objects since.
    pub(super) secrets: RefCell<Secrets>,
}

/// A cluster of the resources.
pub(super) struct Added {
    pub(super) cluster: BareCluster,
    pub(super) endpoints: Arc<[Endpoint]>,
    pub(super) origin: Arc<Origin>,
}

impl<'a> Translator<'a> {
    pub(crate) fn new(
        systems: &'a Systems,
        store: &'a ObjectStore,
        native: &'a Ir,
        files: &'a dyn Files,
        options: &'a Options,
        diagnostics: &'a Diagnostics,
    ) -> Self {
        let grants = Grants::new(store);
        Self {
            systems,
            store,
            files,
            options,
            diagnostics,
            grants,
            native,
            endpoint_slices: endpoint_slices(store),
            tls_policies: TlsPolicies::new(store),
            cache: Cache::default(),
            clusters: RefCell::default(),
            secrets: RefCell::new(native.secrets.clone()),
        }
    }

    /// Whether the labels of a namespace are those that are meant; every namespace has its name among them.
    pub(crate) fn is_namespace_selected(&self, selector: &LabelSelector, namespace: &str) -> bool {
        let object = self.store.core.namespaces.get(&ObjectKey::new("", namespace));
        selector.matches_by(|label| match label {
            "kubernetes.io/metadata.name" => Some(namespace),
            _ => object?.meta.labels.get(label).map(String::as_str),
        })
    }

    /// Makes a cluster part of the resources and returns the name that leads to it: its own, or a longer one where another
    /// cluster has that. No cluster replaces another one that has the same name by chance. `end` says what sets this one
    /// apart, the origin is the object that it is made for.
    pub(crate) fn add_cluster(&self, cluster: Cluster, end: &str, origin: Arc<Origin>) -> String {
        let (cluster, endpoints) = cluster.into_parts();
        self.add_shared(cluster, &endpoints, end, origin)
    }

    /// The same with endpoints that others have, too.
    pub(crate) fn add_shared(
        &self,
        mut cluster: BareCluster,
        endpoints: &Arc<[Endpoint]>,
        end: &str,
        origin: Arc<Origin>,
    ) -> String {
        let mut clusters = self.clusters.borrow_mut();
        let own = cluster.name.clone();
        let mut number = 1;
        while let Some(other) = clusters.get(&cluster.name) {
            if other.cluster == cluster && same(&other.endpoints, endpoints) {
                return cluster.name;
            }
            cluster.name = match number {
                1 => format!("{own}/{end}"),
                _ => format!("{own}/{end}/{number}"),
            };
            number += 1;
        }
        let name = cluster.name.clone();
        clusters.insert(name.clone(), Added { cluster, endpoints: Arc::clone(endpoints), origin });
        name
    }

    /// Whether there is a cluster of this name so far.
    pub(crate) fn has_cluster(&self, name: &str) -> bool {
        self.clusters.borrow().contains_key(name) || self.native.clusters.contains_key(name)
    }

    /// All resources so far: `resources`, those of an Envoy configuration, and the clusters and secrets that were added.
    pub(super) fn complete(&self, resources: &Ir) -> Ir {
        let mut complete = resources.clone();
        complete.secrets = self.secrets.borrow().clone();
        complete.clusters.extend(self.native.clusters.clone());
        complete.endpoints.extend(self.native.endpoints.clone());
        complete.cluster_http_filters.extend(self.native.cluster_http_filters.clone());
        for (name, Added { cluster, endpoints, origin }) in &*self.clusters.borrow() {
            let cluster = Sourced { value: cluster.clone(), origin: Arc::clone(origin) };
            complete.clusters.insert(name.clone(), Arc::new(cluster));
            complete.endpoints.insert(name.clone(), Arc::clone(endpoints));
        }
        complete
    }

    /// All clusters that were added, and the secrets.
    pub(super) fn into_parts(self) -> (BTreeMap<String, Added>, Secrets) {
        (self.clusters.into_inner(), self.secrets.into_inner())
    }
}

fn endpoint_slices(store: &ObjectStore) -> HashMap<ObjectKey, Vec<&EndpointSlice>> {
    let mut by_service: HashMap<ObjectKey, Vec<&EndpointSlice>> = HashMap::new();
    let slices = store.core.endpoint_slices.iter().map(|slice| (&slice.meta, &slice.spec));
    let endpoints = store.core.endpoints.iter();
    let of_endpoints = endpoints.flat_map(|all| all.spec.iter().map(|slice| (&all.meta, slice)));
    for (meta, slice) in slices.chain(of_endpoints) {
        if let Some(service) = &slice.service {
            let key = ObjectKey::new(&*meta.key.namespace, &**service);
            by_service.entry(key).or_default().push(slice);
        }
    }
    by_service
}

#[cfg(test)]
mod tests {
    use tollgate_model::cluster::{EndpointAddress, UpstreamProtocol};

    use super::*;
    use crate::{
        files::FileSystem,
        translation::{cluster, endpoint},
    };

    #[test]
    fn clusters_of_one_name_and_different_content_are_named_apart() {
        let (store, native, options) = (ObjectStore::default(), Ir::default(), Options::default());
        let diagnostics = Diagnostics::default();
        let translator =
            Translator::new(crate::systems::all(), &store, &native, &FileSystem, &options, &diagnostics);
        let add = |port: u16, end: &str| {
            let address = EndpointAddress::Socket(([127, 0, 0, 1], port).into());
            let protocol = UpstreamProtocol::Http1 { enable_trailers: false };
            let built = cluster("web".to_owned(), vec![endpoint(address)], protocol);
            translator.add_cluster(built, end, Arc::default())
        };
        assert_eq!(add(1, "a"), "web");
        assert_eq!(add(1, "b"), "web", "the same cluster");
        assert_eq!(add(2, "b"), "web/b");
        assert_eq!(add(3, "b"), "web/b/2");
        assert_eq!(add(4, "b"), "web/b/3");
        assert_eq!(add(3, "b"), "web/b/2", "the same cluster");
        assert_eq!(add(2, "c"), "web/c");
        let ports: Vec<_> = translator
            .into_parts()
            .0
            .into_iter()
            .map(|(name, added)| {
                assert_eq!(name, added.cluster.name);
                added.endpoints.iter().map(|endpoint| endpoint.address.to_string()).collect::<String>()
            })
            .collect();
        assert_eq!(ports, ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3", "127.0.0.1:4", "127.0.0.1:2"]);
    }
}
