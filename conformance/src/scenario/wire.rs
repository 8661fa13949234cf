//! Messages of gRPC services in a few words: `{1: 7, 2: {1: text}}` are fields by number.

use serde_json::{Map, Value};

/// One message with the prefix that gRPC has before each.
///
/// # Errors
/// A field has no number or a value that stands for nothing.
pub(crate) fn grpc(value: &Value) -> Result<Vec<u8>, String> {
    let message = value.as_object().ok_or_else(|| format!("expected fields by number, got {value}"))?;
    let message = encode(message)?;
    let length = u32::try_from(message.len()).map_err(|error| error.to_string())?;
    Ok([&[0][..], &length.to_be_bytes(), &message].concat())
}

fn encode(fields: &Map<String, Value>) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    for (number, value) in fields {
        let number: u64 = number.parse().map_err(|_| format!("{number:?} is no number of a field"))?;
        match value {
            Value::Array(values) => {
                for value in values {
                    field(number, value, &mut bytes)?;
                }
            }
            value => field(number, value, &mut bytes)?,
        }
    }
    Ok(bytes)
}

fn field(number: u64, value: &Value, out: &mut Vec<u8>) -> Result<(), String> {
    let bytes = match value {
        Value::Bool(value) => {
            varint(number << 3, out);
            varint(u64::from(*value), out);
            return Ok(());
        }
        Value::Number(value) => {
            varint(number << 3, out);
            varint(value.as_u64().ok_or_else(|| format!("{value} is not written here"))?, out);
            return Ok(());
        }
        Value::String(text) => text.clone().into_bytes(),
        Value::Object(fields) => encode(fields)?,
        other => return Err(format!("{other} stands for nothing")),
    };
    varint(number << 3 | 2, out);
    varint(bytes.len() as u64, out);
    out.extend_from_slice(&bytes);
    Ok(())
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// What is other than expected in one message with gRPC's prefix. Fields that are not mentioned may be anything; `null` is
/// one that is not there, and of a field that comes several times one has to fit.
pub(crate) fn difference(expected: &Value, bytes: &[u8]) -> Option<String> {
    match bytes.get(5..) {
        Some(message) => message_difference("", expected, message),
        None => Some(format!("expected one message of gRPC, got {} bytes", bytes.len())),
    }
}

#[derive(Debug)]
enum Got<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn message_difference(path: &str, expected: &Value, bytes: &[u8]) -> Option<String> {
    let expected = expected.as_object()?;
    let Some(got) = decode(bytes) else { return Some(format!("{path}: not a message")) };
    for (number, wanted) in expected {
        let path = format!("{path}.{number}");
        let values: Vec<&Got<'_>> =
            got.iter().filter(|(known, _)| known.to_string() == *number).map(|(_, value)| value).collect();
        if wanted.is_null() {
            if !values.is_empty() {
                return Some(format!("{path}: expected nothing, got {values:?}"));
            }
            continue;
        }
        let all = match wanted {
            Value::Array(all) => all.as_slice(),
            one => std::slice::from_ref(one),
        };
        for wanted in all {
            let found: Vec<_> = values.iter().map(|value| value_difference(&path, wanted, value)).collect();
            if !found.iter().any(Option::is_none) {
                let first = found.into_iter().flatten().next();
                return Some(first.unwrap_or_else(|| format!("{path}: expected {wanted}, there is none")));
            }
        }
    }
    None
}

fn value_difference(path: &str, wanted: &Value, got: &Got<'_>) -> Option<String> {
    let fits = match (wanted, got) {
        (Value::Object(map), Got::Bytes(bytes)) => match map.get("matches").and_then(Value::as_str) {
            Some(pattern) => regex::Regex::new(pattern)
                .is_ok_and(|regex| std::str::from_utf8(bytes).is_ok_and(|text| regex.is_match(text))),
            None => return message_difference(path, wanted, bytes),
        },
        (Value::String(text), Got::Bytes(bytes)) => text.as_bytes() == *bytes,
        (Value::Bool(wanted), Got::Number(number)) => u64::from(*wanted) == *number,
        (Value::Number(wanted), Got::Number(number)) => wanted.as_u64() == Some(*number),
        _ => false,
    };
    (!fits).then(|| match got {
        Got::Number(number) => format!("{path}: expected {wanted}, got {number}"),
        Got::Bytes(bytes) => format!("{path}: expected {wanted}, got {}", super::text::show(bytes)),
    })
}

fn decode(mut bytes: &[u8]) -> Option<Vec<(u64, Got<'_>)>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = take_varint(&mut bytes)?;
        let mut take = |length: usize| {
            let (taken, rest) = bytes.split_at_checked(length)?;
            bytes = rest;
            Some(taken)
        };
        let value = match tag & 7 {
            1 => Got::Bytes(take(8)?),
            5 => Got::Bytes(take(4)?),
            0 => Got::Number(take_varint(&mut bytes)?),
            2 => {
                let length = usize::try_from(take_varint(&mut bytes)?).ok()?;
                let (taken, rest) = bytes.split_at_checked(length)?;
                bytes = rest;
                Got::Bytes(taken)
            }
            _ => return None,
        };
        fields.push((tag >> 3, value));
    }
    Some(fields)
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_is_found() {
        let message = json!({"1": 300, "2": [{"1": "a"}, {"1": "b"}], "3": true});
        let bytes = grpc(&message).unwrap();
        assert_eq!(bytes, b"\x00\x00\x00\x00\x0f\x08\xac\x02\x12\x03\x0a\x01a\x12\x03\x0a\x01b\x18\x01");
        assert_eq!(difference(&message, &bytes), None);
        assert_eq!(difference(&json!({"2": {"1": "b", "9": null}}), &bytes), None);
        assert_eq!(difference(&json!({"2": {"1": {"matches": "^[b-c]$"}}}), &bytes), None);
        for wrong in [json!({"1": 299}), json!({"2": {"1": "c"}}), json!({"4": 1}), json!({"3": null})] {
            assert!(difference(&wrong, &bytes).is_some(), "{wrong}");
        }
    }
}
