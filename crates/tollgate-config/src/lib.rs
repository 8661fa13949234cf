//! Reads gateway configurations and translates them into [`Resources`], of which a [`Snapshot`](tollgate_model::Snapshot) is compiled.
//!
//! ```text
//!                                            +-> envoy -----------------------------------+
//! Source (text) -> yaml (tree with places) --|                                            |--> Resources -> Snapshot
//!                                            +-> kubernetes (objects) -> translation -----+
//! ```
//!
//! Translation is a function of its input: sources and what [`Files`] gives go in, an [`Outcome`] comes out. All
//! problems are found in one run. An Envoy configuration with an error is refused as a whole; a Kubernetes object with one
//! affects only what refers to it, as it would in a cluster.
//!
//! It serves nothing, watches no files and asks no API server: whoever has texts or objects gives them to it. What it gives is
//! compiled by `tollgate-ir`, which knows no formats.
//!
//! ```
//! use tollgate_config::{Source, load, render};
//!
//! let source = |timeout: &str| Source {
//!     path: "gateway.yaml".to_owned(),
//!     text: format!("static_resources:\n  clusters:\n  - {{name: app, connect_timeout: {timeout}}}\n"),
//! };
//! let outcome = load(&[source("250ms")]);
//! // Every problem has its place and a remedy, and an Envoy configuration with an error is not served.
//! assert!(outcome.snapshot.is_none());
//! let said = render(&outcome.diagnostics[0], &[source("250ms")]);
//! assert!(said.contains("--> gateway.yaml:3"), "{said}");
//!
//! let snapshot = load(&[source("0.25s")]).snapshot.expect("a snapshot");
//! assert_eq!(snapshot.clusters["app"].connect_timeout.as_millis(), 250);
//! ```

mod binary;
mod diagnostic;
mod envoy;
mod envoy_gateway;
mod explanation;
mod files;
mod gateway_api;
#[cfg(test)]
mod golden;
mod guard;
mod htnn;
mod inference;
mod istio;
mod kgateway;
mod kubernetes;
#[cfg(test)]
mod laws;
mod load;
mod options;
mod patching;
mod place;
mod policies;
mod routing;

mod schema;
mod source;
mod suggestion;
mod systems;
#[cfg(test)]
#[path = "../tests/support/template.rs"]
mod template;
mod translation;
mod yaml;

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub use envoy::translate_regex;

/// The JSON that a bootstrap in protobuf's wire format stands for, for the fuzz targets.
///
/// # Errors
/// The first problem, with its path.
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub fn text_of_bootstrap(bytes: &[u8]) -> Result<String, String> {
    binary::text_of_bootstrap(bytes)
}

pub use binary::{decode_message, encode_message, merge_bootstraps};
pub use diagnostic::{Diagnostic, Excerpts, Severity, render};
pub use envoy::{
    Delivered, Inexpressible, MAX_RECEIVE_MESSAGE_LENGTH, Part, Surroundings, Written, read_delivered,
    write_bootstrap,
};
pub use explanation::{
    Explanation, Explanations, Origin, ProcessorOrigin, ReplacedBecause, RouteKey, RouteOrigin, RuleOrigin,
};
pub use files::{FileSystem, Files};
pub use kubernetes::ObjectReport;
pub use options::{AccessLogForm, NodeNames, Options, ResolveError, ServiceAddress, ServicePortKey};
pub use place::Place;
pub use source::Source;
use tollgate_ir::{Compiled, Resources};

/// What reading and translating gave: everything but the compiled configuration.
#[derive(Debug, Default)]
pub struct Reading {
    /// The configuration as plain resources; `None` when the input is unusable: a text that is not YAML, an error in an Envoy
    /// configuration, or nothing at all.
    pub resources: Option<Resources>,
    /// Everything there is to say, in the order of files and lines.
    pub diagnostics: Vec<Diagnostic>,
    /// Whether every text could be read; without that nothing certain can be said about the rest.
    pub readable: bool,
    /// The Kubernetes objects, in the order of their documents.
    pub objects: Vec<ObjectReport>,
    /// Where the routes come from.
    pub explanations: Explanations,
    /// What an Envoy configuration says about resources that a management server delivers for it.
    pub surroundings: Surroundings,
}

impl Reading {
    /// Compiles the resources. What is equal in `previous` is taken over from there.
    #[must_use]
    pub fn compile(self, previous: Option<&Compiled>) -> Outcome {
        let Self { resources, mut diagnostics, readable, objects, explanations, surroundings: _ } = self;
        let compiled = resources.map(|resources| tollgate_ir::compile(&resources, previous)).transpose();
        let snapshot = compiled.unwrap_or_else(|error| {
            let place = Place::of_origin(&error.origin);
            diagnostics.push(Diagnostic::error(place, error.problem.to_string()));
            None
        });
        Outcome { snapshot, diagnostics, readable, objects, explanations }
    }
}

/// What loading gave.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The configuration; `None` when the input is unusable: a text that is not YAML, an error in an Envoy
    /// configuration, or nothing at all.
    pub snapshot: Option<Compiled>,
    /// Everything there is to say, in the order of files and lines.
    pub diagnostics: Vec<Diagnostic>,
    /// Whether every text could be read; without that nothing certain can be said about the rest.
    pub readable: bool,
    /// The Kubernetes objects, in the order of their documents.
    pub objects: Vec<ObjectReport>,
    /// Where the routes come from.
    pub explanations: Explanations,
}

impl Outcome {
    /// Whether something may be open that the configuration wants to protect (see [`Diagnostic::exposes`]).
    #[must_use]
    pub fn exposes(&self) -> bool {
        self.diagnostics.iter().any(|diagnostic| diagnostic.exposes)
    }
}

/// Loads a configuration; files that it names are read from the file system.
#[must_use]
pub fn load(sources: &[Source]) -> Outcome {
    load_with(sources, &FileSystem, &Options::default())
}

/// The reference of everything that is read, in Markdown.
#[must_use]
pub fn reference() -> String {
    envoy::reference()
}

/// Loads a configuration.
#[must_use]
pub fn load_with(sources: &[Source], files: &dyn Files, options: &Options) -> Outcome {
    read_with(sources, files, options).compile(None)
}

/// Reads and translates a configuration, without compiling it.
#[must_use]
pub fn read_with(sources: &[Source], files: &dyn Files, options: &Options) -> Reading {
    load::read(sources, &[], files, options)
}

/// The configuration before.
#[derive(Debug, Clone, Copy, Default)]
pub struct Before<'a> {
    /// Its objects. As at an API server, one whose spec is another one now has the next generation. One that is the very same is
    /// not read again.
    pub objects: &'a [ObjectReport],
    /// What was compiled of it: what is equal is not compiled again.
    pub snapshot: Option<&'a Compiled>,
}

/// Loads a configuration that comes after another one, with the same options.
#[must_use]
pub fn load_after(before: Before<'_>, sources: &[Source], files: &dyn Files, options: &Options) -> Outcome {
    load::read(sources, before.objects, files, options).compile(before.snapshot)
}
