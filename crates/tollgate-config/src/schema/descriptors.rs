//! What protobuf knows of the messages of Envoy's API: the numbers and types of their fields.
//!
//! The table `descriptors.txt` is made from the descriptors that Envoy itself carries (`tests/descriptors.rs`). It has
//! every message of the API, not only those that are read: so a field that is not supported is reported by its name when it
//! comes as bytes, too, and only what is newer than the table is a mere number.
//!
//! The alternative is a reflection library with a set of descriptors. The table is a tenth of such a set, a test needs it in any
//! case, and reading it takes less code than the adapter would: a tree is all that the readers want.

#[cfg(test)]
mod tests;

use std::{collections::HashMap, sync::LazyLock};

const TABLE: &str = include_str!("descriptors.txt");

/// A message type.
#[derive(Debug)]
pub(crate) struct Descriptor {
    /// Full name.
    pub(crate) name: &'static str,
    /// Its fields, by ascending number.
    pub(crate) fields: Vec<FieldDescriptor>,
}

/// A field of a message type.
#[derive(Debug)]
pub(crate) struct FieldDescriptor {
    pub(crate) number: u32,
    /// Name in snake_case.
    pub(crate) name: &'static str,
    pub(crate) cardinality: Cardinality,
    pub(crate) kind: Kind,
    /// The oneof that it is a member of.
    pub(crate) oneof: Option<&'static str>,
}

/// How often a field is in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cardinality {
    /// Once. A scalar with its default is as good as absent, unless it is a member of a oneof.
    Single,
    /// Once, and a scalar knows whether it is set.
    Optional,
    Repeated,
    /// A map with keys of this type.
    Map(Scalar),
}

/// The type of a field, of its elements or of its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Scalar(Scalar),
    /// A message by its full name.
    Message(String),
    /// An enum by its full name.
    Enum(String),
}

/// A scalar type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scalar {
    Double,
    Float,
    Int32,
    Int64,
    Uint32,
    Uint64,
    Sint32,
    Sint64,
    Fixed32,
    Fixed64,
    Sfixed32,
    Sfixed64,
    Bool,
    String,
    Bytes,
}

/// The values of an enum: number and name.
pub(crate) type Values = Vec<(i32, &'static str)>;

#[derive(Default)]
struct Table {
    messages: HashMap<&'static str, Descriptor>,
    enums: HashMap<&'static str, Values>,
}

static DESCRIPTORS: LazyLock<Table> = LazyLock::new(|| Table::parse(TABLE));

impl Descriptor {
    /// The message type of that full name.
    pub(crate) fn of(name: &str) -> Option<&'static Self> {
        DESCRIPTORS.messages.get(name)
    }

    /// Every message type.
    pub(crate) fn all() -> impl Iterator<Item = &'static Self> {
        DESCRIPTORS.messages.values()
    }

    /// The field of that number.
    pub(crate) fn field(&self, number: u32) -> Option<&FieldDescriptor> {
        let index = self.fields.binary_search_by_key(&number, |field| field.number).ok()?;
        self.fields.get(index)
    }
}

/// The values of the enum of that full name.
pub(crate) fn values_of(name: &str) -> Option<&'static Values> {
    DESCRIPTORS.enums.get(name)
}

impl Table {
    /// The table is a part of the program: a line that is not understood is left out, and a test says so.
    fn parse(text: &'static str) -> Self {
        let mut table = Self::default();
        let mut block: Option<(&'static str, Vec<&'static str>)> = None;
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            match line.strip_prefix(' ') {
                Some(line) => block.iter_mut().for_each(|(_, lines)| lines.push(line)),
                None => {
                    table.add(block.take());
                    block = Some((line, Vec::new()));
                }
            }
        }
        table.add(block);
        table
    }

    fn add(&mut self, block: Option<(&'static str, Vec<&'static str>)>) {
        let Some((name, lines)) = block else { return };
        if let Some(name) = name.strip_prefix('=') {
            let value = |line: &&'static str| {
                let (number, name) = line.split_once(' ')?;
                Some((number.parse().ok()?, name))
            };
            self.enums.insert(name, lines.iter().filter_map(value).collect());
        } else {
            let fields = lines.iter().filter_map(|line| FieldDescriptor::parse(line, name)).collect();
            self.messages.insert(name, Descriptor { name, fields });
        }
    }
}

impl FieldDescriptor {
    fn parse(line: &'static str, message: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let number = words.next()?.parse().ok()?;
        let name = words.next()?;
        let mut kind = words.next()?;
        let oneof = words.next().and_then(|word| word.strip_prefix('|'));
        let mut cardinality = Cardinality::Single;
        if let Some(rest) = kind.strip_prefix('*') {
            (cardinality, kind) = (Cardinality::Repeated, rest);
        } else if let Some(rest) = kind.strip_prefix('?') {
            (cardinality, kind) = (Cardinality::Optional, rest);
        } else if let Some((key, rest)) = kind.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
            (cardinality, kind) = (Cardinality::Map(Scalar::parse(key)?), rest);
        }
        let kind = match kind.strip_prefix('=') {
            Some(name) => Kind::Enum(full_name(name, message)?),
            None => match Scalar::parse(kind) {
                Some(scalar) => Kind::Scalar(scalar),
                None => Kind::Message(full_name(kind, message)?),
            },
        };
        Some(Self { number, name, cardinality, kind, oneof })
    }
}

/// The name of a type that the fields of `message` refer to.
fn full_name(written: &str, message: &str) -> Option<String> {
    if let Some(inner) = written.strip_prefix("~~") {
        return Some(format!("{message}.{inner}"));
    }
    match written.strip_prefix('~') {
        Some(beside) => Some(format!("{}.{beside}", message.rsplit_once('.')?.0)),
        None => Some(written.strip_prefix('.')?.to_owned()),
    }
}

impl Scalar {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "double" => Self::Double,
            "float" => Self::Float,
            "int32" => Self::Int32,
            "int64" => Self::Int64,
            "uint32" => Self::Uint32,
            "uint64" => Self::Uint64,
            "sint32" => Self::Sint32,
            "sint64" => Self::Sint64,
            "fixed32" => Self::Fixed32,
            "fixed64" => Self::Fixed64,
            "sfixed32" => Self::Sfixed32,
            "sfixed64" => Self::Sfixed64,
            "bool" => Self::Bool,
            "string" => Self::String,
            "bytes" => Self::Bytes,
            _ => return None,
        })
    }
}
