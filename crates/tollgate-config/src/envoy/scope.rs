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
    /// Clusters by name.
    pub(super) clusters: HashMap<String, ClusterFacts>,
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
