//! Format strings filled in with the facts of a request.

mod address;
mod cel;
mod certificate;
mod connection;
mod grpc_status;
mod json;
mod logging;
mod operator;
mod query;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use extproc::{Messages, log::LoggingInfo};
use tollgate_model::{
    access_log::JsonFormat,
    format::{Format, FormatPart, Operator},
};

pub(crate) use self::{
    connection::{CloseType, ConnectionEnd},
    query::{decode as decode_parameter, parameter as query_parameter},
};
use crate::stream_info::StreamInfo;

/// Something that format strings can be about: a request or a connection.
pub(crate) trait Facts {
    /// The value of an operator; `None` = there is none.
    fn value(&self, operator: &Operator) -> Option<Value<'_>>;
}

impl Facts for FormatContext<'_> {
    fn value(&self, operator: &Operator) -> Option<Value<'_>> {
        operator::evaluate(operator, self)
    }
}

/// What format strings may show of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FormatContext<'a> {
    /// Facts.
    pub(crate) info: &'a StreamInfo,
    /// Heads and trailers.
    pub(crate) messages: &'a Messages,
    /// What external processing filters report (G-1).
    pub(crate) logs: &'a [FilterLog<'a>],
}

/// What an external processing filter reports.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FilterLog<'a> {
    /// The filter's name in its chain.
    pub(crate) name: &'a str,
    /// Its steps and how they ended.
    pub(crate) info: &'a LoggingInfo,
    /// Its processor, if that was contacted (G-2).
    pub(crate) destination: &'a str,
}

/// What an operator gives.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value<'a> {
    /// A string; header values may be any bytes.
    Text(Cow<'a, [u8]>),
    /// A number.
    Number(u64),
    /// A JSON value as it is written.
    Json(String),
    /// A value that is something else in text than in JSON.
    Typed {
        /// In text.
        text: Vec<u8>,
        /// In JSON.
        json: Vec<u8>,
    },
}

impl Value<'_> {
    fn text(text: &str) -> Value<'_> {
        Value::Text(Cow::Borrowed(text.as_bytes()))
    }

    fn owned(text: String) -> Self {
        Self::Text(Cow::Owned(text.into_bytes()))
    }
}

/// Appends the text of a format string; what is missing shows as `-`. Control characters of values are escaped: a client
/// could forge lines of a log with those that it has encoded in a query.
pub(crate) fn write_text(format: &Format, facts: &dyn Facts, out: &mut Vec<u8>) {
    for part in format.parts() {
        let start = out.len();
        write_part(part, facts, b"-", out);
        if matches!(part, FormatPart::Operator(_)) {
            escape_controls(out, start);
        }
    }
}

/// Writes control characters behind `start` as `\xNN`; a tab may stay.
fn escape_controls(out: &mut Vec<u8>, start: usize) {
    let is_control = |byte: &u8| byte.is_ascii_control() && *byte != b'\t';
    if !out[start..].iter().any(is_control) {
        return;
    }
    let value = out.split_off(start);
    for byte in value {
        if is_control(&byte) {
            out.extend_from_slice(format!("\\x{byte:02x}").as_bytes());
        } else {
            out.push(byte);
        }
    }
}

/// The value of an operator whose value is a number.
pub(crate) fn evaluate_number(operator: &Operator, facts: &dyn Facts) -> Option<u64> {
    match facts.value(operator)? {
        Value::Number(number) => Some(number),
        _ => None,
    }
}

/// The text of a format string for a header or metadata value; what is missing is left out (N-3).
pub(crate) fn evaluate_header(format: &Format, context: &FormatContext<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    write_parts(format, context, b"", &mut out);
    out
}

/// Appends a JSON format. A lone operator keeps its type, and is null when it is missing; inside longer strings what is
/// missing shows as `-`.
pub(crate) fn write_json(format: &JsonFormat, facts: &dyn Facts, out: &mut Vec<u8>) {
    match format {
        JsonFormat::Object(members) => {
            out.push(b'{');
            for (index, (name, value)) in members.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                json::write_string(name.as_bytes(), out);
                out.push(b':');
                write_json(value, facts, out);
            }
            out.push(b'}');
        }
        JsonFormat::Array(elements) => {
            out.push(b'[');
            for (index, element) in elements.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_json(element, facts, out);
            }
            out.push(b']');
        }
        JsonFormat::Literal(literal) => out.extend_from_slice(literal.as_bytes()),
        JsonFormat::Format(format) => match format.as_operator() {
            Some(operator) => match facts.value(operator) {
                None => out.extend_from_slice(b"null"),
                Some(Value::Text(text)) => json::write_string(&text, out),
                Some(Value::Number(number)) => out.extend_from_slice(number.to_string().as_bytes()),
                Some(Value::Json(json)) => out.extend_from_slice(json.as_bytes()),
                Some(Value::Typed { json, .. }) => out.extend_from_slice(&json),
            },
            None => write_json_string(format, facts, out),
        },
    }
}

/// Appends a string of several pieces. Each is escaped for itself: bytes that are no text in one do not spoil others.
fn write_json_string(format: &Format, facts: &dyn Facts, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut piece = Vec::new();
    for part in format.parts() {
        piece.clear();
        write_part(part, facts, b"-", &mut piece);
        json::write_escaped(&piece, out);
    }
    out.push(b'"');
}

fn write_parts(format: &Format, facts: &dyn Facts, missing: &[u8], out: &mut Vec<u8>) {
    for part in format.parts() {
        write_part(part, facts, missing, out);
    }
}

fn write_part(part: &FormatPart, facts: &dyn Facts, missing: &[u8], out: &mut Vec<u8>) {
    let operator = match part {
        FormatPart::Text(text) => return out.extend_from_slice(text.as_bytes()),
        FormatPart::Operator(operator) => operator,
    };
    match facts.value(operator) {
        None => out.extend_from_slice(missing),
        Some(Value::Text(text)) => out.extend_from_slice(&text),
        Some(Value::Typed { text, .. }) => out.extend_from_slice(&text),
        Some(Value::Number(number)) => out.extend_from_slice(number.to_string().as_bytes()),
        Some(Value::Json(json)) => {
            let length = operator::json_length(operator).map_or(json.len(), |length| length.min(json.len()));
            out.extend_from_slice(&json.as_bytes()[..length]);
        }
    }
}
