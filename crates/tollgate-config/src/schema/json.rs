//! Trees and JSON.

use serde_json::Value;

use super::plain_value;
use crate::yaml::{Content, Entry, Location, Node};

/// A tree as JSON.
pub(crate) fn to_json(node: &Node) -> Value {
    match &node.content {
        Content::Null => Value::Null,
        Content::Quoted(text) => Value::String(text.clone()),
        Content::Plain(text) => plain_value(text),
        Content::Sequence(items) => items.iter().map(to_json).collect(),
        Content::Mapping(entries) => {
            Value::Object(entries.iter().map(|entry| (entry.key.clone(), to_json(&entry.value))).collect())
        }
    }
}

/// JSON as a tree, without places.
pub(crate) fn from_json(value: &Value) -> Node {
    let content = match value {
        Value::Null => Content::Null,
        Value::Bool(value) => Content::Plain(value.to_string()),
        Value::Number(number) => Content::Plain(number.to_string()),
        Value::String(text) => Content::Quoted(text.clone()),
        Value::Array(items) => Content::Sequence(items.iter().map(from_json).collect()),
        Value::Object(members) => {
            let entry = |(key, value): (&String, &Value)| Entry {
                key: key.clone(),
                key_location: Location::default(),
                value: from_json(value),
            };
            Content::Mapping(members.iter().map(entry).collect())
        }
    };
    Node { content, location: Location::default() }
}
