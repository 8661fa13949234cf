//! From resources back to a bootstrap.
//!
//! One module per subject, as for reading. Messages are made with the schemas that they are read with ([`Out`]): a field that
//! is not read cannot be written. What Envoy cannot express is said, with its place ([`Inexpressible`]).

mod access_log;
mod action;
mod cel;
mod cluster;
mod ext_proc;
mod filter_settings;
mod filters;
mod forward_proxy;
mod health;
mod listener;
mod management;
mod manager;
mod matcher;
mod matchers;
mod out;
mod overload;
mod process;
mod rate_limits;
mod retry;
mod rewrite;
mod route;
mod tcp_proxy;
mod tls;

use std::{cell::RefCell, sync::Arc};

use serde::Serialize;
use serde_json::Value;
use tollgate_ir::{ObjectName, Origin, Resources};

#[cfg(test)]
pub(crate) use self::tls::{SYSTEM_BUNDLE, pem};
use self::{cluster::cluster, listener::listener, out::Out, process::process};
use super::bootstrap::{BOOTSTRAP, STATIC_RESOURCES};

/// A bootstrap, and what is missing in it.
#[derive(Debug)]
pub struct Written {
    /// The bootstrap in the JSON form of protobuf.
    pub bootstrap: Value,
    /// What Envoy cannot express, or not in the same way.
    pub inexpressible: Vec<Inexpressible>,
}

/// Something that Envoy cannot express, or not in the same way.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inexpressible {
    /// Where it is written.
    pub origin: Arc<Origin>,
    /// What it is, and what is written instead.
    pub what: String,
}

/// Writes resources as a bootstrap of Envoy. Certificates and keys that do not come from files are written with it.
#[must_use]
pub fn write_bootstrap(resources: &Resources) -> Written {
    let writer = Writer { resources, inexpressible: RefCell::default() };
    let mut bootstrap = Out::new(&BOOTSTRAP);
    process(&writer, &mut bootstrap);
    let mut fixed = Out::new(&STATIC_RESOURCES);
    fixed.list("listeners", resources.listeners.iter().map(|one| listener(&writer, one)).collect());
    let mut clusters: Vec<Value> = resources.clusters.values().map(|one| cluster(&writer, one)).collect();
    clusters.extend(route::needs_empty_cluster(resources).then(cluster::empty));
    fixed.list("clusters", clusters);
    fixed.list("secrets", tls::secrets(&writer));
    bootstrap.unless_empty("static_resources", fixed);
    let mut inexpressible = writer.inexpressible.into_inner();
    inexpressible.sort_by(|left, right| place(left).cmp(&place(right)));
    inexpressible.dedup_by(|one, other| one.what == other.what && place(one) == place(other));
    Written { bootstrap: bootstrap.done(), inexpressible }
}

fn place(one: &Inexpressible) -> (&str, usize, Option<&ObjectName>) {
    (&one.origin.file, one.origin.line, one.origin.object.as_ref())
}

/// What every part needs.
struct Writer<'r> {
    resources: &'r Resources,
    inexpressible: RefCell<Vec<Inexpressible>>,
}

impl Writer<'_> {
    /// Notes something that Envoy cannot express.
    fn cannot(&self, origin: &Arc<Origin>, what: impl Into<String>) {
        let one = Inexpressible { origin: Arc::clone(origin), what: what.into() };
        self.inexpressible.borrow_mut().push(one);
    }
}
