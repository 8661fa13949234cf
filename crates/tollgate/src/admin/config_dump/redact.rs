//! What nobody may see.

use serde_json::Value;

use crate::shown::hide;

const REDACTED: &str = "[redacted]";
/// The same in base64.
const REDACTED_BYTES: &str = "W3JlZGFjdGVkXQ==";

/// Fields of Envoy's API whose data is secret.
const SENSITIVE: [&str; 9] = [
    "private_key",
    "private_key_provider",
    "password",
    "pkcs12",
    "secret",
    "keys",
    "hmac_secret",
    "token_secret",
    "users",
];

/// Hides secrets wherever they are.
pub(super) fn hide_secrets(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(hide_secrets),
        Value::Object(members) => {
            let name = ["key", "name"].iter().find_map(|key| members.get(*key)?.as_str().map(str::to_owned));
            for (key, member) in members.iter_mut() {
                match (&name, &mut *member) {
                    (Some(name), Value::String(text)) if key == "value" => hide(name, text),
                    // Whoever calls a server proves by these who it is.
                    (_, Value::Array(entries)) if key == "initial_metadata" => {
                        for value in entries.iter_mut().filter_map(|entry| entry.get_mut("value")) {
                            *value = REDACTED.into();
                        }
                    }
                    _ => {}
                }
                if SENSITIVE.contains(&key.as_str()) {
                    hide_data(member);
                }
                hide_secrets(member);
            }
        }
        _ => {}
    }
}

/// Hides data, and where it is.
fn hide_data(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(hide_data),
        Value::Object(members) => {
            for (key, member) in members {
                match key.as_str() {
                    "inline_string" | "filename" | "environment_variable" => *member = REDACTED.into(),
                    "inline_bytes" => *member = REDACTED_BYTES.into(),
                    "typed_config" => *member = Value::Null,
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_hidden_and_names_are_not() {
        let mut value = json!({
            "tls_certificate": {
                "certificate_chain": {"inline_string": "PEM"},
                "private_key": {"inline_string": "KEY"},
                "password": {"filename": "/run/password"},
            },
            "session_ticket_keys": {"keys": [{"inline_bytes": "S0VZ"}, {"filename": "/run/key"}]},
            "initial_metadata": [{"key": "x-tenant", "value": "blue"}],
            "header": {"key": "x-api-key", "value": "k"},
            "other": {"key": "x-team", "value": "red"},
            "domains": ["token.example", "b.example"],
        });
        hide_secrets(&mut value);
        assert_eq!(
            value,
            json!({
                "tls_certificate": {
                    "certificate_chain": {"inline_string": "PEM"},
                    "private_key": {"inline_string": "[redacted]"},
                    "password": {"filename": "[redacted]"},
                },
                "session_ticket_keys": {"keys": [{"inline_bytes": "W3JlZGFjdGVkXQ=="}, {"filename": "[redacted]"}]},
                "initial_metadata": [{"key": "x-tenant", "value": "[redacted]"}],
                "header": {"key": "x-api-key", "value": "[redacted]"},
                "other": {"key": "x-team", "value": "red"},
                "domains": ["token.example", "b.example"],
            })
        );
    }
}
