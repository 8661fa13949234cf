//! The endpoints of a cluster.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use tollgate_ir::UpstreamTlsContext;
use tollgate_model::cluster::{
    Discovery, Endpoint, EndpointAddress, EndpointStatus, Locality, TransportSocketMatch,
};

use super::{
    discovery::is_eds,
    health::read_endpoint_check,
    schema::{
        ASSIGNMENT_POLICY, CLUSTER_LOAD_ASSIGNMENT, EDS_CLUSTER_CONFIG, ENDPOINT, LB_ENDPOINT, LOCALITY,
        LOCALITY_LB_ENDPOINTS,
    },
};
use crate::{
    envoy::{
        address::{Address, read_address},
        config_source::{is_from_server, read_from_server, read_resource},
        metadata::read_metadata,
    },
    schema::{Enumeration, Message, Value},
};

pub(in crate::envoy) static HEALTH_STATUS: Enumeration<EndpointStatus> = Enumeration {
    values: &[
        ("UNKNOWN", 0, Some(EndpointStatus::Healthy)),
        ("HEALTHY", 1, Some(EndpointStatus::Healthy)),
        ("UNHEALTHY", 2, Some(EndpointStatus::Unhealthy)),
        ("DRAINING", 3, Some(EndpointStatus::Unhealthy)),
        ("TIMEOUT", 4, Some(EndpointStatus::Unhealthy)),
        ("DEGRADED", 5, Some(EndpointStatus::Degraded)),
    ],
};

/// What endpoints use that ask for it.
type Matches = [TransportSocketMatch<UpstreamTlsContext>];

/// Reads `load_assignment`; `None` for a discovery that could not be read.
pub(super) fn read_endpoints(
    cluster: &Message<'_>,
    discovery: Option<&Discovery>,
    matches: &Matches,
) -> Option<Vec<Endpoint>> {
    let of_file = cluster.get("eds_cluster_config");
    if is_eds(cluster) {
        let Some(config) = of_file else {
            cluster.value().error("\"eds_cluster_config\" is missing: it says where the endpoints are");
            return None;
        };
        return read_file(&config, &cluster.string("name"), discovery, matches);
    } else if let Some(config) = of_file {
        config.error("it is for clusters of type EDS");
    }
    let Some(value) = cluster.get("load_assignment") else {
        // Envoy takes a static cluster without endpoints; requests to it get 503.
        return match discovery {
            Some(discovery) if discovery.chooses() => Some(Vec::new()),
            Some(Discovery::LogicalDns(_)) => {
                cluster
                    .value()
                    .error("\"load_assignment\" is missing: a LOGICAL_DNS cluster has exactly one endpoint");
                None
            }
            _ => {
                cluster.value().warning("this cluster has no endpoints", "add a load_assignment");
                Some(Vec::new())
            }
        };
    };
    if discovery.is_some_and(Discovery::chooses) {
        value.error("a cluster of type ORIGINAL_DST, or an aggregate, has no endpoints of its own");
        return None;
    }
    read_assignment(&value, discovery, matches)
}

/// Reads the endpoints that are in a file of their own.
fn read_file(
    config: &Value<'_>,
    cluster: &str,
    discovery: Option<&Discovery>,
    matches: &Matches,
) -> Option<Vec<Endpoint>> {
    let config = config.message(&EDS_CLUSTER_CONFIG)?;
    let service = Some(config.string("service_name")).filter(|name| !name.is_empty());
    let name = service.as_deref().unwrap_or(cluster);
    let source = config.required("eds_config")?;
    if is_from_server(&source) {
        let endpoints = read_from_server(&source, &CLUSTER_LOAD_ASSIGNMENT, name, |assignment| {
            read_assignment(assignment, discovery, matches)
        });
        // Without them requests get 503, as in Envoy.
        return Some(endpoints.unwrap_or_default());
    }
    read_resource(&source, &CLUSTER_LOAD_ASSIGNMENT, ("cluster_name", name), |assignment| {
        read_assignment(assignment, discovery, matches)
    })
}

/// Reads the endpoints of a cluster that a management server has delivered.
pub(in crate::envoy) fn read_delivered_endpoints(value: &Value<'_>) -> Option<Vec<Endpoint>> {
    read_assignment(value, Some(&Discovery::Static), &[])
}

/// Reads a `ClusterLoadAssignment`.
fn read_assignment(
    value: &Value<'_>,
    discovery: Option<&Discovery>,
    matches: &Matches,
) -> Option<Vec<Endpoint>> {
    let message = value.message(&CLUSTER_LOAD_ASSIGNMENT)?;
    message.required_string("cluster_name");
    message.message("policy", &ASSIGNMENT_POLICY);
    let mut endpoints = Vec::new();
    let mut count = 0;
    for group in message.list("endpoints") {
        let Some(group) = group.message(&LOCALITY_LB_ENDPOINTS) else { continue };
        let priority = group.get("priority").and_then(|priority| priority.integer(0..=128));
        let priority = priority.and_then(|priority| u32::try_from(priority).ok()).unwrap_or(0);
        let of_group = group.list("lb_endpoints");
        let metadata = read_metadata(&group);
        let locality = read_locality(&group).map(Arc::new);
        for endpoint in of_group {
            count += 1;
            let endpoint = read_lb_endpoint(&endpoint, discovery);
            endpoints.extend(endpoint.map(|endpoint| Endpoint {
                priority,
                locality: locality.clone(),
                transport_socket: TransportSocketMatch::find(matches, &endpoint.metadata, &metadata),
                ..endpoint
            }));
        }
    }
    if matches!(discovery, Some(Discovery::LogicalDns(_))) && count != 1 {
        value.error(format!("a LOGICAL_DNS cluster has exactly one endpoint, here are {count}"));
    }
    Some(endpoints)
}

/// Where the endpoints of a group are, and the share of the place; `None`: nothing is said about either.
fn read_locality(group: &Message<'_>) -> Option<Locality> {
    let place = group.message("locality", &LOCALITY);
    let weight =
        group.get("load_balancing_weight").and_then(|weight| weight.integer(1..=i64::from(u32::MAX)));
    let weight = weight.and_then(|weight| u32::try_from(weight).ok());
    if place.is_none() && weight.is_none() {
        return None;
    }
    let text = |name| place.as_ref().map(|place| place.string(name)).unwrap_or_default();
    Some(Locality { region: text("region"), zone: text("zone"), sub_zone: text("sub_zone"), weight })
}

fn read_lb_endpoint(value: &Value<'_>, discovery: Option<&Discovery>) -> Option<Endpoint> {
    let message = value.message(&LB_ENDPOINT)?;
    let status = message.enumeration("health_status", &HEALTH_STATUS, EndpointStatus::Healthy);
    let weight = message
        .get("load_balancing_weight")
        .and_then(|weight| weight.integer(1..=i64::from(u32::MAX)))
        .and_then(|weight| u32::try_from(weight).ok())
        .unwrap_or(1);
    let endpoint = message.required("endpoint")?.message(&ENDPOINT)?;
    let mut hostname = endpoint.header_text("hostname");
    let health_check = endpoint.get("health_check_config").and_then(|check| read_endpoint_check(&check));
    let value = endpoint.required("address")?;
    let address = match read_address(&value)? {
        Address::Pipe { path, .. } => {
            if !matches!(discovery, Some(Discovery::Static) | None) {
                value.error("a DNS cluster needs host names; use type STATIC");
            }
            EndpointAddress::Pipe(path)
        }
        Address::Socket { host, port, .. } => {
            let ip = host.parse::<IpAddr>();
            match discovery {
                Some(Discovery::Static) => match ip {
                    Ok(ip) => EndpointAddress::Socket(SocketAddr::new(ip, port)),
                    Err(_) => {
                        value.error_with_help(
                            format!("\"{host}\" is not an IP address"),
                            "use type STRICT_DNS or LOGICAL_DNS for host names",
                        );
                        return None;
                    }
                },
                _ => {
                    if hostname.is_empty() {
                        hostname.clone_from(&host);
                    }
                    match ip {
                        Ok(ip) => EndpointAddress::Socket(SocketAddr::new(ip, port)),
                        Err(_) => EndpointAddress::Dns { host, port },
                    }
                }
            }
        }
    };
    Some(Endpoint {
        hostname,
        weight,
        status,
        health_check: health_check.unwrap_or_default(),
        metadata: read_metadata(&message),
        ..Endpoint::new(address)
    })
}
