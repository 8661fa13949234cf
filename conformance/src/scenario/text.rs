//! The small values scenarios are made of: bytes, header lists, durations.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::Value;

/// Converts scenario text to the bytes it stands for: Latin-1 while every character fits, else UTF-8.
///
/// Header values may hold any byte (obs-text), which YAML text can only name through its code point.
pub(crate) fn latin1(text: &str) -> Vec<u8> {
    if text.chars().all(|c| u32::from(c) <= 0xFF) {
        text.chars().map(|c| u32::from(c).to_le_bytes()[0]).collect()
    } else {
        text.as_bytes().to_vec()
    }
}

/// The reverse of [`latin1`], for transcripts and comparisons.
pub(crate) fn from_latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// Bytes for people: UTF-8 as it is, anything else escaped, long values cut with their length.
pub(crate) fn show(bytes: &[u8]) -> String {
    const LONGEST: usize = 200;
    let cut = &bytes[..bytes.len().min(LONGEST)];
    let text = match std::str::from_utf8(cut) {
        Ok(text) => format!("{text:?}"),
        Err(_) => format!("\"{}\"", cut.escape_ascii()),
    };
    if bytes.len() > LONGEST { format!("{text}... ({} bytes)", bytes.len()) } else { text }
}

/// Text of a YAML scalar as it is written on the wire (`200` and `"200"` are the same header value).
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Bytes of a body or a raw write: text, `{hex: ...}`, `{grpc: ...}`, `{repeat: text, count: N}` or a list of those.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Payload(pub Vec<u8>);

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        payload(&value).map(Self).map_err(D::Error::custom)
    }
}

fn payload(value: &Value) -> Result<Vec<u8>, String> {
    if let Some(text) = scalar(value) {
        return Ok(text.into_bytes());
    }
    match value {
        Value::Array(parts) => {
            let parts: Result<Vec<_>, _> = parts.iter().map(payload).collect();
            Ok(parts?.concat())
        }
        Value::Object(map) if map.contains_key("grpc") && map.len() == 1 => super::wire::grpc(&map["grpc"]),
        Value::Object(map) if map.len() == 1 => match map.get("hex").and_then(Value::as_str) {
            Some(text) => hex(text),
            None => Err(format!("expected text, {{hex}}, {{grpc}} or {{repeat, count}}, got {value}")),
        },
        Value::Object(map) if map.len() == 2 => {
            let repeat = map.get("repeat").and_then(scalar);
            let count = map.get("count").and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
            match (repeat, count) {
                (Some(text), Some(count)) => Ok(text.repeat(count).into_bytes()),
                _ => Err(format!("expected {{repeat, count}}, got {value}")),
            }
        }
        _ => Err(format!("expected text, {{hex}} or {{repeat, count}}, got {value}")),
    }
}

fn hex(text: &str) -> Result<Vec<u8>, String> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    if !digits.len().is_multiple_of(2) {
        return Err(format!("odd number of hex digits in {text:?}"));
    }
    digits
        .chunks(2)
        .map(|pair| {
            std::str::from_utf8(pair)
                .ok()
                .and_then(|pair| u8::from_str_radix(pair, 16).ok())
                .ok_or_else(|| format!("not hex: {text:?}"))
        })
        .collect()
}

/// The value of one header: Latin-1 text or a number, or `{hex: ...}` / `{repeat: ..., count: N}`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HeaderText(pub Vec<u8>);

impl<'de> Deserialize<'de> for HeaderText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        header_text(&value).map(Self).map_err(D::Error::custom)
    }
}

/// Reads the value of one header, see [`HeaderText`].
pub(crate) fn header_text(value: &Value) -> Result<Vec<u8>, String> {
    match scalar(value) {
        Some(text) => Ok(latin1(&text)),
        None => payload(value),
    }
}

/// One header or trailer field: its name as written and its value's bytes.
pub(crate) type Field = (String, Vec<u8>);

/// Header fields to send: `{name: value}` or `{name: [v1, v2]}`, or a list of `"name: value"` where order matters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields(pub Vec<Field>);

impl Fields {
    /// First value of a name, compared without case.
    pub(crate) fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_slice())
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        fields(&value).map(Self).map_err(D::Error::custom)
    }
}

fn fields(value: &Value) -> Result<Vec<Field>, String> {
    match value {
        Value::Object(map) => {
            let mut all = Vec::new();
            for (name, value) in map {
                let values = match value {
                    Value::Array(values) => values.clone(),
                    one => vec![one.clone()],
                };
                for value in values {
                    all.push((
                        name.clone(),
                        header_text(&value).map_err(|error| format!("{name}: {error}"))?,
                    ));
                }
            }
            Ok(all)
        }
        Value::Array(lines) => lines
            .iter()
            .map(|line| {
                let line = line.as_str().ok_or("expected \"name: value\"")?;
                let colon = line
                    .char_indices()
                    .skip(1)
                    .find(|(_, c)| *c == ':')
                    .map(|(at, _)| at)
                    .ok_or_else(|| format!("no colon in {line:?}"))?;
                let value = &line[colon + 1..];
                Ok((line[..colon].to_owned(), latin1(value.strip_prefix(' ').unwrap_or(value))))
            })
            .collect(),
        _ => Err("headers are {name: value} or a list of \"name: value\"".to_owned()),
    }
}

/// A duration such as `150ms` or `2s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span(pub Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        span(&text).map(Self).map_err(D::Error::custom)
    }
}

fn span(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let number: f64 = text[..split].parse().map_err(|_| format!("not a duration: {text:?}"))?;
    let scale = match &text[split..] {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        _ => return Err(format!("a duration ends in us, ms or s: {text:?}")),
    };
    Duration::try_from_secs_f64(number * scale).map_err(|_| format!("not a duration: {text:?}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn payload_forms() {
        assert_eq!(payload(&json!("abc")), Ok(b"abc".to_vec()));
        assert_eq!(payload(&json!({"hex": "00 ff"})), Ok(vec![0, 0xff]));
        assert_eq!(payload(&json!([{"repeat": "ab", "count": 2}, "c"])), Ok(b"ababc".to_vec()));
        assert!(payload(&json!({"hex": "0"})).is_err());
        assert!(payload(&json!({"text": "0"})).is_err());
    }

    #[test]
    fn field_forms_keep_order_and_bytes() {
        let listed = fields(&json!(["b: 1", "a:  2", ":path: /x:y"])).expect("list");
        assert_eq!(
            listed,
            [("b".into(), b"1".to_vec()), ("a".into(), b" 2".to_vec()), (":path".into(), b"/x:y".to_vec())]
        );
        let mapped = fields(&json!({"x": [1, "\u{e9}"]})).expect("map");
        assert_eq!(mapped, [("x".into(), b"1".to_vec()), ("x".into(), vec![0xe9])]);
    }

    #[test]
    fn spans() {
        assert_eq!(span("150ms"), Ok(Duration::from_millis(150)));
        assert_eq!(span("1.5s"), Ok(Duration::from_millis(1500)));
        assert!(span("5").is_err());
    }
}
