//! What resources need of management servers: endpoints, routes and secrets, by name.

use std::collections::BTreeMap;

use tollgate_ir::GoogleCluster;
use tollgate_model::{
    management::{Needed, ResourceSource, Server},
    processor::GrpcTarget,
};

use super::{
    Scope, Surroundings,
    cluster::schema::CLUSTER_LOAD_ASSIGNMENT,
    config_source::is_from_server,
    management::{INITIAL_FETCH_TIMEOUT, read_api_source},
    route::schema::ROUTE_CONFIGURATION,
    tls::schema::SECRET,
};
use crate::schema::Value;

/// What is needed: types of messages and names, and where they come from.
#[derive(Debug, Default)]
pub(super) struct Needs(BTreeMap<(&'static str, String), ResourceSource<GoogleCluster>>);

impl Needs {
    /// What the listeners and clusters below `static_resources` need.
    pub(super) fn of_static(fixed: &Value<'_>, scope: &Scope) -> Self {
        let mut needs = Self::default();
        for resource in fixed.member_list("listeners").into_iter().chain(fixed.member_list("clusters")) {
            let name = resource.member("name").and_then(|name| name.string()).unwrap_or_default();
            needs.collect(&resource, &name, scope);
        }
        needs
    }

    /// The first name that the aggregated stream has to have.
    pub(super) fn first_aggregated(&self) -> Option<&str> {
        let mut aggregated = self.0.iter().filter(|(_, source)| source.server == Server::Aggregated);
        aggregated.next().map(|((_, name), _)| &**name)
    }

    pub(super) fn into_list(self) -> Vec<Needed<GoogleCluster>> {
        let entries = self.0.into_iter();
        entries
            .map(|((message, name), source)| Needed { message: message.to_owned(), name, source })
            .collect()
    }

    /// Finds what is to be asked for, wherever it is named below a resource of the name `root`.
    pub(super) fn collect(&mut self, value: &Value<'_>, root: &str, scope: &Scope) {
        let text = |config: &Value<'_>, name: &str| config.member(name).and_then(|name| name.string());
        if let Some(rds) = value.member("rds") {
            self.need(
                &rds,
                "config_source",
                ROUTE_CONFIGURATION.name,
                text(&rds, "route_config_name"),
                scope,
            );
        }
        if let Some(eds) = value.member("eds_cluster_config") {
            let name = text(&eds, "service_name").unwrap_or_else(|| root.to_owned());
            self.need(&eds, "eds_config", CLUSTER_LOAD_ASSIGNMENT.name, Some(name), scope);
        }
        let secrets = value.member_list("tls_certificate_sds_secret_configs");
        for secret in secrets.into_iter().chain(value.member("validation_context_sds_secret_config")) {
            self.need(&secret, "sds_config", SECRET.name, text(&secret, "name"), scope);
        }
        for child in value.children() {
            self.collect(&child, root, scope);
        }
    }

    fn need(
        &mut self,
        config: &Value<'_>,
        source: &str,
        message: &'static str,
        name: Option<String>,
        scope: &Scope,
    ) {
        let Some(source) = config.member(source).filter(is_from_server) else { return };
        let Some((name, read)) = name.zip(read_source(&source, scope)) else { return };
        if self.0.get(&(message, name.clone())).is_some_and(|other| other.server != read.server) {
            source.error_with_help(
                format!("\"{name}\" comes from another server elsewhere in this resource"),
                "give each its own name",
            );
        }
        self.0.insert((message, name), read);
    }

    /// Servers that a delivered resource names have to be in clusters of the bootstrap, as in Envoy.
    pub(super) fn check_servers(&self, surroundings: &Surroundings, value: &Value<'_>) {
        for source in self.0.values() {
            let Server::Own(own) = &source.server else { continue };
            match &own.service.target {
                GrpcTarget::EnvoyGrpc(cluster) if surroundings.has_cluster(cluster) => {}
                GrpcTarget::EnvoyGrpc(cluster) => {
                    value.error(format!(
                        "the cluster \"{cluster}\" of a management server is not in the bootstrap"
                    ));
                }
                GrpcTarget::GoogleGrpc(_) => value.error_with_help(
                    "a delivered resource cannot name a management server by google_grpc",
                    "use envoy_grpc with a cluster of the bootstrap",
                ),
            }
        }
    }
}

/// Where a resource comes from; `None` when that cannot be read, which is reported.
fn read_source(source: &Value<'_>, scope: &Scope) -> Option<ResourceSource<GoogleCluster>> {
    let server = match source.member("api_config_source") {
        Some(api) => Server::Own(Box::new(read_api_source(&api, scope)?)),
        None => Server::Aggregated,
    };
    let initial_fetch_timeout = match source.member("initial_fetch_timeout") {
        None => Some(INITIAL_FETCH_TIMEOUT),
        Some(timeout) => timeout.duration().filter(|timeout| !timeout.is_zero()),
    };
    Some(ResourceSource { server, initial_fetch_timeout })
}
