//! `/listeners`: names and addresses.

use serde_json::{Value, json};
use tollgate_model::listener::BindAddress;

use crate::address::Address;

/// `name::address` of each.
pub(super) fn text(listeners: &[(String, BindAddress)]) -> String {
    listeners.iter().map(|(name, address)| format!("{name}::{}\n", Address(address))).collect()
}

/// Envoy's `Listeners` message.
pub(super) fn json(listeners: &[(String, BindAddress)]) -> Value {
    let mut statuses: Vec<Value> = Vec::new();
    for (name, bound) in listeners {
        let shown = address(bound);
        // The further addresses of a listener follow its first one.
        match statuses.last_mut().filter(|status| status["name"] == name.as_str()) {
            Some(status) => match status["additional_local_addresses"].as_array_mut() {
                Some(more) => more.push(shown),
                None => status["additional_local_addresses"] = json!([shown]),
            },
            None => statuses.push(json!({ "name": name, "local_address": shown })),
        }
    }
    json!({ "listener_statuses": statuses })
}

fn address(address: &BindAddress) -> Value {
    match address {
        BindAddress::Socket(socket) => {
            json!({ "socket_address": { "address": socket.ip(), "port_value": socket.port() } })
        }
        BindAddress::Pipe { path, .. } => json!({ "pipe": { "path": path } }),
    }
}
