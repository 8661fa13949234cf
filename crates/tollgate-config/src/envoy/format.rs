//! Format strings.

use tollgate_model::format::{Format, Formatters};

use crate::schema::{Schema, Value, read, refused};

pub(super) static HEADER_VALUE: Schema = Schema {
    name: "envoy.config.core.v3.HeaderValue",
    title: "",
    fields: &[
        read("key", "", "Name of the header. Required."),
        read("value", "", "Value; may hold `%OPERATOR%`s."),
        refused("raw_value", "use value"),
    ],
    unsupported: &[],
};

/// The schemas of this module.
pub(super) static SCHEMAS: [&Schema; 1] = [&HEADER_VALUE];

/// Reads a format string for a header.
pub(super) fn read_header_format(value: &Value<'_>) -> Option<Format> {
    parse_format(value, &value.header_text()?, Formatters::default())
}

/// Longest format string, bytes.
const LONGEST_FORMAT: usize = 64 * 1024;

/// Compiles `text`, which is what `value` holds.
pub(super) fn parse_format(value: &Value<'_>, text: &str, formatters: Formatters<'_>) -> Option<Format> {
    if text.len() > LONGEST_FORMAT {
        value.error(format!("longer than {LONGEST_FORMAT} bytes"));
        return None;
    }
    match Format::parse_with(text, formatters) {
        Ok(format) => Some(format),
        Err(error) => {
            value.error_at(error.position, format!("not a format string: {}", error.problem));
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
            let key = message.required("key").and_then(|key| {
                let name = key.non_empty_string()?;
                if http::HeaderName::try_from(&name).is_err() {
                    key.error(format!("\"{name}\" is not a header name"));
                }
                Some(name)
            });
            let format = match message.get("value") {
                Some(value) => read_header_format(&value)?,
                None => Format::literal(""),
            };
            Some((key?, format))
        })
        .collect()
}
