//! `/server_info`: version, state, uptime.

use std::{num::NonZeroUsize, time::Duration};

use serde_json::{Value, json};
use tollgate_model::snapshot::Node;

use super::State;
use crate::as_envoy::{self, ENVOY_VERSION, version};

/// What this is made of.
pub(super) struct ServerInfo<'a> {
    pub(super) state: State,
    pub(super) uptime: Duration,
    pub(super) workers: NonZeroUsize,
    pub(super) node: &'a Node,
    /// The process acts as Envoy, with these `CommandLineOptions`.
    pub(super) options: Option<&'a Value>,
}

impl ServerInfo<'_> {
    pub(super) fn write(&self) -> String {
        let state = match self.state {
            State::Live => "LIVE",
            State::Draining => "DRAINING",
            State::Initializing => "INITIALIZING",
        };
        let uptime = format!("{}s", self.uptime.as_secs());
        let mut options = self.options.cloned().unwrap_or_else(|| json!({}));
        options["concurrency"] = self.workers.get().into();
        let version = match self.options {
            Some(_) => version(),
            None => format!("tollgate/{}", env!("CARGO_PKG_VERSION")),
        };
        let mut info = json!({
            "version": version,
            "state": state,
            "uptime_current_epoch": uptime,
            "uptime_all_epochs": uptime,
            "command_line_options": options,
            "node": node(self.node),
        });
        if self.options.is_some() {
            info["hot_restart_version"] = as_envoy::HOT_RESTART_VERSION.into();
        }
        format!("{info:#}\n")
    }
}

/// Envoy's `Node`, as management servers get it.
pub(super) fn node(node: &Node) -> Value {
    let whole = tollgate_config::decode_message("envoy.config.core.v3.Node", &node.message);
    let mut shown = whole.unwrap_or_else(|_| json!({}));
    shown["id"] = node.id.as_str().into();
    shown["cluster"] = node.cluster.as_str().into();
    if shown["user_agent_name"].is_null() {
        shown["user_agent_name"] = "tollgate".into();
    }
    if shown["user_agent_build_version"].is_null() {
        let numbers: Vec<u32> = ENVOY_VERSION.split('.').filter_map(|part| part.parse().ok()).collect();
        let [major, minor, patch] = [0, 1, 2].map(|index| numbers.get(index).copied().unwrap_or(0));
        shown["user_agent_build_version"] = json!({
            "version": { "major_number": major, "minor_number": minor, "patch": patch },
            "metadata": { "tollgate.version": env!("CARGO_PKG_VERSION") },
        });
    }
    shown
}
