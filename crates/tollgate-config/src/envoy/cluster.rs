//! Clusters.

pub(super) mod consistent_hash;
pub(super) mod discovery;
pub(super) mod endpoints;
pub(super) mod forward_proxy;
pub(super) mod health;
pub(super) mod least_request;
pub(super) mod load_balancing;
pub(super) mod protocol;
pub(super) mod schema;
pub(super) mod subset;

use std::{sync::Arc, time::Duration};

use tollgate_ir::{Cluster, UpstreamTlsContext};
use tollgate_model::cluster::{
    CircuitBreakers, Discovery, HealthCheck, HealthChecker, HealthPolicy, RetryBudget, TransportSocketMatch,
    UpstreamProtocol,
};

pub(super) use self::schema::{SCHEMAS, TYPED_EXTENSION_CONFIG};
use self::{
    discovery::read_discovery,
    endpoints::read_endpoints,
    forward_proxy::{allows_insecure, name_hosts},
    health::read_health,
    load_balancing::{LoadBalancing, read_load_balancing},
    protocol::{Protocol, read_protocol},
    schema::{CIRCUIT_BREAKERS, CLUSTER, CLUSTER_FILTER, RETRY_BUDGET, THRESHOLDS, TRANSPORT_SOCKET_MATCH},
};
use super::{
    ignored::is_ignored_upstream_filter,
    listener::BUFFER_LIMIT,
    metadata::{read_metadata, read_struct},
    protocol_options::PERCENT,
    socket_options::read_upstream_options,
    tls::{KnownSecrets, read_upstream_transport_socket},
};
use crate::schema::{Enumeration, Message, Value};

pub(in crate::envoy) static ROUTING_PRIORITY: Enumeration<bool> =
    Enumeration { values: &[("DEFAULT", 0, Some(true)), ("HIGH", 1, Some(false))] };

/// Reads a cluster. Its filters are given as they stand there: they may name clusters that come later.
pub(super) fn read_cluster<'a>(
    value: &Value<'a>,
    secrets: &KnownSecrets,
) -> Option<(Cluster, Option<Value<'a>>)> {
    let message = value.message(&CLUSTER)?;
    let name = message.required_string("name");
    let discovery = read_discovery(&message);
    let connect_timeout = match message.get("connect_timeout") {
        None => Duration::from_secs(5),
        Some(timeout) => {
            let duration = timeout.duration().unwrap_or(Duration::from_secs(5));
            if duration.is_zero() {
                timeout.error("must be more than zero");
            }
            duration
        }
    };
    let Protocol { protocol, idle_timeout, max_requests_per_connection, http_filters, upstream_options } =
        read_protocol(&message);
    let alpn = protocol.alpn();
    let health = read_health(&message, alpn);
    check_protocol_of_checks(&message, &health, &protocol);
    let mut tls = message
        .get("transport_socket")
        .and_then(|socket| read_upstream_transport_socket(&socket, alpn, secrets));
    message.list("filters").iter().for_each(read_network_filter);
    let transport_socket_matches = read_transport_socket_matches(&message, alpn, secrets);
    check_alpn(&message, &protocol, tls.is_some(), &transport_socket_matches);
    let endpoints = read_endpoints(&message, discovery.as_ref(), &transport_socket_matches);
    let names_hosts = matches!(discovery, Some(Discovery::DynamicForwardProxy(_)));
    if names_hosts && let Some(tls) = &mut tls {
        name_hosts(tls, upstream_options.as_ref(), allows_insecure(&message));
    } else if let Some(options) = upstream_options.filter(|_| !names_hosts) {
        options.error_with_help(
            "upstream_http_protocol_options are for clusters of type dynamic_forward_proxy",
            "set sni in the UpstreamTlsContext",
        );
    }
    let LoadBalancing { policy, override_host, subsets, slow_start, locality_weighted } =
        read_load_balancing(&message, discovery.as_ref());
    let cluster = Cluster {
        lb_policy: policy,
        override_host,
        subsets,
        slow_start,
        locality_weighted,
        circuit_breakers: read_circuit_breakers(&message),
        health,
        per_connection_buffer_limit_bytes: message
            .u32("per_connection_buffer_limit_bytes")
            .unwrap_or(BUFFER_LIMIT) as usize,
        tls: tls.map(Arc::new),
        transport_socket_matches,
        tcp: read_upstream_options(&message, &protocol),
        connect_timeout,
        protocol,
        idle_timeout,
        max_requests_per_connection,
        metadata: read_metadata(&message),
        endpoints: endpoints?.into(),
        discovery: discovery?,
        alt_stat_name: Some(message.string("alt_stat_name")).filter(|name| !name.is_empty()),
        name: Some(name).filter(|name| !name.is_empty())?,
    };
    Some((cluster, http_filters))
}

/// Looks at a filter in front of upstream connections.
fn read_network_filter(value: &Value<'_>) {
    let Some(message) = value.message(&CLUSTER_FILTER) else { return };
    message.required_string("name");
    let Some(any) = message.required("typed_config").and_then(|config| config.any()) else { return };
    if !is_ignored_upstream_filter(&any) {
        any.unsupported("network filter of a cluster", &[]);
    }
}

/// Reads what endpoints use that ask for it.
fn read_transport_socket_matches(
    message: &Message<'_>,
    alpn: &[&str],
    secrets: &KnownSecrets,
) -> Vec<TransportSocketMatch<UpstreamTlsContext>> {
    let list = message.list("transport_socket_matches");
    let read = list.iter().filter_map(|value| {
        let message = value.message(&TRANSPORT_SOCKET_MATCH)?;
        let socket = message.required("transport_socket")?;
        Some(TransportSocketMatch {
            name: message.required_string("name"),
            criteria: message.get("match").and_then(|values| read_struct(&values)).unwrap_or_default(),
            tls: read_upstream_transport_socket(&socket, alpn, secrets).map(Arc::new),
        })
    });
    read.collect()
}

/// What is chosen by ALPN needs TLS, on every connection.
fn check_alpn(
    cluster: &Message<'_>,
    protocol: &UpstreamProtocol,
    tls: bool,
    matches: &[TransportSocketMatch<UpstreamTlsContext>],
) {
    if !matches!(protocol, UpstreamProtocol::Negotiated(_)) {
        return;
    }
    if !tls {
        let value =
            cluster.get("transport_socket").or_else(|| cluster.get("typed_extension_protocol_options"));
        if let Some(value) = value {
            value.error_with_help(
                "auto_config needs TLS, which chooses the version of HTTP",
                "set a transport_socket with an UpstreamTlsContext, or use explicit_http_config",
            );
        }
    } else if matches.iter().any(|one| one.tls.is_none())
        && let Some(value) = cluster.get("transport_socket_matches")
    {
        value.error_with_help(
            "auto_config needs TLS on every connection",
            "use an UpstreamTlsContext in every match, or explicit_http_config",
        );
    }
}

/// A gRPC check needs what the cluster speaks, as in Envoy.
fn check_protocol_of_checks(cluster: &Message<'_>, health: &HealthPolicy, protocol: &UpstreamProtocol) {
    let is_grpc = |check: &HealthCheck| matches!(check.checker, HealthChecker::Grpc(_));
    if !protocol.speaks_http2()
        && health.health_checks.iter().any(is_grpc)
        && let Some(checks) = cluster.get("health_checks")
    {
        checks.error_with_help(
            "a gRPC health check needs a cluster that speaks HTTP/2",
            "set http2_protocol_options in HttpProtocolOptions",
        );
    }
}

fn read_budget(message: &Message<'_>) -> RetryBudget {
    let mut budget = RetryBudget::default();
    if let Some(percent) = message.message("budget_percent", &PERCENT) {
        budget.percent = percent.get("value").and_then(|value| value.number(0.0..=100.0)).unwrap_or(0.0);
    }
    budget.min_retry_concurrency =
        message.u32("min_retry_concurrency").unwrap_or(budget.min_retry_concurrency);
    budget
}

fn read_circuit_breakers(message: &Message<'_>) -> CircuitBreakers {
    let mut breakers = CircuitBreakers::default();
    let Some(configured) = message.message("circuit_breakers", &CIRCUIT_BREAKERS) else { return breakers };
    let mut seen = false;
    for value in configured.list("thresholds") {
        let Some(thresholds) = value.message(&THRESHOLDS) else { continue };
        if !thresholds.enumeration("priority", &ROUTING_PRIORITY, true) {
            value.no_effect("the threshold of priority HIGH", "every request has the default priority");
            continue;
        }
        if seen {
            value.no_effect("a further threshold of the default priority", "the first one counts");
            continue;
        }
        seen = true;
        let number = |name, default| thresholds.u32(name).unwrap_or(default);
        breakers = CircuitBreakers {
            max_connections: number("max_connections", breakers.max_connections),
            max_pending_requests: number("max_pending_requests", breakers.max_pending_requests),
            max_requests: number("max_requests", breakers.max_requests),
            max_retries: number("max_retries", breakers.max_retries),
            retry_budget: thresholds
                .message("retry_budget", &RETRY_BUDGET)
                .map(|budget| read_budget(&budget)),
        };
    }
    breakers
}
