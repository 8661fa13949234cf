//! Istio's own objects (3.7): Gateway, VirtualService and ServiceEntry, which HTNN's policies may be about.
//!
//! They become further gateways and routes of the [translation](crate::translation). Routes of a VirtualService are tried in
//! the order in which they are written.

mod attachment;
mod gateway;
mod host;
mod http_actions;
mod http_match;
mod http_route;
mod listener;
mod service_entry;
mod virtual_service;

pub(crate) use self::{
    attachment::gateways,
    gateway::Gateway,
    host::{HOSTNAME, service_key},
    service_entry::ServiceEntry,
    virtual_service::VirtualService,
};
use self::{gateway::read_gateway, service_entry::read_service_entry, virtual_service::read_virtual_service};
use crate::{
    kubernetes::{Kind, Objects as Set},
    protobuf::Value,
};

/// The group of Istio's objects.
pub(crate) const GROUP: &str = "networking.istio.io";

const VERSIONS: &[&str] = &["v1", "v1beta1", "v1alpha3"];

/// Istio's own objects.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    pub(crate) gateways: Set<Gateway>,
    pub(crate) virtual_services: Set<VirtualService>,
    pub(crate) service_entries: Set<ServiceEntry>,
}

pub(crate) const KINDS: &[Kind] = &[
    Kind {
        group: GROUP,
        kind: "Gateway",
        versions: VERSIONS,
        cluster_scoped: false,
        take: |candidate, all| candidate.store(&mut all.istio.gateways, read_gateway),
    },
    Kind {
        group: GROUP,
        kind: "VirtualService",
        versions: VERSIONS,
        cluster_scoped: false,
        take: |candidate, all| {
            let namespace = candidate.meta.key.namespace.clone();
            let read = |value: &Value<'_>| read_virtual_service(value, &namespace);
            candidate.store(&mut all.istio.virtual_services, read);
        },
    },
    Kind {
        group: GROUP,
        kind: "ServiceEntry",
        versions: VERSIONS,
        cluster_scoped: false,
        take: |candidate, all| candidate.store(&mut all.istio.service_entries, read_service_entry),
    },
];
