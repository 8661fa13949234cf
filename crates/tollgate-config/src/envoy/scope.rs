//! What the whole bootstrap says, for the parts that refer to it.

use std::collections::HashMap;

use tollgate_model::cluster::{Endpoint, EndpointAddress, UpstreamProtocol};

use super::runtime::Runtime;

/// What the whole bootstrap says.
pub(super) struct Scope {
    /// `header_prefix`, without the trailing dash.
    pub(super) header_prefix: String,
    /// Runtime keys.
    pub(super) runtime: Runtime,
    /// The clusters that routes and services may name.
    pub(super) clusters: Clusters,
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
}

impl ClusterFacts {
    /// What others want to know about a cluster with this protocol and these endpoints.
    pub(crate) fn of(protocol: &UpstreamProtocol, endpoints: &[Endpoint]) -> Self {
        let first_endpoint = endpoints.iter().find_map(|endpoint| match &endpoint.address {
            EndpointAddress::Socket(socket) => Some(socket.to_string()),
            EndpointAddress::Dns { host, port } => Some(format!("{host}:{port}")),
            EndpointAddress::Pipe(_) => None,
        });
        Self { http2: matches!(protocol, UpstreamProtocol::Http2(_)), first_endpoint }
    }
}
