//! The dialect of kgateway (section 4): `GatewayExtension` names a processor, `TrafficPolicy` puts it in front of routes.
//!
//! Each extension is one filter of a listener, off unless a policy turns it on. Different extensions on one route all run.

mod attachment;
mod backend;
mod controller;
mod dialect;
mod extension;
mod modes;
mod others;
mod policy;
mod processor;
mod status;
#[cfg(test)]
mod tests;

use self::{backend::Backend, extension::GatewayExtension, policy::TrafficPolicy};
use self::{controller::CONTROLLER, dialect::Kgateway};
use crate::{
    kubernetes::{Kind, Objects as Set, family},
    translation::{PolicyKind, System},
};

/// The group of kgateway.
const GROUP: &str = "gateway.kgateway.dev";

const VERSIONS: &[&str] = &["v1alpha1"];

/// The objects of this dialect.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    pub(crate) extensions: Set<GatewayExtension>,
    pub(crate) policies: Set<TrafficPolicy>,
    pub(crate) backends: Set<Backend>,
    others: Set<()>,
}

/// A kind that is known and not implemented (4.1).
const fn other(kind: &'static str) -> Kind {
    Kind {
        group: GROUP,
        kind,
        versions: VERSIONS,
        cluster_scoped: false,
        default_name: None,
        take: |candidate| {
            let message =
                format!("the kind {} of kgateway is not implemented: it has no effect", candidate.meta.kind);
            candidate.store_as(
                |all| &mut all.of_mut::<Objects>().others,
                &others::OBJECT,
                |object| {
                    object.value().warning(message, "remove it, or serve it with kgateway");
                    Some(())
                },
            )
        },
    }
}

family!(Objects);

/// kgateway.
pub(crate) static KGATEWAY: System = System {
    name: "kgateway",
    kinds: KINDS,
    policies: &[
        PolicyKind::without_target(GROUP, "TrafficPolicy"),
        PolicyKind::without_target(GROUP, "RoutePolicy"),
        PolicyKind::without_target(GROUP, "HTTPListenerPolicy"),
        PolicyKind::without_target(GROUP, "ListenerPolicy"),
    ],
    controller: Some(&CONTROLLER),
    dialect: Some(|translator, gateways| Box::new(Kgateway::new(translator, gateways))),
    ..System::PLAIN
};

const KINDS: &[Kind] = &[
    Kind {
        group: GROUP,
        kind: "GatewayExtension",
        versions: VERSIONS,
        cluster_scoped: false,
        default_name: None,
        take: |candidate| {
            let namespace = candidate.meta.key.namespace.clone();
            candidate.store(
                |all| &mut all.of_mut::<Objects>().extensions,
                |spec| extension::read_gateway_extension(spec, &namespace),
            )
        },
    },
    Kind {
        group: GROUP,
        kind: "TrafficPolicy",
        versions: VERSIONS,
        cluster_scoped: false,
        default_name: None,
        take: |candidate| {
            candidate.store(|all| &mut all.of_mut::<Objects>().policies, policy::read_traffic_policy)
        },
    },
    // The name that TrafficPolicy had before.
    Kind {
        group: GROUP,
        kind: "RoutePolicy",
        versions: VERSIONS,
        cluster_scoped: false,
        default_name: None,
        take: |candidate| {
            candidate.store(|all| &mut all.of_mut::<Objects>().policies, policy::read_traffic_policy)
        },
    },
    Kind {
        group: GROUP,
        kind: "Backend",
        versions: VERSIONS,
        cluster_scoped: false,
        default_name: None,
        take: |candidate| candidate.store(|all| &mut all.of_mut::<Objects>().backends, backend::read_backend),
    },
    other("GatewayParameters"),
    other("HTTPListenerPolicy"),
    other("ListenerPolicy"),
    other("BackendConfigPolicy"),
    other("DirectResponse"),
];
