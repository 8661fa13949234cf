//! Health checks and outlier detection.

use std::{fmt::Write as _, ops::Range, time::Duration};

use http::{HeaderName, HeaderValue};
use serde_json::Value;
use tollgate_model::cluster::{
    EndpointHealthCheck, GrpcHealthCheck, HealthCheck, HealthChecker, HttpHealthCheck, OutlierDetection,
    TcpHealthCheck,
};

use super::{
    listener::socket_address,
    out::{Out, duration},
};
use crate::envoy::{
    address::ADDRESS,
    cluster::health::{
        GRPC_HEALTH_CHECK, HEALTH_CHECK, HEALTH_CHECK_CONFIG, HTTP_HEALTH_CHECK, OUTLIER_DETECTION, PAYLOAD,
        TCP_HEALTH_CHECK,
    },
    format::HEADER_VALUE,
    header::HEADER_VALUE_OPTION,
    matchers::INT64_RANGE,
};

/// The checks of a cluster; where there are several they have names.
pub(super) fn health_checks(checks: &[HealthCheck]) -> Vec<Value> {
    let names = checks.iter().enumerate();
    names.map(|(index, check)| health_check(check, (checks.len() > 1).then_some(index + 1))).collect()
}

fn health_check(check: &HealthCheck, number: Option<usize>) -> Value {
    let mut out = Out::new(&HEALTH_CHECK);
    out.some("name", number.map(|number| format!("check {number}")));
    out.set("timeout", duration(check.timeout));
    out.set("interval", duration(check.interval));
    out.set("unhealthy_threshold", check.unhealthy_threshold);
    out.set("healthy_threshold", check.healthy_threshold);
    out.timeout("initial_jitter", Some(check.initial_jitter), Some(Duration::ZERO));
    out.timeout("interval_jitter", Some(check.interval_jitter), Some(Duration::ZERO));
    out.unless("interval_jitter_percent", check.interval_jitter_percent, 0);
    let usual = Duration::from_secs(60);
    out.timeout("no_traffic_interval", Some(check.no_traffic_interval), Some(usual));
    out.some("no_traffic_healthy_interval", check.no_traffic_healthy_interval.map(duration));
    out.some("unhealthy_interval", check.unhealthy_interval.map(duration));
    out.some("unhealthy_edge_interval", check.unhealthy_edge_interval.map(duration));
    out.some("healthy_edge_interval", check.healthy_edge_interval.map(duration));
    out.unless("reuse_connection", check.reuse_connection, true);
    match &check.checker {
        HealthChecker::Http(check) => out.set("http_health_check", http(check)),
        HealthChecker::Tcp(check) => out.set("tcp_health_check", tcp(check)),
        HealthChecker::Grpc(check) => out.set("grpc_health_check", grpc(check)),
    }
    out.done()
}

fn http(check: &HttpHealthCheck) -> Value {
    let usual = HttpHealthCheck::new(String::new());
    let mut out = Out::new(&HTTP_HEALTH_CHECK);
    out.set("path", check.path.as_str());
    out.text("host", &check.host);
    out.unless("method", check.method.as_str(), "GET");
    if check.expected_statuses != usual.expected_statuses {
        out.list("expected_statuses", statuses(&check.expected_statuses));
    }
    out.list("retriable_statuses", statuses(&check.retriable_statuses));
    out.list("request_headers_to_add", additions(&check.request_headers_to_add));
    let removed = check.request_headers_to_remove.iter().map(|name| Value::from(name.as_str()));
    out.list("request_headers_to_remove", removed.collect());
    if check.http2 {
        out.set("codec_client_type", "HTTP2");
    }
    out.done()
}

fn statuses(ranges: &[Range<u16>]) -> Vec<Value> {
    let ranges = ranges.iter().map(|range| {
        let mut out = Out::new(&INT64_RANGE);
        out.set("start", range.start);
        out.set("end", range.end);
        out.done()
    });
    ranges.collect()
}

fn additions(fields: &[(HeaderName, HeaderValue)]) -> Vec<Value> {
    let fields = fields.iter().map(|(name, value)| {
        let mut header = Out::new(&HEADER_VALUE);
        header.set("key", name.as_str());
        header.set("value", String::from_utf8_lossy(value.as_bytes()).replace('%', "%%"));
        let mut out = Out::new(&HEADER_VALUE_OPTION);
        out.set("header", header.done());
        out.done()
    });
    fields.collect()
}

fn tcp(check: &TcpHealthCheck) -> Value {
    let mut out = Out::new(&TCP_HEALTH_CHECK);
    if !check.send.is_empty() {
        out.set("send", payload(&check.send));
    }
    out.list("receive", check.receive.iter().map(|block| payload(block)).collect());
    out.done()
}

fn payload(bytes: &[u8]) -> Value {
    let hex = bytes.iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    let mut out = Out::new(&PAYLOAD);
    out.set("text", hex);
    out.done()
}

fn grpc(check: &GrpcHealthCheck) -> Value {
    let mut out = Out::new(&GRPC_HEALTH_CHECK);
    out.text("service_name", &check.service_name);
    out.text("authority", &check.authority);
    out.list("initial_metadata", additions(&check.initial_metadata));
    out.done()
}

/// Where and how an endpoint is checked, unless that is as usual.
pub(super) fn endpoint_check(check: &EndpointHealthCheck) -> Option<Value> {
    if *check == EndpointHealthCheck::default() {
        return None;
    }
    let mut out = Out::new(&HEALTH_CHECK_CONFIG);
    out.unless("disable_active_health_check", check.disabled, false);
    // The address has a port of its own.
    match (check.address, check.port) {
        (Some(socket), port) => {
            let mut address = Out::new(&ADDRESS);
            let port = port.unwrap_or_else(|| socket.port());
            address.set("socket_address", socket_address(&socket.ip().to_string(), port));
            out.set("address", address.done());
        }
        (None, port) => out.some("port_value", port),
    }
    out.text("hostname", &check.hostname);
    Some(out.done())
}

pub(super) fn outlier_detection(settings: &OutlierDetection) -> Value {
    let usual = OutlierDetection::default();
    let mut out = Out::new(&OUTLIER_DETECTION);
    let (rate, percentage) = (&settings.success_rate, &settings.failure_percentage);
    let numbers = [
        ("consecutive_5xx", settings.consecutive_5xx, usual.consecutive_5xx),
        ("enforcing_consecutive_5xx", settings.enforcing_consecutive_5xx, usual.enforcing_consecutive_5xx),
        (
            "consecutive_gateway_failure",
            settings.consecutive_gateway_failure,
            usual.consecutive_gateway_failure,
        ),
        (
            "enforcing_consecutive_gateway_failure",
            settings.enforcing_consecutive_gateway_failure,
            usual.enforcing_consecutive_gateway_failure,
        ),
        (
            "consecutive_local_origin_failure",
            settings.consecutive_local_origin_failure,
            usual.consecutive_local_origin_failure,
        ),
        (
            "enforcing_consecutive_local_origin_failure",
            settings.enforcing_consecutive_local_origin_failure,
            usual.enforcing_consecutive_local_origin_failure,
        ),
        ("max_ejection_percent", settings.max_ejection_percent, usual.max_ejection_percent),
        ("enforcing_success_rate", rate.enforcing, usual.success_rate.enforcing),
        (
            "enforcing_local_origin_success_rate",
            rate.enforcing_local_origin,
            usual.success_rate.enforcing_local_origin,
        ),
        ("success_rate_minimum_hosts", rate.minimum_hosts, usual.success_rate.minimum_hosts),
        ("success_rate_request_volume", rate.request_volume, usual.success_rate.request_volume),
        ("success_rate_stdev_factor", rate.stdev_factor, usual.success_rate.stdev_factor),
        ("enforcing_failure_percentage", percentage.enforcing, usual.failure_percentage.enforcing),
        (
            "enforcing_failure_percentage_local_origin",
            percentage.enforcing_local_origin,
            usual.failure_percentage.enforcing_local_origin,
        ),
        ("failure_percentage_threshold", percentage.threshold, usual.failure_percentage.threshold),
        (
            "failure_percentage_minimum_hosts",
            percentage.minimum_hosts,
            usual.failure_percentage.minimum_hosts,
        ),
        (
            "failure_percentage_request_volume",
            percentage.request_volume,
            usual.failure_percentage.request_volume,
        ),
    ];
    for (name, number, default) in numbers {
        out.unless(name, number, default);
    }
    out.timeout("interval", Some(settings.interval), Some(usual.interval));
    out.timeout("base_ejection_time", Some(settings.base_ejection_time), Some(usual.base_ejection_time));
    let longest = usual.max_ejection_time.max(settings.base_ejection_time);
    out.timeout("max_ejection_time", Some(settings.max_ejection_time), Some(longest));
    out.timeout("max_ejection_time_jitter", Some(settings.max_ejection_time_jitter), Some(Duration::ZERO));
    out.unless("split_external_local_origin_errors", settings.split_external_local_origin_errors, false);
    out.unless("always_eject_one_host", settings.always_eject_one_host, false);
    let unejects = settings.successful_active_health_check_uneject_host;
    out.unless("successful_active_health_check_uneject_host", unejects, true);
    out.done()
}
