//! Gateways, their listeners and the routes that are attached to them, whatever API they were written in.

use std::{net::IpAddr, sync::Arc};

use http::StatusCode;
use tollgate_ir::DownstreamTlsContext;

use super::{Controller, GatewaySettings, hostnames::intersect};
use crate::{
    kubernetes::{Metadata, ObjectKey, ObjectRef, status::ParentReference},
    routing::Rule,
};

/// A gateway of ours.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) object: ObjectRef,
    pub(crate) meta: Arc<Metadata>,
    /// Whose rules apply where the systems differ.
    pub(crate) controller: &'static Controller,
    pub(crate) settings: GatewaySettings,
    /// Those that can be served.
    pub(crate) listeners: Vec<Listener>,
    /// Addresses to bind; empty = that of the process.
    pub(crate) addresses: Vec<IpAddr>,
    /// The secret with our certificate towards backends.
    pub(crate) client_certificate: Option<ObjectKey>,
    /// The class, if its gateways share their ports (6.9, `mergeGateways`).
    pub(crate) merged: Option<String>,
    /// What is the gateway's and not served: policies are attached to it all the same.
    pub(crate) idle: Idle,
}

impl Gateway {
    /// What gateways have in common whose listeners can have the same port; `None` = it shares its ports with nobody.
    pub(crate) fn port_share(&self) -> Option<(&str, &[IpAddr])> {
        Some((self.merged.as_deref()?, &self.addresses))
    }
}

/// What belongs to a gateway and serves no request.
#[derive(Debug, Default)]
pub(crate) struct Idle {
    /// Listeners, by their owner, its metadata and their names.
    pub(crate) listeners: Vec<(ObjectRef, Arc<Metadata>, String)>,
    /// Routes that no listener takes, with the reference to the gateway.
    pub(crate) routes: Vec<(Arc<Route>, ParentReference)>,
    /// Those of them that listeners accept which are not served.
    pub(crate) waiting: Vec<(Arc<Route>, ParentReference)>,
}

/// A listener of a gateway.
#[derive(Debug)]
pub(crate) struct Listener {
    /// The Gateway or ListenerSet that it belongs to.
    pub(crate) owner: ObjectRef,
    pub(crate) owner_meta: Arc<Metadata>,
    pub(crate) name: String,
    pub(crate) port: u16,
    /// Host names it accepts: exact or `*.suffix`; `None` = every one.
    pub(crate) hostname: Option<String>,
    /// `None` = cleartext.
    pub(crate) tls: Option<Arc<DownstreamTlsContext>>,
    pub(crate) routes: Vec<AttachedRoute>,
}

/// A route under a listener.
#[derive(Debug)]
pub(crate) struct AttachedRoute {
    pub(crate) route: Arc<Route>,
    /// By which of its parent references.
    pub(crate) parent: ParentReference,
    /// Host names that both the route and the listener accept. Never empty.
    pub(crate) hostnames: Vec<AttachedHostname>,
}

/// A host name that both a route and a listener accept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AttachedHostname {
    /// `*` = every one.
    pub(crate) name: String,
    /// How specific the route's own name is: exact or not, and its characters. Of several routes that meet in one name
    /// the more specific one comes first.
    pub(crate) specificity: (bool, usize),
}

impl AttachedHostname {
    /// What the names of a route and of a listener have in common, if anything.
    pub(crate) fn common(of_route: Option<&str>, of_listener: Option<&str>) -> Option<Self> {
        let name = intersect(of_route, of_listener)?.unwrap_or("*").to_owned();
        let specificity = of_route.map_or((false, 0), |name| (!name.starts_with('*'), name.len()));
        Some(Self { name, specificity })
    }
}

/// A route.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) object: ObjectRef,
    pub(crate) meta: Arc<Metadata>,
    pub(crate) api: &'static RouteApi,
    /// Its references to parents, in their order.
    pub(crate) parents: Vec<ParentReference>,
    pub(crate) rules: Vec<Rule>,
    /// What is wrong with the route: its requests are answered with 500, lest another route takes them that stops at no
    /// processor.
    pub(crate) broken: Option<String>,
}

/// What routes of an API do otherwise than those of others.
#[derive(Debug)]
pub(crate) struct RouteApi {
    /// What is answered for backends that cannot be used.
    pub(crate) unusable_backend: StatusCode,
    /// They are called as their rules are, and not as the controller calls routes.
    pub(crate) named_by_rules: bool,
    /// Backends of other namespaces need no grant.
    pub(crate) refers_anywhere: bool,
}

/// Routes of Gateway API (9.6).
pub(crate) static GATEWAY_API: RouteApi = RouteApi {
    unusable_backend: StatusCode::INTERNAL_SERVER_ERROR,
    named_by_rules: false,
    refers_anywhere: false,
};
