//! Clusters (dialects 5.6).

pub(super) mod discovery;
mod endpoints;
pub(super) mod protocol;
pub(super) mod schema;

use std::{sync::Arc, time::Duration};

use tollgate_ir::Cluster;
use tollgate_model::{
    cluster::{CircuitBreakers, HealthPolicy, LbPolicy, RetryBudget, UpstreamProtocol},
    tls::UpstreamTlsSettings,
};

pub(super) use self::schema::{SCHEMAS, TYPED_EXTENSION_CONFIG};
use self::{
    discovery::read_discovery,
    endpoints::read_endpoints,
    protocol::{Protocol, read_protocol},
    schema::{CIRCUIT_BREAKERS, CLUSTER, LOAD_BALANCING_POLICY, POLICY, RETRY_BUDGET, THRESHOLDS},
};
use super::{
    listener::BUFFER_LIMIT, metadata::read_metadata, protocol_options::PERCENT,
    socket_options::read_upstream_options, tls::read_upstream_transport_socket,
};
use crate::schema::{Enumeration, Message, Value};

pub(in crate::envoy) static LB_POLICY: Enumeration<LbPolicy> = Enumeration {
    values: &[
        ("ROUND_ROBIN", 0, Some(LbPolicy::RoundRobin)),
        ("LEAST_REQUEST", 1, Some(LbPolicy::LeastRequest)),
        ("RING_HASH", 2, None),
        ("RANDOM", 3, Some(LbPolicy::Random)),
        ("MAGLEV", 5, None),
        ("CLUSTER_PROVIDED", 6, None),
        ("LOAD_BALANCING_POLICY_CONFIG", 7, None),
    ],
};

pub(in crate::envoy) static ROUTING_PRIORITY: Enumeration<bool> =
    Enumeration { values: &[("DEFAULT", 0, Some(true)), ("HIGH", 1, Some(false))] };

/// Reads a cluster.
pub(super) fn read_cluster(value: &Value<'_>) -> Option<Cluster> {
    let message = value.message(&CLUSTER)?;
    let name = message.required_string("name");
    let discovery = read_discovery(&message);
    let weighted = read_locality_weighting(&message);
    let endpoints = read_endpoints(&message, discovery.as_ref(), weighted.as_ref());
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
    let Protocol { protocol, idle_timeout, max_requests_per_connection } = read_protocol(&message);
    let alpn = match protocol {
        UpstreamProtocol::Http1 { .. } => "http/1.1",
        UpstreamProtocol::Http2(_) => "h2",
    };
    let tls: Option<UpstreamTlsSettings> =
        message.get("transport_socket").and_then(|socket| read_upstream_transport_socket(&socket, alpn));
    Some(Cluster {
        lb_policy: read_lb_policy(&message),
        circuit_breakers: read_circuit_breakers(&message),
        health: HealthPolicy::default(),
        per_connection_buffer_limit_bytes: message
            .u32("per_connection_buffer_limit_bytes")
            .unwrap_or(BUFFER_LIMIT) as usize,
        tls: tls.map(Arc::new),
        tcp: read_upstream_options(&message, &protocol),
        connect_timeout,
        protocol,
        idle_timeout,
        max_requests_per_connection,
        metadata: read_metadata(&message),
        endpoints: endpoints?,
        discovery: discovery?,
        alt_stat_name: Some(message.string("alt_stat_name")).filter(|name| !name.is_empty()),
        name: Some(name).filter(|name| !name.is_empty())?,
    })
}

/// Where localities are given shares of their own, if they are.
fn read_locality_weighting<'a>(message: &Message<'a>) -> Option<Value<'a>> {
    message.message("round_robin_lb_config", &schema::ROUND_ROBIN_LB_CONFIG);
    message.message("least_request_lb_config", &schema::LEAST_REQUEST_LB_CONFIG);
    let common = message.message("common_lb_config", &schema::COMMON_LB_CONFIG);
    let of_cluster = common.and_then(|common| common.get("locality_weighted_lb_config"));
    let policies = message.get("load_balancing_policy").map(|policy| policy.member_list("policies"));
    let of_policy = policies.into_iter().flatten().find_map(|policy| {
        let config = policy.member("typed_extension_config")?.member("typed_config")?;
        config.member("locality_lb_config")?.member("locality_weighted_lb_config")
    });
    of_cluster.or(of_policy)
}

fn read_lb_policy(message: &Message<'_>) -> LbPolicy {
    let by_name = message.enumeration("lb_policy", &LB_POLICY, LbPolicy::RoundRobin);
    match message.get("load_balancing_policy") {
        None => by_name,
        Some(policy) => read_load_balancing_policy(&policy).unwrap_or(by_name),
    }
}

/// The first policy of the list that is known, as in Envoy.
fn read_load_balancing_policy(value: &Value<'_>) -> Option<LbPolicy> {
    let package = "envoy.extensions.load_balancing_policies";
    let names = [
        (format!("{package}.round_robin.v3.RoundRobin"), LbPolicy::RoundRobin),
        (format!("{package}.least_request.v3.LeastRequest"), LbPolicy::LeastRequest),
        (format!("{package}.random.v3.Random"), LbPolicy::Random),
    ];
    let policies = value.message(&LOAD_BALANCING_POLICY)?.list("policies");
    let mut unknown = Vec::new();
    for policy in &policies {
        let extension =
            policy.message(&POLICY)?.required("typed_extension_config")?.message(&TYPED_EXTENSION_CONFIG)?;
        extension.required_string("name");
        let any = extension.required("typed_config")?.any()?;
        if let Some((_, found)) = names.iter().find(|(name, _)| *name == any.type_name) {
            let settings = any.value.message(match found {
                LbPolicy::RoundRobin => &schema::ROUND_ROBIN,
                LbPolicy::LeastRequest => &schema::LEAST_REQUEST,
                LbPolicy::Random => &schema::RANDOM,
            })?;
            if let Some(localities) = settings.message("locality_lb_config", &schema::LOCALITY_LB_CONFIG) {
                // Looked at with the endpoints.
                localities.get("locality_weighted_lb_config");
            }
            return Some(*found);
        }
        unknown.push(any);
    }
    let supported: Vec<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
    match unknown.first() {
        Some(any) => any.unsupported("load balancing policy", &supported),
        None => value.error("\"policies\" is missing"),
    }
    None
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
            value.error("there are two thresholds of the default priority");
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
