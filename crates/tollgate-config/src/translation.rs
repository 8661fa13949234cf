//! From objects to resources.
//!
//! ```text
//! objects --attach--> Gateways with listeners and routes --dialects--> rules as they are served --build--> Resources
//! ```
//!
//! Translation is a function of the objects and of [`Options`](crate::Options). What all systems share exists once: references
//! and grants ([`Translator`]), attachment of routes, statuses, and the building of the resources. What is different about a
//! system is one value, [`System`]: its kinds, the defaults, names and words of its gateways ([`Controller`]), and a
//! [`Dialect`], which changes listeners, rules, backends and clusters as its policies ask for it, and says which processors
//! requests stop at. Nothing here knows which systems there are.

mod access_log;
mod attachment;
mod backend;
mod backend_tls;
mod build;
mod cache;
mod certificates;
mod cluster;
mod controller;
mod destination;
mod dialect;
mod gateway;
mod hostnames;
mod messages;
mod outcome;
mod patchable;
mod processor;
mod settings;
mod statuses;
mod system;
#[cfg(test)]
mod tests;
mod translator;

pub(crate) use self::{
    access_log::default_format,
    attachment::Problem,
    backend::{ServiceError, endpoint},
    certificates::{Authorities, CertificateError},
    cluster::{bare_cluster, cluster},
    controller::{
        ClusterSite, Controller, Defaults, Names, UNSEEN_OR_REFUSED, Words, parameters_without_effect,
    },
    destination::{BackendError, Destination, Referring, is_http2, plain_tls},
    dialect::{Dialect, Replacement, RuleExtensions, Site},
    gateway::{AttachedHostname, AttachedRoute, GATEWAY_API, Gateway, Idle, Listener, Route, RouteApi},
    messages::{Message, Validity},
    outcome::{Translated, translate},
    patchable::{Patchable, ServedListener},
    processor::{Applied, AppliedFilter, Position, Processor, Zone},
    settings::{GatewaySettings, IpFamily, ListenerSettings},
    system::{PolicyKind, System, Systems},
    translator::Translator,
};
use crate::routing::{BackendReference, ExtensionRef, InvalidRule, Rule};
