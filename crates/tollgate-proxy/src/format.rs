//! Format strings filled in with the facts of a request.

mod filter_state;
mod operator;

use extproc::{Messages, log::LoggingInfo};
use serde_json::Value;
use tollgate_model::format::{Format, FormatPart};

use crate::stream_info::StreamInfo;

/// What format strings may show.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FormatContext<'a> {
    /// Facts.
    pub(crate) info: &'a StreamInfo,
    /// Heads and trailers.
    pub(crate) messages: &'a Messages,
    /// What filters tell, by their name (G-1).
    pub(crate) logs: &'a [(&'a str, &'a LoggingInfo)],
}

/// The text of a format string; what is missing shows as `-`.
pub(crate) fn evaluate(format: &Format, context: &FormatContext<'_>) -> String {
    evaluate_or(format, context, "-")
}

/// The text of a format string for a header or metadata value; what is missing is left out (N-3).
pub(crate) fn evaluate_header(format: &Format, context: &FormatContext<'_>) -> String {
    evaluate_or(format, context, "")
}

fn evaluate_or(format: &Format, context: &FormatContext<'_>, missing: &str) -> String {
    let mut text = String::new();
    for part in format.parts() {
        match part {
            FormatPart::Text(fixed) => text.push_str(fixed),
            FormatPart::Operator(operator) => match operator::value(operator, context) {
                Some(value) => push(&value, &mut text),
                None => text.push_str(missing),
            },
        }
    }
    text
}

/// The value of a format string in JSON: a lone operator keeps its type, and is null when it is missing.
pub(crate) fn evaluate_json(format: &Format, context: &FormatContext<'_>) -> Value {
    match format.as_operator() {
        Some(operator) => operator::value(operator, context).unwrap_or(Value::Null),
        None => Value::String(evaluate(format, context)),
    }
}

fn push(value: &Value, text: &mut String) {
    match value {
        Value::String(string) => text.push_str(string),
        other => text.push_str(&other.to_string()),
    }
}
