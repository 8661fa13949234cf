//! Clusters, as translation makes them.

use std::{convert::Infallible, sync::Arc};

use tollgate_ir::{BareCluster, Cluster};
use tollgate_model::cluster::{Discovery, Endpoint, UpstreamProtocol};

use super::backend::dns;

/// A cluster of these endpoints with Envoy's defaults; the caller changes what its dialect does otherwise.
pub(crate) fn cluster(
    name: String,
    endpoints: impl Into<Arc<[Endpoint]>>,
    protocol: UpstreamProtocol,
) -> Cluster {
    let endpoints = endpoints.into();
    let bare = bare_cluster(name, &endpoints, protocol);
    let Ok(cluster) = bare.try_map(Ok::<_, Infallible>, |()| endpoints);
    cluster
}

/// The same without its endpoints.
pub(crate) fn bare_cluster(name: String, endpoints: &[Endpoint], protocol: UpstreamProtocol) -> BareCluster {
    let discovery = if endpoints.iter().any(dns::is_name) {
        Discovery::StrictDns(dns::SETTINGS)
    } else {
        Discovery::Static
    };
    let tcp = protocol.usual_tcp();
    BareCluster { protocol, tcp, ..BareCluster::new(name, discovery, ()) }
}
