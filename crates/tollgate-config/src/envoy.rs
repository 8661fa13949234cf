//! The Envoy dialect: a bootstrap file becomes a snapshot.
//!
//! One module per subject; each begins with the schemas of the messages that it reads.

mod access_log;
mod address;
mod bootstrap;
mod cluster;
mod data_source;
mod ext_proc;
mod format;
mod google_grpc;
mod grpc_service;
mod header;
mod http_connection_manager;
mod http_filters;
mod listener;
mod matchers;
mod metadata;
mod per_route;
mod protocol_options;
mod re2;
mod reference;
mod route;
mod runtime;
mod scope;
mod status;
mod tls;

pub(crate) use reference::reference;
use tollgate_model::Snapshot;

use self::scope::Scope;
use crate::{
    Diagnostic, Files, Options, Outcome, Severity, Source,
    diagnostic::Report,
    protobuf::{Context, Dialect, Value},
    yaml::{self, Location, Node},
};

/// Loads a bootstrap from the one document that `sources` hold.
pub(crate) fn load(sources: &[Source], files: &dyn Files, options: &Options) -> Outcome {
    let mut diagnostics = Vec::new();
    let mut snapshot = None;
    let mut first: Option<&str> = None;
    for source in sources {
        let report = Report::new(&source.path);
        let documents = yaml::parse(&source.text, &report);
        for (index, document) in documents.iter().enumerate() {
            if first.is_some() || index > 0 {
                let message = "there is a second document; an Envoy configuration is one document".to_owned();
                report.add(Severity::Error, document.location, "", message, None);
                break;
            }
            snapshot = Some(translate(
                document,
                Context { report: &report, files, options, dialect: Dialect::Protobuf },
            ));
        }
        if !documents.is_empty() {
            first.get_or_insert(&source.path);
        } else if first.is_none() && sources.len() == 1 && !report.has_errors() {
            let message = "the file is empty".to_owned();
            report.add(Severity::Error, Location { line: 1, column: 1, length: 1 }, "", message, None);
        }
        diagnostics.extend(report.finish());
    }
    let refused = diagnostics.iter().any(|diagnostic: &Diagnostic| diagnostic.severity == Severity::Error);
    Outcome { snapshot: snapshot.filter(|_| !refused), diagnostics }
}

fn translate(document: &Node, context: Context<'_>) -> Snapshot {
    bootstrap::read_bootstrap(&Value::root(context, document)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
