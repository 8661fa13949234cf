//! Values.

use std::borrow::Cow;

use extproc::{
    attributes::AttributeValue,
    messages::{ListValue, Struct, Value as Dynamic, value::Kind},
};
use jiff::{SignedDuration, Timestamp};

use crate::print;

/// What an expression gives. It may borrow from the expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// `null`
    Null,
    /// `bool`
    Bool(bool),
    /// `int`
    Int(i64),
    /// `uint`
    Uint(u64),
    /// `double`
    Double(f64),
    /// `string`
    String(Cow<'a, str>),
    /// `bytes`
    Bytes(Cow<'a, [u8]>),
    /// `google.protobuf.Timestamp`
    Timestamp(Timestamp),
    /// `google.protobuf.Duration`
    Duration(SignedDuration),
    /// `list`
    List(Vec<Self>),
    /// `map`: no key is there twice.
    Map(Vec<(Self, Self)>),
    /// A message of Envoy's, such as metadata, with its fields.
    Message(Struct),
    /// A type, such as `int`.
    Type(&'static str),
    /// A group of attributes as a whole.
    Group,
}

impl Value<'_> {
    /// As `%CEL(...)%` shows it.
    #[must_use]
    pub fn to_text(&self) -> String {
        print::text(self)
    }

    /// As `%TYPED_CEL(...)%` shows it in JSON; `None` if JSON has no such value.
    #[must_use]
    pub fn into_json(self) -> Option<Dynamic> {
        print::json(self)
    }

    /// As processors are told it: booleans and whole numbers as such, maps and lists with their members,
    /// everything else as text. `None` if it is nothing to tell.
    pub(crate) fn into_attribute(self) -> Option<Dynamic> {
        match self {
            Self::Type(_) | Self::Group => None,
            Self::List(_) | Self::Map(_) | Self::Message(_) => print::json(self),
            Self::Bool(value) => Some(Dynamic::bool(value)),
            Self::Int(value) => Some(Dynamic::number(value as f64)),
            Self::Uint(value) => Some(Dynamic::number(value as f64)),
            Self::Null
            | Self::Double(_)
            | Self::String(_)
            | Self::Bytes(_)
            | Self::Timestamp(_)
            | Self::Duration(_) => Some(Dynamic::string(print::text(&self))),
        }
    }

    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::String(Cow::Owned(text.into()))
    }

    pub(crate) const fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null_type",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint",
            Self::Double(_) => "double",
            Self::String(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::Timestamp(_) => "google.protobuf.Timestamp",
            Self::Duration(_) => "google.protobuf.Duration",
            Self::List(_) => "list",
            Self::Map(_) | Self::Group => "map",
            Self::Message(_) => "envoy.config.core.v3.Metadata",
            Self::Type(_) => "type",
        }
    }

    pub(crate) const fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) const fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// The same value without what it borrows.
    pub(crate) fn into_owned(self) -> Value<'static> {
        match self {
            Value::Null => Value::Null,
            Value::Bool(value) => Value::Bool(value),
            Value::Int(value) => Value::Int(value),
            Value::Uint(value) => Value::Uint(value),
            Value::Double(value) => Value::Double(value),
            Value::String(text) => Value::String(Cow::Owned(text.into_owned())),
            Value::Bytes(bytes) => Value::Bytes(Cow::Owned(bytes.into_owned())),
            Value::Timestamp(time) => Value::Timestamp(time),
            Value::Duration(duration) => Value::Duration(duration),
            Value::List(elements) => Value::List(elements.into_iter().map(Value::into_owned).collect()),
            Value::Map(entries) => Value::Map(
                entries.into_iter().map(|(key, value)| (key.into_owned(), value.into_owned())).collect(),
            ),
            Value::Message(fields) => Value::Message(fields),
            Value::Type(name) => Value::Type(name),
            Value::Group => Value::Group,
        }
    }

    /// The same value for as long as `self` is there, without copying text.
    pub(crate) fn borrow(&self) -> Value<'_> {
        match self {
            Value::String(text) => Value::String(Cow::Borrowed(text)),
            Value::Bytes(bytes) => Value::Bytes(Cow::Borrowed(bytes)),
            Value::List(elements) => Value::List(elements.iter().map(Value::borrow).collect()),
            Value::Map(entries) => {
                Value::Map(entries.iter().map(|(key, value)| (key.borrow(), value.borrow())).collect())
            }
            other => other.clone().into_owned(),
        }
    }
}

/// The value of an attribute. Text of clients that is no UTF-8 is replaced where it is not.
pub(crate) fn of_attribute(value: AttributeValue) -> Option<Value<'static>> {
    Some(match value {
        AttributeValue::Bool(value) => Value::Bool(value),
        AttributeValue::Int(value) => Value::Int(value),
        AttributeValue::Uint(value) => Value::Uint(value),
        AttributeValue::String(text) => Value::text(text),
        AttributeValue::Bytes(bytes) => Value::text(String::from_utf8_lossy(&bytes)),
        AttributeValue::Timestamp(time) => Value::Timestamp(time.try_into().ok()?),
        AttributeValue::Duration(duration) => Value::Duration(duration.try_into().ok()?),
        AttributeValue::Map(fields) => of_struct(fields),
        AttributeValue::List(list) => of_list(list),
    })
}

/// A value inside of metadata and the like, where all numbers are `double`.
pub(crate) fn of_dynamic(value: Dynamic) -> Value<'static> {
    match value.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(value)) => Value::Bool(value),
        Some(Kind::NumberValue(number)) => Value::Double(number),
        Some(Kind::StringValue(text)) => Value::text(text),
        Some(Kind::StructValue(fields)) => of_struct(fields),
        Some(Kind::ListValue(list)) => of_list(list),
    }
}

fn of_struct(fields: Struct) -> Value<'static> {
    Value::Map(
        fields.fields.into_iter().map(|(name, value)| (Value::text(name), of_dynamic(value))).collect(),
    )
}

fn of_list(list: ListValue) -> Value<'static> {
    Value::List(list.values.into_iter().map(of_dynamic).collect())
}
