//! From a tree to bytes.

use super::{
    MAX_DEPTH, Problem, WellKnown,
    decode::wire_type,
    format::{BYTES, VARINT, put_bytes, put_tag, put_varint},
    path_of, timestamp,
};
use crate::{
    schema::{
        base64,
        descriptors::{Cardinality, Descriptor, FieldDescriptor, Kind, Scalar, values_of},
        duration,
        message::is_spelling,
        scalar::{self, Plain},
    },
    yaml::{Content, Entry, Node},
};

type Result<T> = std::result::Result<T, Problem>;

/// Writes a tree as a message. It may be written in any way that is read: in either spelling, a single value for a list of one,
/// enum values by number. Fields that are spelt out with their defaults are written, too.
///
/// # Errors
/// What does not belong into such a message, with its path.
pub(crate) fn encode(type_name: &str, node: &Node) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    message(type_name, &node.content, "", 0, &mut out)?;
    Ok(out)
}

fn message(name: &str, content: &Content, path: &str, depth: usize, out: &mut Vec<u8>) -> Result<()> {
    if depth > MAX_DEPTH {
        return Err(Problem::new(path, format!("nested deeper than {MAX_DEPTH} messages")));
    }
    if let Some(well_known) = WellKnown::of(name) {
        return self::well_known(well_known, content, path, depth, out);
    }
    let descriptor = Descriptor::of(name)
        .ok_or_else(|| Problem::new(path, format!("the message type {name} is not known")))?;
    fields(descriptor, mapping(content, path)?, path, depth, out)
}

fn fields<'e>(
    descriptor: &'static Descriptor,
    entries: impl IntoIterator<Item = &'e Entry>,
    path: &str,
    depth: usize,
    out: &mut Vec<u8>,
) -> Result<()> {
    for entry in entries {
        let path = path_of(path, &entry.key);
        let field = descriptor.fields.iter().find(|field| is_spelling(field.name, &entry.key));
        let field = field.ok_or_else(|| {
            Problem::new(&path, format!("unknown field \"{}\" in {}", entry.key, descriptor.name))
        })?;
        let is_value = field.kind == Kind::Message("google.protobuf.Value".to_owned());
        if entry.value.content != Content::Null || is_value {
            self::field(field, &entry.value.content, &path, depth, out)?;
        }
    }
    Ok(())
}

fn field(
    field: &FieldDescriptor,
    content: &Content,
    path: &str,
    depth: usize,
    out: &mut Vec<u8>,
) -> Result<()> {
    match (field.cardinality, content) {
        (Cardinality::Map(key), content) => {
            for entry in mapping(content, path)? {
                let path = format!("{path}[\"{}\"]", entry.key);
                let mut pair = Vec::new();
                let written = match key {
                    Scalar::String => Content::Quoted(entry.key.clone()),
                    _ => Content::Plain(entry.key.clone()),
                };
                scalar_value(key, 1, &written, &path, &mut pair)?;
                single(&field.kind, 2, &entry.value.content, &path, depth, &mut pair)?;
                put_bytes(out, field.number, &pair);
            }
            Ok(())
        }
        (Cardinality::Repeated, Content::Sequence(items)) => list(field, items, path, depth, out),
        (_, content) => single(&field.kind, field.number, content, path, depth, out),
    }
}

/// The elements of a list, one by one: numbers need not be packed.
fn list(field: &FieldDescriptor, items: &[Node], path: &str, depth: usize, out: &mut Vec<u8>) -> Result<()> {
    for (index, item) in items.iter().enumerate() {
        let path = format!("{path}[{index}]");
        single(&field.kind, field.number, &item.content, &path, depth, out)?;
    }
    Ok(())
}

fn single(
    kind: &Kind,
    number: u32,
    content: &Content,
    path: &str,
    depth: usize,
    out: &mut Vec<u8>,
) -> Result<()> {
    match kind {
        Kind::Scalar(kind) => scalar_value(*kind, number, content, path, out),
        Kind::Enum(name) => {
            let value = enum_value(name, content)
                .ok_or_else(|| expected(path, &format!("a value of {name}"), content))?;
            put_tag(out, number, VARINT);
            put_varint(out, i64::from(value) as u64);
            Ok(())
        }
        Kind::Message(name) => {
            let mut inner = Vec::new();
            message(name, content, path, depth + 1, &mut inner)?;
            put_bytes(out, number, &inner);
            Ok(())
        }
    }
}

fn enum_value(name: &str, content: &Content) -> Option<i32> {
    let (Content::Plain(text) | Content::Quoted(text)) = content else { return None };
    let mut values = values_of(name).into_iter().flatten();
    let by_name = values.find(|(_, known)| known == text).map(|(value, _)| *value);
    by_name.or_else(|| text.parse().ok())
}

fn scalar_value(kind: Scalar, number: u32, content: &Content, path: &str, out: &mut Vec<u8>) -> Result<()> {
    put_tag(out, number, wire_type(kind));
    let wrong = |what: &str| expected(path, what, content);
    match kind {
        Scalar::Bool => {
            let value = scalar::boolean(content).ok_or_else(|| wrong("true or false"))?;
            put_varint(out, u64::from(value));
        }
        Scalar::String => {
            let text = string(content).ok_or_else(|| wrong("a string"))?;
            put_varint(out, text.len() as u64);
            out.extend_from_slice(text.as_bytes());
        }
        Scalar::Bytes => {
            let bytes = string(content).and_then(base64::decode).ok_or_else(|| wrong("base64"))?;
            put_varint(out, bytes.len() as u64);
            out.extend_from_slice(&bytes);
        }
        Scalar::Double => {
            let value: f64 = fraction(content).ok_or_else(|| wrong("a number"))?;
            out.extend_from_slice(&value.to_le_bytes());
        }
        Scalar::Float => {
            let value: f32 = fraction(content).ok_or_else(|| wrong("a number"))?;
            out.extend_from_slice(&value.to_le_bytes());
        }
        Scalar::Int32 | Scalar::Sint32 | Scalar::Sfixed32 => {
            let value: i32 = integer(content).ok_or_else(|| wrong("a whole number of 32 bits"))?;
            match kind {
                Scalar::Int32 => put_varint(out, i64::from(value) as u64),
                Scalar::Sint32 => put_varint(out, u64::from((value << 1 ^ value >> 31) as u32)),
                _ => out.extend_from_slice(&value.to_le_bytes()),
            }
        }
        Scalar::Uint32 | Scalar::Fixed32 => {
            let value: u32 = integer(content).ok_or_else(|| wrong("a positive whole number of 32 bits"))?;
            match kind {
                Scalar::Uint32 => put_varint(out, u64::from(value)),
                _ => out.extend_from_slice(&value.to_le_bytes()),
            }
        }
        Scalar::Int64 | Scalar::Sint64 | Scalar::Sfixed64 => {
            let value: i64 = integer(content).ok_or_else(|| wrong("a whole number"))?;
            match kind {
                Scalar::Int64 => put_varint(out, value as u64),
                Scalar::Sint64 => put_varint(out, (value << 1 ^ value >> 63) as u64),
                _ => out.extend_from_slice(&value.to_le_bytes()),
            }
        }
        Scalar::Uint64 | Scalar::Fixed64 => {
            let value: u64 = integer(content).ok_or_else(|| wrong("a positive whole number"))?;
            match kind {
                Scalar::Uint64 => put_varint(out, value),
                _ => out.extend_from_slice(&value.to_le_bytes()),
            }
        }
    }
    Ok(())
}

fn well_known(
    well_known: WellKnown,
    content: &Content,
    path: &str,
    depth: usize,
    out: &mut Vec<u8>,
) -> Result<()> {
    match well_known {
        WellKnown::Any => any(content, path, depth, out),
        WellKnown::Empty => mapping(content, path).map(drop),
        WellKnown::Duration | WellKnown::Timestamp => {
            let (seconds, nanos) =
                time(well_known, content, path)?.ok_or_else(|| expected(path, "a time", content))?;
            for (number, value) in [(1, seconds), (2, i64::from(nanos))] {
                if value != 0 {
                    put_tag(out, number, VARINT);
                    put_varint(out, value as u64);
                }
            }
            Ok(())
        }
        WellKnown::Wrapper(kind) => scalar_value(kind, 1, content, path, out),
        WellKnown::Struct => {
            for entry in mapping(content, path)? {
                let path = format!("{path}[\"{}\"]", entry.key);
                let (mut pair, mut inner) = (Vec::new(), Vec::new());
                put_bytes(&mut pair, 1, entry.key.as_bytes());
                value(&entry.value.content, &path, depth + 1, &mut inner)?;
                put_bytes(&mut pair, 2, &inner);
                put_bytes(out, 1, &pair);
            }
            Ok(())
        }
        WellKnown::ListValue => match content {
            Content::Sequence(items) => {
                for (index, item) in items.iter().enumerate() {
                    let mut inner = Vec::new();
                    value(&item.content, &format!("{path}[{index}]"), depth + 1, &mut inner)?;
                    put_bytes(out, 1, &inner);
                }
                Ok(())
            }
            other => Err(expected(path, "a list", other)),
        },
        WellKnown::Value => value(content, path, depth, out),
    }
}

/// `google.protobuf.Value`.
fn value(content: &Content, path: &str, depth: usize, out: &mut Vec<u8>) -> Result<()> {
    if depth > MAX_DEPTH {
        return Err(Problem::new(path, format!("nested deeper than {MAX_DEPTH} messages")));
    }
    let inner = |well_known: WellKnown, number: u32, out: &mut Vec<u8>| {
        let mut inner = Vec::new();
        self::well_known(well_known, content, path, depth + 1, &mut inner)?;
        put_bytes(out, number, &inner);
        Ok(())
    };
    match content {
        Content::Null => {
            put_tag(out, 1, VARINT);
            put_varint(out, 0);
            Ok(())
        }
        Content::Sequence(_) => inner(WellKnown::ListValue, 6, out),
        Content::Mapping(_) => inner(WellKnown::Struct, 5, out),
        Content::Quoted(text) => {
            put_bytes(out, 3, text.as_bytes());
            Ok(())
        }
        Content::Plain(text) => match scalar::resolve(text) {
            Plain::Bool(_) => scalar_value(Scalar::Bool, 4, content, path, out),
            Plain::Integer(_) => scalar_value(Scalar::Double, 2, content, path, out),
            Plain::Text if text.parse::<f64>().is_ok_and(f64::is_finite) => {
                scalar_value(Scalar::Double, 2, content, path, out)
            }
            Plain::Text => {
                put_bytes(out, 3, text.as_bytes());
                Ok(())
            }
        },
    }
}

fn any(content: &Content, path: &str, depth: usize, out: &mut Vec<u8>) -> Result<()> {
    let entries = mapping(content, path)?;
    if entries.is_empty() {
        return Ok(());
    }
    let type_url = entries.iter().find(|entry| entry.key == "@type").map(|entry| &entry.value.content);
    let url = type_url.and_then(string).ok_or_else(|| Problem::new(path, "\"@type\" is missing"))?;
    let name = url.rsplit('/').next().unwrap_or(url);
    let mut inner = Vec::new();
    let value = || {
        let value = entries.iter().find(|entry| entry.key == "value").map(|entry| &entry.value.content);
        value.ok_or_else(|| Problem::new(path, format!("the message type {name} is not known")))
    };
    if WellKnown::of(name).is_some() {
        message(name, value()?, path, depth + 1, &mut inner)?;
    } else if let Some(descriptor) = Descriptor::of(name) {
        let rest = entries.iter().filter(|entry| entry.key != "@type");
        fields(descriptor, rest, path, depth + 1, &mut inner)?;
    } else {
        inner = string(value()?)
            .and_then(base64::decode)
            .ok_or_else(|| Problem::new(path, format!("the message type {name} is not known")))?;
    }
    put_bytes(out, 1, url.as_bytes());
    if !inner.is_empty() {
        put_tag(out, 2, BYTES);
        put_varint(out, inner.len() as u64);
        out.extend_from_slice(&inner);
    }
    Ok(())
}

/// Seconds and nanoseconds of a duration or a point in time.
fn time(kind: WellKnown, content: &Content, path: &str) -> Result<Option<(i64, i32)>> {
    let text = match content {
        Content::Plain(text) | Content::Quoted(text) => text,
        // Envoy accepts the object form, too.
        Content::Mapping(entries) if kind == WellKnown::Duration => {
            let part = |name: &str| -> Result<i64> {
                let Some(entry) = entries.iter().find(|entry| entry.key == name) else { return Ok(0) };
                integer(&entry.value.content)
                    .ok_or_else(|| expected(&path_of(path, name), "a whole number", &entry.value.content))
            };
            return Ok(i32::try_from(part("nanos")?).ok().zip(Some(part("seconds")?)).map(|(n, s)| (s, n)));
        }
        _ => return Ok(None),
    };
    if kind == WellKnown::Timestamp {
        let time = timestamp::from_text(text);
        return Ok(time.and_then(|(seconds, nanos)| Some((seconds, i32::try_from(nanos).ok()?))));
    }
    let (sign, positive) = text.strip_prefix('-').map_or((1, &**text), |rest| (-1, rest));
    let duration = duration::parse(positive).ok();
    Ok(duration.and_then(|duration| {
        let seconds = i64::try_from(duration.as_secs()).ok()?;
        Some((sign * seconds, sign as i32 * i32::try_from(duration.subsec_nanos()).ok()?))
    }))
}

fn mapping<'c>(content: &'c Content, path: &str) -> Result<&'c [Entry]> {
    match content {
        Content::Mapping(entries) => Ok(entries),
        other => Err(expected(path, "a mapping", other)),
    }
}

fn expected(path: &str, what: &str, found: &Content) -> Problem {
    Problem::new(path, format!("expected {what}, found {}", found.describe()))
}

/// A text. Plain numbers and booleans are none.
fn string(content: &Content) -> Option<&str> {
    match content {
        Content::Quoted(text) => Some(text),
        Content::Plain(text) if !scalar::is_number_or_boolean(text) => Some(text),
        _ => None,
    }
}

fn integer<T: TryFrom<i128>>(content: &Content) -> Option<T> {
    T::try_from(scalar::integer(content)?).ok()
}

/// A number that may have a fraction. Whole ones without quotes are those of YAML, where `010` is eight.
fn fraction<T: std::str::FromStr>(content: &Content) -> Option<T> {
    match content {
        Content::Plain(text) => match scalar::resolve(text) {
            Plain::Integer(number) if text != "-0" => number.to_string().parse().ok(),
            Plain::Bool(_) => None,
            _ => text.parse().ok(),
        },
        Content::Quoted(text) => text.parse().ok(),
        _ => None,
    }
}
