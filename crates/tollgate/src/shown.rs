//! A configuration as people may see it: without secrets, with durations as they are written in configurations.

use serde_json::{Map, Value};

const REDACTED: &str = "[redacted]";

/// Parts of names whose values are for few eyes.
const SECRET_NAMES: [&str; 10] = [
    "authorization",
    "cookie",
    "token",
    "secret",
    "password",
    "passwd",
    "api-key",
    "apikey",
    "credential",
    "private",
];

/// Makes every part of a document fit to be shown.
pub(crate) fn for_people(value: &mut Value) {
    match value {
        Value::Array(items) => {
            if let [Value::String(name), Value::String(text)] = items.as_mut_slice() {
                hide(name, text);
            } else {
                items.iter_mut().for_each(for_people);
            }
        }
        Value::Object(members) => {
            if let Some(text) = duration(members) {
                *value = Value::String(text);
                return;
            }
            object(members);
        }
        Value::String(text) if is_credential(text) => REDACTED.clone_into(text),
        Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Null => {}
    }
}

fn object(members: &mut Map<String, Value>) {
    let name =
        ["name", "key"].iter().find_map(|key| members.get(*key)).and_then(Value::as_str).map(str::to_owned);
    for (key, member) in members {
        match (&name, member) {
            // Whoever calls a processor proves by these who it is.
            (_, Value::Array(entries)) if key == "initial_metadata" => {
                for entry in entries {
                    match entry.as_array_mut().map(Vec::as_mut_slice) {
                        Some([_, Value::String(text)]) if !is_formatted(text) => REDACTED.clone_into(text),
                        _ => for_people(entry),
                    }
                }
            }
            (Some(name), Value::String(text)) if key == "value" => hide(name, text),
            (_, Value::String(text)) => hide(key, text),
            (_, member) => for_people(member),
        }
    }
}

/// Hides a value that is a secret by its name or by its looks. What operators take from a request is none of the
/// configuration.
pub(crate) fn hide(name: &str, text: &mut String) {
    let name = name.to_ascii_lowercase().replace('_', "-");
    let is_secret =
        SECRET_NAMES.iter().any(|part| name.contains(part)) && !is_formatted(text) && !is_a_file(text);
    if is_secret || is_credential(text) {
        REDACTED.clone_into(text);
    }
}

/// The value comes from the request.
fn is_formatted(text: &str) -> bool {
    text.starts_with('%') && text.ends_with('%') && text.len() > 1
}

fn is_a_file(text: &str) -> bool {
    text.starts_with('/')
}

fn is_credential(text: &str) -> bool {
    ["Bearer ", "bearer ", "Basic ", "basic "]
        .iter()
        .any(|scheme| text.strip_prefix(scheme).is_some_and(|rest| !is_formatted(rest) && !rest.is_empty()))
}

/// `{"secs": 5, "nanos": 0}` is `5s`.
fn duration(members: &Map<String, Value>) -> Option<String> {
    if members.len() != 2 {
        return None;
    }
    let (seconds, nanos) = (members.get("secs")?.as_u64()?, members.get("nanos")?.as_u64()?);
    if nanos == 0 {
        return Some(format!("{seconds}s"));
    }
    let fraction = format!("{nanos:09}");
    Some(format!("{seconds}.{}s", fraction.trim_end_matches('0')))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(mut value: Value) -> Value {
        for_people(&mut value);
        value
    }

    #[test]
    fn durations_are_written_as_in_configurations() {
        let value =
            shown(json!({"a": {"secs": 5, "nanos": 0}, "b": [{"secs": 0, "nanos": 250_000_000}, null]}));
        assert_eq!(value, json!({"a": "5s", "b": ["0.25s", null]}));
        let other = json!({"secs": 5, "nanos": 0, "more": 1});
        assert_eq!(shown(other.clone()), other);
    }

    #[test]
    fn secrets_are_hidden_wherever_they_are() {
        let value = shown(json!({
            "initial_metadata": [["x-tenant", "blue"], ["x-path", "%REQ(:PATH)%"]],
            "request_add": [
                {"name": "x-api-key", "value": "k", "append_action": "ADD_IF_ABSENT"},
                {"name": "x-team", "value": "red"},
                {"name": "x-auth", "value": "Bearer abc"},
                {"name": "authorization", "value": "%REQ(X-A)%"},
            ],
            "access_token": "t",
            "private_key": {"filename": "/etc/key.pem"},
            "headers": [["cookie", "session=1"], ["accept", "*"]],
        }));
        assert_eq!(
            value,
            json!({
                "initial_metadata": [["x-tenant", "[redacted]"], ["x-path", "%REQ(:PATH)%"]],
                "request_add": [
                    {"name": "x-api-key", "value": "[redacted]", "append_action": "ADD_IF_ABSENT"},
                    {"name": "x-team", "value": "red"},
                    {"name": "x-auth", "value": "[redacted]"},
                    {"name": "authorization", "value": "%REQ(X-A)%"},
                ],
                "access_token": "[redacted]",
                "private_key": {"filename": "/etc/key.pem"},
                "headers": [["cookie", "[redacted]"], ["accept", "*"]],
            })
        );
    }
}
