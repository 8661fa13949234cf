//! The messages of health checks and outlier detection.

use crate::schema::{Schema, harmless, read, refused};

const EVENTS: &str = "what changes is in the log, and every check in the statistics";

/// The schemas of this module.
pub(in crate::envoy) static SCHEMAS: [&Schema; 8] = [
    &HEALTH_CHECK,
    &TLS_OPTIONS,
    &HTTP_HEALTH_CHECK,
    &TCP_HEALTH_CHECK,
    &GRPC_HEALTH_CHECK,
    &PAYLOAD,
    &HEALTH_CHECK_CONFIG,
    &OUTLIER_DETECTION,
];

pub(in crate::envoy) static HEALTH_CHECK: Schema = Schema {
    name: "envoy.config.core.v3.HealthCheck",
    title: "",
    fields: &[
        read(
            "name",
            "",
            "Any name. Required where a cluster has several checks: then all of them have to succeed.",
        ),
        read("timeout", "", "How long an answer may take. Required."),
        read("interval", "", "Time between checks. Required."),
        read("unhealthy_threshold", "", "Failures in a row that make an endpoint unhealthy. Required."),
        read(
            "healthy_threshold",
            "",
            "Successes in a row that make it healthy; the first check decides alone. Required.",
        ),
        read("http_health_check", "", "A request, and its status."),
        read("tcp_health_check", "", "A connection, and perhaps some bytes."),
        read("grpc_health_check", "", "The gRPC health checking protocol."),
        read("initial_jitter", "0s", "Longest random delay of the first check."),
        read("interval_jitter", "0s", "Longest random addition to each interval."),
        read("interval_jitter_percent", "0", "The same in percent of the interval."),
        read("reuse_connection", "true", "Keep the connection for the next check."),
        read("no_traffic_interval", "60s", "Time between checks while the cluster has had no connection."),
        read(
            "no_traffic_healthy_interval",
            "no_traffic_interval",
            "The same for endpoints that are healthy.",
        ),
        read("unhealthy_interval", "interval", "Time between checks of unhealthy endpoints."),
        read(
            "unhealthy_edge_interval",
            "unhealthy_interval",
            "Time to the next check after a first failure.",
        ),
        read("healthy_edge_interval", "interval", "Time to the next check after a first success."),
        harmless("event_log_path", EVENTS),
        harmless("event_logger", EVENTS),
        harmless("event_service", EVENTS),
        harmless("always_log_health_check_failures", EVENTS),
        harmless("always_log_health_check_success", EVENTS),
        harmless("alt_port", "Envoy does not look at it; use health_check_config of the endpoints"),
        refused("custom_health_check", "use http_health_check, tcp_health_check or grpc_health_check"),
        read("tls_options", "{}", "Checks offer the protocol of the cluster; this may say so."),
        refused("transport_socket_match_criteria", "checks use the transport_socket of the cluster"),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static TLS_OPTIONS: Schema = Schema {
    name: "envoy.config.core.v3.HealthCheck.TlsOptions",
    title: "",
    fields: &[read("alpn_protocols", "[]", "The protocol of the cluster; others are refused.")],
    unsupported: &[],
};

pub(in crate::envoy) static HTTP_HEALTH_CHECK: Schema = Schema {
    name: "envoy.config.core.v3.HealthCheck.HttpHealthCheck",
    title: "",
    fields: &[
        read("path", "", "Path. Required."),
        read("host", "the cluster's name", "Authority."),
        read("method", "GET", "Method."),
        read("expected_statuses", "200", "Statuses that are a success."),
        read(
            "retriable_statuses",
            "[]",
            "Statuses that are one failure only; any other makes an endpoint unhealthy at once.",
        ),
        read("request_headers_to_add", "[]", "Headers with plain values, which are appended."),
        read("request_headers_to_remove", "[]", "Headers that are left out."),
        read("codec_client_type", "HTTP1", "HTTP1 or HTTP2."),
        refused("send", "checks have no body"),
        refused("receive", "the status alone decides"),
        refused("service_name_matcher", "the status alone decides"),
        refused("response_buffer_size", "the status alone decides"),
        refused("use_alpn_protocol", "set codec_client_type"),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static TCP_HEALTH_CHECK: Schema = Schema {
    name: "envoy.config.core.v3.HealthCheck.TcpHealthCheck",
    title: "",
    fields: &[
        read("send", "nothing", "Sent once connected."),
        read("receive", "nothing", "Blocks that must appear in this order in what is received."),
        refused("proxy_protocol_config", "checks are sent without the PROXY protocol"),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static PAYLOAD: Schema = Schema {
    name: "envoy.config.core.v3.HealthCheck.Payload",
    title: "",
    fields: &[read("text", "", "Bytes in hexadecimal form."), read("binary", "", "Bytes in base64.")],
    unsupported: &[],
};

pub(in crate::envoy) static GRPC_HEALTH_CHECK: Schema = Schema {
    name: "envoy.config.core.v3.HealthCheck.GrpcHealthCheck",
    title: "",
    fields: &[
        read("service_name", "", "The service that is asked about; without it the server as a whole."),
        read("authority", "the cluster's name", "Authority."),
        read("initial_metadata", "[]", "Metadata of the call, with plain values."),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static HEALTH_CHECK_CONFIG: Schema = Schema {
    name: "envoy.config.endpoint.v3.Endpoint.HealthCheckConfig",
    title: "",
    fields: &[
        read("port_value", "the endpoint's", "Port of the checks; 0 is the endpoint's."),
        read("address", "the endpoint's", "IP address and port of the checks."),
        read("hostname", "the check's", "Authority of HTTP and gRPC checks."),
        read("disable_active_health_check", "false", "It is not checked."),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static OUTLIER_DETECTION: Schema = Schema {
    name: "envoy.config.cluster.v3.OutlierDetection",
    title: "",
    fields: &[
        read(
            "consecutive_5xx",
            "5",
            "Failures in a row that eject: statuses 5xx, and responses that do not come.",
        ),
        read("enforcing_consecutive_5xx", "100", "In how many of 100 cases they really do."),
        read("consecutive_gateway_failure", "5", "Statuses 502, 503 and 504 in a row that eject."),
        read("enforcing_consecutive_gateway_failure", "0", "In how many of 100 cases they really do."),
        read(
            "split_external_local_origin_errors",
            "false",
            "Failures on our side of the endpoint (connecting, resets, timeouts) count for themselves.",
        ),
        read(
            "consecutive_local_origin_failure",
            "5",
            "Failures on our side in a row that eject, if they are split.",
        ),
        read("enforcing_consecutive_local_origin_failure", "100", "In how many of 100 cases they really do."),
        read("interval", "10s", "How often ejected endpoints are looked at, and rates are compared."),
        read(
            "base_ejection_time",
            "30s",
            "How long the first ejection takes; each further one takes that much longer.",
        ),
        read("max_ejection_time", "300s, or the base", "The longest ejection."),
        read("max_ejection_time_jitter", "0s", "Up to so much is added to an ejection at random."),
        read("max_ejection_percent", "10", "Most endpoints that may be ejected."),
        read("always_eject_one_host", "false", "Eject one endpoint whatever the percentage says."),
        read(
            "successful_active_health_check_uneject_host",
            "true",
            "An endpoint whose health check succeeds is let in again at once.",
        ),
        read("enforcing_success_rate", "100", "In how many of 100 cases a low success rate ejects."),
        read(
            "enforcing_local_origin_success_rate",
            "100",
            "The same for failures on our side, if they are split.",
        ),
        read(
            "success_rate_minimum_hosts",
            "5",
            "Fewest endpoints with enough requests for rates to be compared.",
        ),
        read("success_rate_request_volume", "100", "Enough requests in an interval."),
        read(
            "success_rate_stdev_factor",
            "1900",
            "Standard deviations below the mean that eject, in thousandths.",
        ),
        read("failure_percentage_threshold", "85", "Percentage of failures in an interval that ejects."),
        read("enforcing_failure_percentage", "0", "In how many of 100 cases it really does."),
        read(
            "enforcing_failure_percentage_local_origin",
            "0",
            "The same for failures on our side, if they are split.",
        ),
        read("failure_percentage_minimum_hosts", "5", "Fewest endpoints with enough requests."),
        read("failure_percentage_request_volume", "50", "Enough requests in an interval."),
        refused("monitors", "leave it out: failures are counted as the other fields say"),
    ],
    unsupported: &["detect_degraded_hosts"],
};
