//! Clusters, as translation makes them.

use std::time::Duration;

use tollgate_model::cluster::{CircuitBreakers, Cluster, Discovery, Endpoint, LbPolicy, UpstreamProtocol};

use super::backend::dns;

/// Buffer limit where nothing else is said, bytes: Envoy's default.
pub(crate) const BUFFER_LIMIT: usize = 1024 * 1024;

/// A cluster of these endpoints with Envoy's defaults; the caller changes what its dialect does otherwise.
pub(crate) fn cluster(name: String, endpoints: Vec<Endpoint>, protocol: UpstreamProtocol) -> Cluster {
    Cluster {
        name,
        discovery: if endpoints.iter().any(dns::is_name) {
            Discovery::StrictDns(dns::SETTINGS)
        } else {
            Discovery::Static
        },
        endpoints,
        lb_policy: LbPolicy::RoundRobin,
        connect_timeout: Duration::from_secs(5),
        protocol,
        tls: None,
        per_connection_buffer_limit_bytes: BUFFER_LIMIT,
        circuit_breakers: CircuitBreakers::default(),
        idle_timeout: Some(Duration::from_secs(3600)),
        max_requests_per_connection: None,
        metadata: extproc::messages::Metadata::default(),
    }
}
