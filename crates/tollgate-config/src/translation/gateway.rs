//! Gateways, their listeners and the routes that are attached to them, whatever API they were written in.

use std::{net::IpAddr, rc::Rc, sync::Arc};

use tollgate_model::tls::DownstreamTlsSettings;

use super::{Rule, hostnames::intersect};
use crate::kubernetes::{Metadata, ObjectKey, ObjectRef, Place, status::ParentReference};

/// A gateway of ours.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) object: ObjectRef,
    pub(crate) meta: Rc<Metadata>,
    /// Whose rules apply where the systems differ.
    pub(crate) controller: Controller,
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
    /// Whether listeners of both can have the same port.
    pub(crate) fn shares_ports_with(&self, other: &Self) -> bool {
        self.merged.is_some() && self.merged == other.merged && self.addresses == other.addresses
    }
}

/// What belongs to a gateway and serves no request.
#[derive(Debug, Default)]
pub(crate) struct Idle {
    /// Listeners, by their owner, its metadata and their names.
    pub(crate) listeners: Vec<(ObjectRef, Rc<Metadata>, String)>,
    /// Routes that no listener takes, with the reference to the gateway.
    pub(crate) routes: Vec<(Rc<Route>, ParentReference)>,
    /// Those of them that listeners accept which are not served.
    pub(crate) waiting: Vec<(Rc<Route>, ParentReference)>,
}

/// The system that a gateway was written for (CF-17).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Controller {
    /// No other system.
    Tollgate,
    EnvoyGateway,
    Kgateway,
    Istio,
}

/// A listener of a gateway.
#[derive(Debug)]
pub(crate) struct Listener {
    /// The Gateway or ListenerSet that it belongs to.
    pub(crate) owner: ObjectRef,
    pub(crate) owner_meta: Rc<Metadata>,
    pub(crate) name: String,
    pub(crate) port: u16,
    /// Host names it accepts: exact or `*.suffix`; `None` = every one.
    pub(crate) hostname: Option<String>,
    /// `None` = cleartext.
    pub(crate) tls: Option<Arc<DownstreamTlsSettings>>,
    pub(crate) routes: Vec<AttachedRoute>,
}

/// A route under a listener.
#[derive(Debug)]
pub(crate) struct AttachedRoute {
    pub(crate) route: Rc<Route>,
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
    pub(crate) meta: Rc<Metadata>,
    /// Its references to parents, in their order.
    pub(crate) parents: Vec<ParentReference>,
    pub(crate) rules: Vec<Rule>,
    /// What is wrong with the route: its requests are answered with 500, lest another route takes them that stops at no
    /// processor.
    pub(crate) broken: Option<String>,
}

/// A filter of type `ExtensionRef`: an object of the route's namespace.
#[derive(Debug, Clone)]
pub(crate) struct ExtensionRef {
    pub(crate) group: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) place: Place,
}

impl Controller {
    /// The name that stands in `controllerName`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tollgate => "tollgate.dev/gateway",
            Self::EnvoyGateway => "gateway.envoyproxy.io/gatewayclass-controller",
            Self::Kgateway => "kgateway.dev/kgateway",
            Self::Istio => "istio.io/gateway-controller",
        }
    }

    /// The system that a controller name stands for.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::Tollgate, Self::EnvoyGateway, Self::Kgateway, Self::Istio]
            .into_iter()
            .find(|controller| controller.name() == name)
    }

    /// The system of a class whose object is not in the input, by its usual name.
    pub(crate) fn from_class_name(name: &str) -> Option<Self> {
        match name {
            "eg" | "envoy-gateway" | "envoy-gateway-class" => Some(Self::EnvoyGateway),
            "kgateway" => Some(Self::Kgateway),
            "istio" | "htnn" => Some(Self::Istio),
            "tollgate" => Some(Self::Tollgate),
            _ => None,
        }
    }
}
