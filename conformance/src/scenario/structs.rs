//! `google.protobuf.Struct` to and from JSON values.

use std::collections::HashMap;

use envoy_types::pb::google::protobuf::{ListValue, Struct, Value as Proto, value::Kind};
use serde_json::{Map, Value};

/// A JSON object as a protobuf `Struct`.
pub(crate) fn to_struct(value: &Value) -> Result<Struct, String> {
    let object = value.as_object().ok_or_else(|| format!("expected an object, got {value}"))?;
    let fields: HashMap<String, Proto> =
        object.iter().map(|(key, value)| (key.clone(), to_proto(value))).collect();
    Ok(Struct { fields })
}

fn to_proto(value: &Value) -> Proto {
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(flag) => Kind::BoolValue(*flag),
        Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) => Kind::StringValue(text.clone()),
        Value::Array(values) => Kind::ListValue(ListValue { values: values.iter().map(to_proto).collect() }),
        Value::Object(map) => Kind::StructValue(Struct {
            fields: map.iter().map(|(key, value)| (key.clone(), to_proto(value))).collect(),
        }),
    };
    Proto { kind: Some(kind) }
}

/// A protobuf `Struct` as a JSON object.
pub(crate) fn from_struct(fields: &Struct) -> Value {
    let map: Map<String, Value> =
        fields.fields.iter().map(|(key, value)| (key.clone(), from_proto(value))).collect();
    Value::Object(map)
}

fn from_proto(value: &Proto) -> Value {
    match &value.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(flag)) => Value::Bool(*flag),
        Some(Kind::NumberValue(number)) => {
            serde_json::Number::from_f64(*number).map_or(Value::Null, Value::Number)
        }
        Some(Kind::StringValue(text)) => Value::String(text.clone()),
        Some(Kind::ListValue(list)) => Value::Array(list.values.iter().map(from_proto).collect()),
        Some(Kind::StructValue(fields)) => from_struct(fields),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn round_trip() {
        let value = json!({"a": {"b": [1.5, "x", true, null]}});
        assert_eq!(from_struct(&to_struct(&value).expect("object")), value);
    }
}
