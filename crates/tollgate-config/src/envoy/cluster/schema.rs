//! The messages of clusters.

use super::consistent_hash::{
    CONSISTENT_HASHING, CONSISTENT_HASHING_LB_CONFIG, MAGLEV, MAGLEV_LB_CONFIG, RING_HASH,
    RING_HASH_LB_CONFIG,
};
use super::forward_proxy::{DNS_CACHE_CONFIG, FORWARD_PROXY_CLUSTER, UPSTREAM_HTTP_PROTOCOL_OPTIONS};
use super::subset::{LB_SUBSET_CONFIG, LB_SUBSET_SELECTOR, SUBSET, SUBSET_SELECTOR};
use crate::schema::{Field, Schema, harmless, read, refused, unimplemented};

pub(super) const SYSTEM_DNS: &str = "names are resolved as the system is configured";
const SLOW_START: Field = read(
    "slow_start_config",
    "",
    "Endpoints that are new, or well again, take their share little by little.",
);
const CHOICE_COUNT: Field = read("choice_count", "2", "So many random endpoints are compared, 2 or more.");
const BIAS: Field = read(
    "active_request_bias",
    "1",
    "Where weights differ: requests in progress divide the weight of an endpoint to this power; 0 = they do not count.",
);
const OF_LISTENERS: &str = "it is about requests of clients: set it in the HTTP connection manager";
const NO_LOCAL_CLUSTER: &str = "there is no local cluster";
const LOCALITY_WEIGHTED: &str = "Localities have the shares that their `load_balancing_weight` says.";

/// The schemas of clusters, for the documentation.
pub(in crate::envoy) static SCHEMAS: [&Schema; 55] = [
    &CLUSTER,
    &CLUSTER_FILTER,
    &TRANSPORT_SOCKET_MATCH,
    &EDS_CLUSTER_CONFIG,
    &REFRESH_RATE,
    &CUSTOM_CLUSTER_TYPE,
    &DNS_CLUSTER,
    &AGGREGATE_CLUSTER,
    &FORWARD_PROXY_CLUSTER,
    &DNS_CACHE_CONFIG,
    &UPSTREAM_HTTP_PROTOCOL_OPTIONS,
    &COMMON_LB_CONFIG,
    &ROUND_ROBIN_LB_CONFIG,
    &LEAST_REQUEST_LB_CONFIG,
    &RING_HASH_LB_CONFIG,
    &MAGLEV_LB_CONFIG,
    &CONSISTENT_HASHING_LB_CONFIG,
    &LB_SUBSET_CONFIG,
    &LB_SUBSET_SELECTOR,
    &CLUSTER_LOAD_ASSIGNMENT,
    &ASSIGNMENT_POLICY,
    &LOCALITY_LB_ENDPOINTS,
    &SLOW_START_CONFIG,
    &SLOW_START_CONFIG_OF_POLICY,
    &RUNTIME_DOUBLE,
    &LOCALITY,
    &LOCALITY_WEIGHTED_LB_CONFIG,
    &LOCALITY_WEIGHTED_LB_CONFIG_OF_POLICY,
    &LB_ENDPOINT,
    &ENDPOINT,
    &CIRCUIT_BREAKERS,
    &THRESHOLDS,
    &RETRY_BUDGET,
    &LOAD_BALANCING_POLICY,
    &POLICY,
    &TYPED_EXTENSION_CONFIG,
    &LOCALITY_LB_CONFIG,
    &ROUND_ROBIN,
    &LEAST_REQUEST,
    &RANDOM,
    &RING_HASH,
    &MAGLEV,
    &CONSISTENT_HASHING,
    &SUBSET,
    &SUBSET_SELECTOR,
    &CLUSTER_PROVIDED,
    &OVERRIDE_HOST,
    &OVERRIDE_HOST_SOURCE,
    &ORIGINAL_DST_LB_CONFIG,
    &HTTP_PROTOCOL_OPTIONS,
    &EXPLICIT_HTTP_CONFIG,
    &AUTO_HTTP_CONFIG,
    &USE_DOWNSTREAM_HTTP_CONFIG,
    &UPSTREAM_COMMON_HTTP_PROTOCOL_OPTIONS,
    &UPSTREAM_HTTP1_PROTOCOL_OPTIONS,
];

pub(in crate::envoy) static CLUSTER: Schema = Schema {
    name: "envoy.config.cluster.v3.Cluster",
    title: "",
    fields: &[
        read("name", "", "Unique name. Required."),
        read("type", "STATIC", "STATIC, STRICT_DNS, LOGICAL_DNS or ORIGINAL_DST."),
        read(
            "cluster_type",
            "",
            "DnsCluster, or ClusterConfig of an aggregate or of dynamic_forward_proxy, instead of `type`.",
        ),
        read(
            "load_assignment",
            "",
            "The endpoints. Required unless the type is ORIGINAL_DST or an aggregate, which have none.",
        ),
        read("connect_timeout", "5s", "Time to connect, TLS included."),
        read(
            "lb_policy",
            "ROUND_ROBIN",
            "ROUND_ROBIN, LEAST_REQUEST, RANDOM, RING_HASH or MAGLEV; CLUSTER_PROVIDED for ORIGINAL_DST and aggregates.",
        ),
        read(
            "load_balancing_policy",
            "",
            "RoundRobin, LeastRequest, Random, RingHash, Maglev, Subset, OverrideHost or ClusterProvided, instead of `lb_policy`.",
        ),
        read("per_connection_buffer_limit_bytes", "1048576", "What is read ahead of a slow client, bytes."),
        read(
            "typed_extension_protocol_options",
            "{}",
            "HttpProtocolOptions below the key `envoy.extensions.upstreams.http.v3.HttpProtocolOptions`.",
        ),
        read(
            "eds_cluster_config",
            "",
            "The file with the endpoints of a cluster of type EDS, which needs it.",
        ),
        read("http2_protocol_options", "", "Old form of HttpProtocolOptions: HTTP/2 is spoken."),
        read("http_protocol_options", "", "Old form of HttpProtocolOptions: settings of HTTP/1."),
        read(
            "common_http_protocol_options",
            "{}",
            "Old form of HttpProtocolOptions.common_http_protocol_options.",
        ),
        read(
            "max_requests_per_connection",
            "unlimited",
            "Old form of the setting in common_http_protocol_options.",
        ),
        read("transport_socket", "raw_buffer", "TLS (UpstreamTlsContext) or raw_buffer."),
        read("circuit_breakers", "{}", "Limits."),
        read("dns_lookup_family", "AUTO", "AUTO, V4_ONLY, V6_ONLY, V4_PREFERRED or ALL."),
        read("dns_refresh_rate", "5s", "Time between lookups, at least 0.001s."),
        read("respect_dns_ttl", "false", "Look up again when the answer's time to live is over."),
        read(
            "alt_stat_name",
            "its name",
            "What `%UPSTREAM_CLUSTER%` calls it; metrics are kept by the cluster's name.",
        ),
        read("dns_failure_refresh_rate", "up to 30s", "Time between lookups that fail."),
        read("dns_jitter", "0s", "Up to so much is added to the time between lookups at random."),
        unimplemented("use_tcp_for_dns_lookups", SYSTEM_DNS),
        unimplemented("typed_dns_resolver_config", SYSTEM_DNS),
        harmless("wait_for_warm_on_init", "clusters are looked up before listeners accept"),
        read(
            "cleanup_interval",
            "5s",
            "ORIGINAL_DST: endpoints without a request for so long are forgotten.",
        ),
        read(
            "metadata",
            "{}",
            "Metadata (attribute `xds.cluster_metadata`; processors get what they ask for).",
        ),
        harmless("track_timeout_budgets", "metrics are always on"),
        harmless("track_cluster_stats", "metrics are always on"),
        read("original_dst_lb_config", "{}", "How requests of ORIGINAL_DST say where they want to go."),
        read("common_lb_config", "{}", "Settings of every way to choose endpoints."),
        unimplemented("preconnect_policy", "connections are opened when they are needed"),
        read("round_robin_lb_config", "{}", "Settings of ROUND_ROBIN."),
        read("least_request_lb_config", "{}", "Settings of LEAST_REQUEST."),
        read("ring_hash_lb_config", "{}", "Settings of RING_HASH."),
        read("maglev_lb_config", "{}", "Settings of MAGLEV."),
        read("upstream_connection_options", "{}", "Settings of the connections."),
        read("upstream_bind_config", "{}", "Settings of the sockets."),
        read("health_checks", "[]", "How endpoints are asked whether they are well."),
        read(
            "outlier_detection",
            "",
            "When endpoints are left out for a while because of what requests met.",
        ),
        refused("protocol_selection", "use HttpProtocolOptions"),
        refused("upstream_http_protocol_options", "set sni in the UpstreamTlsContext"),
        unimplemented("dns_resolvers", SYSTEM_DNS),
        unimplemented("dns_resolution_config", SYSTEM_DNS),
        read(
            "transport_socket_matches",
            "[]",
            "Transport sockets of endpoints whose metadata `envoy.transport_socket_match` have these values, in this order; then those of localities.",
        ),
        refused("transport_socket_matcher", "use transport_socket, and a cluster for each kind of endpoint"),
        refused("hosts", "use load_assignment: this field belongs to the v2 API"),
        refused("tls_context", "use transport_socket: this field belongs to the v2 API"),
        read(
            "lb_subset_config",
            "",
            "Subsets of the endpoints, which routes and filters choose by metadata.",
        ),
        read(
            "filters",
            "[]",
            "Network filters; those that only tell a mesh about the gateway are left out, others refused.",
        ),
        harmless("stats_matcher", "metrics are always on"),
        unimplemented(
            "close_connections_on_host_health_failure",
            "connections to endpoints that are not well are used until they end",
        ),
        harmless("ignore_health_on_host_removal", "endpoints that leave a cluster are gone at once"),
        unimplemented("lrs_server", "loads are not reported"),
        unimplemented("lrs_report_endpoint_metrics", "loads are not reported"),
    ],
    unsupported: &[
        "per_connection_buffer_high_watermark_timeout",
        "upstream_config",
        "connection_pool_per_downstream_connection",
        "queuing_policies",
    ],
};

pub(in crate::envoy) static CUSTOM_CLUSTER_TYPE: Schema = Schema {
    name: "envoy.config.cluster.v3.Cluster.CustomClusterType",
    title: "",
    fields: &[
        read(
            "name",
            "",
            "`envoy.cluster.dns`, `envoy.clusters.aggregate` or `envoy.clusters.dynamic_forward_proxy`. Required.",
        ),
        read(
            "typed_config",
            "",
            "DnsCluster, or ClusterConfig of an aggregate or of dynamic_forward_proxy. Required.",
        ),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static DNS_CLUSTER: Schema = Schema {
    name: "envoy.extensions.clusters.dns.v3.DnsCluster",
    title: "",
    fields: &[
        read("dns_refresh_rate", "5s", "Time between lookups, at least 0.001s."),
        read("respect_dns_ttl", "false", "Look up again when the answer's time to live is over."),
        read("dns_lookup_family", "AUTO", "AUTO, V4_ONLY, V6_ONLY, V4_PREFERRED or ALL."),
        read(
            "all_addresses_in_single_endpoint",
            "false",
            "false: every address is an endpoint (STRICT_DNS); true: one endpoint (LOGICAL_DNS).",
        ),
        read("dns_failure_refresh_rate", "up to 30s", "Time between lookups that fail."),
        read("dns_jitter", "0s", "Up to so much is added to the time between lookups at random."),
        unimplemented("typed_dns_resolver_config", SYSTEM_DNS),
        unimplemented(
            "dns_min_refresh_rate",
            "names are looked up again when the answer's time to live is over",
        ),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static AGGREGATE_CLUSTER: Schema = Schema {
    name: "envoy.extensions.clusters.aggregate.v3.ClusterConfig",
    title: "ClusterConfig of aggregates",
    fields: &[read(
        "clusters",
        "[]",
        "Clusters by name, one after the other: each takes what the healthy endpoints of those before it cannot. One that does not \
         exist, or is an aggregate itself, has no endpoints.",
    )],
    unsupported: &[],
};

pub(in crate::envoy) static REFRESH_RATE: Schema = Schema {
    name: "envoy.config.cluster.v3.Cluster.RefreshRate",
    title: "",
    fields: &[
        read("base_interval", "", "Maximum time to the second lookup, at least 0.001s. Required."),
        read("max_interval", "10 times base_interval", "Maximum time between lookups."),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static CLUSTER_FILTER: Schema = Schema {
    name: "envoy.config.cluster.v3.Filter",
    title: "",
    fields: &[
        read("name", "", "Any name. Required."),
        read("typed_config", "", "The filter's message. Required."),
        refused("config_discovery", "write the filter itself"),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static TRANSPORT_SOCKET_MATCH: Schema = Schema {
    name: "envoy.config.cluster.v3.Cluster.TransportSocketMatch",
    title: "",
    fields: &[
        read("name", "", "Any name. Required."),
        read("match", "{}", "Values that the metadata must have; nothing = every endpoint."),
        read("transport_socket", "", "TLS (UpstreamTlsContext) or raw_buffer. Required."),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static EDS_CLUSTER_CONFIG: Schema = Schema {
    name: "envoy.config.cluster.v3.Cluster.EdsClusterConfig",
    title: "",
    fields: &[
        read("eds_config", "", "The file. Required."),
        read("service_name", "the cluster's name", "Name of the ClusterLoadAssignment."),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static CLUSTER_LOAD_ASSIGNMENT: Schema = Schema {
    name: "envoy.config.endpoint.v3.ClusterLoadAssignment",
    title: "",
    fields: &[
        read("cluster_name", "", "Any name. Required."),
        read("endpoints", "[]", "Groups of endpoints."),
        read("policy", "{}", "What is done with requests that are too many."),
    ],
    unsupported: &["named_endpoints"],
};

pub(in crate::envoy) static LOCALITY_LB_ENDPOINTS: Schema = Schema {
    name: "envoy.config.endpoint.v3.LocalityLbEndpoints",
    title: "",
    fields: &[
        read("lb_endpoints", "[]", "Endpoints."),
        read(
            "priority",
            "0",
            "Up to 128; the next one takes what the healthy endpoints of the one before cannot.",
        ),
        read("locality", "", "Where the endpoints are."),
        read(
            "load_balancing_weight",
            "none",
            "Its share, 1 or more, where `locality_weighted_lb_config` is set; without it the locality has none.",
        ),
        harmless("proximity", "as in Envoy nothing reads it"),
        read("metadata", "{}", "`envoy.transport_socket_match` of endpoints without their own."),
    ],
    unsupported: &["load_balancer_endpoints", "leds_cluster_locality_config"],
};

pub(in crate::envoy) static LOCALITY: Schema = Schema {
    name: "envoy.config.core.v3.Locality",
    title: "",
    fields: &[
        read("region", "", "Region."),
        read("zone", "", "Zone of the region."),
        read("sub_zone", "", "What the zone is divided into."),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static LOCALITY_WEIGHTED_LB_CONFIG: Schema = Schema {
    name: "envoy.config.cluster.v3.Cluster.CommonLbConfig.LocalityWeightedLbConfig",
    title: "LocalityWeightedLbConfig of clusters",
    fields: &[],
    unsupported: &[],
};

pub(in crate::envoy) static LOCALITY_WEIGHTED_LB_CONFIG_OF_POLICY: Schema = Schema {
    name: "envoy.extensions.load_balancing_policies.common.v3.LocalityLbConfig.LocalityWeightedLbConfig",
    title: "",
    fields: &[],
    unsupported: &[],
};

pub(in crate::envoy) static LB_ENDPOINT: Schema = Schema {
    name: "envoy.config.endpoint.v3.LbEndpoint",
    title: "",
    fields: &[
        read("endpoint", "", "The endpoint. Required."),
        read("load_balancing_weight", "1", "Its share, 1 or more."),
        read(
            "health_status",
            "UNKNOWN",
            "UNKNOWN and HEALTHY: it is used; DEGRADED: when those are not enough; UNHEALTHY, DRAINING and TIMEOUT: it is not.",
        ),
        read("metadata", "{}", "Metadata (attribute `xds.upstream_host_metadata`)."),
        refused("endpoint_name", "write the endpoint itself"),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static ENDPOINT: Schema = Schema {
    name: "envoy.config.endpoint.v3.Endpoint",
    title: "",
    fields: &[
        read(
            "address",
            "",
            "Where it is: an IP address or Unix socket; a host name for DNS clusters. Required.",
        ),
        read("hostname", "the DNS name", "Host name for auto_host_rewrite and auto_host_sni."),
        read("health_check_config", "{}", "Where and how it is checked."),
        refused("additional_addresses", "make an endpoint of each address"),
        unimplemented("observability_name", "endpoints are shown by their address"),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static CIRCUIT_BREAKERS: Schema = Schema {
    name: "envoy.config.cluster.v3.CircuitBreakers",
    title: "",
    fields: &[read("thresholds", "[]", "Limits of the default priority; those of HIGH have no effect.")],
    unsupported: &["per_host_thresholds"],
};

pub(in crate::envoy) static THRESHOLDS: Schema = Schema {
    name: "envoy.config.cluster.v3.CircuitBreakers.Thresholds",
    title: "",
    fields: &[
        read("priority", "DEFAULT", "DEFAULT; HIGH has no effect."),
        read("max_connections", "1024", "Connections, all workers together."),
        read("max_pending_requests", "1024", "Requests that wait for a connection."),
        read("max_requests", "1024", "Requests in progress."),
        read("max_retries", "3", "Retries in progress."),
        read("retry_budget", "", "Retries in proportion to requests in progress, instead of `max_retries`."),
        harmless("track_remaining", "metrics are always on"),
        harmless("max_connection_pools", "pools are bounded by max_connections"),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static LOAD_BALANCING_POLICY: Schema = Schema {
    name: "envoy.config.cluster.v3.LoadBalancingPolicy",
    title: "",
    fields: &[read("policies", "", "The first one that is supported is used. Required.")],
    unsupported: &[],
};

pub(in crate::envoy) static POLICY: Schema = Schema {
    name: "envoy.config.cluster.v3.LoadBalancingPolicy.Policy",
    title: "",
    fields: &[read("typed_extension_config", "", "The policy. Required.")],
    unsupported: &[],
};

pub(in crate::envoy) static TYPED_EXTENSION_CONFIG: Schema = Schema {
    name: "envoy.config.core.v3.TypedExtensionConfig",
    title: "",
    fields: &[
        read("name", "", "Any name. Required."),
        read("typed_config", "", "The extension's message. Required."),
    ],
    unsupported: &[],
};

const SLOW_START_FIELDS: [Field; 3] = [
    read("slow_start_window", "", "How long an endpoint takes less. Without it there is no slow start."),
    read("aggression", "1", "The share grows with the time to the power of the inverse of this."),
    read("min_weight_percent", "10", "Percentage of its weight that an endpoint has at least."),
];

pub(in crate::envoy) static SLOW_START_CONFIG: Schema = Schema {
    name: "envoy.config.cluster.v3.Cluster.SlowStartConfig",
    title: "SlowStartConfig of clusters",
    fields: &SLOW_START_FIELDS,
    unsupported: &[],
};

pub(in crate::envoy) static SLOW_START_CONFIG_OF_POLICY: Schema = Schema {
    name: "envoy.extensions.load_balancing_policies.common.v3.SlowStartConfig",
    title: "",
    fields: &SLOW_START_FIELDS,
    unsupported: &[],
};

pub(in crate::envoy) static RUNTIME_DOUBLE: Schema = Schema {
    name: "envoy.config.core.v3.RuntimeDouble",
    title: "",
    fields: &[
        read("default_value", "0", "The number."),
        unimplemented("runtime_key", "runtime keys other than those of features are not looked up"),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static ROUND_ROBIN: Schema = Schema {
    name: "envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin",
    title: "",
    fields: &[SLOW_START, read("locality_lb_config", "{}", "How localities are chosen.")],
    unsupported: &[],
};

pub(in crate::envoy) static LEAST_REQUEST: Schema = Schema {
    name: "envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest",
    title: "",
    fields: &[
        CHOICE_COUNT,
        BIAS,
        SLOW_START,
        read("locality_lb_config", "{}", "How localities are chosen."),
        read("enable_full_scan", "false", "Old form of selection_method: FULL_SCAN."),
        read(
            "selection_method",
            "N_CHOICES",
            "N_CHOICES, or FULL_SCAN: the least busy of all endpoints, where their weights do not differ.",
        ),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static RANDOM: Schema = Schema {
    name: "envoy.extensions.load_balancing_policies.random.v3.Random",
    title: "",
    fields: &[read("locality_lb_config", "{}", "How localities are chosen.")],
    unsupported: &[],
};

/// The policies that `load_balancing_policy` can have.
pub(in crate::envoy) static POLICIES: [&Schema; 8] =
    [&ROUND_ROBIN, &LEAST_REQUEST, &RANDOM, &RING_HASH, &MAGLEV, &SUBSET, &OVERRIDE_HOST, &CLUSTER_PROVIDED];

pub(in crate::envoy) static CLUSTER_PROVIDED: Schema = Schema {
    name: "envoy.extensions.load_balancing_policies.cluster_provided.v3.ClusterProvided",
    title: "",
    fields: &[],
    unsupported: &[],
};

pub(in crate::envoy) static OVERRIDE_HOST: Schema = Schema {
    name: "envoy.extensions.load_balancing_policies.override_host.v3.OverrideHost",
    title: "",
    fields: &[
        read(
            "override_host_sources",
            "",
            "Where lists of endpoints are: all of them are one list. Required.",
        ),
        read(
            "fallback_policy",
            "",
            "RoundRobin, LeastRequest, Random, RingHash, Maglev or Subset: chooses where no endpoint of the list is left. Required.",
        ),
        read("selected_host_key", "", "Dynamic metadata that tell which endpoint was chosen."),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static OVERRIDE_HOST_SOURCE: Schema = Schema {
    name: "envoy.extensions.load_balancing_policies.override_host.v3.OverrideHost.OverrideHostSource",
    title: "",
    fields: &[
        read("header", "", "A header with a list `ip:port,ip:port`; the first of its name counts."),
        read("metadata", "", "Dynamic metadata with such a list."),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static ORIGINAL_DST_LB_CONFIG: Schema = Schema {
    name: "envoy.config.cluster.v3.Cluster.OriginalDstLbConfig",
    title: "",
    fields: &[
        read("use_http_header", "false", "Look at a header of the request."),
        read("http_header_name", "x-envoy-original-dst-host", "The header: `ip:port`."),
        read("metadata_key", "", "Dynamic metadata of the request, which come before the header: `ip:port`."),
        read("upstream_port_override", "", "Stands for the port of whatever address it is."),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static COMMON_LB_CONFIG: Schema = Schema {
    name: "envoy.config.cluster.v3.Cluster.CommonLbConfig",
    title: "",
    fields: &[
        read("locality_weighted_lb_config", "", LOCALITY_WEIGHTED),
        unimplemented("zone_aware_lb_config", NO_LOCAL_CLUSTER),
        read(
            "healthy_panic_threshold",
            "50",
            "Percentage of healthy endpoints of a priority below which all of them are used; 0 = never.",
        ),
        harmless("update_merge_window", "every update is put in force immediately"),
        read(
            "ignore_new_hosts_until_first_hc",
            "false",
            "Endpoints count for nothing before their first health check.",
        ),
        read("consistent_hashing_lb_config", "{}", "What endpoints are known by to RING_HASH and MAGLEV."),
        refused("override_host_status", "sessions stay at endpoints that are healthy or degraded"),
        refused("close_connections_on_host_set_change", "connections to endpoints that stay are kept"),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static ROUND_ROBIN_LB_CONFIG: Schema = Schema {
    name: "envoy.config.cluster.v3.Cluster.RoundRobinLbConfig",
    title: "",
    fields: &[SLOW_START],
    unsupported: &[],
};

pub(in crate::envoy) static LEAST_REQUEST_LB_CONFIG: Schema = Schema {
    name: "envoy.config.cluster.v3.Cluster.LeastRequestLbConfig",
    title: "",
    fields: &[CHOICE_COUNT, BIAS, SLOW_START],
    unsupported: &[],
};

pub(in crate::envoy) static LOCALITY_LB_CONFIG: Schema = Schema {
    name: "envoy.extensions.load_balancing_policies.common.v3.LocalityLbConfig",
    title: "",
    fields: &[
        read("locality_weighted_lb_config", "", LOCALITY_WEIGHTED),
        unimplemented("zone_aware_lb_config", NO_LOCAL_CLUSTER),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static ASSIGNMENT_POLICY: Schema = Schema {
    name: "envoy.config.endpoint.v3.ClusterLoadAssignment.Policy",
    title: "",
    fields: &[
        refused("drop_overloads", "no share of the requests is dropped: use circuit_breakers"),
        read(
            "overprovisioning_factor",
            "140",
            "Percentage of its share that a priority takes as long as it can.",
        ),
        harmless("endpoint_stale_after", "endpoints are those of the file"),
        refused("weighted_priority_health", "endpoints count alike, whatever their weight"),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static RETRY_BUDGET: Schema = Schema {
    name: "envoy.config.cluster.v3.CircuitBreakers.Thresholds.RetryBudget",
    title: "",
    fields: &[
        read(
            "budget_percent",
            "20%",
            "Retries in progress, in percent of the requests in progress or waiting.",
        ),
        read("min_retry_concurrency", "3", "Retries that may be in progress in any case."),
        unimplemented("budget_interval", "the requests in progress count"),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static HTTP_PROTOCOL_OPTIONS: Schema = Schema {
    name: "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
    title: "",
    fields: &[
        read("explicit_http_config", "", "HTTP/1 or HTTP/2. One of the three is required."),
        read("common_http_protocol_options", "{}", "Settings of both versions of HTTP."),
        read(
            "http_filters",
            "the router's",
            "Filters behind the router, for each attempt: they stand instead of upstream_http_filters. UpstreamCodec at the end.",
        ),
        read(
            "auto_config",
            "",
            "What the endpoint chooses by ALPN, which needs TLS; HTTP/1 if it chooses nothing.",
        ),
        read("use_downstream_protocol_config", "", "What the client spoke."),
        read(
            "upstream_http_protocol_options",
            "",
            "Server names of TLS; for clusters of type dynamic_forward_proxy, where both settings are on without it.",
        ),
        refused("hash_policy", "clusters are balanced without hashing"),
        refused("retry_policy", "requests are only tried again when the connection could not be made"),
        refused("request_mirror_policies", "requests cannot be mirrored"),
        refused("outlier_detection", "use outlier_detection of the cluster"),
    ],
    unsupported: &["header_validation_config"],
};

pub(in crate::envoy) static EXPLICIT_HTTP_CONFIG: Schema = Schema {
    name: "envoy.extensions.upstreams.http.v3.HttpProtocolOptions.ExplicitHttpConfig",
    title: "",
    fields: &[
        read("http_protocol_options", "", "HTTP/1 is spoken. One of the two is required."),
        read("http2_protocol_options", "", "HTTP/2 is spoken."),
        HTTP3,
    ],
    unsupported: &[],
};

const HTTP1_OPTIONS: Field = read("http_protocol_options", "{}", "Settings of HTTP/1.");
const HTTP3: Field = refused("http3_protocol_options", "HTTP/3 is not spoken");

pub(in crate::envoy) static AUTO_HTTP_CONFIG: Schema = Schema {
    name: "envoy.extensions.upstreams.http.v3.HttpProtocolOptions.AutoHttpConfig",
    title: "",
    fields: &[
        HTTP1_OPTIONS,
        read("http2_protocol_options", "{}", "Settings of HTTP/2."),
        HTTP3,
        harmless("alternate_protocols_cache_options", "it is about HTTP/3"),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static USE_DOWNSTREAM_HTTP_CONFIG: Schema = Schema {
    name: "envoy.extensions.upstreams.http.v3.HttpProtocolOptions.UseDownstreamHttpConfig",
    title: "",
    fields: &[
        HTTP1_OPTIONS,
        read(
            "http2_protocol_options",
            "",
            "Settings of HTTP/2; with them calls that no client has made are HTTP/2, too.",
        ),
        HTTP3,
    ],
    unsupported: &[],
};

pub(in crate::envoy) static UPSTREAM_COMMON_HTTP_PROTOCOL_OPTIONS: Schema = Schema {
    name: "envoy.config.core.v3.HttpProtocolOptions",
    title: "HttpProtocolOptions, common to both versions",
    fields: &[
        read("idle_timeout", "3600s", "An idle connection is closed after this; 0 = never."),
        read(
            "max_requests_per_connection",
            "unlimited",
            "Maximum number of requests on one connection; 0 = unlimited.",
        ),
        unimplemented("max_headers_count", "the limit is built in"),
        unimplemented("max_response_headers_kb", "the limit is built in"),
        unimplemented("max_connection_duration", "connections live as long as they are used"),
        refused("max_stream_duration", "use timeout of the routes"),
        harmless("headers_with_underscores_action", "as in Envoy it is about requests of clients"),
        unimplemented("max_connection_duration_jitter", "connections live as long as they are used"),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static UPSTREAM_HTTP1_PROTOCOL_OPTIONS: Schema = Schema {
    name: "envoy.config.core.v3.Http1ProtocolOptions",
    title: "Http1ProtocolOptions of clusters",
    fields: &[
        read("enable_trailers", "false", "Pass trailers on."),
        harmless("use_balsa_parser", "there is one parser"),
        harmless("allow_absolute_url", OF_LISTENERS),
        harmless("accept_http_10", OF_LISTENERS),
        harmless("default_host_for_http_10", OF_LISTENERS),
        harmless("override_stream_error_on_invalid_http_message", OF_LISTENERS),
        harmless("allow_custom_methods", "methods are passed on as they are"),
        harmless("ignore_http_11_upgrade", OF_LISTENERS),
        refused("allow_chunked_length", "content-length beside transfer-encoding is always refused"),
        refused("header_key_format", "header names are lower case"),
    ],
    unsupported: &["send_fully_qualified_url"],
};
