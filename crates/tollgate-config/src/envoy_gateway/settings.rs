//! `backendSettings`: how a processor is reached (6.5).

mod connection;
mod health_check;
mod load_balancer;
mod retry;

use std::{sync::Arc, time::Duration};

use tollgate_ir::Cluster;
use tollgate_model::{
    cluster::{CircuitBreakers, Discovery, Dns, DnsLookupFamily, HealthPolicy, LbPolicy},
    http_connection_manager::Http2Options,
    processor::GrpcRetryPolicy,
    socket::{TcpKeepalive, TcpOptions},
};

pub(super) use self::connection::{read_client_http2, read_http2_keepalive, read_tcp_keepalive};
use self::{
    connection::{read_circuit_breaker, read_connection, read_dns, read_http2, read_timeout},
    health_check::read_health_check,
    load_balancer::read_load_balancer,
    retry::read_retry,
};
use super::controller::BUFFER_LIMIT;
use crate::{
    kubernetes::values::{parse_gateway_duration, parse_go_duration},
    schema::{Schema, Value, read, unimplemented},
    translation::IpFamily,
};

/// How a processor is reached: everything that is not said has this dialect's default (EG-32).
#[derive(Debug, Clone)]
pub(super) struct BackendSettings {
    pub(super) lb_policy: LbPolicy,
    pub(super) retry: Option<GrpcRetryPolicy>,
    pub(super) circuit_breakers: CircuitBreakers,
    pub(super) max_requests_per_connection: Option<u32>,
    pub(super) health: HealthPolicy,
    pub(super) health_check_port: Option<u16>,
    pub(super) connect_timeout: Duration,
    /// `None` = never.
    pub(super) idle_timeout: Option<Duration>,
    pub(super) dns: Dns,
    /// `None` = what the gateway prefers.
    pub(super) lookup_family: Option<DnsLookupFamily>,
    pub(super) http2: Http2Options,
    pub(super) tcp_keepalive: Option<TcpKeepalive>,
}

impl Default for BackendSettings {
    fn default() -> Self {
        Self {
            lb_policy: LbPolicy::LEAST_REQUEST,
            retry: None,
            // As many retries as requests.
            circuit_breakers: CircuitBreakers { max_retries: 1024, ..CircuitBreakers::default() },
            max_requests_per_connection: None,
            health: HealthPolicy::default(),
            health_check_port: None,
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Some(Duration::from_secs(3600)),
            dns: Dns {
                refresh_rate: Duration::from_secs(30),
                respect_dns_ttl: true,
                lookup_family: DnsLookupFamily::V4Preferred,
                failure_refresh: None,
                jitter: Duration::ZERO,
            },
            lookup_family: None,
            http2: http2_defaults(),
            tcp_keepalive: TcpOptions::HTTP2_UPSTREAM.keepalive,
        }
    }
}

/// Settings of HTTP/2 of this dialect, on both sides.
fn http2_defaults() -> Http2Options {
    Http2Options {
        max_concurrent_streams: 100,
        initial_stream_window_size: 64 * 1024,
        initial_connection_window_size: 1024 * 1024,
        stream_buffer_limit: 64 * 1024,
        ..Http2Options::default()
    }
}

static SETTINGS: Schema = Schema {
    name: "ClusterSettings",
    title: "",
    fields: &[
        read("loadBalancer", "type: LeastRequest", "How an endpoint is chosen."),
        read("retry", "none", "Reopening of streams that failed before the processor answered."),
        unimplemented("proxyProtocol", "connections to processors begin without a PROXY header"),
        read("tcpKeepalive", "15s, then 3 probes every 5s", "Probes of connections without traffic."),
        read("healthCheck", "none", "Which endpoints are left out."),
        read("circuitBreaker", "1024 each", "Limits."),
        read("timeout", "{}", "How long things may take."),
        read("connection", "{}", "Buffers of connections."),
        read("dns", "{}", "How names are looked up."),
        read("http2", "{}", "Settings of HTTP/2."),
    ],
    unsupported: &[],
};

pub(super) fn read_settings(value: &Value<'_>) -> Option<BackendSettings> {
    let message = value.message(&SETTINGS)?;
    let mut settings = BackendSettings::default();
    if let Some(value) = message.get("loadBalancer") {
        settings.lb_policy = read_load_balancer(&value).unwrap_or(settings.lb_policy);
    }
    settings.retry = message.get("retry").and_then(|value| read_retry(&value));
    if let Some(value) = message.get("healthCheck") {
        read_health_check(&value, &mut settings);
    }
    if let Some(value) = message.get("circuitBreaker") {
        read_circuit_breaker(&value, &mut settings);
    }
    if let Some(value) = message.get("timeout") {
        read_timeout(&value, &mut settings);
    }
    if let Some(value) = message.get("connection") {
        read_connection(&value);
    }
    if let Some(value) = message.get("tcpKeepalive") {
        settings.tcp_keepalive = read_tcp_keepalive(&value);
    }
    if let Some(value) = message.get("dns") {
        read_dns(&value, &mut settings);
    }
    if let Some(value) = message.get("http2") {
        read_http2(&value, &mut settings);
    }
    Some(settings)
}

/// The same of a server that is asked with plain requests.
pub(super) fn read_settings_without_retry(value: &Value<'_>) -> Option<BackendSettings> {
    if let Some(retry) = value.member("retry") {
        retry.error_with_help("retry is not implemented here", "leave it out: each question is asked once");
    }
    read_settings(value)
}

/// A duration of Gateway API or of Kubernetes: fields differ in which one they ask for, and both are accepted.
pub(super) fn duration(value: &Value<'_>) -> Option<Duration> {
    let text = value.string()?;
    let found = parse_gateway_duration(&text).or_else(|| parse_go_duration(&text));
    if found.is_none() {
        let help = "numbers with a unit of h, m, s or ms, such as 1m30s or 500ms";
        value.error_with_help(format!("\"{text}\" is not a duration"), help);
    }
    found
}

/// Says that something is understood and not implemented; strict refuses it.
pub(super) fn report_unimplemented(value: &Value<'_>, what: impl std::fmt::Display, instead: &str) {
    if value.context.options.strict {
        value.error_with_help(format!("{what} is not implemented (refused by strict)"), instead);
    } else {
        value.warning(format!("{what} is not implemented"), instead);
    }
}

impl BackendSettings {
    /// Makes a cluster what these settings say, on a gateway that uses addresses of a family.
    pub(super) fn apply(&self, cluster: &mut Cluster, ip_family: Option<IpFamily>) {
        cluster.lb_policy = self.lb_policy;
        cluster.circuit_breakers = self.circuit_breakers.clone();
        cluster.max_requests_per_connection = self.max_requests_per_connection;
        cluster.health = self.health.clone();
        cluster.connect_timeout = self.connect_timeout;
        cluster.idle_timeout = self.idle_timeout;
        cluster.tcp.keepalive = self.tcp_keepalive;
        cluster.per_connection_buffer_limit_bytes = BUFFER_LIMIT;
        for endpoint in Arc::make_mut(&mut cluster.endpoints) {
            endpoint.health_check.port = self.health_check_port;
        }
        self.look_up_names(&mut cluster.discovery, ip_family);
    }

    /// Makes the lookup of names what these settings say. One family of the gateway wins over what they ask for, both do not.
    pub(super) fn look_up_names(&self, discovery: &mut Discovery, ip_family: Option<IpFamily>) {
        let Discovery::StrictDns(dns) = discovery else { return };
        let lookup_family = match ip_family {
            Some(IpFamily::V4) => DnsLookupFamily::V4Only,
            Some(IpFamily::V6) => DnsLookupFamily::V6Only,
            Some(IpFamily::Both) => self.lookup_family.unwrap_or(DnsLookupFamily::All),
            None => self.lookup_family.unwrap_or(self.dns.lookup_family),
        };
        *dns = Dns { lookup_family, ..self.dns.clone() };
    }
}
