//! The dialect of Envoy Gateway (section 6).
//!
//! ```text
//! EnvoyExtensionPolicy --attachment--> one policy for each rule --processors--> Applied
//!                                                  Backend, Service --backends--> Cluster
//! ```

mod attachment;
mod backend;
mod backends;
mod client_settings;
mod client_traffic;
mod clients;
mod configuration;
mod controller;
mod dialect;
mod ext_proc;
mod extension_policy;
mod filter_order;
mod gateway_settings;
mod others;
mod patch_policy;
mod patches;
mod processors;
mod proxy;
mod route_backend;
mod security;
mod security_policy;
mod settings;
mod status;
mod targets;
mod tls;
mod tls_settings;

use self::{
    backend::Backend,
    client_settings::ClientSettings,
    client_traffic::ClientTrafficPolicy,
    configuration::Configuration,
    controller::CONTROLLER,
    dialect::EnvoyGateway,
    extension_policy::ExtensionPolicy,
    gateway_settings::ProxySettings,
    others::{BackendTrafficPolicy, Unimplemented},
    patch_policy::PatchPolicy,
    proxy::EnvoyProxy,
    security_policy::SecurityPolicy,
};
use crate::{
    kubernetes::{Kind, Objects as Set, family},
    translation::{PolicyKind, System},
};

/// The group of Envoy Gateway.
const GROUP: &str = "gateway.envoyproxy.io";

const VERSIONS: &[&str] = &["v1alpha1"];

/// The objects of this dialect.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    pub(crate) extension_policies: Set<ExtensionPolicy>,
    pub(crate) backends: Set<Backend>,
    pub(crate) proxies: Set<EnvoyProxy>,
    pub(crate) configurations: Set<Configuration>,
    pub(crate) security_policies: Set<SecurityPolicy>,
    pub(crate) client_traffic_policies: Set<ClientTrafficPolicy>,
    pub(crate) backend_traffic_policies: Set<BackendTrafficPolicy>,
    pub(crate) http_route_filters: Set<Unimplemented>,
    patch_policies: Set<PatchPolicy>,
}

family!(Objects);

/// Envoy Gateway.
pub(crate) static ENVOY_GATEWAY: System = System {
    name: "Envoy Gateway",
    kinds: KINDS,
    policies: &[
        PolicyKind::new(GROUP, "EnvoyExtensionPolicy"),
        PolicyKind::new(GROUP, "SecurityPolicy"),
        PolicyKind::new(GROUP, "ClientTrafficPolicy"),
        PolicyKind::new(GROUP, "BackendTrafficPolicy"),
        PolicyKind::new(GROUP, patches::KIND),
    ],
    controller: Some(&CONTROLLER),
    dialect: Some(|translator, gateways| Box::new(EnvoyGateway::new(translator, gateways))),
    ..System::PLAIN
};

const KINDS: &[Kind] = &[
    Kind {
        group: GROUP,
        kind: "EnvoyExtensionPolicy",
        versions: VERSIONS,
        cluster_scoped: false,
        default_name: None,
        take: |candidate| {
            candidate.store(
                |all| &mut all.of_mut::<Objects>().extension_policies,
                extension_policy::read_extension_policy,
            )
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
    Kind {
        group: GROUP,
        kind: "EnvoyProxy",
        versions: VERSIONS,
        cluster_scoped: false,
        default_name: None,
        take: |candidate| candidate.store(|all| &mut all.of_mut::<Objects>().proxies, proxy::read_proxy),
    },
    Kind {
        group: GROUP,
        kind: "EnvoyGateway",
        versions: VERSIONS,
        cluster_scoped: false,
        default_name: Some("envoy-gateway"),
        take: |candidate| {
            candidate.store_as(
                |all| &mut all.of_mut::<Objects>().configurations,
                &configuration::ENVOY_GATEWAY,
                configuration::read_configuration,
            )
        },
    },
    Kind {
        group: GROUP,
        kind: "SecurityPolicy",
        versions: VERSIONS,
        cluster_scoped: false,
        default_name: None,
        take: |candidate| {
            candidate.store(
                |all| &mut all.of_mut::<Objects>().security_policies,
                security_policy::read_security_policy,
            )
        },
    },
    Kind {
        group: GROUP,
        kind: "ClientTrafficPolicy",
        versions: VERSIONS,
        cluster_scoped: false,
        default_name: None,
        take: |candidate| {
            candidate.store(
                |all| &mut all.of_mut::<Objects>().client_traffic_policies,
                client_traffic::read_client_traffic_policy,
            )
        },
    },
    Kind {
        group: GROUP,
        kind: "BackendTrafficPolicy",
        versions: VERSIONS,
        cluster_scoped: false,
        default_name: None,
        take: |candidate| {
            candidate.store(
                |all| &mut all.of_mut::<Objects>().backend_traffic_policies,
                others::read_backend_traffic_policy,
            )
        },
    },
    Kind {
        group: GROUP,
        kind: "HTTPRouteFilter",
        versions: VERSIONS,
        cluster_scoped: false,
        default_name: None,
        take: |candidate| others::take(candidate, |all| &mut all.of_mut::<Objects>().http_route_filters),
    },
    Kind {
        group: GROUP,
        kind: patches::KIND,
        versions: VERSIONS,
        cluster_scoped: false,
        default_name: None,
        take: |candidate| {
            candidate
                .store(|all| &mut all.of_mut::<Objects>().patch_policies, patch_policy::read_patch_policy)
        },
    },
];

#[cfg(test)]
mod tests;
