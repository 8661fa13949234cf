//! A dry run with management servers: what they have is fetched and read, and nothing is served.

use std::{
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use tokio::{sync::watch, time::sleep};
use tollgate_config::Options;
use tollgate_model::Snapshot;
use tollgate_proxy::Gateway;

use crate::{
    admin::Admin,
    configuration::Configuration,
    in_force::InForce,
    sources::Sources,
    xds::{assembly::Bootstrap, session::Session},
};

/// How often it is looked whether everything is there.
const LOOK: Duration = Duration::from_millis(50);

/// What was fetched.
#[derive(Debug)]
pub(super) struct Fetched {
    /// The table of types and of what is wrong.
    pub(super) table: String,
    /// What would be refused or is missing.
    pub(super) problems: Vec<String>,
}

/// Asks the management servers of a bootstrap that was read.
///
/// # Errors
/// When there are none, or nothing can be asked.
pub(super) fn fetch(
    mut configuration: Configuration,
    options: &Options,
    wait: Duration,
) -> Result<Fetched, String> {
    let snapshot = configuration.snapshot.take().ok_or("the bootstrap is refused")?;
    let snapshot = Arc::new(snapshot);
    let management = snapshot.management.clone().ok_or("the bootstrap names no management server")?;
    let nothing_bound = Snapshot { listeners: Vec::new(), ..Snapshot::clone(&snapshot) };
    let gateway_options =
        tollgate_proxy::Options { workers: NonZeroUsize::MIN, ..tollgate_proxy::Options::default() };
    let gateway =
        Gateway::start(&Arc::new(nothing_bound), gateway_options).map_err(|error| error.to_string())?;
    let in_force = InForce {
        generation: 1,
        since: SystemTime::now(),
        snapshot: Arc::clone(&snapshot),
        objects: Vec::new().into(),
        listeners: Vec::new(),
        refused: None,
    };
    let admin = Arc::new(Admin::new(in_force, gateway.stats().clone(), NonZeroUsize::MIN, Instant::now()));
    let (_keep, rebased) = watch::channel(Sources::default());
    let session = Session {
        bootstrap: Bootstrap { sources: configuration.input.sources, options: options.clone() },
        snapshot,
        management,
        rebased,
        updater: gateway.updater(),
        admin: admin.clone(),
        admin_address: None,
        is_dry: true,
    };
    let calls = gateway.start_calls(move |calls| session.run(calls)).map_err(|error| error.to_string())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let status = admin.discovery();
    let deadline = Instant::now() + wait;
    runtime.map_err(|error| error.to_string())?.block_on(async {
        while !status.table().is_ready && Instant::now() < deadline {
            sleep(LOOK).await;
        }
    });
    let table = status.table();
    let mut problems = table.problems();
    if !table.is_ready && problems.is_empty() {
        problems.push(format!("not everything has come within {wait:?}"));
    }
    let fetched = Fetched { table: table.text(), problems };
    drop(table);
    drop(calls);
    Ok(fetched)
}
