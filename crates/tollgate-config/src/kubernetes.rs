//! Kubernetes objects: from documents to typed resources.
//!
//! ```text
//! documents -> kinds: by apiVersion and kind -> Object<T>: metadata, spec, place -> Resources
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
mod grants;
mod hints;
mod kinds;
mod metadata;
mod naming;
mod object;
mod report;
mod resources;
pub(crate) mod selector;
pub(crate) mod status;
pub(crate) mod values;

pub use self::report::ObjectReport;
pub(crate) use self::{
    diagnostics::Diagnostics,
    documents::read_documents,
    grants::{Grants, Referrer},
    hints::add_hints,
    kinds::{Candidate, Kind, OBJECT},
    metadata::{Age, Metadata},
    object::{Object, ObjectKey, ObjectRef, Objects},
    report::report_objects,
    resources::Resources,
};
pub(crate) use crate::{place::Place, yaml::Document};
