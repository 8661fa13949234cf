//! A processor: what it is sent, every setting, and what its failures do.

use extproc::{BodySendMode, HeaderSendMode, Plan};
use serde_json::{Value, json};
use tollgate_config::ProcessorOrigin;
use tollgate_model::{
    Snapshot,
    processor::{ExtProc, GrpcTarget},
};

use super::{
    cluster::endpoints,
    origin,
    settings::{self, attributes, duration, forwarded},
};

/// What is told of a processor.
pub(super) fn describe(
    filter: &str,
    upstream: bool,
    settings: &ExtProc,
    from: Option<&ProcessorOrigin>,
    snapshot: &Snapshot,
) -> Value {
    let (target, endpoints) = match &settings.grpc_service.target {
        GrpcTarget::EnvoyGrpc(name) => (format!("cluster {name}"), endpoints(snapshot, name)),
        GrpcTarget::GoogleGrpc(cluster) => (format!("target {}", cluster.name), Vec::new()),
    };
    let mut described = json!({
        "filter": filter,
        "upstream": upstream,
        "target": target,
        "endpoints": endpoints,
        "authority": settings.grpc_service.authority,
        "sent": sent(&settings.plan),
        "settings": settings::describe(settings, from),
        "failures": failures(&settings.plan),
    });
    if let Some(from) = from {
        described["defined_by"] = origin(&from.defined_by);
        described["enabled_by"] = origin(&from.enabled_by);
    }
    described
}

/// The steps of an exchange, in their order.
pub(super) const STEPS: [&str; 6] = [
    "request_headers",
    "request_body",
    "request_trailers",
    "response_headers",
    "response_body",
    "response_trailers",
];

/// What is sent in each step.
fn sent(plan: &Plan) -> Value {
    let mode = plan.processing_mode;
    let headers = |mode, asked: &extproc::Attributes| {
        if mode == HeaderSendMode::Skip {
            return "not sent".to_owned();
        }
        let mut sent = forwarded(plan);
        if !asked.is_empty() {
            sent = format!("{sent}; attributes {}", attributes(asked));
        }
        sent
    };
    let trailers = |mode| if mode == HeaderSendMode::Send { "sent" } else { "not sent" };
    let body = |mode| match mode {
        BodySendMode::None => "not sent",
        BodySendMode::Streamed => "piece by piece, each waits for its answer",
        BodySendMode::Buffered => "whole; 413 or 500 if it does not fit the buffer",
        BodySendMode::BufferedPartial => "as much as fits the buffer, the rest unseen",
        BodySendMode::FullDuplexStreamed => "piece by piece, the processor sends the body back",
        BodySendMode::Grpc => "message by message",
    };
    json!({
        "request_headers": headers(mode.request_header_mode, &plan.request_attributes),
        "request_body": body(mode.request_body_mode),
        "request_trailers": trailers(mode.request_trailer_mode),
        "response_headers": headers(mode.response_header_mode, &plan.response_attributes),
        "response_body": body(mode.response_body_mode),
        "response_trailers": trailers(mode.response_trailer_mode),
    })
}

/// The kinds of failures, in the order in which they are told.
pub(super) const FAILURES: [&str; 4] =
    ["unreachable_or_broken", "message_timeout", "wrong_answer", "refused_mutation"];

/// What each kind of failure does.
fn failures(plan: &Plan) -> Value {
    if plan.observability_mode {
        let nothing = "nothing: answers are not waited for";
        return FAILURES.iter().map(|failure| ((*failure).to_owned(), json!(nothing))).collect();
    }
    let status = plan.status_on_error.as_u16();
    let mode = plan.processing_mode;
    let duplex =
        [mode.request_body_mode, mode.response_body_mode].contains(&BodySendMode::FullDuplexStreamed);
    let except = if duplex { " (there is no limit in full duplex)" } else { "" };
    let within = format!("without an answer within {}{except}", duration(plan.message_timeout));
    let open = "the request goes on without the processor";
    let (broken, late, wrong) = match plan.failure_mode_allow {
        true => (open.to_owned(), format!("{within}, {open}"), open.to_owned()),
        false => (status.to_string(), format!("{within}: 504"), status.to_string()),
    };
    // M-9: it is never failed open.
    let refused = if plan.failure_mode_allow { format!("{status}, even so") } else { status.to_string() };
    json!({
        "unreachable_or_broken": broken,
        "message_timeout": late,
        "wrong_answer": wrong,
        "refused_mutation": refused,
    })
}
