//! Connections that are passed on as they are: the network filter tcp_proxy.

use std::time::Duration;

use tollgate_model::tcp_proxy::{TcpCluster, TcpProxy};

use super::access_log::read_access_logs;
use crate::schema::{Message, Schema, Value, harmless, read, refused, unimplemented};

/// The schemas of this module.
pub(super) static SCHEMAS: [&Schema; 6] =
    [&TCP_PROXY, &WEIGHTED_CLUSTER, &CLUSTER_WEIGHT, &HASH_POLICY, &SOURCE_IP, &TCP_ACCESS_LOG_OPTIONS];

const LOGGED_AT_THE_END: &str = "a connection is logged when it has ended";

pub(super) static TCP_PROXY: Schema = Schema {
    name: "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
    title: "",
    fields: &[
        read("stat_prefix", "", "Its counters are `tcp.<stat_prefix>.`. Required."),
        read("cluster", "", "Where connections go. This or weighted_clusters is required."),
        read("weighted_clusters", "", "Clusters and their shares."),
        read(
            "idle_timeout",
            "3600s",
            "A connection on which nothing moves for so long is closed; 0 = never.",
        ),
        read(
            "max_downstream_connection_duration",
            "unlimited",
            "A connection is closed after this, at least 0.001s.",
        ),
        read("max_connect_attempts", "1", "Endpoints that are tried, 1 or more."),
        read("access_log", "[]", "A line for each connection that has ended."),
        read("access_log_options", "{}", "When connections are logged."),
        read(
            "hash_policy",
            "[]",
            "source_ip: connections of one client go to one endpoint, where the cluster hashes.",
        ),
        refused("metadata_match", "use a cluster for each kind of endpoint"),
        refused(
            "downstream_idle_timeout",
            "use idle_timeout: it is the time without a byte in either direction",
        ),
        refused(
            "upstream_idle_timeout",
            "use idle_timeout: it is the time without a byte in either direction",
        ),
        refused("tunneling_config", "connections are passed on as they are"),
        refused("on_demand", "clusters have to be there"),
        unimplemented("access_log_flush_interval", LOGGED_AT_THE_END),
        unimplemented("flush_access_log_on_connected", LOGGED_AT_THE_END),
        unimplemented("backoff_options", "the next endpoint is tried immediately"),
        refused("proxy_protocol_tlvs", "the PROXY protocol is not sent"),
        unimplemented("max_downstream_connection_duration_jitter_percentage", "the duration is exact"),
        refused("upstream_connect_mode", "endpoints are connected to immediately"),
        refused("max_early_data_bytes", "endpoints are connected to immediately"),
        harmless("proxy_protocol_tlv_merge_policy", "the PROXY protocol is not sent"),
        harmless("check_drain_close", "connections go on while their listener drains"),
    ],
    unsupported: &[],
};

pub(super) static WEIGHTED_CLUSTER: Schema = Schema {
    name: "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.WeightedCluster",
    title: "WeightedCluster of tcp_proxy",
    fields: &[read("clusters", "", "Clusters and their shares. Required.")],
    unsupported: &[],
};

pub(super) static CLUSTER_WEIGHT: Schema = Schema {
    name: "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.WeightedCluster.ClusterWeight",
    title: "ClusterWeight of tcp_proxy",
    fields: &[
        read("name", "", "Name of the cluster. Required."),
        read("weight", "", "Its share, 1 or more. Required."),
        refused("metadata_match", "use a cluster for each kind of endpoint"),
    ],
    unsupported: &[],
};

pub(super) static HASH_POLICY: Schema = Schema {
    name: "envoy.type.v3.HashPolicy",
    title: "HashPolicy of connections",
    fields: &[
        read("source_ip", "", "The client's address."),
        refused("filter_state", "use source_ip: nothing sets filter state of connections"),
    ],
    unsupported: &[],
};

pub(super) static SOURCE_IP: Schema =
    Schema { name: "envoy.type.v3.HashPolicy.SourceIp", title: "", fields: &[], unsupported: &[] };

pub(super) static TCP_ACCESS_LOG_OPTIONS: Schema = Schema {
    name: "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.TcpAccessLogOptions",
    title: "",
    fields: &[
        unimplemented("access_log_flush_interval", LOGGED_AT_THE_END),
        unimplemented("flush_access_log_on_connected", LOGGED_AT_THE_END),
        unimplemented("flush_access_log_on_start", LOGGED_AT_THE_END),
    ],
    unsupported: &[],
};

/// Reads the filter.
pub(super) fn read_tcp_proxy(value: &Value<'_>) -> Option<TcpProxy> {
    let message = value.message(&TCP_PROXY)?;
    let stat_prefix = message.required_string("stat_prefix");
    let clusters = match message.required_one_of(&["cluster", "weighted_clusters"])? {
        ("cluster", cluster) => vec![TcpCluster { name: cluster.non_empty_string()?, weight: 1 }],
        (_, weighted) => read_weighted_clusters(&weighted)?,
    };
    message.message("access_log_options", &TCP_ACCESS_LOG_OPTIONS);
    Some(TcpProxy {
        stat_prefix,
        clusters,
        idle_timeout: message.timeout("idle_timeout", Some(TcpProxy::IDLE_TIMEOUT)),
        max_downstream_connection_duration: longest(&message),
        max_connect_attempts: match message.get("max_connect_attempts") {
            None => 1,
            Some(value) => positive(&value).unwrap_or(1),
        },
        hash_source_ip: read_hash_policy(&message),
        access_log: read_access_logs(&message.list("access_log")),
    })
}

fn longest(message: &Message<'_>) -> Option<Duration> {
    let value = message.get("max_downstream_connection_duration")?;
    let longest = value.duration()?;
    if longest < Duration::from_millis(1) {
        value.error("must be at least 0.001s");
    }
    Some(longest)
}

fn read_weighted_clusters(value: &Value<'_>) -> Option<Vec<TcpCluster>> {
    let message = value.message(&WEIGHTED_CLUSTER)?;
    let list = message.list("clusters");
    if list.is_empty() {
        value.error("\"clusters\" is missing");
    }
    let clusters = list.iter().map(|value| {
        let message = value.message(&CLUSTER_WEIGHT)?;
        let name = message.required_string("name");
        let weight = positive(&message.required("weight")?)?;
        Some(TcpCluster { name, weight })
    });
    clusters.collect()
}

/// Whether the client's address is hashed.
fn read_hash_policy(message: &Message<'_>) -> bool {
    let list = message.list("hash_policy");
    if let Some(second) = list.get(1) {
        second.error("there is one hash policy at most");
    }
    let Some(policy) = list.first().and_then(|value| value.message(&HASH_POLICY)) else { return false };
    match policy.required_one_of(&["source_ip"]) {
        Some((_, value)) => value.message(&SOURCE_IP).is_some(),
        None => false,
    }
}

fn positive(value: &Value<'_>) -> Option<u32> {
    u32::try_from(value.integer(1..=i64::from(u32::MAX))?).ok()
}
