//! Merging of messages, as protobuf merges them, on trees.
//!
//! A field that is set is taken over: scalars replace, lists grow at their end, entries of maps replace those of their key, and messages are
//! merged field by field, but for messages of any type and durations, which replace. A scalar with its default is not set. The
//! descriptors of Envoy's API say which field is what.

use crate::{
    schema::{
        descriptors::{Cardinality, Descriptor, FieldDescriptor, Kind, Scalar, values_of},
        is_spelling,
    },
    yaml::{Content, Entry, Node},
};

/// What becomes of lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lists {
    /// They grow at their end.
    Grow,
    /// Those that are written take the place of those that are there.
    Replace,
}

/// Merges `from` into `to`, which are messages of a type.
///
/// # Errors
/// The type is not one of Envoy's API.
pub(super) fn merge(to: &mut Node, from: &Node, message: &str, lists: Lists) -> Result<(), String> {
    let descriptor =
        Descriptor::of(message).ok_or_else(|| format!("messages of type {message} cannot be merged"))?;
    let Content::Mapping(entries) = &from.content else { return Ok(()) };
    if !matches!(to.content, Content::Mapping(_)) {
        *to = Node { content: Content::Mapping(Vec::new()), location: from.location };
    }
    for entry in entries {
        let field = descriptor.fields.iter().find(|field| is_spelling(field.name, &entry.key));
        match field {
            Some(field) => merge_field(to, entry, field, descriptor, lists)?,
            // Whoever reads it says that it is not known.
            None => put(to, &entry.key, entry),
        }
    }
    Ok(())
}

/// Merges what two messages of any type say that are of the same type.
///
/// # Errors
/// They are not.
pub(super) fn merge_any(to: &mut Node, from: &Node) -> Result<(), String> {
    let types = (type_of(to), type_of(from));
    let (Some(own), Some(other)) = types else {
        return Err("\"@type\" is missing in what is to be merged".to_owned());
    };
    if own != other {
        return Err(format!("a message of type {other} cannot be merged into one of type {own}"));
    }
    let own = own.to_owned();
    let mut plain = from.clone();
    if let Content::Mapping(entries) = &mut plain.content {
        entries.retain(|entry| entry.key != "@type");
    }
    merge(to, &plain, &own, Lists::Grow)
}

/// The type that a message names.
fn type_of(node: &Node) -> Option<&str> {
    let url = node.member("@type").and_then(Node::text)?;
    url.rsplit('/').next()
}

fn merge_field(
    to: &mut Node,
    entry: &Entry,
    field: &FieldDescriptor,
    descriptor: &Descriptor,
    lists: Lists,
) -> Result<(), String> {
    let value = &entry.value;
    if matches!(value.content, Content::Null) {
        return Ok(());
    }
    if let Some(oneof) = field.oneof {
        let others = descriptor
            .fields
            .iter()
            .filter(|other| other.oneof == Some(oneof) && other.name != field.name)
            .map(|other| other.name);
        let others: Vec<&str> = others.collect();
        if let Content::Mapping(entries) = &mut to.content {
            entries.retain(|entry| !others.iter().any(|other| is_spelling(other, &entry.key)));
        }
    }
    let known = existing(to, field.name);
    match (&field.cardinality, &field.kind) {
        (Cardinality::Repeated, _) => match (known, &value.content) {
            (_, Content::Sequence(items)) if items.is_empty() => {}
            (Some(Node { content: Content::Sequence(own), .. }), content) => {
                if lists == Lists::Replace {
                    own.clear();
                }
                match content {
                    Content::Sequence(items) => own.extend(items.iter().cloned()),
                    // A single value stands for a list of one.
                    _ => own.push(value.clone()),
                }
            }
            _ => put(to, field.name, entry),
        },
        (Cardinality::Map(_), _) => merge_map(to, entry, field.name),
        (_, Kind::Message(name)) => match name.strip_prefix("google.protobuf.") {
            Some("Struct") => merge_map(to, entry, field.name),
            // What is wrapped is a scalar, and its default is not set.
            Some(wrapped) if wrapped.ends_with("Value") && wrapped != "Value" && wrapped != "ListValue" => {
                if known.is_none() || !is_zero(value) {
                    put(to, field.name, entry);
                }
            }
            Some(_) => put(to, field.name, entry),
            None => match known {
                Some(known) => merge(known, value, name, lists)?,
                None => put(to, field.name, entry),
            },
        },
        (cardinality, kind) => {
            let is_set = *cardinality == Cardinality::Optional || field.oneof.is_some();
            if is_set || !is_default(value, kind) {
                put(to, field.name, entry);
            }
        }
    }
    Ok(())
}

fn merge_map(to: &mut Node, entry: &Entry, name: &str) {
    match (existing(to, name), &entry.value.content) {
        (Some(known), Content::Mapping(entries)) if matches!(known.content, Content::Mapping(_)) => {
            for entry in entries {
                put(known, &entry.key, entry);
            }
        }
        _ => put(to, name, entry),
    }
}

fn existing<'n>(node: &'n mut Node, name: &str) -> Option<&'n mut Node> {
    let Content::Mapping(entries) = &mut node.content else { return None };
    let found = entries.iter_mut().find(|entry| is_spelling(name, &entry.key));
    found.map(|entry| &mut entry.value).filter(|value| !matches!(value.content, Content::Null))
}

/// Puts the value of an entry there under a name.
fn put(node: &mut Node, name: &str, entry: &Entry) {
    let Content::Mapping(entries) = &mut node.content else { return };
    match entries.iter_mut().find(|known| is_spelling(name, &known.key)) {
        Some(known) => known.value = entry.value.clone(),
        None => entries.push(Entry { key: name.to_owned(), ..entry.clone() }),
    }
}

fn is_zero(value: &Node) -> bool {
    match &value.content {
        Content::Quoted(text) => text.is_empty() || text == "0",
        Content::Plain(text) => text == "false" || text.parse() == Ok(0.0),
        _ => false,
    }
}

fn is_default(value: &Node, kind: &Kind) -> bool {
    match kind {
        Kind::Enum(name) => {
            let zero = values_of(name).and_then(|values| values.iter().find(|(number, _)| *number == 0));
            let text = value.text().unwrap_or_default();
            text == "0" || zero.is_some_and(|(_, name)| text.eq_ignore_ascii_case(name))
        }
        Kind::Scalar(Scalar::String | Scalar::Bytes) => value.text() == Some(""),
        _ => is_zero(value),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::schema::{from_json, to_json};

    fn merged(message: &str, to: &Value, from: &Value, lists: Lists) -> Value {
        let mut node = from_json(to);
        merge(&mut node, &from_json(from), message, lists).unwrap();
        to_json(&node)
    }

    #[test]
    fn lists_grow_maps_are_replaced_by_key_and_messages_are_merged() {
        let to = json!({
            "name": "a",
            "domains": ["x"],
            "typed_per_filter_config": {"one": {"@type": "t", "old": 1}, "two": {"@type": "t"}},
            "retry_policy": {"retry_on": "5xx", "num_retries": 3},
        });
        let from = json!({
            "domains": ["y"],
            "typedPerFilterConfig": {"one": {"@type": "u"}, "three": {"@type": "v"}},
            "retryPolicy": {"retry_on": "reset"},
        });
        let expected = |domains: &[&str]| {
            json!({
                "name": "a",
                "domains": domains,
                "typed_per_filter_config":
                    {"one": {"@type": "u"}, "two": {"@type": "t"}, "three": {"@type": "v"}},
                "retry_policy": {"retry_on": "reset", "num_retries": 3},
            })
        };
        let host = "envoy.config.route.v3.VirtualHost";
        assert_eq!(merged(host, &to, &from, Lists::Grow), expected(&["x", "y"]));
        assert_eq!(merged(host, &to, &from, Lists::Replace), expected(&["y"]));
    }

    #[test]
    fn one_member_of_a_oneof_takes_the_place_of_the_others() {
        let to = json!({"match": {"prefix": "/"}, "route": {"cluster": "a", "timeout": "1s"}});
        let from = json!({"match": {"path": "/x"}, "direct_response": {"status": 200}});
        assert_eq!(
            merged("envoy.config.route.v3.Route", &to, &from, Lists::Grow),
            json!({"match": {"path": "/x"}, "direct_response": {"status": 200}})
        );
    }

    #[test]
    fn defaults_are_not_set() {
        let to = json!({"stat_prefix": "a", "generate_request_id": true, "codec_type": "HTTP2", "via": "v"});
        let from = json!({"stat_prefix": "", "generate_request_id": false, "codec_type": "AUTO", "via": "w"});
        let manager = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
        assert_eq!(
            merged(manager, &to, &from, Lists::Grow),
            json!({"stat_prefix": "a", "generate_request_id": true, "codec_type": "HTTP2", "via": "w"})
        );
        assert_eq!(
            merged(manager, &json!({}), &json!({"generate_request_id": false}), Lists::Grow),
            json!({"generate_request_id": false}),
            "a value that is wrapped may be set to its default"
        );
    }

    #[test]
    fn messages_of_any_type_have_to_be_of_one_type() {
        let router = |more: Value| {
            let mut all =
                json!({"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"});
            all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            all
        };
        let mut node = from_json(&router(json!({"suppress_envoy_headers": true})));
        merge_any(&mut node, &from_json(&router(json!({"start_child_span": true})))).unwrap();
        assert_eq!(to_json(&node), router(json!({"suppress_envoy_headers": true, "start_child_span": true})));
        let other = json!({"@type": "type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors"});
        let error = merge_any(&mut node, &from_json(&other)).unwrap_err();
        assert!(error.contains("cannot be merged into one of type"), "{error}");
        assert!(merge_any(&mut node, &from_json(&json!({}))).unwrap_err().contains("@type"));
    }
}
