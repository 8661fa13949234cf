//! Reads gateway configurations and translates them into a [`Snapshot`].
//!
//! ```text
//! Source (text) -> yaml (tree with locations) -> protobuf (typed reading) -> envoy (translation) -> Snapshot
//! ```
//!
//! Translation is a function of its input: sources and what [`Files`] gives go in, an [`Outcome`] comes out. All
//! problems are found in one run; a snapshot exists only when none of them is an error.

mod diagnostic;
mod envoy;
mod envoy_gateway;
mod files;
mod gateway_api;
mod htnn;
mod kgateway;
mod kubernetes;
mod options;
mod protobuf;
mod source;
mod suggestion;
mod translation;
mod yaml;

pub use diagnostic::{Diagnostic, Severity, render};
pub use files::{FileSystem, Files};
pub use options::{Options, ResolveError, ServiceAddress, ServicePortKey};
pub use source::Source;
use tollgate_model::Snapshot;

/// What loading gave.
#[derive(Debug)]
pub struct Outcome {
    /// The configuration; `None` when a diagnostic is an error.
    pub snapshot: Option<Snapshot>,
    /// Everything there is to say, in the order of files and lines.
    pub diagnostics: Vec<Diagnostic>,
}

/// Loads an Envoy bootstrap configuration; files that it names are read from the file system.
#[must_use]
pub fn load(sources: &[Source]) -> Outcome {
    load_with(sources, &FileSystem, &Options::default())
}

/// The reference of everything that is read, in Markdown.
#[must_use]
pub fn reference() -> String {
    envoy::reference()
}

/// Loads an Envoy bootstrap configuration.
#[must_use]
pub fn load_with(sources: &[Source], files: &dyn Files, options: &Options) -> Outcome {
    envoy::load(sources, files, options)
}
