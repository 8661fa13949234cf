//! HTTP filters that no file has: what dialects make of their policies, in Envoy's form.

use std::sync::Arc;

use serde_json::Value as Json;
use tollgate_ir::{FilterConfig, Override};

use super::{
    Scope,
    http_filters::{Filters, Kind},
    runtime::Runtime,
    scope::Clusters,
    tls::KnownSecrets,
};
use crate::{
    Files, Options, Severity,
    diagnostic::Report,
    schema::{Context, Notation, Value, from_json},
};

/// Settings of a filter as a chain has them, with their `@type`. They may name any cluster.
///
/// # Errors
/// What is wrong with them.
pub(crate) fn read_filter(
    settings: &Json,
    files: &dyn Files,
    options: &Options,
) -> Result<FilterConfig, String> {
    read(settings, files, options, |value, scope| {
        let any = value.any()?;
        let kind = Kind::find(&any.type_name);
        if kind.is_none() {
            any.unsupported("HTTP filter", &[]);
        }
        kind?.read(&any.value, scope)
    })
}

/// What a route says about a filter, with its `@type`.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn read_override(said: &Json, files: &dyn Files, options: &Options) -> Result<Override, String> {
    read(said, files, options, |value, scope| {
        let any = value.any()?;
        let kind = Kind::find_per_route(&any.type_name);
        if kind.is_none() {
            any.unsupported("per-route configuration", &[]);
        }
        kind?.read_per_route(&any.value, scope)
    })
}

fn read<T>(
    json: &Json,
    files: &dyn Files,
    options: &Options,
    read: impl FnOnce(&Value<'_>, &Scope) -> Option<T>,
) -> Result<T, String> {
    let node = from_json(json);
    let report = Report::new(Arc::from(""));
    let context = Context { report: &report, files, options, notation: Notation::Protobuf };
    let scope = Scope {
        header_prefix: "x-envoy".to_owned(),
        runtime: Runtime::default(),
        clusters: Clusters::NotKnown,
        of_clusters: Filters::default(),
        secrets: KnownSecrets::of_bootstrap(),
    };
    let found = read(&Value::root(context, &node), &scope);
    let said = report.finish();
    let errors = said.iter().filter(|said| said.severity == Severity::Error);
    let errors: Vec<String> = errors.map(|error| error.message_with_path("")).collect();
    match found {
        Some(found) if errors.is_empty() => Ok(found),
        _ if errors.is_empty() => Err("it cannot be read".to_owned()),
        _ => Err(errors.join("; ")),
    }
}
