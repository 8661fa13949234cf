//! All resources of a configuration.

use std::{collections::BTreeMap, net::SocketAddr, num::NonZeroUsize, sync::Arc};

use serde::Serialize;
use tollgate_model::{
    cluster::Endpoint, management::Management, overload::OverloadManager, shared::same, snapshot::Node,
    tls::UpstreamTlsSettings, watchdog::Watchdog,
};

use crate::{DownstreamTlsContext, HttpFilter, Origin, RouteTable, Secrets, Sourced, UpstreamTlsContext};

/// A listener as written.
pub type Listener = tollgate_model::listener::Listener<FilterChain>;
/// A filter chain as written.
pub type FilterChain = tollgate_model::listener::FilterChain<DownstreamTlsContext, HttpConnectionManager>;
/// A connection manager as written: its route table is one of [`Resources::route_tables`], by name.
pub type HttpConnectionManager =
    tollgate_model::http_connection_manager::HttpConnectionManager<String, HttpFilter>;
/// A cluster as written, without its endpoints: they are in [`Resources::endpoints`] under its name.
pub type BareCluster = tollgate_model::cluster::Cluster<UpstreamTlsContext, ()>;
/// A cluster as written, and its endpoints.
pub type Cluster = tollgate_model::cluster::Cluster<UpstreamTlsContext>;
/// The target of a `google_grpc` service: a cluster of its own, whose certificates no secret has.
pub type GoogleCluster = tollgate_model::cluster::Cluster<UpstreamTlsSettings>;
/// The settings of an external processing filter as written.
pub type ExtProc = tollgate_model::processor::ExtProc<GoogleCluster>;
/// A gRPC service as written.
pub type GrpcService = tollgate_model::processor::GrpcService<GoogleCluster>;

/// All resources of a configuration. Cheap to clone: they are shared, and one that does not change should stay the same object.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Resources {
    /// Listeners in the order of the configuration; their names are unique.
    pub listeners: Vec<Arc<Sourced<Listener>>>,
    /// Route tables by the name that connection managers call them.
    pub route_tables: BTreeMap<String, Arc<RouteTable>>,
    /// Clusters by name.
    pub clusters: BTreeMap<String, Arc<Sourced<BareCluster>>>,
    /// Endpoints by the name of their cluster. A cluster without an entry has none.
    pub endpoints: BTreeMap<String, Arc<[Endpoint]>>,
    /// Filters behind the router by the name of their cluster, in request order. They stand instead of the connection
    /// manager's `upstream_http_filters`; a cluster without an entry has those.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub cluster_http_filters: BTreeMap<String, Arc<[HttpFilter]>>,
    /// Certificates, and what those of peers are verified with.
    pub secrets: Secrets,
    /// What the process is told.
    pub process: Process,
}

/// What the process is told.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Process {
    /// Who the gateway is.
    pub node: Node,
    /// Where the admin server listens. `None` = as the command line says.
    pub admin_address: Option<SocketAddr>,
    /// Limits of the whole process, and what happens when a resource runs short. Default: no limits.
    pub overload: OverloadManager,
    /// What is done about a worker that hangs.
    pub watchdog: Watchdog,
    /// Threads that serve requests. `None` = as many as there are processors.
    pub concurrency: Option<NonZeroUsize>,
    /// Where resources come from that are not here. `None` = everything is here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub management: Option<Arc<Sourced<Management<GoogleCluster>>>>,
}

impl Resources {
    /// Adds a cluster with its endpoints; of two with one name the last stays.
    pub fn insert_cluster(&mut self, cluster: Cluster, origin: Arc<Origin>) {
        let name = cluster.name.clone();
        let (value, endpoints) = cluster.into_parts();
        self.endpoints.insert(name.clone(), endpoints);
        self.clusters.insert(name, Arc::new(Sourced { value, origin }));
    }

    /// The endpoints of a cluster.
    #[must_use]
    pub fn endpoints_of(&self, cluster: &str) -> &[Endpoint] {
        self.endpoints.get(cluster).map(|endpoints| &**endpoints).unwrap_or_default()
    }

    /// Whether both say the same about the cluster of that name.
    #[must_use]
    pub fn has_same_cluster(&self, other: &Self, name: &str) -> bool {
        same_of(&self.clusters, &other.clusters, name)
            && self.endpoints_of(name) == other.endpoints_of(name)
            && same_of(&self.cluster_http_filters, &other.cluster_http_filters, name)
    }
}

/// Whether both have the same under a name, or nothing.
pub(crate) fn same_of<T: PartialEq + ?Sized>(
    one: &BTreeMap<String, Arc<T>>,
    other: &BTreeMap<String, Arc<T>>,
    name: &str,
) -> bool {
    match (one.get(name), other.get(name)) {
        (Some(one), Some(other)) => same(one, other),
        (None, None) => true,
        _ => false,
    }
}
