//! What conditions say to people, in the words of each controller (4.8, 6.8).

use super::Controller;

/// How many listeners of a set are valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Validity {
    All,
    Some,
    Nothing,
}

/// What a condition says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Message {
    ClassAccepted,
    GatewayAccepted,
    GatewayProgrammed {
        /// Whether its status names an address.
        has_address: bool,
    },
    GatewayResolved,
    ListenerAccepted,
    ListenerProgrammed,
    ListenerResolved,
    ListenerNotConflicted,
    /// The same of a listener of a ListenerSet.
    SetListenerNotConflicted,
    ListenerSetAccepted(Validity),
    ListenerSetProgrammed(Validity),
    /// A ListenerSet is refused, for this reason.
    ListenerSetNotProgrammed(String),
    /// A Gateway does not let a ListenerSet in.
    ListenerSetNotAllowed {
        gateway: String,
        namespace: String,
    },
    /// The Gateway of a ListenerSet is refused.
    ListenerSetParent {
        gateway: String,
    },
    /// Listeners of a port that use different protocols, by the names of all of them.
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
        (Message::GatewayProgrammed { .. }, Controller::Kgateway) => "Successfully programmed Gateway",
        (Message::GatewayProgrammed { has_address: true }, _) => "Address assigned to the Gateway",
        (Message::GatewayProgrammed { .. }, _) => "Gateway listens on every address of the machine",
        (Message::GatewayResolved, Controller::Kgateway) => "Successfully resolved all Gateway references",
        (Message::GatewayResolved, _) => "Gateway references have been resolved",
        (Message::ListenerAccepted, Controller::Kgateway) => "Successfully accepted Listener",
        (Message::ListenerAccepted, _) => "Listener has been successfully translated",
        (Message::ListenerProgrammed, Controller::Kgateway) => "Successfully programmed Listener",
        (Message::ListenerProgrammed, _) => "Sending translated listener configuration to the data plane",
        (Message::ListenerResolved, Controller::Kgateway) => "Successfully resolved all references",
        (Message::ListenerResolved, _) => "Listener references have been resolved",
        (Message::SetListenerNotConflicted, Controller::EnvoyGateway) => "No conflicts detected",
        (Message::ListenerNotConflicted | Message::SetListenerNotConflicted, Controller::Kgateway) => {
            "Successfully verified that Listener has no conflicts"
        }
        (Message::ListenerNotConflicted | Message::SetListenerNotConflicted, _) => {
            "Listener has no conflicts"
        }
        (Message::ListenerSetAccepted(validity), Controller::EnvoyGateway) => match validity {
            Validity::All => "All listeners are accepted",
            Validity::Some => "Some listeners are invalid",
            Validity::Nothing => "No listeners are accepted",
        },
        (Message::ListenerSetProgrammed(validity), Controller::EnvoyGateway) => match validity {
            Validity::All => "All listeners are programmed",
            Validity::Some => "Some listeners are not programmed",
            Validity::Nothing => "No listeners are programmed",
        },
        (Message::ListenerSetNotProgrammed(_), Controller::EnvoyGateway) => "Not Programmed",
        (Message::ListenerSetNotProgrammed(why), _) => return why,
        (Message::ListenerSetAccepted(Validity::All), _) => "ListenerSet is accepted",
        (Message::ListenerSetProgrammed(Validity::All), _) => "ListenerSet is served",
        (Message::ListenerSetAccepted(_) | Message::ListenerSetProgrammed(_), _) => {
            "some listeners are not valid, see their conditions"
        }
        (Message::ListenerSetNotAllowed { gateway, namespace }, Controller::EnvoyGateway) => {
            return format!(
                "ListenerSet attachment from namespace {namespace} not allowed by Gateway {gateway}"
            );
        }
        (Message::ListenerSetNotAllowed { gateway, .. }, _) => {
            return format!("Gateway {gateway} does not allow ListenerSets of this namespace");
        }
        (Message::ListenerSetParent { gateway }, Controller::EnvoyGateway) => {
            return format!("Parent Gateway {gateway} not accepted");
        }
        (Message::ListenerSetParent { .. }, _) => "the Gateway is not accepted",
        (Message::ProtocolConflict { listeners, .. }, Controller::EnvoyGateway) => {
            return format!(
                "All listeners for a given port must use a compatible protocol, conflicting listeners: {listeners}"
            );
        }
        (Message::ProtocolConflict { port, listeners }, _) => {
            return format!("listeners of port {port} use different protocols: {listeners}");
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
