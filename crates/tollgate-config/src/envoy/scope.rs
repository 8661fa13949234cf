//! What the whole bootstrap says, for the parts that refer to it.

use std::collections::HashMap;

use tollgate_model::cluster::{Endpoint, EndpointAddress, UpstreamProtocol};

use super::{http_filters::Filters, runtime::Runtime, tls::KnownSecrets};
use crate::schema::Value;

/// What the whole bootstrap says.
pub(super) struct Scope {
    /// `header_prefix`, without the trailing dash.
    pub(super) header_prefix: String,
    /// Runtime keys.
    pub(super) runtime: Runtime,
    /// The clusters that routes and services may name.
    pub(super) clusters: Clusters,
    /// The secrets that TLS contexts may name.
    pub(super) secrets: KnownSecrets,
    /// The filters that clusters have behind the router.
    pub(super) of_clusters: Filters,
}

impl Scope {
    /// What clusters have behind the router, and which of them do.
    pub(super) fn add_filters(&mut self, cluster: &str, filters: &mut Filters) {
        self.clusters.has_filters(cluster);
        let Filters { names, left_out, processors, .. } = &mut self.of_clusters;
        names.append(&mut filters.names);
        left_out.append(&mut filters.left_out);
        processors.append(&mut filters.processors);
    }
}

/// The clusters that routes and services may name.
pub(super) enum Clusters {
    /// These, by name.
    Known(HashMap<String, ClusterFacts>),
    /// Any: they are delivered by themselves.
    NotKnown,
}

impl Clusters {
    /// What is known of the cluster of that name.
    pub(super) fn get(&self, name: &str) -> Option<&ClusterFacts> {
        match self {
            Self::Known(clusters) => clusters.get(name),
            Self::NotKnown => None,
        }
    }

    /// Whether it is certain that there is no such cluster.
    pub(super) fn lacks(&self, name: &str) -> bool {
        matches!(self, Self::Known(clusters) if !clusters.contains_key(name))
    }

    /// Their names.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let known = match self {
            Self::Known(clusters) => Some(clusters),
            Self::NotKnown => None,
        };
        known.into_iter().flat_map(|clusters| clusters.keys().map(String::as_str))
    }

    /// The cluster of that name has filters behind the router.
    fn has_filters(&mut self, name: &str) {
        if let Self::Known(clusters) = self
            && let Some(facts) = clusters.get_mut(name)
        {
            facts.http_filters = true;
        }
    }

    /// Says so where something other than a route leads to a cluster with filters: what goes there passes them in Envoy.
    pub(super) fn refuse_filters(&self, value: &Value<'_>, name: &str, who: &str) {
        if self.get(name).is_some_and(|facts| facts.http_filters) {
            value.error_with_help(
                format!("the cluster \"{name}\" has http_filters, which {who} do not pass"),
                "make another cluster of the same endpoints without them",
            );
        }
    }

    /// One more cluster.
    pub(super) fn insert(&mut self, name: String, facts: ClusterFacts) {
        if let Self::Known(clusters) = self {
            clusters.insert(name, facts);
        }
    }
}

/// What others want to know about a cluster.
pub(crate) struct ClusterFacts {
    /// HTTP/2 is spoken with it.
    pub(crate) http2: bool,
    /// `host:port` of its first endpoint, if it has a TCP address.
    pub(crate) first_endpoint: Option<String>,
    /// It has filters behind the router.
    pub(crate) http_filters: bool,
}

impl ClusterFacts {
    /// What others want to know about a cluster with this protocol and these endpoints.
    pub(crate) fn of(protocol: &UpstreamProtocol, endpoints: &[Endpoint]) -> Self {
        let first_endpoint = endpoints.iter().find_map(|endpoint| match &endpoint.address {
            EndpointAddress::Socket(socket) => Some(socket.to_string()),
            EndpointAddress::Dns { host, port } => Some(format!("{host}:{port}")),
            EndpointAddress::Pipe(_) => None,
        });
        Self { http2: protocol.speaks_http2(), first_endpoint, http_filters: false }
    }
}
