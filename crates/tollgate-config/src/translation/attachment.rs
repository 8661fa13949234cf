//! From objects of Gateway API to gateways with listeners and routes (9.3 to 9.5).

mod listeners;
mod ownership;
mod routes;
mod tls;

use std::sync::Arc;

use self::ownership::Classes;
pub(super) use self::{
    listeners::ListenerReport,
    ownership::ClassReport,
    routes::{ParentReport, RouteReport, parents_of_ours},
};
use super::{Controller, Gateway, Translator};
use crate::{
    gateway_api::{GatewaySpec, ListenerSet},
    kubernetes::Object,
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
}

/// A Gateway of ours and how it fares.
pub(super) struct GatewayReport<'a> {
    pub(super) object: &'a Arc<Object<GatewaySpec>>,
    pub(super) controller: &'static Controller,
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
    pub(super) object: &'a Arc<Object<ListenerSet>>,
    /// Index of the gateway.
    pub(super) gateway: usize,
    pub(super) refused: Option<Problem>,
    pub(super) listeners: Vec<ListenerReport<'a>>,
}

/// A reason and a message of a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

impl Problem {
    pub(crate) fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

impl<'a> Attachment<'a> {
    pub(super) fn new(translator: &Translator<'a>) -> Self {
        let classes = Classes::new(translator);
        let mut attachment = Self {
            classes: classes.reports(translator),
            gateways: Vec::new(),
            gateway_reports: Vec::new(),
            listener_sets: Vec::new(),
            routes: Vec::new(),
        };
        listeners::attach(&mut attachment, &classes, translator);
        routes::attach(&mut attachment, translator);
        attachment
    }
}
