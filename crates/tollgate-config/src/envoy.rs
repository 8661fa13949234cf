//! The Envoy dialect: a bootstrap file becomes resources.
//!
//! One module per subject; each begins with the schemas of the messages that it reads.

mod access_log;
mod access_log_filter;
mod address;
mod bootstrap;
mod cel;
mod cluster;
mod config_source;
mod data_source;
mod delivered;
mod ext_proc;
mod format;
mod google_grpc;
mod grpc_service;
mod header;
mod http_connection_manager;
mod http_filters;
mod ignored;
mod ip_detection;
mod limits;
mod listener;
mod local_reply;
mod management;
mod matcher;
mod matchers;
mod metadata;
mod metadata_key;
mod metadata_matcher;
mod needs;
mod overload;
mod per_route;
mod protocol_options;
mod rate_limits;
mod re2;
mod reference;
mod route;
mod runtime;
mod scope;
mod socket_options;
mod standalone;
mod status;
mod surroundings;
mod tcp_proxy;
mod tls;
mod watchdog;
mod write;

use std::sync::Arc;

pub use self::delivered::{Delivered, Part, read_delivered};
pub use self::grpc_service::MAX_RECEIVE_MESSAGE_LENGTH;
pub use self::surroundings::Surroundings;
pub use self::write::{Inexpressible, Written, write_bootstrap};
pub(crate) use self::{
    matchers::{compile_plain, compile_text},
    per_route::read_standalone_overrides,
    reference::reference,
    route::read_regex_rewrite,
    scope::ClusterFacts,
    standalone::{read_filter, read_override},
};
#[cfg(test)]
pub(crate) use self::{
    reference::schemas,
    write::{SYSTEM_BUNDLE, pem},
};
use tollgate_ir::Resources;

/// From RE2's syntax to the one of the regex library, for the fuzz targets.
///
/// # Errors
/// What is wrong with the expression.
#[cfg(feature = "fuzzing")]
pub fn translate_regex(pattern: &str) -> Result<String, String> {
    re2::translate(pattern).map_err(|problem| problem.to_string())
}

use self::scope::Scope;
use crate::{
    Diagnostic, Explanations, Files, Options,
    diagnostic::Report,
    schema::{Context, Notation, Value},
    yaml::{Document, Node},
};

/// What became of a bootstrap.
#[derive(Default)]
pub(crate) struct Bootstrap {
    /// The configuration.
    pub(crate) resources: Resources,
    /// Where its routes come from.
    pub(crate) explanations: Explanations,
    /// What it says about what is delivered for it.
    pub(crate) surroundings: Surroundings,
}

/// Translates a bootstrap. What is wrong with it comes with it.
pub(crate) fn load(
    document: &Document,
    files: &dyn Files,
    options: &Options,
) -> (Bootstrap, Vec<Diagnostic>) {
    let report = Report::new(Arc::clone(&document.file));
    let context = Context { report: &report, files, options, notation: Notation::Protobuf };
    let read = translate(&document.node, context);
    (read, report.finish())
}

fn translate(document: &Node, context: Context<'_>) -> Bootstrap {
    bootstrap::read_bootstrap(&Value::root(context, document)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
