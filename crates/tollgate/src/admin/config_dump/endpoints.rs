//! The endpoints of clusters, as Envoy shows them: whatever they were written in.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tollgate_model::{
    Snapshot,
    cluster::{Cluster, Endpoint, EndpointAddress, EndpointStatus},
};

use super::{
    delivered::{Resource, has_cluster},
    typed,
};

const ASSIGNMENT: &str = "envoy.config.endpoint.v3.ClusterLoadAssignment";

/// What the share of a priority may grow to before the next one is used, percent.
const OVERPROVISIONING_FACTOR: u32 = 140;

/// Those of clusters of the bootstrap, and of clusters that were delivered.
pub(super) fn configs(snapshot: &Snapshot, delivered: &[Resource]) -> [(&'static str, Vec<Value>); 2] {
    let mut clusters: Vec<&Cluster> = snapshot.clusters.values().map(AsRef::as_ref).collect();
    clusters.sort_by(|one, other| one.name.cmp(&other.name));
    let (dynamic, fixed): (Vec<&Cluster>, Vec<&Cluster>) =
        clusters.into_iter().partition(|cluster| has_cluster(delivered, &cluster.name));
    let shown = |clusters: Vec<&Cluster>| {
        clusters.into_iter().map(|cluster| json!({ "endpoint_config": assignment(cluster) })).collect()
    };
    [("static_endpoint_configs", shown(fixed)), ("dynamic_endpoint_configs", shown(dynamic))]
}

fn assignment(cluster: &Cluster) -> Value {
    let mut priorities: BTreeMap<u32, Vec<&Endpoint>> = BTreeMap::new();
    for endpoint in cluster.endpoints.iter() {
        priorities.entry(endpoint.priority).or_default().push(endpoint);
    }
    let groups = priorities.into_iter().map(|(priority, endpoints)| {
        let mut group = json!({
            "locality": {},
            // The weights of localities have no effect here.
            "load_balancing_weight": 0,
            "lb_endpoints": endpoints.into_iter().map(endpoint).collect::<Vec<_>>(),
        });
        if priority > 0 {
            group["priority"] = priority.into();
        }
        group
    });
    let groups: Vec<Value> = groups.collect();
    let mut shown = json!({
        "cluster_name": cluster.name,
        "policy": { "overprovisioning_factor": OVERPROVISIONING_FACTOR },
    });
    if !groups.is_empty() {
        shown["endpoints"] = groups.into();
    }
    typed(ASSIGNMENT, shown)
}

fn endpoint(endpoint: &Endpoint) -> Value {
    let address = match &endpoint.address {
        EndpointAddress::Socket(address) => {
            json!({ "socket_address": { "address": address.ip(), "port_value": address.port() } })
        }
        EndpointAddress::Dns { host, port } => {
            json!({ "socket_address": { "address": host, "port_value": port } })
        }
        EndpointAddress::Pipe(path) => json!({ "pipe": { "path": path } }),
    };
    let mut inner = json!({ "address": address, "health_check_config": {} });
    if !endpoint.hostname.is_empty() {
        inner["hostname"] = endpoint.hostname.as_str().into();
    }
    let status = match endpoint.status {
        EndpointStatus::Healthy => "HEALTHY",
        EndpointStatus::Degraded => "DEGRADED",
        EndpointStatus::Unhealthy => "UNHEALTHY",
    };
    json!({ "endpoint": inner, "health_status": status, "load_balancing_weight": endpoint.weight })
}
