//! `healthCheck`: which endpoints are left out.

use std::{ops::Range, time::Duration};

use bytes::Bytes;
use http::Method;
use tollgate_model::cluster::{
    FailurePercentage, GrpcHealthCheck, HealthCheck, HealthChecker, HttpHealthCheck, OutlierDetection,
    TcpHealthCheck,
};

use super::{BackendSettings, duration, report_unimplemented};
use crate::schema::{Enumeration, Message, Schema, Value, harmless, read};

static HEALTH_CHECK: Schema = Schema {
    name: "HealthCheck",
    title: "",
    fields: &[
        read("active", "none", "Endpoints are asked."),
        read("passive", "none", "Endpoints that fail requests are left out for a while."),
        read("panicThreshold", "50", "Percentage of healthy endpoints below which all are used."),
    ],
    unsupported: &[],
};

static ACTIVE: Schema = Schema {
    name: "ActiveHealthCheck",
    title: "",
    fields: &[
        read("timeout", "1s", "How long an answer may take."),
        read("interval", "3s", "Time between checks."),
        read("initialJitter", "0s", "Maximum random delay of the first check."),
        read("unhealthyThreshold", "3", "Failures that make an endpoint unhealthy."),
        read("healthyThreshold", "1", "Successes that make an endpoint healthy."),
        read("type", "", "HTTP, TCP or GRPC. Required."),
        read("http", "", "For HTTP."),
        read("tcp", "", "For TCP."),
        read("grpc", "", "For GRPC."),
        read("overrides", "{}", "Where checks go instead."),
        harmless("healthCheckLog", "checks are visible in the statistics"),
    ],
    unsupported: &[],
};

static HTTP: Schema = Schema {
    name: "HTTPActiveHealthChecker",
    title: "",
    fields: &[
        read("hostname", "", "Authority."),
        read("path", "", "Path. Required."),
        read("method", "GET", "Method."),
        read("expectedStatuses", "[200]", "Statuses that are a success."),
        read("retriableStatuses", "[]", "Statuses that count as one failure only."),
        read("expectedResponse", "", "Not implemented."),
    ],
    unsupported: &[],
};

static TCP: Schema = Schema {
    name: "TCPActiveHealthChecker",
    title: "",
    fields: &[
        read("send", "nothing", "Sent once connected."),
        read("receive", "nothing", "Must appear in what is received."),
    ],
    unsupported: &[],
};

static PAYLOAD: Schema = Schema {
    name: "ActiveHealthCheckPayload",
    title: "",
    fields: &[
        read("type", "", "Text or Binary. Required."),
        read("text", "", "For Text."),
        read("binary", "", "For Binary, in base64."),
    ],
    unsupported: &[],
};

static GRPC: Schema = Schema {
    name: "GRPCActiveHealthChecker",
    title: "",
    fields: &[read("service", "", "The service that is asked about.")],
    unsupported: &[],
};

static OVERRIDES: Schema = Schema {
    name: "HealthCheckOverrides",
    title: "",
    fields: &[read("port", "the endpoint's", "Port of the checks.")],
    unsupported: &[],
};

static PASSIVE: Schema = Schema {
    name: "PassiveHealthCheck",
    title: "",
    fields: &[
        read("splitExternalLocalOriginErrors", "false", "Failures on our side count for themselves."),
        read("interval", "3s", "How often endpoints are looked at."),
        read("consecutiveLocalOriginFailures", "5", "Failures on our side in a row."),
        read("consecutiveGatewayErrors", "0", "Statuses 502, 503 and 504 in a row; 0 = never."),
        read("consecutive5XxErrors", "5", "Statuses of 500 to 599 in a row; 0 = never."),
        read("baseEjectionTime", "30s", "How long the first ejection takes."),
        read("maxEjectionPercent", "10", "Most endpoints that may be ejected."),
        read("failurePercentageThreshold", "none", "Percentage of failures that ejects."),
        read("alwaysEjectOneEndpoint", "false", "Eject one endpoint whatever the percentage says."),
    ],
    unsupported: &[],
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Http,
    Tcp,
    Grpc,
}

static TYPE: Enumeration<Type> = Enumeration {
    values: &[("HTTP", 0, Some(Type::Http)), ("TCP", 1, Some(Type::Tcp)), ("GRPC", 2, Some(Type::Grpc))],
};

static PAYLOAD_TYPE: Enumeration<bool> =
    Enumeration { values: &[("Text", 0, Some(false)), ("Binary", 1, Some(true))] };

pub(super) fn read_health_check(value: &Value<'_>, settings: &mut BackendSettings) {
    let Some(message) = value.message(&HEALTH_CHECK) else { return };
    if let Some(active) = message.message("active", &ACTIVE) {
        settings.health.health_checks.extend(read_active(&active));
        let overrides = active.message("overrides", &OVERRIDES);
        settings.health_check_port =
            overrides.and_then(|overrides| overrides.get("port")).and_then(|port| port.port(1));
    }
    settings.health.outlier_detection =
        message.message("passive", &PASSIVE).map(|passive| read_passive(&passive));
    if let Some(threshold) = message.get("panicThreshold").and_then(|value| value.integer(0..=100)) {
        settings.health.healthy_panic_threshold = threshold as f64;
    }
}

fn read_active(message: &Message<'_>) -> Option<HealthCheck> {
    let time = |name, default| {
        message.get(name).and_then(|value| positive(&value)).unwrap_or_else(|| Duration::from_secs(default))
    };
    let threshold = |name, default| {
        let number = message.get(name).and_then(|value| value.integer(1..=i64::from(u32::MAX)));
        number.and_then(|number| u32::try_from(number).ok()).unwrap_or(default)
    };
    let (timeout, interval) = (time("timeout", 1), time("interval", 3));
    let (unhealthy, healthy) = (threshold("unhealthyThreshold", 3), threshold("healthyThreshold", 1));
    let jitter = message.get("initialJitter").and_then(|value| duration(&value));
    let kind = message.required("type")?.enumeration(&TYPE)?;
    for (field, of, name) in [("http", Type::Http, "HTTP"), ("tcp", Type::Tcp, "TCP")] {
        if (kind == of) != message.get(field).is_some() {
            let text = format!("If Health Checker type is {name}, {field} field needs to be set.");
            message.value().error(text);
        }
    }
    if kind != Type::Grpc && message.get("grpc").is_some() {
        message.value().error("The grpc field can only be set if the Health Checker type is GRPC.");
    }
    let checker = match kind {
        Type::Http => HealthChecker::Http(read_http(&message.message("http", &HTTP)?)),
        Type::Tcp => HealthChecker::Tcp(read_tcp(&message.message("tcp", &TCP)?)),
        Type::Grpc => HealthChecker::Grpc(GrpcHealthCheck {
            service_name: message
                .message("grpc", &GRPC)
                .map(|grpc| grpc.string("service"))
                .unwrap_or_default(),
            ..GrpcHealthCheck::default()
        }),
    };
    let mut check = HealthCheck::new(checker, timeout, interval, unhealthy, healthy);
    check.initial_jitter = jitter.unwrap_or_default();
    Some(check)
}

fn positive(value: &Value<'_>) -> Option<Duration> {
    let found = duration(value)?;
    if found.is_zero() {
        value.error("must be more than zero");
        return None;
    }
    Some(found)
}

fn read_http(message: &Message<'_>) -> HttpHealthCheck {
    let mut check = HttpHealthCheck::new(message.required_string("path"));
    check.host = message.header_text("hostname");
    // Processors speak nothing else.
    check.http2 = true;
    if let Some(value) = message.get("method") {
        let text = value.string().unwrap_or_default();
        match text.parse::<Method>() {
            Ok(method) => check.method = method,
            Err(_) => value.error(format!("\"{text}\" is not a method")),
        }
    }
    let statuses = |name| -> Vec<Range<u16>> {
        let values = message.list(name);
        let codes = values.iter().filter_map(|value| u16::try_from(value.integer(100..=599)?).ok());
        codes.map(|code| code..code + 1).collect()
    };
    let expected = statuses("expectedStatuses");
    if !expected.is_empty() {
        check.expected_statuses = expected;
    }
    check.retriable_statuses = statuses("retriableStatuses");
    if let Some(response) = message.get("expectedResponse") {
        report_unimplemented(&response, "expectedResponse", "the status alone decides");
    }
    check
}

fn read_tcp(message: &Message<'_>) -> TcpHealthCheck {
    let payload = |name| message.message(name, &PAYLOAD).and_then(|payload| read_payload(&payload));
    TcpHealthCheck {
        send: payload("send").unwrap_or_default(),
        receive: payload("receive").into_iter().collect(),
    }
}

fn read_payload(message: &Message<'_>) -> Option<Bytes> {
    if message.required("type")?.enumeration(&PAYLOAD_TYPE)? {
        Some(message.required("binary")?.bytes()?.into())
    } else {
        Some(message.required("text")?.string()?.into())
    }
}

fn read_passive(message: &Message<'_>) -> OutlierDetection {
    let defaults = OutlierDetection::default();
    let time = |name, default| message.get(name).and_then(|value| positive(&value)).unwrap_or(default);
    let number = |name, default| message.u32(name).unwrap_or(default);
    let gateway_errors = number("consecutiveGatewayErrors", 0);
    let errors = number("consecutive5XxErrors", 5);
    let percent = |name| {
        let value = message.get(name)?.integer(0..=100)?;
        u32::try_from(value).ok()
    };
    let failure_percentage = match percent("failurePercentageThreshold") {
        None => FailurePercentage::default(),
        Some(threshold) => FailurePercentage { enforcing: 100, threshold, ..FailurePercentage::default() },
    };
    OutlierDetection {
        // Zero turns a condition off.
        consecutive_5xx: errors.max(1),
        enforcing_consecutive_5xx: if errors == 0 { 0 } else { 100 },
        consecutive_gateway_failure: gateway_errors.max(1),
        enforcing_consecutive_gateway_failure: if gateway_errors == 0 { 0 } else { 100 },
        split_external_local_origin_errors: message.boolean("splitExternalLocalOriginErrors", false),
        consecutive_local_origin_failure: number("consecutiveLocalOriginFailures", 5),
        interval: time("interval", Duration::from_secs(3)),
        base_ejection_time: time("baseEjectionTime", defaults.base_ejection_time),
        max_ejection_percent: percent("maxEjectionPercent").unwrap_or(10),
        always_eject_one_host: message.boolean("alwaysEjectOneEndpoint", false),
        failure_percentage,
        ..defaults
    }
}
