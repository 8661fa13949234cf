//! What conditions say to people, in the words of each controller (4.8, 6.8).

use super::Controller;

/// What a condition says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Message {
    ClassAccepted,
    GatewayAccepted,
    GatewayProgrammed,
    GatewayResolved,
    ListenerAccepted,
    ListenerProgrammed,
    ListenerResolved,
    ListenerNotConflicted,
    /// Listeners of a port that speak different protocols, by the names of all of them.
    ProtocolConflict {
        port: u16,
        listeners: String,
    },
    /// Listeners of a port with the same host name.
    HostnameConflict {
        port: u16,
        host: String,
        listeners: String,
    },
    /// Another condition says why.
    ListenerInvalid,
    RouteAccepted,
    RouteResolved,
    NoMatchingParent,
    NotAllowedByListeners,
    /// With the kind of the route.
    NoMatchingListenerHostname(String),
}

/// The text.
pub(super) fn of(message: Message, controller: Controller) -> String {
    let text = match (message, controller) {
        (Message::ClassAccepted, _) => "Valid GatewayClass",
        (Message::GatewayAccepted, Controller::Kgateway) => "Successfully accepted Gateway",
        (Message::GatewayAccepted, _) => "Valid Gateway",
        (Message::GatewayProgrammed, Controller::Kgateway) => "Successfully programmed Gateway",
        (Message::GatewayProgrammed, _) => "Address assigned to the Gateway",
        (Message::GatewayResolved, Controller::Kgateway) => "Successfully resolved all Gateway references",
        (Message::GatewayResolved, _) => "Gateway references have been resolved",
        (Message::ListenerAccepted, Controller::Kgateway) => "Successfully accepted Listener",
        (Message::ListenerAccepted, _) => "Listener has been successfully translated",
        (Message::ListenerProgrammed, Controller::Kgateway) => "Successfully programmed Listener",
        (Message::ListenerProgrammed, _) => "Sending translated listener configuration to the data plane",
        (Message::ListenerResolved, Controller::Kgateway) => "Successfully resolved all references",
        (Message::ListenerResolved, _) => "Listener references have been resolved",
        (Message::ListenerNotConflicted, Controller::Kgateway) => {
            "Successfully verified that Listener has no conflicts"
        }
        (Message::ListenerNotConflicted, _) => "Listener has no conflicts",
        (Message::ProtocolConflict { listeners, .. }, Controller::EnvoyGateway) => {
            return format!(
                "All listeners for a given port must use a compatible protocol, conflicting listeners: {listeners}"
            );
        }
        (Message::ProtocolConflict { port, listeners }, _) => {
            return format!("listeners of port {port} speak different protocols: {listeners}");
        }
        (Message::HostnameConflict { listeners, .. }, Controller::EnvoyGateway) => {
            return format!(
                "All listeners for a given port must use a unique hostname, conflicting listeners: {listeners}"
            );
        }
        (Message::HostnameConflict { port, host, listeners }, _) => {
            return format!("listeners of port {port} have the same host name {host}: {listeners}");
        }
        (Message::ListenerInvalid, _) => "Listener is invalid, see other Conditions for details.",
        (Message::RouteAccepted, Controller::Kgateway) => "Successfully accepted Route",
        (Message::RouteAccepted, _) => "Route is accepted",
        (Message::RouteResolved, Controller::Kgateway) => "Successfully resolved all references",
        (Message::RouteResolved, _) => "Resolved all the Object references for the Route",
        (Message::NoMatchingParent, _) => "No listeners match this parent ref",
        (Message::NotAllowedByListeners, _) => {
            "No listeners included by this parent ref allowed this attachment."
        }
        (Message::NoMatchingListenerHostname(kind), _) => {
            return format!(
                "There were no hostname intersections between the {kind} and this parent ref's Listener(s)."
            );
        }
    };
    text.to_owned()
}
