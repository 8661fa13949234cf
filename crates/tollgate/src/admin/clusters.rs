//! `/clusters`: names, limits, what was counted, endpoints as configured, and what their names resolve to, as
//! `cluster::[endpoint::]name::value`.

use std::fmt::Write as _;

use tollgate_model::{
    Snapshot,
    cluster::{Cluster, EndpointAddress},
};
use tollgate_proxy::{NameLookup, NameLookups, Stats};

use crate::in_force::timestamp;

pub(super) fn write(snapshot: &Snapshot, stats: &Stats, lookups: Option<&NameLookups>) -> String {
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
        for (metric, value) in stats.of_cluster(name) {
            line(format_args!("{metric}::{value}"));
        }
        for endpoint in &cluster.endpoints {
            let address = match &endpoint.address {
                EndpointAddress::Socket(address) => address.to_string(),
                EndpointAddress::Pipe(path) => path.display().to_string(),
                EndpointAddress::Dns { host, port } => format!("{host}:{port}"),
            };
            line(format_args!("{address}::hostname::{}", endpoint.hostname));
            line(format_args!("{address}::weight::{}", endpoint.weight));
            if let (EndpointAddress::Dns { host, .. }, Some(lookups)) = (&endpoint.address, lookups) {
                match lookups.of_host(host) {
                    None => line(format_args!("{address}::lookup::under way")),
                    Some(NameLookup { addresses, error, at, .. }) => {
                        let found: Vec<_> = addresses.iter().map(ToString::to_string).collect();
                        line(format_args!("{address}::resolved::{}", found.join(",")));
                        let state = error.as_deref().unwrap_or("ok");
                        line(format_args!("{address}::lookup::{state}"));
                        line(format_args!("{address}::looked_up_at::{}", timestamp(at)));
                    }
                }
            }
        }
    }
    text
}
