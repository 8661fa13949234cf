//! `watchdogs`: what is done about a worker that hangs.

use std::time::Duration;

use tollgate_model::watchdog::Watchdog;

use super::protocol_options::PERCENT;
use crate::schema::{Message, Schema, Value, harmless, read, refused};

pub(super) static WATCHDOGS: Schema = Schema {
    name: "envoy.config.bootstrap.v3.Watchdogs",
    title: "",
    fields: &[
        read("worker_watchdog", "{}", "Of the workers."),
        harmless("main_thread_watchdog", "no request waits for another thread than its worker's"),
    ],
    unsupported: &[],
};

pub(super) static WATCHDOG: Schema = Schema {
    name: "envoy.config.bootstrap.v3.Watchdog",
    title: "",
    fields: &[
        read(
            "miss_timeout",
            "0.2s",
            "A worker without progress for so long is counted (`workers.watchdog_miss`).",
        ),
        read(
            "megamiss_timeout",
            "1s",
            "A worker without progress for so long is counted (`workers.watchdog_mega_miss`) and logged.",
        ),
        read(
            "kill_timeout",
            "0s",
            "The process ends when a worker has made no progress for so long; 0 = never.",
        ),
        read("max_kill_timeout_jitter", "0s", "Up to so much is added to kill_timeout by chance."),
        read(
            "multikill_timeout",
            "0s",
            "The process ends when several workers have made no progress for so long; 0 = never.",
        ),
        read("multikill_threshold", "0", "Percentage of the workers that makes several; two at least."),
        refused("actions", "use kill_timeout"),
    ],
    unsupported: &[],
};

/// The schemas of this module.
pub(super) static SCHEMAS: [&Schema; 2] = [&WATCHDOGS, &WATCHDOG];

/// Reads what a bootstrap says about its watchdogs.
pub(super) fn read_watchdog(bootstrap: &Message<'_>) -> Watchdog {
    let old = bootstrap.get("watchdog");
    let watchdogs = bootstrap.get("watchdogs");
    if let (Some(old), Some(_)) = (&old, &watchdogs) {
        old.error("only one of \"watchdog\" and \"watchdogs\" can be there");
    }
    let of_workers = match (&watchdogs, old) {
        (Some(value), _) => value.message(&WATCHDOGS).and_then(|message| message.get("worker_watchdog")),
        (None, old) => old,
    };
    of_workers.and_then(|value| read_settings(&value)).unwrap_or_default()
}

fn read_settings(value: &Value<'_>) -> Option<Watchdog> {
    let message = value.message(&WATCHDOG)?;
    let defaults = Watchdog::default();
    let nonzero = |name| message.duration(name).filter(|limit| !limit.is_zero());
    let threshold = message.message("multikill_threshold", &PERCENT);
    let threshold = threshold.and_then(|percent| percent.get("value")?.number(0.0..=100.0));
    Some(Watchdog {
        miss: nonzero("miss_timeout").unwrap_or(defaults.miss),
        megamiss: nonzero("megamiss_timeout").unwrap_or(defaults.megamiss),
        kill: nonzero("kill_timeout"),
        max_kill_jitter: message.duration("max_kill_timeout_jitter").unwrap_or(Duration::ZERO),
        multikill: nonzero("multikill_timeout"),
        multikill_share: threshold.unwrap_or(0.0) / 100.0,
    })
}
