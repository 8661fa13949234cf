//! From resources to a snapshot.
//!
//! ```text
//! Resources --attach--> Gateways with listeners and routes --dialects--> processors of each rule --build--> Snapshot
//! ```
//!
//! Translation is a function of the objects and of [`Options`]. What all dialects share exists once: references and grants
//! ([`Translator`]), attachment of routes, statuses, and the building of the snapshot. A dialect only says which
//! processors a rule of a route stops at ([`Dialect`]).

mod access_log;
mod attachment;
mod backend;
mod backend_tls;
mod build;
mod certificates;
mod client_settings;
mod cluster;
mod destination;
mod dialect;
mod gateway;
mod hostnames;
mod messages;
mod outcome;
mod processor;
mod rule;
mod statuses;
#[cfg(test)]
mod tests;
mod translator;

pub(crate) use self::{
    access_log::default_format,
    backend::{ServiceError, endpoint},
    build::retries_of_istio,
    certificates::{CertificateError, CertificateRef},
    client_settings::{ClientSettings, HttpClientSettings, Limit},
    cluster::cluster,
    destination::{BackendError, Destination, is_http2_in_istio, plain_tls, with_defaults_of},
    dialect::{Dialect, Replacement, RuleExtensions, Site},
    gateway::{AttachedHostname, AttachedRoute, Controller, ExtensionRef, Gateway, Idle, Listener, Route},
    outcome::{Translated, translate},
    processor::{Applied, Position, Processor, Stage},
    rule::{
        BackendReference, Filters, HeaderChanges, InvalidRule, Match, Mirror, PortOfRedirect, Precedence,
        Redirect, Retry, Rule, RuleBackend, Timeouts,
    },
    translator::Translator,
};
