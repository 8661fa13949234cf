//! The systems whose configuration is understood. A new one is a room of its own, and a line here.

#[cfg(test)]
mod tests;
mod tollgate;

use std::sync::LazyLock;

use self::tollgate::TOLLGATE;
use crate::{
    envoy_gateway::ENVOY_GATEWAY,
    gateway_api::{self, EXPERIMENTAL_GROUP, GROUP},
    guard::Guard,
    htnn::HTNN,
    inference::INFERENCE,
    istio::ISTIO,
    kgateway::KGATEWAY,
    translation::{PolicyKind, System, Systems},
};

/// All of them, in the order in which their dialects are asked.
static SYSTEMS: [&System; 8] =
    [&GATEWAY_API, &INFERENCE, &HTNN, &KGATEWAY, &ENVOY_GATEWAY, &GUARD, &ISTIO, &TOLLGATE];

/// All systems.
pub(crate) fn all() -> &'static Systems {
    static ALL: LazyLock<Systems> = LazyLock::new(|| Systems::new(SYSTEMS, &tollgate::CONTROLLER));
    &ALL
}

/// All systems and one more.
#[cfg(test)]
pub(crate) fn with(one: &'static System) -> Systems {
    Systems::new(SYSTEMS.into_iter().chain([one]), &tollgate::CONTROLLER)
}

/// Gateway API itself, which the others build on.
static GATEWAY_API: System = System {
    name: "Gateway API",
    kinds: gateway_api::KINDS,
    not_implemented: &[
        (GROUP, "BackendLBPolicy"),
        (EXPERIMENTAL_GROUP, "XBackendTrafficPolicy"),
        (EXPERIMENTAL_GROUP, "XMesh"),
    ],
    policies: &[PolicyKind::without_target(GROUP, "BackendTLSPolicy")],
    targets: &[
        (GROUP, "Gateway"),
        (GROUP, "ListenerSet"),
        (GROUP, "HTTPRoute"),
        (GROUP, "GRPCRoute"),
        (GROUP, "TCPRoute"),
        (GROUP, "TLSRoute"),
        (GROUP, "UDPRoute"),
        (EXPERIMENTAL_GROUP, "XListenerSet"),
        ("", "Service"),
    ],
    ..System::PLAIN
};

/// What is not served although no system has anything against it.
static GUARD: System =
    System { dialect: Some(|translator, _| Box::new(Guard::new(translator))), ..System::PLAIN };
