//! Resources that a management server delivers, each read by itself.
//!
//! They come as bytes and are read by the same schemas as files. What a resource refers to need not be there yet: clusters are looked
//! for when requests come, and what else it needs (endpoints, routes, secrets) is asked for by name.

use std::{collections::BTreeSet, sync::Arc};

use tollgate_ir::{BareCluster, HttpFilter, Listener, RouteTable, Secrets, Sourced};
use tollgate_model::cluster::Endpoint;

use super::{
    Scope,
    cluster::schema::CLUSTER_LOAD_ASSIGNMENT,
    cluster::{endpoints::read_delivered_endpoints, read_cluster, schema::CLUSTER},
    config_source::{is_from_server, title},
    http_filters::{Filters, read_cluster_http_filters},
    listener::{ChainTable, read_listener, schema::LISTENER},
    route::{read_route_configuration, schema::ROUTE_CONFIGURATION},
    runtime::Runtime,
    scope::Clusters,
    tls::{KnownSecrets, schema::SECRET},
};
use crate::{
    Diagnostic, Files, Options, Severity,
    diagnostic::Report,
    place::Place,
    schema::{Context, Notation, Value, wire},
};

/// A resource that a management server has delivered, read by itself.
#[derive(Debug, Clone)]
pub struct Delivered {
    /// What it needs to work, and has to be asked for: full names of message types, and names.
    pub needs: BTreeSet<(&'static str, String)>,
    /// Everything there is to say about it. Their file is the type and the name of the resource, they have no lines.
    pub diagnostics: Vec<Diagnostic>,
    /// What becomes of a listener or a cluster, with everything it needs as far as [`Files::delivered`] has it. `None` for other
    /// resources, and for what cannot be read.
    pub part: Option<Part>,
}

/// A listener or a cluster, as a part of resources.
#[derive(Debug, Clone)]
pub enum Part {
    /// A cluster, and its endpoints.
    Cluster {
        /// The cluster.
        cluster: Arc<Sourced<BareCluster>>,
        /// Its endpoints.
        endpoints: Arc<[Endpoint]>,
        /// Its filters behind the router.
        http_filters: Arc<[HttpFilter]>,
        /// What its TLS context names, under names that no other part has.
        secrets: Secrets,
    },
    /// A listener, and its route tables by the names that its connection managers call them.
    Listener {
        /// The listener.
        listener: Arc<Sourced<Listener>>,
        /// Its route tables.
        route_tables: Vec<(String, Arc<RouteTable>)>,
        /// What its TLS contexts name, under names that no other part has.
        secrets: Secrets,
    },
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
/// RouteConfiguration, Cluster, ClusterLoadAssignment and Secret are refused. What [`Files::delivered`] has of the resources
/// that it needs is read with it.
#[must_use]
pub fn read_delivered(
    type_name: &str,
    name: &str,
    bytes: &[u8],
    files: &dyn Files,
    options: &Options,
) -> Delivered {
    let report = Report::new(Arc::<str>::from(title(type_name, name)));
    let mut part = None;
    let mut needs = BTreeSet::new();
    if let Some(node) = wire::decode(type_name, bytes, &report) {
        let context = Context { report: &report, files, options, notation: Notation::Delivered };
        let value = Value::root(context, &node);
        part = read_by_type(type_name, &value);
        collect_needs(&value, name, &mut needs);
    }
    Delivered { needs, diagnostics: report.finish(), part }
}

fn read_by_type(type_name: &str, value: &Value<'_>) -> Option<Part> {
    let scope = Scope {
        header_prefix: "x-envoy".to_owned(),
        runtime: Runtime::default(),
        clusters: Clusters::NotKnown,
        of_clusters: Filters::default(),
        secrets: KnownSecrets::delivered_for(&value.context.report.file()),
    };
    if type_name == CLUSTER.name {
        let (cluster, list) = read_cluster(value, &scope.secrets)?;
        let filters = list.map(|list| read_cluster_http_filters(&list, &cluster.name, &scope).into_list());
        let filters: Arc<[HttpFilter]> = filters.unwrap_or_default().into();
        return Some(cluster_part(cluster, filters, scope.secrets.into_inner(), value));
    } else if type_name == LISTENER.name {
        let read = read_listener(value, 0, &scope)?;
        return Some(listener_part(read, scope.secrets.into_inner(), value));
    } else if type_name == ROUTE_CONFIGURATION.name {
        read_route_configuration(value, &Filters::default(), &scope, false);
    } else if type_name == CLUSTER_LOAD_ASSIGNMENT.name {
        read_delivered_endpoints(value);
    } else if type_name == SECRET.name {
        scope.secrets.read(value);
    } else {
        value.error(format!("resources of the type {type_name} are not supported"));
    }
    None
}

fn cluster_part(
    cluster: tollgate_ir::Cluster,
    http_filters: Arc<[HttpFilter]>,
    secrets: Secrets,
    value: &Value<'_>,
) -> Part {
    let mut endpoints = Vec::new();
    let Ok(bare) = cluster.try_map(Ok::<_, std::convert::Infallible>, |own| endpoints = own);
    let cluster = Arc::new(Sourced { value: bare, origin: Place::of(value).origin(None) });
    Part::Cluster { cluster, endpoints: endpoints.into(), http_filters, secrets }
}

fn listener_part(
    (listener, tables): (Listener, Vec<ChainTable>),
    secrets: Secrets,
    value: &Value<'_>,
) -> Part {
    let tables = tables.into_iter().map(|ChainTable { key, table, .. }| (key, Arc::new(table)));
    let listener = Arc::new(Sourced { value: listener, origin: Place::of(value).origin(None) });
    Part::Listener { listener, route_tables: tables.collect(), secrets }
}

/// What the listeners and clusters below `static_resources` need of a management server.
pub(super) fn needs_of_static(fixed: &Value<'_>) -> BTreeSet<(&'static str, String)> {
    let mut needs = BTreeSet::new();
    for resource in fixed.member_list("listeners").into_iter().chain(fixed.member_list("clusters")) {
        let name = resource.member("name").and_then(|name| name.string()).unwrap_or_default();
        collect_needs(&resource, &name, &mut needs);
    }
    needs
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
