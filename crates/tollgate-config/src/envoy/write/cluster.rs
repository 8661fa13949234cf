//! Clusters and their endpoints.

mod simple;
mod subset;

use std::{sync::Arc, time::Duration};

use extproc::messages::Metadata;
use serde_json::{Map, Value, json};
use tollgate_ir::{BareCluster, Sourced, UpstreamTlsContext};
use tollgate_model::cluster::{
    CircuitBreakers, Discovery, Dns, DnsLookupFamily, Endpoint, EndpointAddress, EndpointStatus,
    HealthPolicy, LbPolicy, Locality, OriginalDst, OverrideHost, OverrideHostSource,
    TRANSPORT_SOCKET_MATCH as TRANSPORT_SOCKET_METADATA, TransportSocketMatch, UpstreamProtocol,
};

use super::{
    Writer,
    filters::of_cluster,
    forward_proxy, health,
    listener::{socket_address, tcp_keepalive, user_timeout},
    manager::http2_options,
    matchers::{metadata, metadata_key, structure},
    out::{Out, duration, extension},
    tls,
};
use crate::envoy::{
    address::{ADDRESS, PIPE},
    cluster::{
        discovery::LOOKUP_FAMILY,
        load_balancing::{LB_POLICY, Named},
        schema::{
            AGGREGATE_CLUSTER, ASSIGNMENT_POLICY, AUTO_HTTP_CONFIG, CIRCUIT_BREAKERS, CLUSTER,
            CLUSTER_LOAD_ASSIGNMENT, COMMON_LB_CONFIG, CUSTOM_CLUSTER_TYPE, ENDPOINT, EXPLICIT_HTTP_CONFIG,
            HTTP_PROTOCOL_OPTIONS, LB_ENDPOINT, LOAD_BALANCING_POLICY, LOCALITY, LOCALITY_LB_ENDPOINTS,
            ORIGINAL_DST_LB_CONFIG, OVERRIDE_HOST, OVERRIDE_HOST_SOURCE, POLICY, REFRESH_RATE, RETRY_BUDGET,
            THRESHOLDS, TRANSPORT_SOCKET_MATCH, TYPED_EXTENSION_CONFIG,
            UPSTREAM_COMMON_HTTP_PROTOCOL_OPTIONS, UPSTREAM_HTTP1_PROTOCOL_OPTIONS,
            USE_DOWNSTREAM_HTTP_CONFIG,
        },
    },
    listener::BUFFER_LIMIT,
    protocol_options::PERCENT,
    socket_options::{BIND_CONFIG, UPSTREAM_CONNECTION_OPTIONS},
    tls::schema::{RAW_BUFFER, TRANSPORT_SOCKET},
};

/// A cluster without endpoints: what leads there is answered with 503.
pub(super) const EMPTY_CLUSTER: &str = "tollgate/no-backend";

pub(super) fn empty() -> Value {
    let mut out = Out::new(&CLUSTER);
    out.set("name", EMPTY_CLUSTER);
    out.set("load_assignment", json!({ "cluster_name": EMPTY_CLUSTER }));
    out.done()
}

pub(super) fn cluster(writer: &Writer<'_>, cluster: &Sourced<BareCluster>) -> Value {
    let cannot = |what: &str| writer.cannot(&cluster.origin, what);
    let mut out = Out::new(&CLUSTER);
    out.set("name", &*cluster.name);
    out.some("alt_stat_name", cluster.alt_stat_name.as_deref());
    match &cluster.discovery {
        Discovery::Static => out.set("type", "STATIC"),
        Discovery::StrictDns(dns) => self::dns(&mut out, "STRICT_DNS", dns),
        Discovery::LogicalDns(dns) => self::dns(&mut out, "LOGICAL_DNS", dns),
        Discovery::OriginalDst(settings) => original_dst(&mut out, settings),
        Discovery::DynamicForwardProxy(cache) => out.set("cluster_type", forward_proxy::cluster_type(cache)),
        Discovery::Aggregate(names) => out.set("cluster_type", aggregate(names)),
    }
    match (&cluster.discovery, &cluster.override_host) {
        (discovery, _) if discovery.chooses() => {
            out.some("lb_policy", LB_POLICY.name_of(&Named::ClusterProvided));
        }
        (_, Some(override_host)) => {
            out.set("load_balancing_policy", load_balancing_policy(override_host, below(cluster)));
        }
        (_, None) if needs_policy(cluster) => out.set("load_balancing_policy", below(cluster)),
        (_, None) => {
            let named = match cluster.lb_policy {
                LbPolicy::LeastRequest(_) => Named::LeastRequest,
                policy => Named::Policy(policy),
            };
            out.name("lb_policy", &LB_POLICY, &named, &Named::Policy(LbPolicy::RoundRobin));
        }
    }
    out.timeout("connect_timeout", Some(cluster.connect_timeout), Some(Duration::from_secs(5)));
    let limit = cluster.per_connection_buffer_limit_bytes;
    out.unless("per_connection_buffer_limit_bytes", limit, BUFFER_LIMIT as usize);
    if let Some(breakers) = circuit_breakers(&cluster.circuit_breakers) {
        out.set("circuit_breakers", breakers);
    }
    metadata(&mut out, &cluster.metadata);
    let tcp = cluster.protocol.usual_tcp();
    let socket = |tls: Option<&Arc<UpstreamTlsContext>>| match tls {
        Some(tls) => tls::upstream(writer, tls, cluster.protocol.alpn()),
        None => {
            extension(&TRANSPORT_SOCKET, "envoy.transport_sockets.raw_buffer", Out::new(&RAW_BUFFER).any())
        }
    };
    out.some("transport_socket", cluster.tls.as_ref().map(|tls| socket(Some(tls))));
    let matches = cluster.transport_socket_matches.iter().map(|one| {
        let mut out = Out::new(&TRANSPORT_SOCKET_MATCH);
        out.set("name", &*one.name);
        out.set("match", structure(&one.criteria));
        out.set("transport_socket", socket(one.tls.as_ref()));
        out.done()
    });
    out.list("transport_socket_matches", matches.collect());
    if cluster.tcp.keepalive != tcp.keepalive {
        let mut options = Out::new(&UPSTREAM_CONNECTION_OPTIONS);
        options.set("tcp_keepalive", tcp_keepalive(cluster.tcp.keepalive));
        out.set("upstream_connection_options", options.done());
    }
    if cluster.tcp.user_timeout != tcp.user_timeout
        && let Some(option) = user_timeout(cluster.tcp.user_timeout)
    {
        let mut bind = Out::new(&BIND_CONFIG);
        bind.list("socket_options", vec![option]);
        out.set("upstream_bind_config", bind.done());
    }
    let options =
        protocol(writer, cluster, || cannot("HTTP/2 bodies have a limit that is not the window of a stream"));
    if let Some(options) = options {
        let mut by_name = Map::new();
        by_name.insert(HTTP_PROTOCOL_OPTIONS.name.to_owned(), options);
        out.set("typed_extension_protocol_options", by_name);
    }
    health(&mut out, &cluster.health);
    let endpoints = writer.resources.endpoints_of(&cluster.name);
    let by_name = matches!(cluster.discovery, Discovery::StrictDns(_) | Discovery::LogicalDns(_));
    if !cluster.discovery.chooses() {
        out.set("load_assignment", load_assignment(cluster, endpoints, by_name));
    }
    out.done()
}

fn aggregate(names: &[String]) -> Value {
    let mut config = Out::new(&AGGREGATE_CLUSTER);
    config.list("clusters", names.iter().map(|name| Value::from(name.as_str())).collect());
    extension(&CUSTOM_CLUSTER_TYPE, "envoy.clusters.aggregate", config.any())
}

fn original_dst(out: &mut Out, settings: &OriginalDst) {
    out.set("type", "ORIGINAL_DST");
    let usual = OriginalDst::default();
    out.timeout("cleanup_interval", Some(settings.cleanup_interval), Some(usual.cleanup_interval));
    let mut config = Out::new(&ORIGINAL_DST_LB_CONFIG);
    if let Some(header) = &settings.header {
        config.set("use_http_header", true);
        config.set("http_header_name", header.as_str());
    }
    config.some("metadata_key", settings.metadata_key.as_ref().map(metadata_key));
    config.some("upstream_port_override", settings.port_override);
    out.unless_empty("original_dst_lb_config", config);
}

/// `LoadBalancingPolicy` with one policy.
fn policies(name: &str, policy: Out) -> Value {
    let mut entry = Out::new(&POLICY);
    entry.set("typed_extension_config", extension(&TYPED_EXTENSION_CONFIG, name, policy.any()));
    let mut out = Out::new(&LOAD_BALANCING_POLICY);
    out.list("policies", vec![entry.done()]);
    out.done()
}

/// Whether `lb_policy` alone does not say everything.
fn needs_policy(cluster: &BareCluster) -> bool {
    let policy = cluster.lb_policy;
    policy.hashes()
        || cluster.subsets.is_some()
        || cluster.slow_start.is_some()
        || cluster.locality_weighted
        || matches!(policy, LbPolicy::LeastRequest(_)) && policy != LbPolicy::LEAST_REQUEST
}

/// The policy that chooses where nobody has picked an endpoint.
fn below(cluster: &BareCluster) -> Value {
    let policy = simple::policy(cluster);
    match &cluster.subsets {
        Some(subsets) => policies("envoy.load_balancing_policies.subset", subset::policy(subsets, policy)),
        None => policy,
    }
}

fn load_balancing_policy(override_host: &OverrideHost, fallback: Value) -> Value {
    let sources = override_host.sources.iter().map(|source| {
        let mut out = Out::new(&OVERRIDE_HOST_SOURCE);
        match source {
            OverrideHostSource::Header(name) => out.set("header", name.as_str()),
            OverrideHostSource::Metadata(key) => out.set("metadata", metadata_key(key)),
        }
        out.done()
    });
    let mut out = Out::new(&OVERRIDE_HOST);
    out.list("override_host_sources", sources.collect());
    out.some("selected_host_key", override_host.selected_host_key.as_ref().map(metadata_key));
    out.set("fallback_policy", fallback);
    policies("envoy.load_balancing_policies.override_host", out)
}

fn dns(out: &mut Out, kind: &str, dns: &Dns) {
    out.set("type", kind);
    out.timeout("dns_refresh_rate", Some(dns.refresh_rate), Some(Duration::from_secs(5)));
    out.unless("respect_dns_ttl", dns.respect_dns_ttl, false);
    out.name("dns_lookup_family", &LOOKUP_FAMILY, &dns.lookup_family, &DnsLookupFamily::Auto);
    if let Some(refresh) = &dns.failure_refresh {
        let mut rate = Out::new(&REFRESH_RATE);
        rate.set("base_interval", duration(refresh.base_interval));
        rate.set("max_interval", duration(refresh.max_interval));
        out.set("dns_failure_refresh_rate", rate.done());
    }
    out.timeout("dns_jitter", Some(dns.jitter), Some(Duration::ZERO));
}

fn circuit_breakers(breakers: &CircuitBreakers) -> Option<Value> {
    let usual = CircuitBreakers::default();
    if *breakers == usual {
        return None;
    }
    let mut thresholds = Out::new(&THRESHOLDS);
    thresholds.unless("max_connections", breakers.max_connections, usual.max_connections);
    thresholds.unless("max_pending_requests", breakers.max_pending_requests, usual.max_pending_requests);
    thresholds.unless("max_requests", breakers.max_requests, usual.max_requests);
    thresholds.unless("max_retries", breakers.max_retries, usual.max_retries);
    if let Some(budget) = &breakers.retry_budget {
        let mut percent = Out::new(&PERCENT);
        percent.set("value", budget.percent);
        let mut out = Out::new(&RETRY_BUDGET);
        out.set("budget_percent", percent.done());
        out.set("min_retry_concurrency", budget.min_retry_concurrency);
        thresholds.set("retry_budget", out.done());
    }
    let mut out = Out::new(&CIRCUIT_BREAKERS);
    out.list("thresholds", vec![thresholds.done()]);
    Some(out.done())
}

/// `HttpProtocolOptions`, unless all of them have their defaults.
fn protocol(writer: &Writer<'_>, cluster: &BareCluster, other_limit: impl FnOnce()) -> Option<Value> {
    let mut common = Out::new(&UPSTREAM_COMMON_HTTP_PROTOCOL_OPTIONS);
    common.timeout("idle_timeout", cluster.idle_timeout, Some(Duration::from_secs(3600)));
    common.some("max_requests_per_connection", cluster.max_requests_per_connection);
    let filters = writer.resources.cluster_http_filters.get(&cluster.name);
    let upstream = forward_proxy::server_names(cluster);
    let is_plain = common.is_empty() && filters.is_none() && upstream.is_none();
    if is_plain && matches!(cluster.protocol, UpstreamProtocol::Http1 { enable_trailers: false }) {
        return None;
    }
    let (versions, schema) = match &cluster.protocol {
        UpstreamProtocol::Http1 { .. } | UpstreamProtocol::Http2(_) => {
            ("explicit_http_config", &EXPLICIT_HTTP_CONFIG)
        }
        UpstreamProtocol::Negotiated(_) => ("auto_config", &AUTO_HTTP_CONFIG),
        UpstreamProtocol::OfClient(_) => ("use_downstream_protocol_config", &USE_DOWNSTREAM_HTTP_CONFIG),
    };
    let mut config = Out::new(schema);
    let enable_trailers = cluster.protocol.enables_trailers();
    if enable_trailers || matches!(cluster.protocol, UpstreamProtocol::Http1 { .. }) {
        let mut options = Out::new(&UPSTREAM_HTTP1_PROTOCOL_OPTIONS);
        options.unless("enable_trailers", enable_trailers, false);
        config.set("http_protocol_options", options.done());
    }
    if let Some(options) = cluster.protocol.http2_options() {
        config.set("http2_protocol_options", http2_options(options, |_| other_limit()).done());
    }
    let mut out = Out::new(&HTTP_PROTOCOL_OPTIONS);
    out.unless_empty("common_http_protocol_options", common);
    out.some("upstream_http_protocol_options", upstream);
    out.set(versions, config.done());
    if let Some(filters) = filters {
        out.list("http_filters", of_cluster(writer, filters));
    }
    Some(out.any())
}

/// What endpoints have in common that are written together: priority, place, and which TLS the place names.
type Group<'a> = (u32, Option<&'a Locality>, Option<usize>);

fn load_assignment(cluster: &BareCluster, endpoints: &[Endpoint], by_name: bool) -> Value {
    let mut groups: Vec<(Group<'_>, Vec<Value>)> = Vec::new();
    for one in endpoints {
        let key = (one.priority, one.locality.as_deref(), by_locality(cluster, one));
        let written = endpoint(one, by_name);
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, members)) => members.push(written),
            None => groups.push((key, vec![written])),
        }
    }
    groups.sort_by_key(|((priority, ..), _)| *priority);
    let groups = groups.into_iter().map(|((priority, locality, matched), endpoints)| {
        let mut out = Out::new(&LOCALITY_LB_ENDPOINTS);
        out.unless("priority", priority, 0);
        if let Some(locality) = locality {
            let mut place = Out::new(&LOCALITY);
            place.text("region", &locality.region);
            place.text("zone", &locality.zone);
            place.text("sub_zone", &locality.sub_zone);
            out.unless_empty("locality", place);
            out.some("load_balancing_weight", locality.weight);
        }
        if let Some(one) = matched.and_then(|index| cluster.transport_socket_matches.get(index)) {
            let own = (TRANSPORT_SOCKET_METADATA.to_owned(), one.criteria.clone());
            let filter_metadata = std::iter::once(own).collect();
            metadata(&mut out, &Metadata { filter_metadata, ..Metadata::default() });
        }
        out.list("lb_endpoints", endpoints);
        out.done()
    });
    let mut out = Out::new(&CLUSTER_LOAD_ASSIGNMENT);
    out.set("cluster_name", cluster.name.as_str());
    out.list("endpoints", groups.collect());
    let factor = cluster.health.overprovisioning_factor;
    if factor != HealthPolicy::default().overprovisioning_factor {
        let mut policy = Out::new(&ASSIGNMENT_POLICY);
        policy.set("overprovisioning_factor", factor);
        out.set("policy", policy.done());
    }
    out.done()
}

fn health(out: &mut Out, policy: &HealthPolicy) {
    out.list("health_checks", health::health_checks(&policy.health_checks));
    out.some("outlier_detection", policy.outlier_detection.as_ref().map(health::outlier_detection));
    let usual = HealthPolicy::default();
    let mut common = Out::new(&COMMON_LB_CONFIG);
    if (policy.healthy_panic_threshold - usual.healthy_panic_threshold).abs() > f64::EPSILON {
        let mut percent = Out::new(&PERCENT);
        percent.set("value", policy.healthy_panic_threshold);
        common.set("healthy_panic_threshold", percent.done());
    }
    common.unless("ignore_new_hosts_until_first_hc", policy.ignore_new_hosts_until_first_check, false);
    out.unless_empty("common_lb_config", common);
}

fn endpoint(endpoint: &Endpoint, by_name: bool) -> Value {
    let mut address = Out::new(&ADDRESS);
    let host = match &endpoint.address {
        EndpointAddress::Socket(socket) => {
            let host = socket.ip().to_string();
            address.set("socket_address", socket_address(&host, socket.port()));
            host
        }
        EndpointAddress::Dns { host, port } => {
            address.set("socket_address", socket_address(host, *port));
            host.clone()
        }
        EndpointAddress::Pipe(path) => {
            let mut pipe = Out::new(&PIPE);
            pipe.set("path", path.display().to_string());
            address.set("pipe", pipe.done());
            String::new()
        }
    };
    let mut inner = Out::new(&ENDPOINT);
    inner.set("address", address.done());
    // Where names are looked up the name is the host name anyway.
    if !(by_name && endpoint.hostname == host) {
        inner.text("hostname", &endpoint.hostname);
    }
    inner.some("health_check_config", health::endpoint_check(&endpoint.health_check));
    let mut out = Out::new(&LB_ENDPOINT);
    out.set("endpoint", inner.done());
    match endpoint.status {
        EndpointStatus::Healthy => {}
        EndpointStatus::Degraded => out.set("health_status", "DEGRADED"),
        EndpointStatus::Unhealthy => out.set("health_status", "UNHEALTHY"),
    }
    out.unless("load_balancing_weight", endpoint.weight, 1);
    metadata(&mut out, &endpoint.metadata);
    out.done()
}

/// The transport socket of an endpoint that its own metadata do not lead to: those of its locality do.
fn by_locality(cluster: &BareCluster, endpoint: &Endpoint) -> Option<usize> {
    let own = TransportSocketMatch::find(
        &cluster.transport_socket_matches,
        &endpoint.metadata,
        &Metadata::default(),
    );
    endpoint.transport_socket.filter(|_| own != endpoint.transport_socket)
}
