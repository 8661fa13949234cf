//! What management servers have delivered.

use std::time::SystemTime;

use bytes::Bytes;
use serde_json::{Value, json};
use tollgate_config::decode_message;
use tollgate_xds::Kind;

use super::typed;
use crate::{in_force::timestamp_with_milliseconds, xds::status::Table};

/// A resource as it was delivered.
pub(super) struct Resource {
    pub(super) kind: Kind,
    pub(super) name: String,
    active: Option<(String, Bytes)>,
    warming: Option<(String, Bytes)>,
    /// What was refused last: its version, and why.
    refused: Option<(String, String)>,
    since: Option<SystemTime>,
}

/// The resources of a table. Messages are shared with it.
pub(super) fn resources(table: &Table) -> Vec<Resource> {
    let all = table.resources.iter().map(|((kind, name), resource)| Resource {
        kind: *kind,
        name: name.clone(),
        active: resource.active.clone(),
        warming: resource.warming.clone(),
        refused: resource.refused.clone().or_else(|| {
            let version = resource.active.as_ref().map(|(version, _)| version.clone()).unwrap_or_default();
            resource.left_out.clone().map(|why| (version, why))
        }),
        since: resource.since,
    });
    all.collect()
}

impl Resource {
    fn message(&self, bytes: &[u8]) -> Value {
        let message = self.kind.message();
        // What was accepted can be read.
        typed(message, decode_message(message, bytes).unwrap_or_else(|_| json!({})))
    }

    /// Version, message and time; `member` is what the message is called.
    fn state(&self, member: &str, (version, bytes): &(String, Bytes)) -> Value {
        let mut state = json!({ "version_info": version, member: self.message(bytes) });
        if let Some(since) = self.since {
            state["last_updated"] = timestamp_with_milliseconds(since).into();
        }
        state
    }

    fn add_error(&self, to: &mut Value) {
        if let Some((version, why)) = &self.refused {
            to["error_state"] = json!({ "details": why, "version_info": version });
            if let Some(since) = self.since {
                to["error_state"]["last_update_attempt"] = timestamp_with_milliseconds(since).into();
            }
        }
    }
}

fn of(kind: Kind, all: &[Resource]) -> impl Iterator<Item = &Resource> {
    all.iter().filter(move |resource| resource.kind == kind)
}

pub(super) fn clusters(all: &[Resource]) -> [(&'static str, Vec<Value>); 2] {
    let list = |pick: fn(&Resource) -> Option<&(String, Bytes)>, with_error: bool| {
        let picked = of(Kind::Cluster, all).filter_map(|resource| Some((resource, pick(resource)?)));
        let shown = picked.map(|(resource, state)| {
            let mut shown = resource.state("cluster", state);
            if with_error {
                resource.add_error(&mut shown);
            }
            shown
        });
        shown.collect()
    };
    [
        ("dynamic_active_clusters", list(|resource| resource.active.as_ref(), true)),
        ("dynamic_warming_clusters", list(|resource| resource.warming.as_ref(), false)),
    ]
}

pub(super) fn listeners(all: &[Resource]) -> Vec<Value> {
    let shown = of(Kind::Listener, all).map(|resource| {
        let mut shown = json!({ "name": resource.name });
        for (state, name) in [(&resource.active, "active_state"), (&resource.warming, "warming_state")] {
            if let Some(state) = state {
                shown[name] = resource.state("listener", state);
            }
        }
        resource.add_error(&mut shown);
        shown
    });
    shown.collect()
}

pub(super) fn routes(all: &[Resource]) -> Vec<Value> {
    let shown = of(Kind::Routes, all).filter_map(|resource| {
        let mut shown = resource.state("route_config", resource.active.as_ref()?);
        resource.add_error(&mut shown);
        Some(shown)
    });
    shown.collect()
}

pub(super) fn secrets(all: &[Resource]) -> Vec<Value> {
    let shown = of(Kind::Secret, all).filter_map(|resource| {
        let mut shown = resource.state("secret", resource.active.as_ref()?);
        shown["name"] = resource.name.as_str().into();
        resource.add_error(&mut shown);
        Some(shown)
    });
    shown.collect()
}

/// Whether a management server has delivered the cluster.
pub(super) fn has_cluster(all: &[Resource], name: &str) -> bool {
    of(Kind::Cluster, all).any(|resource| resource.name == name)
}
