//! `retry`: reopening of streams.

use std::time::Duration;

use tollgate_model::processor::GrpcRetryPolicy;

use super::duration;
use crate::schema::{Enumeration, Message, Schema, Value, read, unimplemented};

static RETRY: Schema = Schema {
    name: "Retry",
    title: "",
    fields: &[
        read("numRetries", "2", "Tries after the first."),
        unimplemented("numAttemptsPerPriority", "each try goes to any endpoint"),
        read("retryOn", "connect-failure, refused-stream, unavailable, cancelled", "What is tried again."),
        read("perRetry", "{}", "Time between tries."),
    ],
    unsupported: &[],
};

static RETRY_ON: Schema = Schema {
    name: "RetryOn",
    title: "",
    fields: &[
        read("triggers", "[]", "Conditions."),
        unimplemented("httpStatusCodes", "a stream to a processor is judged by its gRPC status"),
    ],
    unsupported: &[],
};

static PER_RETRY: Schema = Schema {
    name: "PerRetryPolicy",
    title: "",
    fields: &[
        unimplemented("timeout", "messageTimeout limits each answer of a processor"),
        read("backOff", "25ms to 250ms", "Time between tries."),
    ],
    unsupported: &[],
};

static BACK_OFF: Schema = Schema {
    name: "BackOffPolicy",
    title: "",
    fields: &[
        read("baseInterval", "", "First interval. Required."),
        read("maxInterval", "10 times baseInterval", "Longest interval."),
    ],
    unsupported: &[],
};

/// What a trigger asks for.
#[derive(Debug, Clone, Copy)]
enum Trigger {
    Code(u8),
    Statuses(u16, u16),
    /// Statuses, or a stream that broke.
    StatusesAndReset(u16, u16),
    ConnectFailure,
    Reset,
    RefusedStream,
    /// Something a stream to a processor never meets.
    Nothing,
}

static TRIGGER: Enumeration<Trigger> = Enumeration {
    values: &[
        ("5xx", 0, Some(Trigger::StatusesAndReset(500, 599))),
        ("gateway-error", 1, Some(Trigger::StatusesAndReset(502, 504))),
        ("reset", 2, Some(Trigger::Reset)),
        ("reset-before-request", 3, Some(Trigger::ConnectFailure)),
        ("connect-failure", 4, Some(Trigger::ConnectFailure)),
        ("retriable-4xx", 5, Some(Trigger::Statuses(409, 409))),
        ("refused-stream", 6, Some(Trigger::RefusedStream)),
        ("retriable-status-codes", 7, Some(Trigger::Nothing)),
        ("cancelled", 8, Some(Trigger::Code(1))),
        ("deadline-exceeded", 9, Some(Trigger::Code(4))),
        ("internal", 10, Some(Trigger::Code(13))),
        ("resource-exhausted", 11, Some(Trigger::Code(8))),
        ("unavailable", 12, Some(Trigger::Code(14))),
    ],
};

/// What is tried again when nothing is said.
const DEFAULT_TRIGGERS: [Trigger; 4] =
    [Trigger::ConnectFailure, Trigger::RefusedStream, Trigger::Code(14), Trigger::Code(1)];

pub(super) fn read_retry(value: &Value<'_>) -> Option<GrpcRetryPolicy> {
    let message = value.message(&RETRY)?;
    let mut policy = GrpcRetryPolicy {
        retriable_codes: Vec::new(),
        retriable_statuses: Vec::new(),
        connect_failure: false,
        reset: false,
        refused_stream: false,
        num_retries: message.u32("numRetries").unwrap_or(2),
        base_interval: Duration::from_millis(25),
        max_interval: Duration::from_millis(250),
    };
    let triggers = message.message("retryOn", &RETRY_ON).map(|retry_on| retry_on.list("triggers"));
    let triggers = triggers.unwrap_or_default();
    let read: Vec<Trigger> = triggers.iter().filter_map(|value| value.enumeration(&TRIGGER)).collect();
    for trigger in if triggers.is_empty() { &DEFAULT_TRIGGERS[..] } else { &read } {
        match *trigger {
            Trigger::Code(code) => policy.retriable_codes.push(code),
            Trigger::Statuses(from, to) => policy.retriable_statuses.push(from..=to),
            Trigger::StatusesAndReset(from, to) => {
                policy.retriable_statuses.push(from..=to);
                policy.reset = true;
            }
            Trigger::ConnectFailure => policy.connect_failure = true,
            Trigger::Reset => policy.reset = true,
            Trigger::RefusedStream => policy.refused_stream = true,
            Trigger::Nothing => {}
        }
    }
    let back_off = message.message("perRetry", &PER_RETRY);
    if let Some(back_off) = back_off.and_then(|per_retry| per_retry.message("backOff", &BACK_OFF)) {
        read_back_off(&back_off, &mut policy);
    }
    Some(policy)
}

fn read_back_off(message: &Message<'_>, policy: &mut GrpcRetryPolicy) {
    if let Some(base) = message.required("baseInterval").and_then(|value| duration(&value)) {
        policy.base_interval = base.max(Duration::from_millis(1));
        policy.max_interval = base.saturating_mul(10);
    }
    if let Some(value) = message.get("maxInterval")
        && let Some(max) = duration(&value)
    {
        if max < policy.base_interval {
            value.error("maxInterval cannot be less than baseInterval");
        }
        policy.max_interval = max;
    }
}
