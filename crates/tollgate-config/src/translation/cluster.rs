//! Clusters, as translation makes them.

use tollgate_ir::Cluster;
use tollgate_model::{
    cluster::{Discovery, Endpoint, UpstreamProtocol},
    socket::TcpOptions,
};

use super::backend::dns;

/// A cluster of these endpoints with Envoy's defaults; the caller changes what its dialect does otherwise.
pub(crate) fn cluster(name: String, endpoints: Vec<Endpoint>, protocol: UpstreamProtocol) -> Cluster {
    let discovery = if endpoints.iter().any(dns::is_name) {
        Discovery::StrictDns(dns::SETTINGS)
    } else {
        Discovery::Static
    };
    let tcp = match protocol {
        UpstreamProtocol::Http1 { .. } => TcpOptions::UPSTREAM,
        UpstreamProtocol::Http2(_) => TcpOptions::HTTP2_UPSTREAM,
    };
    Cluster { protocol, tcp, ..Cluster::new(name, discovery, endpoints) }
}
