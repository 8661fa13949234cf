//! Values for people and for JSON.

use std::fmt::Write;

use extproc::messages::{ListValue, Struct, Value as Dynamic, value::Kind};

use crate::{number::six_digits, time, value::Value};

/// As Envoy prints a value.
pub(crate) fn text(value: &Value<'_>) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Uint(value) => value.to_string(),
        Value::Double(value) => six_digits(*value),
        Value::String(text) => text.clone().into_owned(),
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Timestamp(moment) => time::timestamp_text(*moment),
        Value::Duration(duration) => time::duration_text(*duration),
        Value::List(_) => "CelList value".to_owned(),
        Value::Map(_) | Value::Group => "CelMap value".to_owned(),
        Value::Type(_) => "CelType value".to_owned(),
        Value::Message(fields) => {
            let mut text = String::new();
            write_message(fields, &mut text);
            text
        }
    }
}

/// As JSON has it; what JSON does not have is `None`.
pub(crate) fn json(value: Value<'_>) -> Option<Dynamic> {
    Some(match value {
        Value::Null => Dynamic { kind: Some(Kind::NullValue(0)) },
        Value::Bool(value) => Dynamic::bool(value),
        Value::Int(value) => Dynamic::number(value as f64),
        Value::Uint(value) => Dynamic::number(value as f64),
        Value::Double(value) if value.is_finite() => Dynamic::number(value),
        Value::Double(value) => Dynamic::string(if value.is_nan() {
            "NaN"
        } else if value > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        }),
        Value::String(text) => Dynamic::string(text.into_owned()),
        Value::Bytes(bytes) => Dynamic::string(base64(&bytes)),
        Value::Timestamp(moment) => Dynamic::string(time::timestamp_json(moment)),
        Value::Duration(duration) => Dynamic::string(time::duration_json(duration)),
        Value::List(elements) => {
            let values = elements.into_iter().map(json).collect::<Option<_>>()?;
            Dynamic { kind: Some(Kind::ListValue(ListValue { values })) }
        }
        Value::Map(entries) => {
            let entry = |(key, value): (Value<'_>, Value<'_>)| Some((key_text(&key)?, json(value)?));
            Struct { fields: entries.into_iter().map(entry).collect::<Option<_>>()? }.into()
        }
        Value::Message(fields) => fields.into(),
        Value::Type(_) | Value::Group => return None,
    })
}

fn key_text(key: &Value<'_>) -> Option<String> {
    match key {
        Value::String(_) | Value::Bool(_) | Value::Int(_) | Value::Uint(_) => Some(text(key)),
        _ => None,
    }
}

/// RFC 4648 section 4.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits =
            group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..4 {
            if place <= group.len() {
                text.push(LETTERS[(bits >> (18 - 6 * place) & 63) as usize].into());
            } else {
                text.push('=');
            }
        }
    }
    text
}

/// Protobuf's text of the messages that attributes are: metadata, and messages of strings.
fn write_message(fields: &Struct, out: &mut String) {
    for (name, value) in &fields.fields {
        match &value.kind {
            Some(Kind::StringValue(text)) if !text.is_empty() => {
                let _ = write!(out, "{name}: {} ", quoted(text));
            }
            Some(Kind::StructValue(namespaces)) => {
                for (key, value) in &namespaces.fields {
                    let _ = write!(out, "{name} {{ key: {} value {{ ", quoted(key));
                    if let Some(Kind::StructValue(fields)) = &value.kind {
                        write_struct(fields, out);
                    }
                    out.push_str("} } ");
                }
            }
            _ => {}
        }
    }
}

fn write_struct(fields: &Struct, out: &mut String) {
    for (key, value) in &fields.fields {
        let _ = write!(out, "fields {{ key: {} value {{ ", quoted(key));
        write_dynamic(value, out);
        out.push_str("} } ");
    }
}

fn write_dynamic(value: &Dynamic, out: &mut String) {
    match &value.kind {
        None => {}
        Some(Kind::NullValue(_)) => out.push_str("null_value: NULL_VALUE "),
        Some(Kind::BoolValue(value)) => {
            let _ = write!(out, "bool_value: {value} ");
        }
        Some(Kind::NumberValue(number)) => {
            let _ = write!(out, "number_value: {number} ");
        }
        Some(Kind::StringValue(text)) => {
            let _ = write!(out, "string_value: {} ", quoted(text));
        }
        Some(Kind::StructValue(fields)) => {
            out.push_str("struct_value { ");
            write_struct(fields, out);
            out.push_str("} ");
        }
        Some(Kind::ListValue(list)) => {
            out.push_str("list_value { ");
            for value in &list.values {
                out.push_str("values { ");
                write_dynamic(value, out);
                out.push_str("} ");
            }
            out.push_str("} ");
        }
    }
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' | b'\'' => {
                quoted.push('\\');
                quoted.push(byte.into());
            }
            b'\n' => quoted.push_str("\\n"),
            b'\r' => quoted.push_str("\\r"),
            b'\t' => quoted.push_str("\\t"),
            0x20..0x7f => quoted.push(byte.into()),
            _ => {
                let _ = write!(quoted, "\\{byte:03o}");
            }
        }
    }
    quoted.push('"');
    quoted
}
