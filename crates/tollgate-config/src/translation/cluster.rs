//! Clusters, as translation makes them.

use tollgate_model::cluster::{Cluster, Discovery, Endpoint, UpstreamProtocol};

use super::backend::dns;

/// A cluster of these endpoints with Envoy's defaults; the caller changes what its dialect does otherwise.
pub(crate) fn cluster(name: String, endpoints: Vec<Endpoint>, protocol: UpstreamProtocol) -> Cluster {
    let discovery = if endpoints.iter().any(dns::is_name) {
        Discovery::StrictDns(dns::SETTINGS)
    } else {
        Discovery::Static
    };
    Cluster { protocol, ..Cluster::new(name, discovery, endpoints) }
}
