//! The gRPC service of a processor (section 23, EN-20 to EN-24).

use std::time::Duration;

use tollgate_ir::GrpcService;
use tollgate_model::processor::{GrpcRetryPolicy, GrpcTarget};

use super::{Scope, format::read_header_values, google_grpc::read_google_grpc};
use crate::{
    schema::{Message, Schema, Value, read, refused},
    suggestion::{did_you_mean, nearest},
};

pub(super) static GRPC_SERVICE: Schema = Schema {
    name: "envoy.config.core.v3.GrpcService",
    title: "",
    fields: &[
        read("envoy_grpc", "", "The processor is a cluster. This or google_grpc is required."),
        read("google_grpc", "", "The processor is a target of its own."),
        read(
            "timeout",
            "0.2s",
            "How long an authorization service may take. As in Envoy streams to processors are not limited.",
        ),
        read("initial_metadata", "[]", "Metadata of each call; values may hold `%REQ(name)%` and the like."),
        read("retry_policy", "none", "Reopening of streams that failed before the processor answered."),
    ],
    unsupported: &[],
};

pub(super) static ENVOY_GRPC: Schema = Schema {
    name: "envoy.config.core.v3.GrpcService.EnvoyGrpc",
    title: "",
    fields: &[
        read("cluster_name", "", "The cluster. Required."),
        read("authority", "the cluster's name", "`:authority` of the calls."),
        read("max_receive_message_length", "67108864", "Largest answer, bytes."),
        read(
            "skip_envoy_headers",
            "false",
            "Leave `x-forwarded-for` and `x-envoy-internal` out of the calls.",
        ),
        refused("retry_policy", "use retry_policy of the grpc_service"),
    ],
    unsupported: &[],
};

pub(super) static RETRY_POLICY: Schema = Schema {
    name: "envoy.config.core.v3.RetryPolicy",
    title: "RetryPolicy of gRPC services",
    fields: &[
        read(
            "retry_on",
            "",
            "Conditions, separated by commas: cancelled, deadline-exceeded, internal, resource-exhausted, unavailable, \
             5xx, gateway-error, retriable-4xx, connect-failure, reset-before-request, reset, refused-stream.",
        ),
        read("num_retries", "1", "Tries after the first."),
        read("retry_back_off", "25ms to 250ms", "Time between tries."),
        refused("retry_priority", "every endpoint has the same priority"),
        refused("retry_host_predicate", "endpoints are chosen by the cluster's lb_policy"),
    ],
    unsupported: &["host_selection_retry_max_attempts"],
};

pub(super) static BACKOFF_STRATEGY: Schema = Schema {
    name: "envoy.config.core.v3.BackoffStrategy",
    title: "",
    fields: &[
        read("base_interval", "", "First interval, at least 0.001s. Required."),
        read("max_interval", "10 times base_interval", "Longest interval."),
    ],
    unsupported: &[],
};

/// The schemas of this module.
pub(super) static SCHEMAS: [&Schema; 4] = [&GRPC_SERVICE, &ENVOY_GRPC, &RETRY_POLICY, &BACKOFF_STRATEGY];

/// Largest answer of a processor when nothing else is configured (decision 10).
pub const MAX_RECEIVE_MESSAGE_LENGTH: usize = 64 * 1024 * 1024;

/// Reads a `GrpcService`.
pub(super) fn read_grpc_service(value: &Value<'_>, scope: &Scope) -> Option<GrpcService> {
    let message = value.message(&GRPC_SERVICE)?;
    message.duration("timeout");
    let initial_metadata = read_header_values(&message.list("initial_metadata"));
    let retry_policy = message.get("retry_policy").and_then(|policy| read_retry_policy(&policy));
    let service = match message.required_one_of(&["envoy_grpc", "google_grpc"])? {
        ("envoy_grpc", service) => read_envoy_grpc(&service.message(&ENVOY_GRPC)?, scope),
        (_, service) => read_google_grpc(&service),
    };
    let mut service = service?;
    service.retry_policy = retry_policy;
    // Tokens of google_grpc come last, as the gRPC library puts them there.
    service.initial_metadata.splice(..0, initial_metadata);
    Some(service)
}

fn read_envoy_grpc(message: &Message<'_>, scope: &Scope) -> Option<GrpcService> {
    let cluster = message.required("cluster_name")?;
    let name = cluster.non_empty_string()?;
    let facts = scope.clusters.get(&name);
    scope.clusters.refuse_filters(&cluster, &name, "calls of a gateway's filters");
    match facts {
        // F-9: each exchange fails, and the failure policy decides.
        None if scope.clusters.lacks(&name) => {
            let near = cluster.context.report.nearest(&name, scope.clusters.names());
            cluster.warning(
                format!("there is no cluster \"{name}\"; every exchange with this processor will fail"),
                near.map_or_else(|| "add the cluster to static_resources.clusters".to_owned(), did_you_mean),
            );
        }
        // CF-21
        Some(facts) if !facts.http2 => cluster.warning(
            format!("the cluster \"{name}\" is not configured for HTTP/2; Tollgate uses HTTP/2 anyway"),
            "Envoy would fail: add http2_protocol_options to the cluster's HttpProtocolOptions",
        ),
        Some(_) | None => {}
    }
    let authority = match message.get("authority") {
        Some(authority) => {
            let text = authority.string()?;
            if !text.is_empty() && !is_authority(&text) {
                authority.error(format!("\"{text}\" is not an authority"));
            }
            text
        }
        None => String::new(),
    };
    let authority = if !authority.is_empty() {
        authority
    } else if is_authority(&name) {
        name.clone()
    } else {
        // CF-20: what HTTP/2 servers would refuse is replaced by something they take.
        facts.and_then(|facts| facts.first_endpoint.clone()).unwrap_or_else(|| "processor".to_owned())
    };
    Some(GrpcService {
        target: GrpcTarget::EnvoyGrpc(name),
        target_uri: None,
        authority,
        initial_metadata: Vec::new(),
        max_receive_message_length: message
            .u32("max_receive_message_length")
            .filter(|length| *length > 0)
            .map_or(MAX_RECEIVE_MESSAGE_LENGTH, |length| length as usize),
        skip_envoy_headers: message.boolean("skip_envoy_headers", false),
        retry_policy: None,
    })
}

/// Whether HTTP/2 servers take this authority.
pub(super) fn is_authority(text: &str) -> bool {
    !text.contains('@') && text.parse::<http::uri::Authority>().is_ok()
}

/// What a condition of `retry_on` asks for.
#[derive(Clone, Copy)]
enum RetryOn {
    /// A gRPC code.
    Code(u8),
    /// HTTP statuses, from and to.
    Statuses(u16, u16),
    /// HTTP statuses, or a stream that broke.
    StatusesAndReset(u16, u16),
    ConnectFailure,
    Reset,
    RefusedStream,
    /// Nothing, for a stream to a processor.
    Nothing,
}

const CONDITIONS: [(&str, RetryOn); 16] = [
    ("cancelled", RetryOn::Code(1)),
    ("deadline-exceeded", RetryOn::Code(4)),
    ("resource-exhausted", RetryOn::Code(8)),
    ("internal", RetryOn::Code(13)),
    ("unavailable", RetryOn::Code(14)),
    ("5xx", RetryOn::StatusesAndReset(500, 599)),
    ("gateway-error", RetryOn::StatusesAndReset(502, 504)),
    ("retriable-4xx", RetryOn::Statuses(409, 409)),
    ("connect-failure", RetryOn::ConnectFailure),
    ("reset-before-request", RetryOn::ConnectFailure),
    ("reset", RetryOn::Reset),
    ("refused-stream", RetryOn::RefusedStream),
    ("envoy-ratelimited", RetryOn::Nothing),
    ("retriable-status-codes", RetryOn::Nothing),
    ("retriable-headers", RetryOn::Nothing),
    ("http3-post-connect-failure", RetryOn::Nothing),
];

fn read_retry_policy(value: &Value<'_>) -> Option<GrpcRetryPolicy> {
    let message = value.message(&RETRY_POLICY)?;
    let mut policy = GrpcRetryPolicy {
        retriable_codes: Vec::new(),
        retriable_statuses: Vec::new(),
        connect_failure: false,
        reset: false,
        refused_stream: false,
        num_retries: message.u32("num_retries").unwrap_or(1),
        base_interval: Duration::from_millis(25),
        max_interval: Duration::from_millis(250),
    };
    if let Some(retry_on) = message.get("retry_on") {
        read_retry_on(&retry_on, &mut policy);
    }
    let Some(back_off) = message.message("retry_back_off", &BACKOFF_STRATEGY) else { return Some(policy) };
    if let Some(base) = back_off.required("base_interval")
        && let Some(interval) = base.duration()
    {
        if interval < Duration::from_millis(1) {
            base.error("must be at least 0.001s");
        }
        policy.base_interval = interval;
        policy.max_interval = interval * 10;
    }
    if let Some(max) = back_off.get("max_interval")
        && let Some(interval) = max.duration()
    {
        if interval < policy.base_interval {
            max.error("must not be below base_interval");
        }
        policy.max_interval = interval;
    }
    Some(policy)
}

/// Reads the conditions, separated by commas. As in Envoy one that is not known does no harm.
fn read_retry_on(value: &Value<'_>, policy: &mut GrpcRetryPolicy) {
    let text = value.string().unwrap_or_default();
    for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        match CONDITIONS.iter().find(|(known, _)| *known == name).map(|(_, condition)| *condition) {
            Some(RetryOn::Code(code)) => policy.retriable_codes.push(code),
            Some(RetryOn::Statuses(from, to)) => policy.retriable_statuses.push(from..=to),
            Some(RetryOn::StatusesAndReset(from, to)) => {
                policy.retriable_statuses.push(from..=to);
                policy.reset = true;
            }
            Some(RetryOn::ConnectFailure) => policy.connect_failure = true,
            Some(RetryOn::Reset) => policy.reset = true,
            Some(RetryOn::RefusedStream) => policy.refused_stream = true,
            Some(RetryOn::Nothing) => {
                value
                    .no_effect(format!("the condition \"{name}\""), "a stream to a processor never meets it");
            }
            None => {
                let known = CONDITIONS.iter().map(|(name, _)| *name);
                let help = match nearest(name, known.clone()) {
                    Some(near) => format!("did you mean \"{near}\"?"),
                    None => format!("known: {}", known.collect::<Vec<_>>().join(", ")),
                };
                value.warning(format!("the condition \"{name}\" is not known; it has no effect"), help);
            }
        }
    }
}

/// The names of what a policy tries again, in the order of the policy.
pub(super) fn conditions(policy: &GrpcRetryPolicy) -> Vec<&'static str> {
    let named = |wanted: &dyn Fn(RetryOn) -> bool| {
        CONDITIONS.iter().find(|(_, condition)| wanted(*condition)).map(|(name, _)| *name)
    };
    let codes = policy
        .retriable_codes
        .iter()
        .filter_map(|code| named(&|condition| matches!(condition, RetryOn::Code(known) if known == *code)));
    let statuses = policy.retriable_statuses.iter().filter_map(|statuses| {
        named(&|condition| match condition {
            RetryOn::Statuses(from, to) | RetryOn::StatusesAndReset(from, to) => *statuses == (from..=to),
            _ => false,
        })
    });
    let others = [
        (policy.connect_failure, "connect-failure"),
        (policy.reset, "reset"),
        (policy.refused_stream, "refused-stream"),
    ];
    let others = others.into_iter().filter(|(holds, _)| *holds).map(|(_, name)| name);
    codes.chain(statuses).chain(others).collect()
}
