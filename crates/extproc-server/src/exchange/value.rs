//! JSON values from and to those of the protocol.

use extproc::messages::{self, ListValue, Struct, value::Kind};
use serde_json::{Map, Number, Value};

pub(crate) fn from_struct(values: &Struct) -> Value {
    Value::Object(
        values.fields.iter().map(|(name, value)| (name.clone(), from(value))).collect::<Map<_, _>>(),
    )
}

pub(crate) fn from(value: &messages::Value) -> Value {
    match &value.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(value)) => Value::Bool(*value),
        Some(Kind::NumberValue(number)) => from_number(*number),
        Some(Kind::StringValue(text)) => Value::String(text.clone()),
        Some(Kind::ListValue(list)) => Value::Array(list.values.iter().map(from).collect()),
        Some(Kind::StructValue(values)) => from_struct(values),
    }
}

/// Whole numbers as such: `status == 200` is what people write.
fn from_number(number: f64) -> Value {
    #[expect(clippy::cast_possible_truncation, reason = "compared with what it came from")]
    let whole = number as i64;
    #[expect(clippy::cast_precision_loss, reason = "compared with what it came from")]
    if whole as f64 == number && whole.unsigned_abs() < 1 << 53 {
        return Value::Number(whole.into());
    }
    Number::from_f64(number).map_or(Value::Null, Value::Number)
}

pub(crate) fn into(value: Value) -> messages::Value {
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(value) => Kind::BoolValue(value),
        Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) => Kind::StringValue(text),
        Value::Array(values) => Kind::ListValue(ListValue { values: values.into_iter().map(into).collect() }),
        Value::Object(members) => {
            let fields = members.into_iter().map(|(name, value)| (name, into(value))).collect();
            Kind::StructValue(Struct { fields })
        }
    };
    messages::Value { kind: Some(kind) }
}

/// What is no object becomes an empty one.
#[cfg(feature = "test")]
pub(crate) fn into_struct(value: Value) -> Struct {
    match into(value).kind {
        Some(Kind::StructValue(values)) => values,
        _ => Struct::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back() {
        let value = serde_json::json!({"a": [1, 2.5, "x", null, true], "b": {"c": -3}});
        assert_eq!(from(&into(value.clone())), value);
    }
}
