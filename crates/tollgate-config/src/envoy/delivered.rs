//! Resources that a management server delivers, each read by itself.
//!
//! They come as bytes and are read by the same schemas as files. What a resource refers to need not be there yet: clusters are looked
//! for when requests come, and what else it needs (endpoints, routes, secrets) is asked for by name.

use std::sync::Arc;

use tollgate_ir::{
    BareCluster, GoogleCluster, HttpFilter, Listener, ObjectName, RouteTable, Secrets, Sourced,
};
use tollgate_model::{cluster::Endpoint, management::Needed};

use super::{
    Surroundings,
    cluster::schema::CLUSTER_LOAD_ASSIGNMENT,
    cluster::{endpoints::read_delivered_endpoints, read_cluster, schema::CLUSTER},
    config_source::object_name,
    http_filters::{Filters, read_cluster_http_filters},
    listener::{ChainTable, read_listener, schema::LISTENER},
    needs::Needs,
    route::{read_route_configuration, schema::ROUTE_CONFIGURATION},
    tls::{KnownSecrets, schema::SECRET},
};
use crate::{
    Diagnostic, Files, Options, Severity,
    diagnostic::Report,
    place::{Place, Whole},
    schema::{Context, Notation, Value, wire},
};

/// A resource that a management server has delivered, read by itself.
#[derive(Debug, Clone)]
pub struct Delivered {
    /// What it needs to work, and has to be asked for.
    pub needs: Vec<Needed<GoogleCluster>>,
    /// Everything there is to say about it. Their places are in the resource, and have no lines.
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
/// that it needs is read with it. `surroundings` is what the bootstrap says about it.
#[must_use]
pub fn read_delivered(
    type_name: &str,
    name: &str,
    bytes: &[u8],
    surroundings: &Surroundings,
    files: &dyn Files,
    options: &Options,
) -> Delivered {
    let object = object_name(type_name, name);
    let report = Report::of(Whole::Object(object.clone()));
    let mut part = None;
    let mut needs = Needs::default();
    if let Some(node) = wire::decode(type_name, bytes, &report) {
        let context = Context { report: &report, files, options, notation: Notation::Delivered };
        let value = Value::root(context, &node);
        part = read_by_type(type_name, &object, &value, surroundings);
        needs.collect(&value, name, &surroundings.scope(KnownSecrets::delivered()));
        needs.check_servers(surroundings, &value);
    }
    Delivered { needs: needs.into_list(), diagnostics: report.finish(), part }
}

fn read_by_type(
    type_name: &str,
    object: &ObjectName,
    value: &Value<'_>,
    surroundings: &Surroundings,
) -> Option<Part> {
    let scope = surroundings.scope(KnownSecrets::delivered_for(object));
    if type_name == CLUSTER.name {
        let (cluster, list) = read_cluster(value, &scope.secrets)?;
        let filters = list.map(|list| read_cluster_http_filters(&list, &cluster.name, &scope).into_list());
        let filters: Arc<[HttpFilter]> = filters.unwrap_or_default().into();
        return Some(cluster_part(cluster, filters, scope.secrets.into_inner(), value));
    } else if type_name == LISTENER.name {
        let (mut listener, tables) = read_listener(value, 0, &scope)?;
        listener.limits.max_connections = surroundings.connection_limit(&listener.name);
        return Some(listener_part((listener, tables), scope.secrets.into_inner(), value));
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
    let (bare, endpoints) = cluster.into_parts();
    let cluster = Arc::new(Sourced { value: bare, origin: Place::of(value).origin(None) });
    Part::Cluster { cluster, endpoints, http_filters, secrets }
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
