//! Values of attributes.

use std::time::{Duration, SystemTime};

use super::text;
use crate::messages::{ListValue, Struct, Value, value::Kind};

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub enum AttributeValue {
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// An integer.
    Uint(u64),
    /// Text.
    String(String),
    /// Bytes, which are sent as text; what is no UTF-8 in them is replaced.
    Bytes(Vec<u8>),
    /// A moment.
    Timestamp(SystemTime),
    /// A span of time.
    Duration(Duration),
    /// A map.
    Map(Struct),
    /// A list.
    List(ListValue),
}

impl AttributeValue {
    /// The value as it is sent: booleans and numbers as such, maps and lists with their members (decision 7),
    /// everything else as text. Numbers beyond 2^53 lose precision, as in Envoy.
    #[must_use]
    pub fn into_value(self) -> Value {
        match self {
            Self::Bool(value) => Value::bool(value),
            Self::Int(value) => Value::number(value as f64),
            Self::Uint(value) => Value::number(value as f64),
            Self::String(value) => Value::string(value),
            Self::Bytes(value) => Value::string(String::from_utf8_lossy(&value)),
            Self::Timestamp(value) => Value::string(text::timestamp(value)),
            Self::Duration(value) => Value::string(text::duration(value)),
            Self::Map(value) => value.into(),
            Self::List(value) => value.into(),
        }
    }
}

/// The member `key` of a struct.
pub(super) fn member(value: Value, key: &String) -> Option<Value> {
    match value.kind {
        Some(Kind::StructValue(mut values)) => values.fields.remove(key),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A-4 and decision 7.
    #[test]
    fn values_keep_their_type_where_json_has_it() {
        assert_eq!(AttributeValue::Bool(true).into_value(), Value::bool(true));
        assert_eq!(AttributeValue::Int(-7).into_value(), Value::number(-7.0));
        assert_eq!(AttributeValue::Uint(7).into_value(), Value::number(7.0));
        assert_eq!(AttributeValue::String("x".to_owned()).into_value(), Value::string("x"));
        assert_eq!(AttributeValue::Bytes(b"a\xff".to_vec()).into_value(), Value::string("a\u{fffd}"));
        let list = ListValue { values: vec![Value::bool(true)] };
        assert_eq!(AttributeValue::List(list.clone()).into_value(), Value::from(list));
    }
}
