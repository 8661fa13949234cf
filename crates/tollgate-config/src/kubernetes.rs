//! Kubernetes objects: from documents to typed resources.
//!
//! ```text
//! documents -> kinds: by apiVersion and kind -> Object<T>: metadata, spec, place -> ObjectStore
//! ```
//!
//! Every group of kinds lists what it reads in a table of [`Kind`]s; what the objects mean is the business of
//! translation. Reading never gives up on the rest: an object with problems is kept together with what was said about it
//! (CF-13), so that whoever refers to it can find out.

mod cluster_trust_bundle;
pub(crate) mod core;
mod diagnostics;
mod documents;
mod generation;
mod hints;
mod kinds;
mod metadata;
mod naming;
mod object;
mod report;
pub(crate) mod selector;
pub(crate) mod status;
mod store;
mod stored;
#[cfg(test)]
mod tests;
pub(crate) mod values;

pub use self::report::ObjectReport;
pub(crate) use self::{
    diagnostics::Diagnostics,
    documents::read_documents,
    hints::add_hints,
    kinds::{Candidate, Catalogue, Kind, OBJECT, SetOf},
    metadata::{Age, Metadata},
    object::{Object, ObjectKey, ObjectRef, Objects},
    report::report_objects,
    store::{Family, ObjectStore, family},
    stored::Stored,
};
pub(crate) use crate::{place::Place, yaml::Document};
