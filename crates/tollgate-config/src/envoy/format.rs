//! Format strings.

use tollgate_model::format::Format;

use crate::protobuf::{Schema, Value, read, refused};

pub(super) static HEADER_VALUE: Schema = Schema {
    name: "envoy.config.core.v3.HeaderValue",
    fields: &[
        read("key", "", "Name of the header. Required."),
        read("value", "", "Value; may hold `%OPERATOR%`s."),
        refused("raw_value", "use value"),
    ],
    unsupported: &[],
};

/// Reads a format string.
pub(super) fn read_format(value: &Value<'_>) -> Option<Format> {
    let text = value.string()?;
    match Format::parse(&text) {
        Ok(format) => Some(format),
        Err(problem) => {
            value.error(format!("\"{text}\" is not a format string: {problem}"));
            None
        }
    }
}

/// Reads names and values with operators.
pub(super) fn read_header_values(values: &[Value<'_>]) -> Vec<(String, Format)> {
    values
        .iter()
        .filter_map(|value| {
            let message = value.message(&HEADER_VALUE)?;
            let key = message.required_string("key");
            Some((key, message.get("value").and_then(|value| read_format(&value))?))
        })
        .collect()
}
