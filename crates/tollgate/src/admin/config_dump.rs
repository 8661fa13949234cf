//! `/config_dump`: the configuration in the messages of Envoy's API, so that whoever reads Envoy's dump reads this one.
//!
//! What is in the bootstrap is shown as it was written, what management servers have delivered as it was received. Secrets are
//! hidden.

mod delivered;
mod endpoints;
mod fixed;
mod query;
mod redact;

use std::time::SystemTime;

use serde_json::{Map, Value, json};
use tollgate_config::Options;
use tollgate_model::{Snapshot, snapshot::Node};

pub(super) use self::{
    fixed::bootstrap,
    query::{Query, Refused},
};
use super::server_info;
use crate::{in_force::timestamp_with_milliseconds, sources::Sources, xds::status::Status};

/// What the configuration in force was read from.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub(crate) sources: Sources,
    pub(crate) options: Options,
    /// When it was put in force.
    pub(crate) since: SystemTime,
}

/// What a dump is made of.
pub(super) struct Dump<'a> {
    /// The bootstrap.
    bootstrap: Value,
    /// Since when it is in force.
    since: SystemTime,
    node: &'a Node,
    delivered: Vec<delivered::Resource>,
    /// The versions of what was answered last, by the names of the kinds.
    versions: Map<String, Value>,
    snapshot: &'a Snapshot,
}

impl<'a> Dump<'a> {
    /// Of a bootstrap, what management servers have delivered, and what became of both.
    pub(super) fn new(bootstrap: Value, since: SystemTime, status: &Status, snapshot: &'a Snapshot) -> Self {
        let table = status.table();
        let versions = table.types.iter().map(|(kind, last)| (kind.to_string(), last.version.clone().into()));
        Self {
            bootstrap,
            since,
            node: &snapshot.node,
            delivered: delivered::resources(&table),
            versions: versions.collect(),
            snapshot,
        }
    }

    /// Envoy's `ConfigDump`, or the part of it that is asked for.
    ///
    /// # Errors
    /// When something is asked for that does not exist.
    pub(super) fn answer(&self, query: &Query) -> Result<Value, Refused> {
        let mut bootstrap = self.bootstrap.clone();
        bootstrap["node"] = server_info::node(self.node);
        let since = timestamp_with_milliseconds(self.since);
        let mut configs = vec![json!({
            "@type": type_url("BootstrapConfigDump"),
            "bootstrap": bootstrap,
            "last_updated": since,
        })];
        configs.push(self.config("ClustersConfigDump", "Cluster", |kept| {
            let fixed = self.fixed("clusters", "cluster", "envoy.config.cluster.v3.Cluster");
            kept.extend([("static_clusters", fixed)]);
            kept.extend(delivered::clusters(&self.delivered));
        }));
        if query.include_endpoints {
            configs.push(self.config("EndpointsConfigDump", "", |kept| {
                kept.extend(endpoints::configs(self.snapshot, &self.delivered));
            }));
        }
        configs.push(self.config("ListenersConfigDump", "Listener", |kept| {
            let fixed = self.fixed("listeners", "listener", "envoy.config.listener.v3.Listener");
            kept.extend([
                ("static_listeners", fixed),
                ("dynamic_listeners", delivered::listeners(&self.delivered)),
            ]);
        }));
        configs.push(json!({ "@type": type_url("ScopedRoutesConfigDump") }));
        configs.push(self.config("RoutesConfigDump", "", |kept| {
            let mut inline = Vec::new();
            fixed::inline_routes(&self.bootstrap["static_resources"]["listeners"], &since, &mut inline);
            for listener in delivered::listeners(&self.delivered) {
                let since = listener["active_state"]["last_updated"].as_str().unwrap_or_default().to_owned();
                fixed::inline_routes(&listener["active_state"], &since, &mut inline);
            }
            kept.extend([
                ("static_route_configs", inline),
                ("dynamic_route_configs", delivered::routes(&self.delivered)),
            ]);
        }));
        configs.push(self.config("SecretsConfigDump", "", |kept| {
            kept.push(("static_secrets", fixed::secrets(&self.bootstrap)));
            kept.push(("dynamic_active_secrets", delivered::secrets(&self.delivered)));
        }));
        configs.iter_mut().for_each(redact::hide_secrets);
        query.select(configs)
    }

    /// A message with lists, of which the empty ones are left out, and the version of a kind.
    fn config(
        &self,
        message: &str,
        kind: &str,
        fill: impl FnOnce(&mut Vec<(&'static str, Vec<Value>)>),
    ) -> Value {
        let mut lists = Vec::new();
        fill(&mut lists);
        let mut config = json!({ "@type": type_url(message) });
        if let Some(version) = self.versions.get(kind) {
            config["version_info"] = version.clone();
        }
        for (name, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
            config[name] = list.into();
        }
        config
    }

    /// The resources of the bootstrap, each in a member of its own.
    fn fixed(&self, list: &str, member: &str, message: &str) -> Vec<Value> {
        let since = timestamp_with_milliseconds(self.since);
        let resources = self.bootstrap["static_resources"][list].as_array();
        let resources = resources.into_iter().flatten();
        resources
            .map(|resource| json!({ member: typed(message, resource.clone()), "last_updated": since }))
            .collect()
    }
}

fn type_url(message: &str) -> String {
    format!("type.googleapis.com/envoy.admin.v3.{message}")
}

/// A message with its type.
fn typed(message: &str, mut value: Value) -> Value {
    if let Value::Object(members) = &mut value {
        members.insert("@type".to_owned(), format!("type.googleapis.com/{message}").into());
    }
    value
}
