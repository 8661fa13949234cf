//! Where requests go.

use tollgate_model::{
    Snapshot,
    cluster::{Cluster, EndpointAddress},
};

/// More than these are not reported.
const MOST: usize = 8;

/// The endpoints of a cluster; none if there is no such cluster.
pub(super) fn endpoints(snapshot: &Snapshot, cluster: &str) -> Vec<String> {
    snapshot.clusters.get(cluster).map(|cluster| endpoints_of(cluster)).unwrap_or_default()
}

/// The endpoints of a cluster.
pub(super) fn endpoints_of(cluster: &Cluster) -> Vec<String> {
    let mut told: Vec<String> = cluster
        .endpoints
        .iter()
        .take(MOST)
        .map(|endpoint| match &endpoint.address {
            EndpointAddress::Socket(address) => address.to_string(),
            EndpointAddress::Pipe(path) => format!("unix:{}", path.display()),
            EndpointAddress::Dns { host, port } => format!("{host}:{port}"),
        })
        .collect();
    if cluster.endpoints.len() > MOST {
        told.push(format!("{} more", cluster.endpoints.len() - MOST));
    }
    told
}
