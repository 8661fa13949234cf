//! A processor: what it is sent, every setting, and what its failures do.

use extproc::{BodySendMode, HeaderSendMode, ProcessingMode};
use serde_json::{Value, json};
use tollgate_config::ProcessorOrigin;
use tollgate_model::processor::{ExtProc, GrpcTarget};

use super::{origin, place};

/// What is told of a processor.
pub(super) fn describe(
    filter: &str,
    upstream: bool,
    settings: &ExtProc,
    from: Option<&ProcessorOrigin>,
) -> Value {
    let mut described = json!({
        "filter": filter,
        "upstream": upstream,
        "target": match &settings.grpc_service.target {
            GrpcTarget::EnvoyGrpc(name) => format!("cluster {name}"),
            GrpcTarget::GoogleGrpc(cluster) => format!("target {}", cluster.name),
        },
        "authority": settings.grpc_service.authority,
        "sent": sent(settings),
        "settings": self::settings(settings, from),
        "failures": failures(settings),
    });
    if let Some(from) = from {
        described["defined_by"] = origin(&from.defined_by);
        described["enabled_by"] = origin(&from.enabled_by);
    }
    described
}

/// What is sent in each step.
fn sent(settings: &ExtProc) -> Value {
    let mode = settings.plan.processing_mode;
    let headers = |mode| if mode == HeaderSendMode::Skip { "not sent" } else { "sent" };
    let trailers = |mode| if mode == HeaderSendMode::Send { "sent" } else { "not sent" };
    let body = |mode| match mode {
        BodySendMode::None => "not sent",
        BodySendMode::Streamed => "piece by piece",
        BodySendMode::Buffered => "whole",
        BodySendMode::BufferedPartial => "as much as the buffer holds",
        BodySendMode::FullDuplexStreamed => "piece by piece, answered independently",
        BodySendMode::Grpc => "message by message",
    };
    json!({
        "request_headers": headers(mode.request_header_mode),
        "request_body": body(mode.request_body_mode),
        "request_trailers": trailers(mode.request_trailer_mode),
        "response_headers": headers(mode.response_header_mode),
        "response_body": body(mode.response_body_mode),
        "response_trailers": trailers(mode.response_trailer_mode),
    })
}

/// Every setting with its value and where it comes from.
fn settings(settings: &ExtProc, from: Option<&ProcessorOrigin>) -> Value {
    let plan = &settings.plan;
    let all = [
        ("failure_mode_allow", json!(plan.failure_mode_allow)),
        ("processing_mode", json!(mode(plan.processing_mode))),
        ("message_timeout", json!(format!("{:?}", plan.message_timeout))),
        ("max_message_timeout", json!(format!("{:?}", plan.max_message_timeout))),
        ("status_on_error", json!(plan.status_on_error.as_u16())),
        ("allow_mode_override", json!(plan.allow_mode_override)),
        ("allowed_override_modes", json!(plan.allowed_override_modes.len())),
        ("disable_immediate_response", json!(plan.disable_immediate_response)),
        ("observability_mode", json!(plan.observability_mode)),
        ("route_cache_action", json!(format!("{:?}", plan.route_cache_action))),
        ("request_attributes", json!(format!("{:?}", plan.request_attributes))),
        ("response_attributes", json!(format!("{:?}", plan.response_attributes))),
        ("metadata_options", json!(format!("{:?}", plan.metadata_options))),
        ("mutation_rules", json!(format!("{:?}", plan.mutation_rules))),
        ("forward_rules", json!(format!("{:?}", plan.forward_rules))),
        ("max_receive_message_length", json!(settings.grpc_service.max_receive_message_length)),
    ];
    all.into_iter()
        .map(|(name, value)| {
            // Only objects say where a setting is written; of an Envoy configuration it is not known.
            let source = from.map(|from| from.sources.get(name).map_or_else(|| json!("default"), place));
            json!({ "name": name, "value": value, "from": source })
        })
        .collect()
}

/// The six parts, requests before responses.
fn mode(mode: ProcessingMode) -> String {
    format!(
        "headers {:?}/{:?}, bodies {:?}/{:?}, trailers {:?}/{:?}",
        mode.request_header_mode,
        mode.response_header_mode,
        mode.request_body_mode,
        mode.response_body_mode,
        mode.request_trailer_mode,
        mode.response_trailer_mode,
    )
}

/// What each kind of failure does.
fn failures(settings: &ExtProc) -> Value {
    let plan = &settings.plan;
    if plan.observability_mode {
        return json!({ "any": "nothing: answers are not waited for" });
    }
    if plan.failure_mode_allow {
        return json!({
            "any": "the request goes on without the processor",
            "refused_mutation": format!("{}, even so", plan.status_on_error.as_u16()),
        });
    }
    json!({
        "unreachable_or_broken": plan.status_on_error.as_u16(),
        "message_timeout": 504,
        "wrong_answer": plan.status_on_error.as_u16(),
        "refused_mutation": plan.status_on_error.as_u16(),
    })
}
