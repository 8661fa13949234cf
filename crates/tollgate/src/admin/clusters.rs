//! `/clusters`: names, limits, what was counted, endpoints with their numbers, and what their names resolve to. As lines
//! `cluster::[endpoint::]name::value`, or with `format=json` in the form of Envoy.

use std::{collections::BTreeSet, fmt::Write as _, net::SocketAddr};

use serde_json::{Map, Value, json};
use tollgate_model::{
    Snapshot,
    cluster::{Cluster, Discovery, Endpoint, EndpointAddress, EndpointStatus},
};
use tollgate_proxy::{HealthFlags, HealthReports, NameLookup, NameLookups, Stats};

use crate::in_force::timestamp;

/// Limits of requests of high priority, of which there are none here: Envoy's defaults.
const HIGH_PRIORITY: u32 = 1024;
const HIGH_PRIORITY_RETRIES: u32 = 3;
/// What Envoy calls a success rate that nobody measures.
const NOT_MEASURED: i64 = -1;

/// What the page is made of.
pub(super) struct Clusters<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) stats: &'a Stats,
    pub(super) lookups: Option<&'a NameLookups>,
    pub(super) health: &'a HealthReports,
    /// The names of those that management servers have delivered.
    pub(super) delivered: BTreeSet<String>,
}

impl Clusters<'_> {
    fn sorted(&self) -> Vec<&Cluster> {
        let mut clusters: Vec<&Cluster> = self.snapshot.clusters.values().map(AsRef::as_ref).collect();
        clusters.sort_by(|a, b| a.name.cmp(&b.name));
        clusters
    }

    /// The lines.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for cluster in self.sorted() {
            self.write_cluster(cluster, &mut text);
        }
        text
    }

    fn write_cluster(&self, cluster: &Cluster, text: &mut String) {
        let name = &cluster.name;
        let limits = &cluster.circuit_breakers;
        let mut line = |rest: std::fmt::Arguments<'_>| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name}::{rest}");
        };
        line(format_args!("observability_name::{}", observability_name(cluster)));
        line(format_args!("default_priority::max_connections::{}", limits.max_connections));
        line(format_args!("default_priority::max_pending_requests::{}", limits.max_pending_requests));
        line(format_args!("default_priority::max_requests::{}", limits.max_requests));
        line(format_args!("default_priority::max_retries::{}", limits.max_retries));
        for limit in ["max_connections", "max_pending_requests", "max_requests"] {
            line(format_args!("high_priority::{limit}::{HIGH_PRIORITY}"));
        }
        line(format_args!("high_priority::max_retries::{HIGH_PRIORITY_RETRIES}"));
        line(format_args!("added_via_api::{}", self.delivered.contains(name)));
        for (metric, value) in self.stats.of_cluster(name) {
            line(format_args!("{metric}::{value}"));
        }
        let health = self.health.of_cluster(name);
        for endpoint in cluster.endpoints.iter() {
            for address in self.addresses(cluster, endpoint) {
                for (metric, value) in self.stats.of_endpoint(name, &address) {
                    line(format_args!("{address}::{metric}::{value}"));
                }
                line(format_args!("{address}::hostname::{}", endpoint.hostname));
                let flags = health.get(&address).copied().unwrap_or_default();
                line(format_args!("{address}::health_flags::{}", flags_text(flags, endpoint.status)));
                line(format_args!("{address}::weight::{}", endpoint.weight));
                for part in ["region", "zone", "sub_zone"] {
                    line(format_args!("{address}::{part}::"));
                }
                line(format_args!("{address}::canary::false"));
                line(format_args!("{address}::priority::{}", endpoint.priority));
                line(format_args!("{address}::success_rate::{NOT_MEASURED}"));
                line(format_args!("{address}::local_origin_success_rate::{NOT_MEASURED}"));
            }
            if let (EndpointAddress::Dns { host, .. }, Some(lookups)) = (&endpoint.address, self.lookups) {
                let address = &endpoint.address;
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

    /// Where the endpoint is: every address of a name, if each is an endpoint of its own.
    fn addresses(&self, cluster: &Cluster, endpoint: &Endpoint) -> Vec<String> {
        if let (EndpointAddress::Dns { host, port }, Discovery::StrictDns(_)) =
            (&endpoint.address, &cluster.discovery)
            && let Some(found) = self.lookups.and_then(|lookups| lookups.of_host(host))
            && !found.addresses.is_empty()
        {
            return found.addresses.iter().map(|ip| SocketAddr::new(*ip, *port).to_string()).collect();
        }
        vec![endpoint.address.to_string()]
    }

    /// Envoy's `Clusters` message.
    pub(super) fn json(&self) -> String {
        let statuses: Vec<Value> = self.sorted().into_iter().map(|cluster| self.status(cluster)).collect();
        format!("{:#}\n", json!({ "cluster_statuses": statuses }))
    }

    fn status(&self, cluster: &Cluster) -> Value {
        let limits = &cluster.circuit_breakers;
        let hosts = cluster.endpoints.iter().flat_map(|endpoint| {
            self.addresses(cluster, endpoint).into_iter().map(|at| self.host(cluster, endpoint, &at))
        });
        let mut status = json!({
            "name": cluster.name,
            "host_statuses": hosts.collect::<Vec<_>>(),
            "circuit_breakers": {"thresholds": [{
                "max_connections": limits.max_connections,
                "max_pending_requests": limits.max_pending_requests,
                "max_requests": limits.max_requests,
                "max_retries": limits.max_retries,
            }, {
                "priority": "HIGH",
                "max_connections": HIGH_PRIORITY,
                "max_pending_requests": HIGH_PRIORITY,
                "max_requests": HIGH_PRIORITY,
                "max_retries": HIGH_PRIORITY_RETRIES,
            }]},
            "observability_name": observability_name(cluster),
        });
        if status["host_statuses"].as_array().is_some_and(Vec::is_empty)
            && let Some(members) = status.as_object_mut()
        {
            members.remove("host_statuses");
        }
        if self.delivered.contains(&cluster.name) {
            status["added_via_api"] = true.into();
        }
        status
    }

    fn host(&self, cluster: &Cluster, endpoint: &Endpoint, at: &str) -> Value {
        let stats = self.stats.of_endpoint(&cluster.name, at).map(|(name, value)| {
            let mut stat = Map::new();
            if name.ends_with("active") {
                stat.insert("type".to_owned(), "GAUGE".into());
            }
            // Numbers of 64 bits are strings, and zeros are left out, as in every JSON form of a message.
            if value > 0 {
                stat.insert("value".to_owned(), value.to_string().into());
            }
            stat.insert("name".to_owned(), name.into());
            Value::Object(stat)
        });
        let flags = self.health.of_cluster(&cluster.name).get(at).copied().unwrap_or_default();
        let mut host = json!({
            "address": address(&endpoint.address, at),
            "stats": stats,
            "health_status": health_status(flags, endpoint.status),
            "weight": endpoint.weight,
            "locality": {},
        });
        if !endpoint.hostname.is_empty() {
            host["hostname"] = endpoint.hostname.as_str().into();
        }
        if endpoint.priority > 0 {
            host["priority"] = endpoint.priority.into();
        }
        host
    }
}

/// By Envoy's names, in its order.
fn known(flags: HealthFlags) -> [(&'static str, &'static str, bool); 6] {
    [
        ("failed_active_hc", "failed_active_health_check", flags.failed_active_health_check),
        ("failed_outlier_check", "failed_outlier_check", flags.failed_outlier_check),
        ("degraded_active_hc", "failed_active_degraded_check", flags.failed_active_degraded_check),
        ("pending_active_hc", "pending_active_hc", flags.pending_active_hc),
        (
            "excluded_via_immediate_hc_fail",
            "excluded_via_immediate_hc_fail",
            flags.excluded_via_immediate_hc_fail,
        ),
        ("active_hc_timeout", "active_hc_timeout", flags.active_hc_timeout),
    ]
}

/// `/failed_active_hc/...`, or `healthy`.
fn flags_text(flags: HealthFlags, status: EndpointStatus) -> String {
    let of_configuration = match status {
        EndpointStatus::Healthy => None,
        EndpointStatus::Degraded => Some("degraded_eds_health"),
        EndpointStatus::Unhealthy => Some("failed_eds_health"),
    };
    let names = known(flags).into_iter().filter(|(.., on)| *on).map(|(name, ..)| name);
    let text: String = names.chain(of_configuration).flat_map(|name| ["/", name]).collect();
    if text.is_empty() { "healthy".to_owned() } else { text }
}

fn health_status(flags: HealthFlags, status: EndpointStatus) -> Value {
    let mut found = Map::new();
    for (_, name, _) in known(flags).into_iter().filter(|(.., on)| *on) {
        found.insert(name.to_owned(), true.into());
    }
    let status = match status {
        EndpointStatus::Healthy => "HEALTHY",
        EndpointStatus::Degraded => "DEGRADED",
        EndpointStatus::Unhealthy => "UNHEALTHY",
    };
    found.insert("eds_health_status".to_owned(), status.into());
    Value::Object(found)
}

fn observability_name(cluster: &Cluster) -> &str {
    cluster.alt_stat_name.as_deref().unwrap_or(&cluster.name)
}

fn address(configured: &EndpointAddress, at: &str) -> Value {
    match (configured, at.rsplit_once(':')) {
        (EndpointAddress::Pipe(path), _) => json!({"pipe": {"path": path}}),
        (_, Some((host, port))) => {
            let host = host.trim_start_matches('[').trim_end_matches(']');
            json!({"socket_address": {"address": host, "port_value": port.parse::<u16>().unwrap_or(0)}})
        }
        (_, None) => json!({"socket_address": {"address": at}}),
    }
}
