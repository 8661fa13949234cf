//! Which endpoints count as healthy.

mod schema;

use std::{ops::Range, time::Duration};

use http::{HeaderName, HeaderValue, Method};
use tollgate_model::cluster::{
    EndpointHealthCheck, FailurePercentage, GrpcHealthCheck, HealthCheck, HealthChecker, HealthPolicy,
    HttpHealthCheck, OutlierDetection, SuccessRate, TcpHealthCheck,
};

pub(in crate::envoy) use self::schema::{
    GRPC_HEALTH_CHECK, HEALTH_CHECK, HEALTH_CHECK_CONFIG, HTTP_HEALTH_CHECK, OUTLIER_DETECTION, PAYLOAD,
    SCHEMAS, TCP_HEALTH_CHECK, TLS_OPTIONS,
};
use super::schema::{ASSIGNMENT_POLICY, CLUSTER_LOAD_ASSIGNMENT, COMMON_LB_CONFIG};
use crate::{
    envoy::{
        address::{Address, read_address},
        format::HEADER_VALUE,
        header::{APPEND_ACTION, HEADER_VALUE_OPTION, read_header_name},
        matchers::INT64_RANGE,
        protocol_options::PERCENT,
    },
    schema::{Enumeration, Message, Value},
};

/// Most checks of a cluster.
const MOST_CHECKS: usize = 64;

/// What is spoken in HTTP checks: whether it is HTTP/2.
pub(in crate::envoy) static CODEC_CLIENT_TYPE: Enumeration<bool> =
    Enumeration { values: &[("HTTP1", 0, Some(false)), ("HTTP2", 1, Some(true)), ("HTTP3", 2, None)] };

/// The methods that checks can have.
pub(in crate::envoy) static METHOD: Enumeration<i64> = Enumeration {
    values: &[
        ("GET", 1, Some(1)),
        ("METHOD_UNSPECIFIED", 0, Some(1)),
        ("HEAD", 2, Some(2)),
        ("POST", 3, Some(3)),
        ("PUT", 4, Some(4)),
        ("DELETE", 5, Some(5)),
        // Envoy refuses it, too.
        ("CONNECT", 6, None),
        ("OPTIONS", 7, Some(7)),
        ("TRACE", 8, Some(8)),
        ("PATCH", 9, Some(9)),
    ],
};

/// Reads what a cluster says about the health of its endpoints.
pub(super) fn read_health(cluster: &Message<'_>, alpn: &[&str]) -> HealthPolicy {
    let mut policy = HealthPolicy::default();
    let checks = cluster.list("health_checks");
    let mut names: Vec<String> = Vec::new();
    for value in &checks {
        let Some(message) = value.message(&HEALTH_CHECK) else { continue };
        let name = message.string("name");
        if checks.len() > 1 && name.is_empty() {
            value.error("\"name\" is missing: a cluster with several health checks names them");
        } else if !name.is_empty() && names.contains(&name) {
            value.error(format!("two health checks have the name \"{name}\""));
        }
        names.push(name);
        policy.health_checks.extend(read_check(&message, alpn));
    }
    if checks.len() > MOST_CHECKS {
        checks[MOST_CHECKS].error(format!("a cluster has at most {MOST_CHECKS} health checks"));
    }
    policy.outlier_detection =
        cluster.get("outlier_detection").and_then(|value| read_outlier_detection(&value));
    if let Some(common) = cluster.message("common_lb_config", &COMMON_LB_CONFIG) {
        if let Some(percent) = common.message("healthy_panic_threshold", &PERCENT) {
            policy.healthy_panic_threshold =
                percent.get("value").and_then(|value| value.number(0.0..=100.0)).unwrap_or(0.0);
        }
        policy.ignore_new_hosts_until_first_check = common.boolean("ignore_new_hosts_until_first_hc", false);
    }
    let assignment = cluster.message("load_assignment", &CLUSTER_LOAD_ASSIGNMENT);
    let of_assignment = assignment.and_then(|assignment| assignment.message("policy", &ASSIGNMENT_POLICY));
    if let Some(factor) = of_assignment.and_then(|policy| policy.get("overprovisioning_factor")) {
        let number = factor.integer(100..=i64::from(u32::MAX)).and_then(|number| u32::try_from(number).ok());
        policy.overprovisioning_factor = number.unwrap_or(policy.overprovisioning_factor);
    }
    policy
}

fn positive(value: &Value<'_>) -> Option<Duration> {
    let found = value.duration()?;
    if found.is_zero() {
        value.error("must be more than zero");
        return None;
    }
    Some(found)
}

/// Checks offer the protocol of the cluster and no other.
fn check_alpn(message: &Message<'_>, alpn: &[&str]) {
    let Some(options) = message.message("tls_options", &TLS_OPTIONS) else { return };
    for protocol in options.list("alpn_protocols") {
        if !alpn.is_empty() && !alpn.iter().any(|own| protocol.is_text(own)) {
            protocol.error_with_help(
                "health checks offer the protocol of their cluster",
                format!("write \"{}\" or leave it out", alpn.join("\" or \"")),
            );
        }
    }
}

fn read_check(message: &Message<'_>, alpn: &[&str]) -> Option<HealthCheck> {
    check_alpn(message, alpn);
    let required = |name| message.required(name).and_then(|value| positive(&value));
    let threshold = |name| message.required(name).and_then(|value| value.u32());
    let time = |name| message.get(name).and_then(|value| positive(&value));
    let jitter = |name| message.duration(name).unwrap_or_default();
    let (timeout, interval) = (required("timeout"), required("interval"));
    let (unhealthy, healthy) = (threshold("unhealthy_threshold"), threshold("healthy_threshold"));
    let checkers = ["http_health_check", "tcp_health_check", "grpc_health_check"];
    let (kind, value) = message.required_one_of(&checkers)?;
    let checker = match kind {
        "http_health_check" => HealthChecker::Http(read_http(&value)?),
        "tcp_health_check" => HealthChecker::Tcp(read_tcp(&value)?),
        _ => HealthChecker::Grpc(read_grpc(&value)?),
    };
    let check = HealthCheck::new(checker, timeout?, interval?, unhealthy?, healthy?);
    Some(HealthCheck {
        initial_jitter: jitter("initial_jitter"),
        interval_jitter: jitter("interval_jitter"),
        interval_jitter_percent: message.u32("interval_jitter_percent").unwrap_or(0),
        no_traffic_interval: time("no_traffic_interval").unwrap_or(check.no_traffic_interval),
        no_traffic_healthy_interval: time("no_traffic_healthy_interval"),
        unhealthy_interval: time("unhealthy_interval"),
        unhealthy_edge_interval: time("unhealthy_edge_interval"),
        healthy_edge_interval: time("healthy_edge_interval"),
        reuse_connection: message.boolean("reuse_connection", true),
        ..check
    })
}

fn read_http(value: &Value<'_>) -> Option<HttpHealthCheck> {
    let message = value.message(&HTTP_HEALTH_CHECK)?;
    let mut check = HttpHealthCheck::new(message.required("path")?.non_empty_string()?);
    if HeaderValue::from_str(&check.path).is_err() {
        message.get("path")?.error("this is no path");
    }
    check.host = message.header_text("host");
    check.http2 = message.enumeration("codec_client_type", &CODEC_CLIENT_TYPE, false);
    check.method = message.get("method").map_or(Some(Method::GET), |method| read_method(&method))?;
    check.request_headers_to_add = read_additions(&message, "request_headers_to_add");
    let removals = message.list("request_headers_to_remove");
    check.request_headers_to_remove =
        removals.iter().filter_map(|name| read_header_name(name, true)).collect();
    let expected = read_statuses(&message, "expected_statuses");
    if !expected.is_empty() {
        check.expected_statuses = expected;
    }
    check.retriable_statuses = read_statuses(&message, "retriable_statuses");
    Some(check)
}

fn read_method(value: &Value<'_>) -> Option<Method> {
    METHOD.name_of(&value.enumeration(&METHOD)?)?.parse().ok()
}

/// Fields with plain values.
fn read_additions(message: &Message<'_>, name: &'static str) -> Vec<(HeaderName, HeaderValue)> {
    message.list(name).iter().filter_map(read_addition).collect()
}

fn read_addition(value: &Value<'_>) -> Option<(HeaderName, HeaderValue)> {
    let option = value.message(&HEADER_VALUE_OPTION)?;
    let usual = APPEND_ACTION.values.first().and_then(|(.., action)| *action)?;
    for name in ["append_action", "append", "keep_empty_value"] {
        if let Some(value) = option.get(name)
            && (name != "append_action" || value.enumeration(&APPEND_ACTION)? != usual)
        {
            value.error_with_help(
                "headers of health checks are appended as they are",
                format!("remove {name}"),
            );
        }
    }
    let header = option.required("header")?.message(&HEADER_VALUE)?;
    let name = read_header_name(&header.required("key")?, true)?;
    let value = header.get("value");
    let text = value.as_ref().map_or(Some(String::new()), Value::header_text)?;
    if text.replace("%%", "").contains('%') {
        value?.error_with_help("headers of health checks are plain values", "write the value itself");
        return None;
    }
    Some((name, HeaderValue::from_str(&text.replace("%%", "%")).ok()?))
}

fn read_statuses(message: &Message<'_>, name: &'static str) -> Vec<Range<u16>> {
    let ranges = message.list(name);
    ranges.iter().filter_map(read_status_range).collect()
}

fn read_status_range(value: &Value<'_>) -> Option<Range<u16>> {
    let range = value.message(&INT64_RANGE)?;
    let bound = |name| range.get(name).map_or(Some(0), |number| number.integer(0..=600));
    let (start, end) = (u16::try_from(bound("start")?).ok()?, u16::try_from(bound("end")?).ok()?);
    if start < 100 || end <= start || end > 600 {
        value.error("a range of statuses begins at 100 or later, ends before 601 and is not empty");
        return None;
    }
    Some(start..end)
}

fn read_tcp(value: &Value<'_>) -> Option<TcpHealthCheck> {
    let message = value.message(&TCP_HEALTH_CHECK)?;
    let send = message.get("send").map_or(Some(Vec::new()), |payload| read_payload(&payload))?;
    let receive = message.list("receive");
    let receive =
        receive.iter().map(|payload| read_payload(payload).map(Into::into)).collect::<Option<_>>()?;
    Some(TcpHealthCheck { send: send.into(), receive })
}

fn read_payload(value: &Value<'_>) -> Option<Vec<u8>> {
    let message = value.message(&PAYLOAD)?;
    match message.required_one_of(&["text", "binary"])? {
        ("binary", bytes) => bytes.bytes(),
        (_, text) => {
            let hex = text.non_empty_string()?;
            let bytes = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok());
            let bytes = bytes.collect::<Option<Vec<u8>>>();
            if bytes.is_none() {
                text.error("expected bytes in hexadecimal form, such as 000000FF");
            }
            bytes
        }
    }
}

fn read_grpc(value: &Value<'_>) -> Option<GrpcHealthCheck> {
    let message = value.message(&GRPC_HEALTH_CHECK)?;
    Some(GrpcHealthCheck {
        service_name: message.string("service_name"),
        authority: message.header_text("authority"),
        initial_metadata: read_additions(&message, "initial_metadata"),
    })
}

/// Reads where and how an endpoint is checked.
pub(super) fn read_endpoint_check(value: &Value<'_>) -> Option<EndpointHealthCheck> {
    let message = value.message(&HEALTH_CHECK_CONFIG)?;
    let address = match message.get("address") {
        None => None,
        Some(address) => match read_address(&address)? {
            Address::Socket { host, port, .. } => match host.parse() {
                Ok(ip) => Some(std::net::SocketAddr::new(ip, port)),
                Err(_) => {
                    address.error("a health check goes to an IP address");
                    return None;
                }
            },
            Address::Pipe { .. } => {
                address.error("a health check goes to an IP address");
                return None;
            }
        },
    };
    let port = match message.get("port_value") {
        None => None,
        Some(port) => Some(port.port(0)?).filter(|port| *port > 0),
    };
    if address.is_some() && port.is_some() {
        value.error("\"address\" and \"port_value\" cannot be given together");
    }
    Some(EndpointHealthCheck {
        disabled: message.boolean("disable_active_health_check", false),
        port,
        address,
        hostname: message.header_text("hostname"),
    })
}

fn read_outlier_detection(value: &Value<'_>) -> Option<OutlierDetection> {
    let message = value.message(&OUTLIER_DETECTION)?;
    let usual = OutlierDetection::default();
    let number = |name, default| message.u32(name).unwrap_or(default);
    let percent = |name, default| {
        let value = message.get(name).and_then(|value| value.integer(0..=100));
        value.and_then(|value| u32::try_from(value).ok()).unwrap_or(default)
    };
    let time = |name| message.get(name).and_then(|value| positive(&value));
    let base_ejection_time = time("base_ejection_time").unwrap_or(usual.base_ejection_time);
    let max_ejection_time =
        time("max_ejection_time").unwrap_or_else(|| usual.max_ejection_time.max(base_ejection_time));
    if max_ejection_time < base_ejection_time {
        value.error("\"max_ejection_time\" must not be less than \"base_ejection_time\"");
    }
    let (rate, percentage) = (&usual.success_rate, &usual.failure_percentage);
    Some(OutlierDetection {
        consecutive_5xx: number("consecutive_5xx", usual.consecutive_5xx),
        enforcing_consecutive_5xx: percent("enforcing_consecutive_5xx", usual.enforcing_consecutive_5xx),
        consecutive_gateway_failure: number("consecutive_gateway_failure", usual.consecutive_gateway_failure),
        enforcing_consecutive_gateway_failure: percent(
            "enforcing_consecutive_gateway_failure",
            usual.enforcing_consecutive_gateway_failure,
        ),
        split_external_local_origin_errors: message.boolean("split_external_local_origin_errors", false),
        consecutive_local_origin_failure: number(
            "consecutive_local_origin_failure",
            usual.consecutive_local_origin_failure,
        ),
        enforcing_consecutive_local_origin_failure: percent(
            "enforcing_consecutive_local_origin_failure",
            usual.enforcing_consecutive_local_origin_failure,
        ),
        interval: time("interval").unwrap_or(usual.interval),
        base_ejection_time,
        max_ejection_time,
        max_ejection_time_jitter: message.duration("max_ejection_time_jitter").unwrap_or_default(),
        max_ejection_percent: percent("max_ejection_percent", usual.max_ejection_percent),
        always_eject_one_host: message.boolean("always_eject_one_host", false),
        successful_active_health_check_uneject_host: message
            .boolean("successful_active_health_check_uneject_host", true),
        success_rate: SuccessRate {
            enforcing: percent("enforcing_success_rate", rate.enforcing),
            enforcing_local_origin: percent(
                "enforcing_local_origin_success_rate",
                rate.enforcing_local_origin,
            ),
            minimum_hosts: number("success_rate_minimum_hosts", rate.minimum_hosts),
            request_volume: number("success_rate_request_volume", rate.request_volume),
            stdev_factor: number("success_rate_stdev_factor", rate.stdev_factor),
        },
        failure_percentage: FailurePercentage {
            enforcing: percent("enforcing_failure_percentage", percentage.enforcing),
            enforcing_local_origin: percent(
                "enforcing_failure_percentage_local_origin",
                percentage.enforcing_local_origin,
            ),
            threshold: percent("failure_percentage_threshold", percentage.threshold),
            minimum_hosts: number("failure_percentage_minimum_hosts", percentage.minimum_hosts),
            request_volume: number("failure_percentage_request_volume", percentage.request_volume),
        },
    })
}
