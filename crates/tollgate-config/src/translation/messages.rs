//! What conditions say to people, in the words of each controller (4.8, 6.8).

use super::Controller;

/// How many listeners of a set are valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Validity {
    All,
    Some,
    Nothing,
}

/// What a condition says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Message {
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
pub(super) fn of(message: Message, controller: &Controller) -> String {
    (controller.words.message)(&message).unwrap_or_else(|| plain(message))
}

fn plain(message: Message) -> String {
    let text = match message {
        Message::ClassAccepted => "Valid GatewayClass",
        Message::GatewayAccepted => "Valid Gateway",
        Message::GatewayProgrammed { has_address: true } => "Address assigned to the Gateway",
        Message::GatewayProgrammed { .. } => "Gateway listens on every address of the machine",
        Message::GatewayResolved => "Gateway references have been resolved",
        Message::ListenerAccepted => "Listener has been successfully translated",
        Message::ListenerProgrammed => "Sending translated listener configuration to the data plane",
        Message::ListenerResolved => "Listener references have been resolved",
        Message::ListenerNotConflicted | Message::SetListenerNotConflicted => "Listener has no conflicts",
        Message::ListenerSetNotProgrammed(why) => return why,
        Message::ListenerSetAccepted(Validity::All) => "ListenerSet is accepted",
        Message::ListenerSetProgrammed(Validity::All) => "ListenerSet is served",
        Message::ListenerSetAccepted(_) | Message::ListenerSetProgrammed(_) => {
            "some listeners are not valid, see their conditions"
        }
        Message::ListenerSetNotAllowed { gateway, .. } => {
            return format!("Gateway {gateway} does not allow ListenerSets of this namespace");
        }
        Message::ListenerSetParent { .. } => "the Gateway is not accepted",
        Message::ProtocolConflict { port, listeners } => {
            return format!("listeners of port {port} use different protocols: {listeners}");
        }
        Message::HostnameConflict { port, host, listeners } => {
            return format!("listeners of port {port} have the same host name {host}: {listeners}");
        }
        Message::ListenerInvalid => "Listener is invalid, see other Conditions for details.",
        Message::RouteAccepted => "Route is accepted",
        Message::RouteResolved => "Resolved all the Object references for the Route",
        Message::NoMatchingParent => "No listeners match this parent ref",
        Message::NotAllowedByListeners => "No listeners included by this parent ref allowed this attachment.",
        Message::NoMatchingListenerHostname(kind) => {
            return format!(
                "There were no hostname intersections between the {kind} and this parent ref's Listener(s)."
            );
        }
    };
    text.to_owned()
}
