//! What is known of the process: `/memory`, `/runtime`, `/init_dump`.

use serde_json::{Map, Value, json};

use crate::process_metrics::resident_bytes;

/// `/memory`. The allocator does not say what it keeps.
pub(super) fn memory() -> Value {
    let resident = resident_bytes().unwrap_or(0).to_string();
    json!({
        "allocated": resident,
        "heap_size": resident,
        "pageheap_unmapped": "0",
        "pageheap_free": "0",
        "total_thread_cache": "0",
        "total_physical_bytes": resident,
    })
}

/// `/runtime`: the layers of a bootstrap, and what each says about each key.
pub(super) fn runtime(bootstrap: &Value) -> Value {
    let layers = bootstrap["layered_runtime"]["layers"].as_array().cloned().unwrap_or_default();
    let names: Vec<&str> = layers.iter().map(|layer| layer["name"].as_str().unwrap_or_default()).collect();
    let mut entries: Map<String, Value> = Map::new();
    for (index, layer) in layers.iter().enumerate() {
        let mut keys = Vec::new();
        flatten("", &layer["static_layer"], &mut keys);
        for (key, value) in keys {
            let entry = entries
                .entry(key)
                .or_insert_with(|| json!({ "layer_values": vec![""; layers.len()], "final_value": "" }));
            entry["layer_values"][index] = value.clone().into();
            entry["final_value"] = value.into();
        }
    }
    json!({ "layers": names, "entries": entries })
}

/// `{a: {b: 1}}` is `a.b`.
fn flatten(prefix: &str, value: &Value, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                flatten(&key, member, found);
            }
        }
        Value::Null => {}
        Value::String(text) => found.push((prefix.to_owned(), text.clone())),
        Value::Number(number) => {
            let text = number.to_string();
            found.push((prefix.to_owned(), text.strip_suffix(".0").unwrap_or(&text).to_owned()));
        }
        other => found.push((prefix.to_owned(), other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_layers_count() {
        let bootstrap = json!({"layered_runtime": {"layers": [
            {"name": "one", "static_layer": {"a.b": 1.0, "x": {"z": true}}},
            {"name": "two", "static_layer": {"a": {"b": 2}}},
            {"name": "admin", "admin_layer": {}},
        ]}});
        assert_eq!(
            runtime(&bootstrap),
            json!({
                "layers": ["one", "two", "admin"],
                "entries": {
                    "a.b": {"layer_values": ["1", "2", ""], "final_value": "2"},
                    "x.z": {"layer_values": ["true", "", ""], "final_value": "true"},
                },
            })
        );
        assert_eq!(runtime(&json!({})), json!({"layers": [], "entries": {}}));
    }
}
