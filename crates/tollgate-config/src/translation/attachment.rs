//! From objects of Gateway API to gateways with listeners and routes (9.3 to 9.5).

mod listeners;
mod ownership;
mod routes;
mod tls;

use std::{collections::HashMap, rc::Rc};

use self::ownership::Classes;
pub(super) use self::{
    listeners::ListenerReport,
    ownership::ClassReport,
    routes::{ParentReport, RouteReport, parents_of_ours},
};
use super::{Controller, Gateway, Translator};
use crate::{
    envoy_gateway::{Configuration, GatewaySettings},
    gateway_api::{GatewaySpec, ListenerSet},
    kubernetes::{Object, ObjectRef},
};

/// Everything that is attached to something.
pub(super) struct Attachment<'a> {
    pub(super) classes: Vec<ClassReport<'a>>,
    /// What is served.
    pub(super) gateways: Vec<Gateway>,
    /// What there is to say about each of them, by the same index.
    pub(super) gateway_reports: Vec<GatewayReport<'a>>,
    pub(super) listener_sets: Vec<ListenerSetReport<'a>>,
    pub(super) routes: Vec<RouteReport<'a>>,
    /// Settings of those gateways that have any.
    pub(super) settings: HashMap<ObjectRef, GatewaySettings>,
}

/// A Gateway of ours and how it fares.
pub(super) struct GatewayReport<'a> {
    pub(super) object: &'a Rc<Object<GatewaySpec>>,
    pub(super) controller: Controller,
    pub(super) controller_name: String,
    /// Why it is not accepted.
    pub(super) refused: Option<Problem>,
    /// Why references of the Gateway itself are not resolved.
    pub(super) unresolved: Option<Problem>,
    /// Why some of its addresses cannot be listened on.
    pub(super) unusable_address: Option<Problem>,
    /// Clients without a valid certificate are let in somewhere.
    pub(super) insecure_frontend: bool,
    /// Its own listeners.
    pub(super) listeners: Vec<ListenerReport<'a>>,
    pub(super) attached_listener_sets: usize,
}

/// A ListenerSet for a Gateway of ours.
pub(super) struct ListenerSetReport<'a> {
    pub(super) object: &'a Rc<Object<ListenerSet>>,
    /// Index of the gateway.
    pub(super) gateway: usize,
    pub(super) refused: Option<Problem>,
    pub(super) listeners: Vec<ListenerReport<'a>>,
}

/// A reason and a message of a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) reason: &'static str,
    pub(super) message: String,
}

impl Problem {
    pub(super) fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

impl<'a> Attachment<'a> {
    pub(super) fn new(translator: &Translator<'a>, configuration: &Configuration) -> Self {
        let classes = Classes::new(translator, configuration);
        let mut attachment = Self {
            classes: classes.reports(translator),
            gateways: Vec::new(),
            gateway_reports: Vec::new(),
            listener_sets: Vec::new(),
            routes: Vec::new(),
            settings: HashMap::new(),
        };
        listeners::attach(&mut attachment, &classes, translator);
        routes::attach(&mut attachment, translator);
        attachment
    }
}
