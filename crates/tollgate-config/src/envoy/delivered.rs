//! Resources that a management server delivers, each read by itself.
//!
//! They come as bytes and are read by the same schemas as files. What a resource refers to need not be there yet: clusters are looked
//! for when requests come, and what else it needs (endpoints, routes, secrets) is asked for by name.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    Scope,
    cluster::schema::CLUSTER_LOAD_ASSIGNMENT,
    cluster::{endpoints::read_delivered_endpoints, read_cluster, schema::CLUSTER},
    config_source::is_from_server,
    http_filters::{Filters, read_cluster_http_filters},
    listener::{read_listener, schema::LISTENER},
    route::{read_route_configuration, schema::ROUTE_CONFIGURATION},
    runtime::Runtime,
    scope::Clusters,
    tls::{KnownSecrets, schema::SECRET},
};
use crate::{
    Diagnostic, Files, Options, Severity,
    diagnostic::Report,
    schema::{Context, Notation, Value, wire},
};

/// A resource that a management server has delivered, read by itself.
#[derive(Debug, Clone)]
pub struct Delivered {
    /// What it needs to work, and has to be asked for: full names of message types, and names.
    pub needs: BTreeSet<(&'static str, String)>,
    /// Everything there is to say about it. Their file is the type and the name of the resource, they have no lines.
    pub diagnostics: Vec<Diagnostic>,
}

impl Delivered {
    /// Why the resource has to be refused: its errors, for the management server. `None` when it can be taken.
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        let errors = self.diagnostics.iter().filter(|one| one.severity == Severity::Error);
        let texts: Vec<String> = errors.map(|one| one.message_with_path("")).collect();
        (!texts.is_empty()).then(|| texts.join("; "))
    }
}

/// Reads a resource that a management server has delivered: a message of that type with that name. Types that are none of Listener,
/// RouteConfiguration, Cluster, ClusterLoadAssignment and Secret are refused.
#[must_use]
pub fn read_delivered(
    type_name: &str,
    name: &str,
    bytes: &[u8],
    files: &dyn Files,
    options: &Options,
) -> Delivered {
    let short = type_name.rsplit('.').next().unwrap_or(type_name);
    let report = Report::new(Arc::<str>::from(format!("{short} {name}")));
    let mut needs = BTreeSet::new();
    if let Some(node) = wire::decode(type_name, bytes, &report) {
        let context = Context { report: &report, files, options, notation: Notation::Delivered };
        let value = Value::root(context, &node);
        read_by_type(type_name, &value);
        collect_needs(&value, name, &mut needs);
    }
    Delivered { needs, diagnostics: report.finish() }
}

fn read_by_type(type_name: &str, value: &Value<'_>) {
    let scope = Scope {
        header_prefix: "x-envoy".to_owned(),
        runtime: Runtime::default(),
        clusters: Clusters::NotKnown,
        of_clusters: Filters::default(),
        secrets: KnownSecrets::delivered(),
    };
    if type_name == CLUSTER.name {
        if let Some((cluster, Some(filters))) = read_cluster(value, &scope.secrets) {
            read_cluster_http_filters(&filters, &cluster.name, &scope);
        }
    } else if type_name == LISTENER.name {
        read_listener(value, 0, &scope);
    } else if type_name == ROUTE_CONFIGURATION.name {
        read_route_configuration(value, &Filters::default(), &scope, false);
    } else if type_name == CLUSTER_LOAD_ASSIGNMENT.name {
        read_delivered_endpoints(value);
    } else if type_name == SECRET.name {
        scope.secrets.read(value);
    } else {
        value.error(format!("resources of the type {type_name} are not supported"));
    }
}

/// Finds what is to be asked for, wherever it is named.
fn collect_needs(value: &Value<'_>, root: &str, needs: &mut BTreeSet<(&'static str, String)>) {
    let mut need = |config: &Value<'_>, source: &str, schema: &'static str, name: Option<String>| {
        if config.member(source).is_some_and(|source| is_from_server(&source)) {
            needs.extend(name.map(|name| (schema, name)));
        }
    };
    let text = |config: &Value<'_>, name: &str| config.member(name).and_then(|name| name.string());
    if let Some(rds) = value.member("rds") {
        need(&rds, "config_source", ROUTE_CONFIGURATION.name, text(&rds, "route_config_name"));
    }
    if let Some(eds) = value.member("eds_cluster_config") {
        let name = text(&eds, "service_name").unwrap_or_else(|| root.to_owned());
        need(&eds, "eds_config", CLUSTER_LOAD_ASSIGNMENT.name, Some(name));
    }
    let secrets = value.member_list("tls_certificate_sds_secret_configs");
    for secret in secrets.into_iter().chain(value.member("validation_context_sds_secret_config")) {
        need(&secret, "sds_config", SECRET.name, text(&secret, "name"));
    }
    for child in value.children() {
        collect_needs(&child, root, needs);
    }
}
