//! Istio's own objects (3.7): Gateway, VirtualService and ServiceEntry, which HTNN's policies may be about, and EnvoyFilter.
//!
//! They become further gateways and routes of the [translation](crate::translation). Routes of a VirtualService are tried in
//! the order in which they are written.

mod attachment;
mod controller;
mod dialect;
mod envoy_filter;
mod gateway;
mod host;
mod http_actions;
mod http_match;
mod http_route;
mod listener;
mod protecting;
mod scope;
mod service_entry;
#[cfg(test)]
mod tests;
mod virtual_service;

use self::{
    attachment::gateways,
    dialect::Istio,
    envoy_filter::EnvoyFilter,
    gateway::Gateway,
    host::{HOSTNAME, SUBSET},
    service_entry::ServiceEntry,
    virtual_service::VirtualService,
};
pub(crate) use self::{
    controller::{CONTROLLER, speaks_http2},
    host::service_key,
};
use self::{
    envoy_filter::read_envoy_filter, gateway::read_gateway, service_entry::read_service_entry,
    virtual_service::read_virtual_service,
};
use crate::{
    kubernetes::{Kind, Objects as Set, family},
    schema::{Schema, Value, bookkeeping, read},
    translation::System,
};

/// The group of Istio's objects.
pub(crate) const GROUP: &str = "networking.istio.io";

const VERSIONS: &[&str] = &["v1", "v1beta1", "v1alpha3"];

/// Istio itself.
pub(crate) static ISTIO: System = System {
    name: "Istio",
    kinds: KINDS,
    not_implemented: &[
        (GROUP, "DestinationRule"),
        (GROUP, "ProxyConfig"),
        (GROUP, "Sidecar"),
        (GROUP, "WorkloadEntry"),
        (GROUP, "WorkloadGroup"),
        ("security.istio.io", "PeerAuthentication"),
    ],
    targets: &[(GROUP, "VirtualService"), (GROUP, "Gateway")],
    controller: Some(&CONTROLLER),
    gateways: Some(gateways),
    dialect: Some(|translator, _| Box::new(Istio::new(translator))),
    ..System::PLAIN
};

/// Kinds that put something in front of a gateway and are not implemented.
const PROTECTING: [(&str, &str); 3] = [
    ("security.istio.io", "AuthorizationPolicy"),
    ("security.istio.io", "RequestAuthentication"),
    ("extensions.istio.io", "WasmPlugin"),
];

/// One of these, of which the document is kept.
const fn protecting(group: &'static str, kind: &'static str, versions: &'static [&'static str]) -> Kind {
    Kind {
        group,
        kind,
        versions,
        cluster_scoped: false,
        default_name: None,
        take: |candidate| {
            candidate.store_as(|all| &mut all.of_mut::<Objects>().protecting, &KEPT, |_| Some(()))
        },
    }
}

static KEPT: Schema = Schema {
    name: "IstioObject",
    title: "",
    fields: &[
        read("apiVersion", "", "API group and version. Required."),
        read("kind", "", "What it is. Required."),
        read("metadata", "", "Names it. Required."),
        bookkeeping("spec"),
        bookkeeping("status"),
    ],
    unsupported: &[],
};

/// Istio's own objects.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    pub(crate) gateways: Set<Gateway>,
    pub(crate) virtual_services: Set<VirtualService>,
    pub(crate) service_entries: Set<ServiceEntry>,
    envoy_filters: Set<EnvoyFilter>,
    protecting: Set<()>,
}

family!(Objects);

const KINDS: &[Kind] = &[
    Kind {
        group: GROUP,
        kind: "Gateway",
        versions: VERSIONS,
        cluster_scoped: false,
        default_name: None,
        take: |candidate| candidate.store(|all| &mut all.of_mut::<Objects>().gateways, read_gateway),
    },
    Kind {
        group: GROUP,
        kind: "VirtualService",
        versions: VERSIONS,
        cluster_scoped: false,
        default_name: None,
        take: |candidate| {
            let namespace = candidate.meta.key.namespace.clone();
            let read = |value: &Value<'_>| read_virtual_service(value, &namespace);
            candidate.store(|all| &mut all.of_mut::<Objects>().virtual_services, read)
        },
    },
    Kind {
        group: GROUP,
        kind: "ServiceEntry",
        versions: VERSIONS,
        cluster_scoped: false,
        default_name: None,
        take: |candidate| {
            candidate.store(|all| &mut all.of_mut::<Objects>().service_entries, read_service_entry)
        },
    },
    Kind {
        group: GROUP,
        kind: "EnvoyFilter",
        versions: &["v1alpha3"],
        cluster_scoped: false,
        default_name: None,
        take: |candidate| {
            candidate.store(|all| &mut all.of_mut::<Objects>().envoy_filters, read_envoy_filter)
        },
    },
    protecting("security.istio.io", "AuthorizationPolicy", &["v1", "v1beta1"]),
    protecting("security.istio.io", "RequestAuthentication", &["v1", "v1beta1"]),
    protecting("extensions.istio.io", "WasmPlugin", &["v1alpha1"]),
];
