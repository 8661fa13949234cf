//! What gateways of kgateway do in their own way.

use crate::translation::{
    ClusterSite, Controller, Defaults, Message, Names, Words, parameters_without_effect,
};

pub(crate) static CONTROLLER: Controller = Controller {
    name: "kgateway.dev/kgateway",
    classes: &["kgateway"],
    claims: None,
    parameters: parameters_without_effect,
    defaults: Defaults {
        connection_manager: |http| {
            http.use_remote_address = true;
            http.normalize_path = true;
            http.merge_slashes = true;
            // Backends ask for them by their appProtocol.
            http.upgrade_types.clear();
        },
        ..Defaults::PLAIN
    },
    names: Names {
        cluster: |cluster| {
            let ClusterSite { backend, port, .. } = cluster;
            let origin = if cluster.is_service() { "kube" } else { "backend" };
            cluster.by_protocol(format!("{origin}_{}_{}_{port}", backend.namespace, backend.name))
        },
        ..Names::PLAIN
    },
    words: Words { message, replaced_rules: Some("kgateway.dev/Programmed"), ..Words::PLAIN },
};

/// 4.8
fn message(message: &Message) -> Option<String> {
    let text = match message {
        Message::GatewayAccepted => "Successfully accepted Gateway",
        Message::GatewayProgrammed { .. } => "Successfully programmed Gateway",
        Message::GatewayResolved => "Successfully resolved all Gateway references",
        Message::ListenerAccepted => "Successfully accepted Listener",
        Message::ListenerProgrammed => "Successfully programmed Listener",
        Message::ListenerResolved | Message::RouteResolved => "Successfully resolved all references",
        Message::ListenerNotConflicted | Message::SetListenerNotConflicted => {
            "Successfully verified that Listener has no conflicts"
        }
        Message::RouteAccepted => "Successfully accepted Route",
        _ => return None,
    };
    Some(text.to_owned())
}
