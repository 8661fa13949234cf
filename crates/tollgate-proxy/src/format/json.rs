//! JSON as Envoy's logs write it.

use extproc::messages::{Struct, Value, value::Kind};

/// Writes a string with its quotation marks.
pub(super) fn write_string(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    write_escaped(text, out);
    out.push(b'"');
}

/// Writes the content of a string. Bytes that are not UTF-8 become the characters of the same number.
pub(super) fn write_escaped(text: &[u8], out: &mut Vec<u8>) {
    let is_utf8 = std::str::from_utf8(text).is_ok();
    for byte in text {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            0..0x20 | 0x7f => push_code(*byte, out),
            0x80.. if !is_utf8 => push_code(*byte, out),
            _ => out.push(*byte),
        }
    }
}

fn push_code(byte: u8, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.extend_from_slice(b"\\u00");
    out.push(HEX[usize::from(byte >> 4)]);
    out.push(HEX[usize::from(byte & 15)]);
}

/// A dynamic value; members are sorted by name.
pub(super) fn write_value(value: &Value, out: &mut Vec<u8>) {
    match &value.kind {
        None | Some(Kind::NullValue(_)) => out.extend_from_slice(b"null"),
        Some(Kind::NumberValue(number)) => write_number(*number, out),
        Some(Kind::StringValue(text)) => write_string(text.as_bytes(), out),
        Some(Kind::BoolValue(value)) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Some(Kind::StructValue(members)) => write_struct(members, out),
        Some(Kind::ListValue(list)) => {
            out.push(b'[');
            for (index, element) in list.values.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_value(element, out);
            }
            out.push(b']');
        }
    }
}

pub(super) fn write_struct(members: &Struct, out: &mut Vec<u8>) {
    out.push(b'{');
    for (index, (name, value)) in members.fields.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_string(name.as_bytes(), out);
        out.push(b':');
        write_value(value, out);
    }
    out.push(b'}');
}

/// Whole numbers without a point; what is no number in JSON is null.
fn write_number(number: f64, out: &mut Vec<u8>) {
    if !number.is_finite() {
        out.extend_from_slice(b"null");
    } else if number.fract() == 0.0 && number.abs() < 1e15 {
        out.extend_from_slice((number as i64).to_string().as_bytes());
    } else {
        out.extend_from_slice(number.to_string().as_bytes());
    }
}
