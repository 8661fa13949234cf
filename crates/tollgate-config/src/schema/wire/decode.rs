//! From bytes to a tree.

use std::collections::BTreeMap;

use super::{
    MAX_BYTES, MAX_DEPTH, Problem, WellKnown,
    format::{BYTES, FIXED32, FIXED64, Fields, Piece, VARINT},
    path_of, timestamp,
};
use crate::{
    diagnostic::Report,
    schema::{
        base64,
        descriptors::{Cardinality, Descriptor, FieldDescriptor, Kind, Scalar, values_of},
        scalar,
    },
    yaml::{Content, Entry, Location, MAX_NODES, Node},
};

type Result<T> = std::result::Result<T, Problem>;

/// Reads a message as a tree: as JSON would have it, with the names of the API's fields. What the descriptors do not know is
/// reported with its path; `None`, and a report, when the bytes are no such message or too many.
pub(crate) fn decode(type_name: &str, bytes: &[u8], report: &Report) -> Option<Node> {
    let mut decoder = Decoder { report, nodes: 0 };
    let read = if bytes.len() > MAX_BYTES {
        Err(Problem::new("", format!("larger than {MAX_BYTES} bytes")))
    } else {
        decoder.message(type_name, bytes, "", 0)
    };
    let result = read.map(node);
    result
        .map_err(|problem| {
            report.mark_malformed();
            report.add(crate::Severity::Error, Location::default(), &problem.path, problem.message, None);
        })
        .ok()
}

struct Decoder<'r> {
    report: &'r Report,
    nodes: usize,
}

/// What the wire has of a message, by the numbers of fields.
type Pieces<'b> = BTreeMap<u32, Vec<Piece<'b>>>;

impl Decoder<'_> {
    /// The content of a message of any type.
    fn message(&mut self, name: &str, bytes: &[u8], path: &str, depth: usize) -> Result<Content> {
        if depth > MAX_DEPTH {
            return Err(Problem::new(path, format!("nested deeper than {MAX_DEPTH} messages")));
        }
        self.count(path)?;
        if let Some(well_known) = WellKnown::of(name) {
            return self.well_known(well_known, bytes, path, depth);
        }
        match Descriptor::of(name) {
            Some(descriptor) => Ok(Content::Mapping(self.fields(descriptor, bytes, path, depth)?)),
            None => Err(Problem::new(path, format!("the message type {name} is not known"))),
        }
    }

    fn fields(
        &mut self,
        descriptor: &'static Descriptor,
        bytes: &[u8],
        path: &str,
        depth: usize,
    ) -> Result<Vec<Entry>> {
        let pieces = self.pieces(Some(descriptor), bytes, path)?;
        let mut entries = Vec::with_capacity(pieces.len());
        for (number, pieces) in pieces {
            let Some(field) = descriptor.field(number) else {
                self.unknown(number, descriptor.name, path);
                continue;
            };
            let path = path_of(path, field.name);
            let value = self.field(field, &pieces, &path, depth)?;
            entries.push(entry(field.name, value));
        }
        Ok(entries)
    }

    /// What is newer than the descriptors may be meant to protect something, so it is not left out.
    fn unknown(&self, number: u32, message: &str, path: &str) {
        let short = message.rsplit('.').next().unwrap_or(message);
        self.report.add(
            crate::Severity::Error,
            Location::default(),
            &path_of(path, &number.to_string()),
            format!("unknown field number {number} in {short}"),
            Some("it is newer than the API that is known here, which is the one of Envoy 1.40".to_owned()),
        );
    }

    /// Sorts the fields of a message. Of the members of a oneof the last one counts.
    fn pieces<'b>(
        &mut self,
        descriptor: Option<&Descriptor>,
        bytes: &'b [u8],
        path: &str,
    ) -> Result<Pieces<'b>> {
        let mut pieces = Pieces::new();
        let mut fields = Fields::new(bytes);
        while let Some((number, piece)) = fields.next().map_err(|problem| Problem::new(path, problem))? {
            self.count(path)?;
            let field = descriptor.and_then(|descriptor| descriptor.field(number));
            if let (Some(descriptor), Some(oneof)) = (descriptor, field.and_then(|field| field.oneof)) {
                let others = descriptor.fields.iter().filter(|other| other.oneof == Some(oneof));
                for other in others.filter(|other| other.number != number) {
                    pieces.remove(&other.number);
                }
            }
            pieces.entry(number).or_default().push(piece);
        }
        Ok(pieces)
    }

    fn field(
        &mut self,
        field: &FieldDescriptor,
        pieces: &[Piece<'_>],
        path: &str,
        depth: usize,
    ) -> Result<Content> {
        match field.cardinality {
            Cardinality::Single | Cardinality::Optional => self.single(&field.kind, pieces, path, depth),
            Cardinality::Repeated => {
                let mut items = Vec::with_capacity(pieces.len());
                for piece in pieces {
                    self.element(&field.kind, *piece, path, depth, &mut items)?;
                }
                Ok(Content::Sequence(items))
            }
            Cardinality::Map(key) => self.map(key, &field.kind, pieces, path, depth),
        }
    }

    /// Of a scalar that comes twice the last one counts; messages are merged, which is what reading them one after the other does.
    fn single(&mut self, kind: &Kind, pieces: &[Piece<'_>], path: &str, depth: usize) -> Result<Content> {
        match (kind, pieces) {
            (Kind::Message(name), [piece]) => self.message(name, bytes(*piece, path)?, path, depth + 1),
            (Kind::Message(name), pieces) => {
                let mut merged = Vec::new();
                for piece in pieces {
                    merged.extend_from_slice(bytes(*piece, path)?);
                }
                self.message(name, &merged, path, depth + 1)
            }
            (kind, pieces) => {
                let last = pieces.last().copied().unwrap_or(Piece::Varint(0));
                scalar_or_enum(kind, last, path)
            }
        }
    }

    /// An element of a list, or several that are packed.
    fn element(
        &mut self,
        kind: &Kind,
        piece: Piece<'_>,
        path: &str,
        depth: usize,
        items: &mut Vec<Node>,
    ) -> Result<()> {
        if let Kind::Message(name) = kind {
            let path = format!("{path}[{}]", items.len());
            items.push(node(self.message(name, bytes(piece, &path)?, &path, depth + 1)?));
            return Ok(());
        }
        match (packed(kind), piece) {
            (Some(wire_type), Piece::Bytes(bytes)) => {
                let mut fields = Fields::new(bytes);
                while let Some(piece) =
                    fields.next_packed(wire_type).map_err(|problem| Problem::new(path, problem))?
                {
                    self.count(path)?;
                    items.push(node(scalar_or_enum(kind, piece, path)?));
                }
            }
            (_, piece) => items.push(node(scalar_or_enum(kind, piece, path)?)),
        }
        Ok(())
    }

    /// Of two entries with one key the last one counts.
    fn map(
        &mut self,
        key: Scalar,
        kind: &Kind,
        pieces: &[Piece<'_>],
        path: &str,
        depth: usize,
    ) -> Result<Content> {
        let mut places: BTreeMap<String, usize> = BTreeMap::new();
        let mut entries: Vec<Entry> = Vec::with_capacity(pieces.len());
        for piece in pieces {
            let parts = self.pieces(None, bytes(*piece, path)?, path)?;
            let last = |number: u32| parts.get(&number).and_then(|pieces| pieces.last()).copied();
            let key = match last(1) {
                Some(piece) => scalar_value(key, piece, path)?,
                None => default_of(key),
            };
            let (Content::Plain(key) | Content::Quoted(key)) = key else { continue };
            let path = format!("{path}[\"{key}\"]");
            let value = match (parts.get(&2), kind) {
                (Some(pieces), kind) => self.single(kind, pieces, &path, depth)?,
                (None, Kind::Message(name)) => self.message(name, &[], &path, depth + 1)?,
                (None, Kind::Enum(name)) => enum_value(name, 0),
                (None, Kind::Scalar(scalar)) => default_of(*scalar),
            };
            match places.get(&key).and_then(|place| entries.get_mut(*place)) {
                Some(entry) => entry.value = node(value),
                None => {
                    places.insert(key.clone(), entries.len());
                    entries.push(entry(&key, value));
                }
            }
        }
        Ok(Content::Mapping(entries))
    }

    fn well_known(
        &mut self,
        well_known: WellKnown,
        bytes: &[u8],
        path: &str,
        depth: usize,
    ) -> Result<Content> {
        match well_known {
            WellKnown::Any => self.any(bytes, path, depth),
            WellKnown::Empty => Ok(Content::Mapping(Vec::new())),
            WellKnown::Duration | WellKnown::Timestamp => {
                let pieces = self.pieces(None, bytes, path)?;
                let (seconds, nanos) = (whole(&pieces, 1), whole(&pieces, 2));
                time(well_known, seconds, nanos)
                    .map(Content::Quoted)
                    .ok_or_else(|| Problem::new(path, format!("{seconds} s and {nanos} ns are out of range")))
            }
            WellKnown::Wrapper(kind) => match self.pieces(None, bytes, path)?.get(&1) {
                Some(pieces) => self.single(&Kind::Scalar(kind), pieces, path, depth),
                None => Ok(default_of(kind)),
            },
            WellKnown::Struct => match self.pieces(None, bytes, path)?.get(&1) {
                Some(pieces) => {
                    let value = Kind::Message("google.protobuf.Value".to_owned());
                    self.map(Scalar::String, &value, pieces, path, depth)
                }
                None => Ok(Content::Mapping(Vec::new())),
            },
            WellKnown::ListValue => {
                let pieces = self.pieces(None, bytes, path)?;
                let mut items = Vec::new();
                let value = Kind::Message("google.protobuf.Value".to_owned());
                for piece in pieces.get(&1).into_iter().flatten() {
                    self.element(&value, *piece, path, depth, &mut items)?;
                }
                Ok(Content::Sequence(items))
            }
            WellKnown::Value => self.value(bytes, path, depth),
        }
    }

    /// `google.protobuf.Value`: the members of a oneof, of which the last one counts.
    fn value(&mut self, content: &[u8], path: &str, depth: usize) -> Result<Content> {
        let mut fields = Fields::new(content);
        let mut last: Option<(u32, Vec<Piece<'_>>)> = None;
        while let Some((number, piece)) = fields.next().map_err(|problem| Problem::new(path, problem))? {
            self.count(path)?;
            match &mut last {
                Some((before, pieces)) if *before == number => pieces.push(piece),
                _ => last = Some((number, vec![piece])),
            }
        }
        let Some((number, pieces)) = last else {
            return Err(Problem::new(path, "a value has no kind"));
        };
        let kind = match number {
            1 => return Ok(Content::Null),
            2 => Kind::Scalar(Scalar::Double),
            3 => Kind::Scalar(Scalar::String),
            4 => Kind::Scalar(Scalar::Bool),
            5 => Kind::Message("google.protobuf.Struct".to_owned()),
            6 => Kind::Message("google.protobuf.ListValue".to_owned()),
            _ => return Err(Problem::new(path, format!("a value of the unknown kind {number}"))),
        };
        self.single(&kind, &pieces, path, depth)
    }

    /// A message with its type. One of an unknown type is kept as it is: whoever reads it reports it.
    fn any(&mut self, content: &[u8], path: &str, depth: usize) -> Result<Content> {
        let pieces = self.pieces(None, content, path)?;
        let last = |number: u32| pieces.get(&number).and_then(|pieces| pieces.last()).copied();
        let url = match last(1) {
            Some(piece) => text(bytes(piece, path)?, path)?,
            None if last(2).is_none() => return Ok(Content::Mapping(Vec::new())),
            None => return Err(Problem::new(path, "a message without its type")),
        };
        let content = match last(2) {
            Some(piece) => bytes(piece, path)?,
            None => &[],
        };
        let name = url.rsplit('/').next().unwrap_or(&url);
        let mut entries = vec![entry("@type", Content::Quoted(url.clone()))];
        if WellKnown::of(name).is_some() {
            entries.push(entry("value", self.message(name, content, path, depth + 1)?));
        } else if Descriptor::of(name).is_some() {
            match self.message(name, content, path, depth + 1)? {
                Content::Mapping(fields) => entries.extend(fields),
                other => entries.push(entry("value", other)),
            }
        } else {
            entries.push(entry("value", Content::Quoted(base64::encode(content))));
        }
        Ok(Content::Mapping(entries))
    }

    fn count(&mut self, path: &str) -> Result<()> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(Problem::new(path, format!("more than {MAX_NODES} values in a message")));
        }
        Ok(())
    }
}

fn node(content: Content) -> Node {
    Node { content, location: Location::default() }
}

fn entry(key: &str, value: Content) -> Entry {
    Entry { key: key.to_owned(), key_location: Location::default(), value: node(value) }
}

fn bytes<'b>(piece: Piece<'b>, path: &str) -> Result<&'b [u8]> {
    match piece {
        Piece::Bytes(bytes) => Ok(bytes),
        _ => Err(Problem::new(path, "a number where a text or a message should be")),
    }
}

fn text(bytes: &[u8], path: &str) -> Result<String> {
    let text = std::str::from_utf8(bytes).map_err(|_| Problem::new(path, "a text that is not UTF-8"))?;
    Ok(text.to_owned())
}

/// The wire type of elements that can be packed.
fn packed(kind: &Kind) -> Option<u32> {
    match kind {
        Kind::Message(_) | Kind::Scalar(Scalar::String | Scalar::Bytes) => None,
        Kind::Enum(_) => Some(VARINT),
        Kind::Scalar(scalar) => Some(wire_type(*scalar)),
    }
}

/// How values of a scalar type are written.
pub(super) fn wire_type(scalar: Scalar) -> u32 {
    match scalar {
        Scalar::Double | Scalar::Fixed64 | Scalar::Sfixed64 => FIXED64,
        Scalar::Float | Scalar::Fixed32 | Scalar::Sfixed32 => FIXED32,
        Scalar::String | Scalar::Bytes => BYTES,
        _ => VARINT,
    }
}

fn scalar_or_enum(kind: &Kind, piece: Piece<'_>, path: &str) -> Result<Content> {
    match (kind, piece) {
        (Kind::Scalar(kind), piece) => scalar_value(*kind, piece, path),
        (Kind::Enum(name), Piece::Varint(value)) => Ok(enum_value(name, value as i32)),
        (Kind::Enum(_) | Kind::Message(_), _) => Err(mistyped(path)),
    }
}

fn mistyped(path: &str) -> Problem {
    Problem::new(path, "not of the type that this field has")
}

/// An enum value by its name, in quotes, for `OFF` is one; one that is newer than the descriptors by its number.
fn enum_value(name: &str, number: i32) -> Content {
    let mut values = values_of(name).into_iter().flatten();
    let known = values.find(|(value, _)| *value == number).map(|(_, name)| *name);
    match known {
        Some(name) => Content::Quoted(name.to_owned()),
        None => Content::Plain(number.to_string()),
    }
}

/// Numbers are cut to their width, as protobuf does.
fn scalar_value(kind: Scalar, piece: Piece<'_>, path: &str) -> Result<Content> {
    let unzigzag = |value: u64| (value >> 1) as i64 ^ -((value & 1) as i64);
    Ok(match (kind, piece) {
        (Scalar::Bool, Piece::Varint(value)) => Content::Plain((value != 0).to_string()),
        (Scalar::Int32, Piece::Varint(value)) => Content::Plain((value as i32).to_string()),
        (Scalar::Int64, Piece::Varint(value)) => wide(i128::from(value as i64)),
        (Scalar::Uint32, Piece::Varint(value)) => Content::Plain((value as u32).to_string()),
        (Scalar::Uint64, Piece::Varint(value)) => wide(i128::from(value)),
        (Scalar::Sint32, Piece::Varint(value)) => {
            Content::Plain((unzigzag(u64::from(value as u32)) as i32).to_string())
        }
        (Scalar::Sint64, Piece::Varint(value)) => wide(i128::from(unzigzag(value))),
        (Scalar::Fixed32, Piece::Fixed32(value)) => Content::Plain(value.to_string()),
        (Scalar::Sfixed32, Piece::Fixed32(value)) => Content::Plain((value as i32).to_string()),
        (Scalar::Fixed64, Piece::Fixed64(value)) => wide(i128::from(value)),
        (Scalar::Sfixed64, Piece::Fixed64(value)) => wide(i128::from(value as i64)),
        (Scalar::Float, Piece::Fixed32(value)) => {
            let value = f32::from_bits(value);
            number(f64::from(value), value.to_string())
        }
        (Scalar::Double, Piece::Fixed64(value)) => {
            let value = f64::from_bits(value);
            number(value, value.to_string())
        }
        (Scalar::String, Piece::Bytes(bytes)) => Content::Quoted(text(bytes, path)?),
        (Scalar::Bytes, Piece::Bytes(bytes)) => Content::Quoted(base64::encode(bytes)),
        _ => return Err(mistyped(path)),
    })
}

/// A whole number of 64 bits; one that JSON's numbers cannot hold is written in quotes.
fn wide(value: i128) -> Content {
    let text = value.to_string();
    if scalar::is_number_or_boolean(&text) { Content::Plain(text) } else { Content::Quoted(text) }
}

/// A number with a fraction; what is no number is written in quotes.
fn number(value: f64, text: String) -> Content {
    if value.is_finite() {
        Content::Plain(text)
    } else if value.is_nan() {
        Content::Quoted("NaN".to_owned())
    } else {
        Content::Quoted(if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned())
    }
}

/// What a scalar is when it is not written.
fn default_of(scalar: Scalar) -> Content {
    match scalar {
        Scalar::Bool => Content::Plain("false".to_owned()),
        Scalar::String | Scalar::Bytes => Content::Quoted(String::new()),
        _ => Content::Plain("0".to_owned()),
    }
}

fn whole(pieces: &Pieces<'_>, number: u32) -> i64 {
    match pieces.get(&number).and_then(|pieces| pieces.last()) {
        Some(Piece::Varint(value)) => *value as i64,
        _ => 0,
    }
}

/// A duration or a point in time as text.
fn time(kind: WellKnown, seconds: i64, nanos: i64) -> Option<String> {
    if kind == WellKnown::Timestamp {
        return timestamp::to_text(seconds, u32::try_from(nanos).ok()?);
    }
    // Both have one sign.
    if nanos.unsigned_abs() > 999_999_999 || (seconds > 0 && nanos < 0) || (seconds < 0 && nanos > 0) {
        return None;
    }
    let sign = if seconds < 0 || nanos < 0 { "-" } else { "" };
    let (seconds, nanos) = (seconds.unsigned_abs(), nanos.unsigned_abs());
    let fraction = match nanos {
        0 => String::new(),
        nanos => format!(".{nanos:09}").trim_end_matches('0').to_owned(),
    };
    Some(format!("{sign}{seconds}{fraction}s"))
}
