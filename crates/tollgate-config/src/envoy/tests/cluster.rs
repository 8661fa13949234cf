//! Clusters.

use std::time::Duration;

use tollgate_model::cluster::{
    Cluster, Discovery, Dns, DnsLookupFamily, EndpointAddress, HashFunction, HashKey, LbPolicy, LeastRequest,
    Maglev, OriginalDst, RingHash, SlowStart, UpstreamProtocol,
};

use super::*;

const ASSIGNMENT: &str = "load_assignment: {cluster_name: x, endpoints: [{lb_endpoints: [{endpoint: {address: \
                          {socket_address: {address: 127.0.0.1, port_value: 8080}}}}]}]}";

fn with(fields: &str) -> Gateway {
    let clusters = format!("{}, {{name: c, {fields}}}", Gateway::default().clusters);
    Gateway { clusters, ..Gateway::default() }
}

fn read(fields: &str) -> std::sync::Arc<Cluster> {
    std::sync::Arc::clone(&with(fields).snapshot().clusters["c"])
}

fn refused(fields: &str) -> String {
    let said = with(fields).said();
    assert_eq!(said.len(), 1, "{said:?}");
    said[0].clone()
}

fn endpoints(address: &str) -> String {
    format!(
        "load_assignment: {{cluster_name: x, endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{{address}}}}}}}]}}]}}"
    )
}

#[test]
fn defaults_are_envoys() {
    let cluster = read(ASSIGNMENT);
    assert_eq!(cluster.discovery, Discovery::Static);
    assert_eq!(cluster.lb_policy, LbPolicy::RoundRobin);
    assert_eq!(cluster.connect_timeout, Duration::from_secs(5));
    assert!(matches!(cluster.protocol, UpstreamProtocol::Http1 { enable_trailers: false }));
    assert_eq!(cluster.per_connection_buffer_limit_bytes, 1024 * 1024);
    assert_eq!(cluster.circuit_breakers.max_connections, 1024);
    assert_eq!(cluster.idle_timeout, Some(Duration::from_secs(3600)));
    assert_eq!(cluster.max_requests_per_connection, None);
    assert_eq!(cluster.endpoints[0].weight, 1);
}

#[test]
fn names_are_resolved_strictly_or_logically() {
    let named = endpoints("socket_address: {address: a.example, port_value: 80}");
    let dns = Dns {
        refresh_rate: Duration::from_secs(9),
        respect_dns_ttl: true,
        lookup_family: DnsLookupFamily::V6Only,
        failure_refresh: None,
        jitter: Duration::ZERO,
    };
    let fields = format!("{named}, dns_refresh_rate: 9s, respect_dns_ttl: true, dns_lookup_family: V6_ONLY");
    let cluster = read(&format!("type: STRICT_DNS, {fields}"));
    assert_eq!(cluster.discovery, Discovery::StrictDns(dns.clone()));
    assert_eq!(cluster.endpoints[0].address, EndpointAddress::Dns { host: "a.example".into(), port: 80 });
    assert_eq!(cluster.endpoints[0].hostname, "a.example");
    assert_eq!(read(&format!("type: LOGICAL_DNS, {fields}")).discovery, Discovery::LogicalDns(dns.clone()));
    let extension = |extra: &str| {
        read(&format!(
            "{named}, cluster_type: {{name: envoy.cluster.dns, typed_config: {{\"@type\": \
             type.googleapis.com/envoy.extensions.clusters.dns.v3.DnsCluster, dns_refresh_rate: 9s, \
             respect_dns_ttl: true, dns_lookup_family: V6_ONLY, {extra}}}}}"
        ))
        .discovery
        .clone()
    };
    assert_eq!(extension(""), Discovery::StrictDns(dns.clone()));
    assert_eq!(extension("all_addresses_in_single_endpoint: true"), Discovery::LogicalDns(dns));
}

#[test]
fn http2_is_spoken_by_either_spelling() {
    let typed = |config: &str| {
        format!(
            "{ASSIGNMENT}, typed_extension_protocol_options: \
             {{envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {{\"@type\": \
             type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, {config}}}}}"
        )
    };
    let streams = |fields: &str| match &read(fields).protocol {
        UpstreamProtocol::Http2(options) => Some(options.max_concurrent_streams),
        _ => None,
    };
    assert_eq!(
        streams(&format!("{ASSIGNMENT}, http2_protocol_options: {{max_concurrent_streams: 5}}")),
        Some(5)
    );
    let explicit = "explicit_http_config: {http2_protocol_options: {max_concurrent_streams: 5}}";
    assert_eq!(streams(&typed(explicit)), Some(5));
    assert_eq!(streams(&typed("explicit_http_config: {http_protocol_options: {}}")), None);
    assert_eq!(
        with(&(typed(explicit) + ", http_protocol_options: {}")).said(),
        ["info: \"http_protocol_options\" has no effect [HttpProtocolOptions say what counts]"]
    );
    assert_eq!(
        refused(&typed("explicit_http_config: {}")),
        "error: one of \"http_protocol_options\", \"http2_protocol_options\" is missing"
    );
    assert_eq!(
        refused(&typed(&format!("auto_config: {{}}, {explicit}"))),
        "error: \"explicit_http_config\" and \"auto_config\" cannot be given together"
    );
    assert_eq!(
        refused(&typed("auto_config: {}")),
        "error: auto_config needs TLS, which chooses the version of HTTP [set a transport_socket with an UpstreamTlsContext, or use \
         explicit_http_config]"
    );
    let client =
        typed("use_downstream_protocol_config: {http2_protocol_options: {max_concurrent_streams: 5}}");
    let cluster = read(&client);
    let UpstreamProtocol::OfClient(either) = &cluster.protocol else { panic!() };
    assert_eq!(either.http2.as_ref().map(|options| options.max_concurrent_streams), Some(5));
    assert_eq!(
        refused(&format!("{ASSIGNMENT}, http_protocol_options: {{}}, http2_protocol_options: {{}}")),
        "error: \"http_protocol_options\" and \"http2_protocol_options\" cannot be given together"
    );
}

#[test]
fn balancing_and_limits_are_read() {
    assert_eq!(read(&format!("{ASSIGNMENT}, lb_policy: RANDOM")).lb_policy, LbPolicy::Random);
    let policy = |name: &str| {
        format!(
            "{ASSIGNMENT}, load_balancing_policy: {{policies: [{{typed_extension_config: {{name: a, typed_config: \
             {{\"@type\": type.googleapis.com/envoy.extensions.load_balancing_policies.{name}}}}}}}]}}"
        )
    };
    assert_eq!(read(&policy("least_request.v3.LeastRequest")).lb_policy, LbPolicy::LEAST_REQUEST);
    assert!(
        refused(&policy("client_side_weighted_round_robin.v3.ClientSideWeightedRoundRobin"))
            .starts_with("error: unsupported load balancing policy")
    );
    let breakers =
        format!("{ASSIGNMENT}, circuit_breakers: {{thresholds: [{{max_connections: 5, max_requests: 6}}]}}");
    let breakers = read(&breakers).circuit_breakers.clone();
    assert_eq!(
        (breakers.max_connections, breakers.max_pending_requests, breakers.max_requests),
        (5, 1024, 6)
    );
}

#[test]
fn addresses_have_to_suit_the_type() {
    let named = endpoints("socket_address: {address: a.example, port_value: 80}");
    assert_eq!(
        refused(&named),
        "error: \"a.example\" is not an IP address [use type STRICT_DNS or LOGICAL_DNS for host names]"
    );
    let pipe = endpoints("pipe: {path: /tmp/a.sock}");
    assert_eq!(
        refused(&format!("type: STRICT_DNS, {pipe}")),
        "error: a DNS cluster needs host names; use type STATIC"
    );
    assert_eq!(read(&pipe).endpoints[0].address, EndpointAddress::Pipe("/tmp/a.sock".into()));
    let two = "load_assignment: {cluster_name: x, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: \
               {address: a, port_value: 1}}}}, {endpoint: {address: {socket_address: {address: b, port_value: 1}}}}]}]}";
    assert_eq!(
        refused(&format!("type: LOGICAL_DNS, {two}")),
        "error: a LOGICAL_DNS cluster has exactly one endpoint, here are 2"
    );
}

#[test]
fn a_cluster_without_endpoints_is_warned_about() {
    assert_eq!(
        with("type: STATIC").said(),
        ["warning: this cluster has no endpoints [add a load_assignment]"]
    );
}

#[test]
fn other_settings_are_refused_or_have_no_effect() {
    let also = |field: &str| refused(&format!("{ASSIGNMENT}, {field}"));
    assert_eq!(also("connect_timeout: 0s"), "error: must be more than zero");
    assert_eq!(also("dns_refresh_rate: 0.0001s"), "error: must be at least 0.001s");
    assert_eq!(
        also("type: EDS"),
        "error: \"eds_cluster_config\" is missing: it says where the endpoints are"
    );
    assert_eq!(
        also("hosts: [{}]"),
        "error: \"hosts\" is not supported [use load_assignment: this field belongs to the v2 API]"
    );
    let custom = "health_checks: [{timeout: 1s, interval: 1s, unhealthy_threshold: 1, healthy_threshold: 1, \
                  custom_health_check: {}}]";
    assert!(also(custom).starts_with("error: \"custom_health_check\" is not supported"));
    assert_eq!(
        with(&format!("{ASSIGNMENT}, health_checks: [], track_timeout_budgets: true")).said(),
        ["info: \"track_timeout_budgets\" has no effect [metrics are always on]"]
    );
    let twice = Gateway { clusters: format!("{0}, {0}", cluster("app", "")), ..Gateway::default() };
    assert!(twice.said().contains(&"error: there are two clusters named \"app\"".to_owned()));
}

#[test]
fn endpoints_have_the_priority_of_their_group() {
    let group = |priority: &str| {
        format!(
            "{{{priority} lb_endpoints: [{{endpoint: {{address: {{socket_address: \
             {{address: 127.0.0.1, port_value: 1}}}}}}}}]}}"
        )
    };
    let groups = [group("priority: 1,"), group(""), group("priority: 128,")].join(", ");
    let text = format!("{{name: c, load_assignment: {{cluster_name: c, endpoints: [{groups}]}}}}");
    let text = format!("static_resources: {{clusters: [{text}]}}");
    let priorities: Vec<_> =
        snapshot(&text).clusters["c"].endpoints.iter().map(|endpoint| endpoint.priority).collect();
    assert_eq!(priorities, [1, 0, 128]);
}

#[test]
fn settings_of_hashing_are_read() {
    let policy = |fields: &str| read(&format!("{ASSIGNMENT}, {fields}")).lb_policy;
    assert_eq!(policy("lb_policy: RING_HASH"), LbPolicy::RingHash(RingHash::default()));
    assert_eq!(
        policy(
            "lb_policy: RING_HASH, ring_hash_lb_config: {minimum_ring_size: 5, maximum_ring_size: 9, \
             hash_function: MURMUR_HASH_2}"
        ),
        LbPolicy::RingHash(RingHash {
            minimum_ring_size: 5,
            maximum_ring_size: 9,
            hash_function: HashFunction::MurmurHash2,
            ..RingHash::default()
        })
    );
    assert_eq!(
        policy("lb_policy: MAGLEV, maglev_lb_config: {table_size: 11}"),
        LbPolicy::Maglev(Maglev { table_size: 11, ..Maglev::default() })
    );
    let names = "type: STRICT_DNS, common_lb_config: {consistent_hashing_lb_config: {use_hostname_for_hashing: true}}";
    assert_eq!(
        policy(&format!("lb_policy: MAGLEV, {names}")),
        LbPolicy::Maglev(Maglev { key: HashKey::Hostname, ..Maglev::default() })
    );
    // Without hashing nobody asks what endpoints are known by.
    assert_eq!(policy("ring_hash_lb_config: {}"), LbPolicy::RoundRobin);
    let also = |field: &str| refused(&format!("{ASSIGNMENT}, {field}"));
    assert_eq!(
        also("lb_policy: RING_HASH, ring_hash_lb_config: {minimum_ring_size: 5, maximum_ring_size: 4}"),
        "error: minimum_ring_size is larger than maximum_ring_size"
    );
    for (size, message) in
        [("12", "table_size must be a prime number"), ("1", "1 is not between 2 and 5000011")]
    {
        assert_eq!(
            also(&format!("lb_policy: MAGLEV, maglev_lb_config: {{table_size: {size}}}")),
            format!("error: {message}")
        );
    }
    let names = "common_lb_config: {consistent_hashing_lb_config: {use_hostname_for_hashing: true}}";
    assert_eq!(
        also(&format!("lb_policy: RING_HASH, {names}")),
        "error: use_hostname_for_hashing is for clusters of type STRICT_DNS"
    );
    let bounded = |factor: u32| {
        format!(
            "lb_policy: MAGLEV, common_lb_config: {{consistent_hashing_lb_config: {{hash_balance_factor: {factor}}}}}"
        )
    };
    assert_eq!(also(&bounded(99)), "error: 99 is not between 100 and 4294967295");
    let LbPolicy::Maglev(table) = read(&bounded(120)).lb_policy else { panic!() };
    assert_eq!(table.balance_factor, Some(120));
}

/// What changes where requests go, or how many, works or is refused.
#[test]
fn settings_that_would_change_the_balance_are_refused() {
    let said = |fields: &str, assignment: &str| {
        let cluster = format!(
            "{{name: app, {fields} load_assignment: {{cluster_name: x, {assignment} endpoints: \
             [{{priority: 0, load_balancing_weight: 1, lb_endpoints: [{ENDPOINT}]}}, \
             {{priority: 0, load_balancing_weight: 99, lb_endpoints: [{ENDPOINT}]}}]}}}}"
        );
        let clusters = format!("{cluster}, {}", super::cluster("processor", "http2_protocol_options: {}"));
        let said = Gateway { clusters, ..Gateway::default() }.said();
        said.into_iter().filter(|said| said.starts_with("error")).collect::<Vec<_>>().join("; ")
    };
    assert_eq!(said("", ""), "", "without weighting by locality Envoy does not look at these weights");
    let drop = "policy: {drop_overloads: [{category: a, drop_percentage: {numerator: 50}}]},";
    assert!(said("", drop).contains("\"drop_overloads\" is not supported"));
}

#[test]
fn endpoints_may_start_slowly_and_localities_have_shares() {
    let slow = read(
        "lb_policy: LEAST_REQUEST, least_request_lb_config: {choice_count: 5, active_request_bias: {default_value: 2, \
         runtime_key: a}, slow_start_config: {slow_start_window: 30s}}",
    );
    let least_request = LeastRequest { choice_count: 5, active_request_bias: 2.0, full_scan: false };
    assert_eq!(slow.lb_policy, LbPolicy::LeastRequest(least_request));
    let thirty_seconds =
        SlowStart { window: Duration::from_secs(30), aggression: 1.0, min_weight_percent: 10.0 };
    assert_eq!(slow.slow_start, Some(thirty_seconds));
    let other =
        read("round_robin_lb_config: {slow_start_config: {slow_start_window: 30s}}, lb_policy: RANDOM");
    assert_eq!(other.slow_start, None, "RANDOM knows none");
    let policy = |name: &str, settings: &str| {
        read(&format!(
            "load_balancing_policy: {{policies: [{{typed_extension_config: {{name: lb, typed_config: {{\"@type\": \
             type.googleapis.com/envoy.extensions.load_balancing_policies.{name}, {settings}}}}}}}]}}"
        ))
    };
    let weighted = "locality_lb_config: {locality_weighted_lb_config: {}}";
    assert!(policy("round_robin.v3.RoundRobin", weighted).locality_weighted);
    assert!(policy("maglev.v3.Maglev", "locality_weighted_lb_config: {}").locality_weighted);
    let scan = policy("least_request.v3.LeastRequest", "selection_method: FULL_SCAN");
    assert!(matches!(scan.lb_policy, LbPolicy::LeastRequest(LeastRequest { full_scan: true, .. })));
    assert!(read("common_lb_config: {locality_weighted_lb_config: {}}").locality_weighted);
    assert!(!read("").locality_weighted);
}

#[test]
fn a_budget_of_retries_is_read() {
    let budget = |text: &str| {
        let fields = format!("circuit_breakers: {{thresholds: [{{retry_budget: {{{text}}}}}]}}");
        let clusters =
            format!("{}, {}", cluster("app", &fields), cluster("processor", "http2_protocol_options: {}"));
        let snapshot = Gateway { clusters, ..Gateway::default() }.snapshot();
        let budget = snapshot.clusters["app"].circuit_breakers.retry_budget.unwrap();
        (budget.percent, budget.min_retry_concurrency)
    };
    assert_eq!(budget(""), (20.0, 3));
    assert_eq!(budget("budget_percent: {value: 12.5}, min_retry_concurrency: 0"), (12.5, 0));
}

#[test]
fn endpoints_of_original_destinations_are_named_by_requests() {
    let cluster = read("type: ORIGINAL_DST, lb_policy: cluster_provided");
    assert_eq!(cluster.discovery, Discovery::OriginalDst(OriginalDst::default()));
    let header = "original_dst_lb_config: {http_header_name: x-to}";
    assert_eq!(
        with(&format!("type: ORIGINAL_DST, lb_policy: CLUSTER_PROVIDED, {header}")).said(),
        ["info: http_header_name has no effect [use_http_header is not set]"],
        "as in Envoy"
    );
    let name = "envoy.extensions.load_balancing_policies.cluster_provided.v3.ClusterProvided";
    let policy = format!(
        "load_balancing_policy: {{policies: [{{typed_extension_config: {{name: a, typed_config: \
         {{\"@type\": type.googleapis.com/{name}}}}}}}]}}"
    );
    assert_eq!(with(&format!("type: ORIGINAL_DST, {policy}")).said(), [""; 0]);
    assert_eq!(
        refused("type: ORIGINAL_DST, lb_policy: ROUND_ROBIN"),
        "error: a cluster of type ORIGINAL_DST, or an aggregate, needs lb_policy: CLUSTER_PROVIDED"
    );
}
