//! Trees from protobuf's wire format, and back: what control planes send is read by the same schemas as files are.
//!
//! A tree that comes of bytes is what protobuf's JSON form would be, with the names of the API's fields. What the table of
//! [descriptors](super::descriptors) does not know is reported with its number: it is newer than the table, and may be meant to
//! protect something.

mod decode;
mod encode;
mod format;
#[cfg(test)]
mod tests;
mod timestamp;

use super::{from_json, to_json};
use crate::{diagnostic::Report, yaml::Node};

pub(crate) use self::{decode::decode, encode::encode};

/// Deepest nesting of messages, as in protobuf's own reader.
const MAX_DEPTH: usize = 100;
/// Most bytes of a message that is read.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// Writes a tree as a message, the same for all ways to write it.
///
/// # Errors
/// As for [`encode`].
pub(crate) fn canonical(type_name: &str, node: &Node) -> Result<Vec<u8>, Problem> {
    let bytes = encode(type_name, node)?;
    match decode(type_name, &bytes, &Report::new("")) {
        // Members of maps have no order.
        Some(node) => encode(type_name, &from_json(&to_json(&node))),
        None => Err(Problem::new("", "too large, or nested too deeply")),
    }
}

/// Why bytes are no tree, or a tree is no message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Path of the field.
    pub(crate) path: String,
    pub(crate) message: String,
}

impl Problem {
    fn new(path: &str, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), message: message.into() }
    }
}

/// The types that JSON writes in ways of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WellKnown {
    Any,
    Duration,
    Timestamp,
    Struct,
    Value,
    ListValue,
    Empty,
    /// A message whose only field is this scalar: the scalar stands for it.
    Wrapper(super::descriptors::Scalar),
}

impl WellKnown {
    fn of(name: &str) -> Option<Self> {
        use super::descriptors::Scalar;
        Some(match name.strip_prefix("google.protobuf.")? {
            "Any" => Self::Any,
            "Duration" => Self::Duration,
            "Timestamp" => Self::Timestamp,
            "Struct" => Self::Struct,
            "Value" => Self::Value,
            "ListValue" => Self::ListValue,
            "Empty" => Self::Empty,
            "BoolValue" => Self::Wrapper(Scalar::Bool),
            "BytesValue" => Self::Wrapper(Scalar::Bytes),
            "DoubleValue" => Self::Wrapper(Scalar::Double),
            "FloatValue" => Self::Wrapper(Scalar::Float),
            "Int32Value" => Self::Wrapper(Scalar::Int32),
            "Int64Value" => Self::Wrapper(Scalar::Int64),
            "StringValue" => Self::Wrapper(Scalar::String),
            "UInt32Value" => Self::Wrapper(Scalar::Uint32),
            "UInt64Value" => Self::Wrapper(Scalar::Uint64),
            _ => return None,
        })
    }
}

/// The path of a member.
fn path_of(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}
