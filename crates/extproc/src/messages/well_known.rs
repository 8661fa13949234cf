//! The `google.protobuf` types in use.

use std::collections::BTreeMap;

use bytes::Bytes;

/// `google.protobuf.Struct`: a JSON object.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Struct {
    /// The members.
    #[prost(btree_map = "string, message", tag = "1")]
    pub fields: BTreeMap<String, Value>,
}

/// `google.protobuf.Value`: a JSON value.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Value {
    /// Absent only in malformed messages; treat as null.
    #[prost(oneof = "value::Kind", tags = "1, 2, 3, 4, 5, 6")]
    pub kind: Option<value::Kind>,
}

/// The kinds of [`Value`].
pub mod value {
    /// A JSON value.
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum Kind {
        /// Null; the number is 0.
        #[prost(int32, tag = "1")]
        NullValue(i32),
        /// A number.
        #[prost(double, tag = "2")]
        NumberValue(f64),
        /// A string.
        #[prost(string, tag = "3")]
        StringValue(String),
        /// A boolean.
        #[prost(bool, tag = "4")]
        BoolValue(bool),
        /// An object.
        #[prost(message, tag = "5")]
        StructValue(super::Struct),
        /// An array.
        #[prost(message, tag = "6")]
        ListValue(super::ListValue),
    }
}

/// `google.protobuf.ListValue`: a JSON array.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ListValue {
    /// The elements.
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<Value>,
}

/// `google.protobuf.Any`: a message with its type.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Any {
    /// `type.googleapis.com/` and the full name of the message.
    #[prost(string, tag = "1")]
    pub type_url: String,
    /// The encoded message.
    #[prost(bytes = "bytes", tag = "2")]
    pub value: Bytes,
}

/// `google.protobuf.Duration`. Any pair of numbers may arrive; see [`Duration::whole_milliseconds`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Duration {
    /// Whole seconds.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// Rest, in nanoseconds; of the same sign as `seconds`.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

impl Duration {
    /// The duration in milliseconds, fractions dropped; saturates.
    #[must_use]
    pub fn whole_milliseconds(&self) -> i64 {
        let milliseconds = i128::from(self.seconds) * 1_000 + i128::from(self.nanos) / 1_000_000;
        milliseconds.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
    }
}

/// `google.protobuf.BoolValue`: a boolean that may be absent.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct BoolValue {
    /// The value.
    #[prost(bool, tag = "1")]
    pub value: bool,
}

impl Value {
    /// A string value.
    #[must_use]
    pub fn string(text: impl Into<String>) -> Self {
        Self { kind: Some(value::Kind::StringValue(text.into())) }
    }

    /// Reads a value in its binary form. `None`: these bytes are none.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        prost::Message::decode(bytes).ok()
    }

    /// A number.
    #[must_use]
    pub fn number(number: f64) -> Self {
        Self { kind: Some(value::Kind::NumberValue(number)) }
    }

    /// A boolean.
    #[must_use]
    pub fn bool(value: bool) -> Self {
        Self { kind: Some(value::Kind::BoolValue(value)) }
    }
}

impl From<Struct> for Value {
    fn from(value: Struct) -> Self {
        Self { kind: Some(value::Kind::StructValue(value)) }
    }
}

impl From<ListValue> for Value {
    fn from(value: ListValue) -> Self {
        Self { kind: Some(value::Kind::ListValue(value)) }
    }
}
