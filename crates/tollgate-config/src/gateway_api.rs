//! Gateway API: `gateway.networking.k8s.io` (section 9).

mod backend_ref;
mod backend_tls_policy;
mod filters;
mod gateway;
mod gateway_class;
mod grants;
mod grpc_route;
mod http_match;
mod http_route;
mod listener;
mod listener_set;
mod names;
mod other_routes;
mod reference_grant;
mod route;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub(crate) use self::{
    backend_tls_policy::BackendTlsPolicy,
    gateway::{AddressValue, FrontendValidation, GatewaySpec},
    gateway_class::{GatewayClass, ParametersRef},
    grants::{Grants, Referrer},
    listener::{FromNamespaces, ListenerEntry, Protocol, RouteKind, SecretReference},
    listener_set::ListenerSet,
    other_routes::OtherRoute,
    reference_grant::ReferenceGrant,
    route::{Parent, RouteSpec},
};
use crate::{
    kubernetes::{Candidate, Kind, Objects as Set, SetOf, Stored, family},
    schema::Value,
};

/// The group of Gateway API.
pub(crate) const GROUP: &str = "gateway.networking.k8s.io";

/// The group of experiments.
pub(crate) const EXPERIMENTAL_GROUP: &str = "gateway.networking.x-k8s.io";

/// The objects of Gateway API.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    pub(crate) gateway_classes: Set<GatewayClass>,
    pub(crate) gateways: Set<GatewaySpec>,
    pub(crate) listener_sets: Set<ListenerSet>,
    pub(crate) http_routes: Set<RouteSpec>,
    pub(crate) grpc_routes: Set<RouteSpec>,
    pub(crate) tls_routes: Set<OtherRoute>,
    pub(crate) tcp_routes: Set<OtherRoute>,
    pub(crate) udp_routes: Set<OtherRoute>,
    pub(crate) backend_tls_policies: Set<BackendTlsPolicy>,
    pub(crate) reference_grants: Set<ReferenceGrant>,
}

family!(Objects);

/// A kind with a reader that has to know the namespace of its object.
const fn kind(
    kind: &'static str,
    versions: &'static [&'static str],
    take: fn(Candidate<'_>) -> Stored,
) -> Kind {
    Kind { group: GROUP, kind, versions, cluster_scoped: false, default_name: None, take }
}

fn store<T: Send + Sync + 'static>(
    candidate: Candidate<'_>,
    objects: SetOf<T>,
    read: impl FnOnce(&Value<'_>, &str) -> Option<T>,
) -> Stored {
    let meta = Arc::clone(&candidate.meta);
    candidate.store(objects, |spec| read(spec, &meta.key.namespace))
}

fn take_listener_set(candidate: Candidate<'_>) -> Stored {
    store(candidate, |all| &mut all.of_mut::<Objects>().listener_sets, listener_set::read_listener_set)
}

/// Takes a route of a kind that is not served.
fn take_other_route(candidate: Candidate<'_>, routes: SetOf<OtherRoute>) -> Stored {
    candidate.warn(format!("a {} is read and not served: only HTTP is", candidate.meta.kind));
    store(candidate, routes, other_routes::read_other_route)
}

pub(crate) const KINDS: &[Kind] = &[
    Kind {
        cluster_scoped: true,
        default_name: None,
        ..kind("GatewayClass", &["v1", "v1beta1"], |candidate| {
            candidate
                .store(|all| &mut all.of_mut::<Objects>().gateway_classes, gateway_class::read_gateway_class)
        })
    },
    kind("Gateway", &["v1", "v1beta1"], |candidate| {
        store(candidate, |all| &mut all.of_mut::<Objects>().gateways, gateway::read_gateway)
    }),
    kind("ListenerSet", &["v1"], take_listener_set),
    Kind { group: EXPERIMENTAL_GROUP, ..kind("XListenerSet", &["v1alpha1"], take_listener_set) },
    kind("HTTPRoute", &["v1", "v1beta1"], |candidate| {
        store(candidate, |all| &mut all.of_mut::<Objects>().http_routes, http_route::read_http_route)
    }),
    kind("GRPCRoute", &["v1", "v1alpha2"], |candidate| {
        store(candidate, |all| &mut all.of_mut::<Objects>().grpc_routes, grpc_route::read_grpc_route)
    }),
    kind("TLSRoute", &["v1", "v1alpha3", "v1alpha2"], |candidate| {
        take_other_route(candidate, |all| &mut all.of_mut::<Objects>().tls_routes)
    }),
    kind("TCPRoute", &["v1", "v1alpha2"], |candidate| {
        take_other_route(candidate, |all| &mut all.of_mut::<Objects>().tcp_routes)
    }),
    kind("UDPRoute", &["v1", "v1alpha2"], |candidate| {
        take_other_route(candidate, |all| &mut all.of_mut::<Objects>().udp_routes)
    }),
    kind("BackendTLSPolicy", &["v1", "v1alpha3", "v1alpha2"], |candidate| {
        store(
            candidate,
            |all| &mut all.of_mut::<Objects>().backend_tls_policies,
            backend_tls_policy::read_backend_tls_policy,
        )
    }),
    kind("ReferenceGrant", &["v1", "v1beta1", "v1alpha2"], |candidate| {
        candidate
            .store(|all| &mut all.of_mut::<Objects>().reference_grants, reference_grant::read_reference_grant)
    }),
];
