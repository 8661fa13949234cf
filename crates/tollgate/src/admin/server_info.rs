//! `/server_info`: version, state, uptime.

use std::{num::NonZeroUsize, time::Duration};

use serde_json::json;
use tollgate_model::snapshot::Node;

use super::State;

pub(super) fn write(state: State, uptime: Duration, workers: NonZeroUsize, node: &Node) -> String {
    let state = match state {
        State::Live => "LIVE",
        State::Draining => "DRAINING",
        State::Initializing => "INITIALIZING",
    };
    let uptime = format!("{}s", uptime.as_secs());
    let info = json!({
        "version": format!("tollgate/{}", env!("CARGO_PKG_VERSION")),
        "state": state,
        "uptime_current_epoch": uptime,
        "uptime_all_epochs": uptime,
        "command_line_options": { "concurrency": workers },
        "node": node,
    });
    format!("{info:#}\n")
}
