//! `/clusters`: names, limits and endpoints as configured, as `cluster::[endpoint::]name::value`.

use std::fmt::Write as _;

use tollgate_model::{
    Snapshot,
    cluster::{Cluster, EndpointAddress},
};

pub(super) fn write(snapshot: &Snapshot) -> String {
    let mut clusters: Vec<&Cluster> = snapshot.clusters.values().map(AsRef::as_ref).collect();
    clusters.sort_by(|a, b| a.name.cmp(&b.name));
    let mut text = String::new();
    for cluster in clusters {
        let name = &cluster.name;
        let limits = &cluster.circuit_breakers;
        let mut line = |rest: std::fmt::Arguments<'_>| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name}::{rest}");
        };
        line(format_args!("observability_name::{name}"));
        line(format_args!("default_priority::max_connections::{}", limits.max_connections));
        line(format_args!("default_priority::max_pending_requests::{}", limits.max_pending_requests));
        line(format_args!("default_priority::max_requests::{}", limits.max_requests));
        line(format_args!("added_via_api::false"));
        for endpoint in &cluster.endpoints {
            let address = match &endpoint.address {
                EndpointAddress::Socket(address) => address.to_string(),
                EndpointAddress::Pipe(path) => path.display().to_string(),
                EndpointAddress::Dns { host, port } => format!("{host}:{port}"),
            };
            line(format_args!("{address}::hostname::{}", endpoint.hostname));
            line(format_args!("{address}::weight::{}", endpoint.weight));
        }
    }
    text
}
