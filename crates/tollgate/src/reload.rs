//! A new configuration whenever the files change.

mod places;
mod watch;

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    thread,
    time::{Duration, Instant, SystemTime},
};

use tokio::sync::oneshot;
use tollgate_config::{Before, Diagnostic, Options};
use tollgate_ir::Compiled;
use tollgate_model::shared::same;
use tollgate_proxy::Updater;

use self::watch::Watch;
use crate::{
    address::Address,
    admin::Admin,
    cli::LogFormat,
    commands::run::permissive_hint,
    configuration::{Configuration, Input},
    in_force::{InForce, Refused},
    report::report,
    sources::{Sources, name},
};

/// How long changes are gathered before the files are read: one save is many changes.
const DEBOUNCE: Duration = Duration::from_millis(100);
/// How often the files are read although no change was reported.
const POLL: Duration = Duration::from_secs(10);

/// What is loaded again and again.
#[derive(Debug)]
pub(crate) struct Reload {
    /// Files and folders; none if the texts stay as they are, and only the files that they name may change.
    pub(crate) paths: Vec<PathBuf>,
    /// How they are translated.
    pub(crate) options: Options,
    /// Whether a configuration is put in force that may leave something open.
    pub(crate) permissive: bool,
    /// The form of problems.
    pub(crate) log_format: LogFormat,
    /// Where the admin server was asked to listen when the configuration does not say; `None` = nowhere.
    pub(crate) admin_address: Option<SocketAddr>,
    /// What was looked at last.
    pub(crate) input: Input,
    /// Who puts it in force together with what management servers have; `None` = nobody else.
    pub(crate) rebase: Option<tokio::sync::watch::Sender<Sources>>,
}

/// Says when the files are not followed any more.
struct Told;

impl Drop for Told {
    fn drop(&mut self) {
        if thread::panicking() {
            tracing::error!("changes of the configuration are no longer seen, which is a bug");
        }
    }
}

/// What a look at the files gave.
enum Look {
    /// They are as they were.
    Same,
    /// They are different.
    New(Box<Configuration>),
}

impl Reload {
    /// Puts every change of the files in force, on a thread of its own, until what is returned is dropped. Nobody waits
    /// for that thread: it may read something that never ends.
    pub(crate) fn start(
        self,
        gateway: Updater,
        admin: Arc<Admin>,
    ) -> io::Result<oneshot::Sender<Infallible>> {
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let follow = move || {
            let _told = Told;
            runtime.block_on(async {
                tokio::select! {
                    never = self.run(&gateway, &admin) => match never {},
                    _ = stopped => {}
                }
            });
            runtime.shutdown_background();
        };
        thread::Builder::new().name("tollgate-reload".to_owned()).spawn(follow)?;
        Ok(stop)
    }

    /// Puts every change of the files in force, for ever.
    pub(crate) async fn run(mut self, gateway: &Updater, admin: &Admin) -> Infallible {
        let mut watch = Watch::new();
        let mut missing: Vec<String> = Vec::new();
        loop {
            // First the watch, then the look: what changes in between is seen by the one or the other.
            let places = self.places();
            let mut to_watch = watch;
            let watched = tokio::task::spawn_blocking(move || {
                to_watch.keep(&places);
                to_watch
            });
            watch = watched.await.unwrap_or_else(|_| Watch::new());

            let began = Instant::now();
            let mut is_other = false;
            if let Some(configuration) = self.look(!missing.is_empty(), admin).await {
                is_other = configuration.input != self.input;
                self.input = configuration.input.clone();
                self.apply(configuration, gateway, admin, &mut missing).await;
            }
            // Reading must not be all that is done, however much there is to read and however often it changes.
            let pause = DEBOUNCE.max(Instant::now().saturating_duration_since(began) * 4);
            if is_other {
                // There may be places that are not watched yet.
                tokio::time::sleep(pause).await;
                continue;
            }
            let changed = async {
                watch.changed().await;
                tokio::time::sleep(pause).await;
            };
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }

    fn places(&self) -> Vec<PathBuf> {
        let Input { sources, named_files } = &self.input;
        let paths_are_fixed = self.paths.is_empty();
        let paths = self.paths.iter().map(PathBuf::as_path);
        // A text that stays as it is need not come from a file.
        let texts = sources.texts.iter().filter(|_| !paths_are_fixed).map(|source| source.path.as_ref());
        places::of(paths.chain(texts).chain(named_files.paths()), &sources.folders)
    }

    /// Reads the files and, if they are different or it is `wanted`, translates them. On another thread: both take time.
    async fn look(&self, wanted: bool, admin: &Admin) -> Option<Configuration> {
        let InForce { objects, snapshot, .. } = admin.in_force();
        let (paths, options, input) = (self.paths.clone(), self.options.clone(), self.input.clone());
        let work = tokio::task::spawn_blocking(move || {
            let sources = if paths.is_empty() { input.sources.clone() } else { Sources::read(&paths) };
            if !wanted && sources == input.sources && input.named_files.are_unchanged() {
                return Look::Same;
            }
            let before = Before { objects: &objects, snapshot: Some(&snapshot) };
            Look::New(Box::new(Configuration::translate(sources, before, &options)))
        });
        match work.await {
            Ok(Look::New(configuration)) => Some(*configuration),
            Ok(Look::Same) => None,
            Err(error) => {
                // Translation has its own guard: this is about reading. It is tried again when it is time to look.
                tracing::error!(%error, "the files could not be read because of a bug in Tollgate");
                let message = "the files could not be read because of a bug in Tollgate".to_owned();
                refuse(admin, vec![Diagnostic::at("", message)]);
                None
            }
        }
    }

    /// `missing` are the addresses that could not be bound.
    async fn apply(
        &self,
        mut configuration: Configuration,
        gateway: &Updater,
        admin: &Admin,
        missing: &mut Vec<String>,
    ) {
        let in_force = admin.in_force();
        let generation = in_force.generation;
        let (verdict, exposes) = (configuration.verdict(self.permissive), configuration.exposes());
        let is_same = |new: &Compiled| same(new.snapshot(), in_force.snapshot.snapshot());
        let is_retry = !missing.is_empty() && configuration.snapshot.as_ref().is_some_and(is_same);
        if !is_retry {
            report(&configuration, self.log_format);
        }
        let snapshot = configuration.take_snapshot(self.permissive);
        let Configuration { objects, diagnostics, .. } = configuration;
        let Some(snapshot) = snapshot else {
            refuse(admin, diagnostics);
            let (paths, hint) = (name(&self.paths), permissive_hint(exposes));
            tracing::error!(
                generation,
                "{paths} is {verdict}; the previous configuration stays in force{hint}"
            );
            return;
        };
        if let Some(rebase) = &self.rebase {
            admin.set_in_force(InForce { refused: None, ..admin.in_force() });
            admin.set_origin(self.input.sources.clone(), self.options.clone());
            rebase.send_replace(self.input.sources.clone());
            return;
        }
        let admin_address = |wanted: Option<SocketAddr>| wanted.or(self.admin_address);
        let (old, new) =
            (admin_address(in_force.snapshot.admin_address), admin_address(snapshot.admin_address));
        if old != new {
            warn_of_admin_address(new);
        }
        tracing::debug!(compiled = %snapshot.work(), "the files were translated");
        let update = match gateway.update(Arc::clone(snapshot.snapshot())).await {
            Ok(update) => update,
            Err(error) => {
                refuse(admin, vec![Diagnostic::at("", error.to_string())]);
                tracing::error!(generation, %error, "the previous configuration stays in force");
                return;
            }
        };
        let is_new = !update.difference.is_empty();
        let next = InForce {
            generation: generation + u64::from(is_new),
            since: if is_new { SystemTime::now() } else { in_force.since },
            snapshot: Arc::new(snapshot),
            objects: objects.into(),
            listeners: gateway.local_addresses(),
            refused: None,
        };
        admin.set_in_force(next.clone());
        if is_new {
            admin.set_origin(self.input.sources.clone(), self.options.clone());
        }
        if is_new {
            tracing::info!(generation = next.generation, "in force: {}", update.difference);
        } else if !is_retry {
            tracing::info!(generation, "files changed, but the configuration is the same");
        }
        for (name, address) in next.listeners.iter().filter(|listener| !in_force.listeners.contains(listener))
        {
            tracing::info!("listener {name} at {}", Address(address));
        }
        let failures: Vec<String> = update.failures.iter().map(ToString::to_string).collect();
        for failure in failures.iter().filter(|failure| !missing.contains(failure)) {
            tracing::error!("{failure}; it is tried again");
        }
        *missing = failures;
    }
}

/// Says that another address of the admin server has no effect yet.
pub(crate) fn warn_of_admin_address(new: Option<SocketAddr>) {
    match new {
        Some(new) => tracing::warn!("the admin address changes only with a restart, to {new}"),
        None => tracing::warn!("the admin server ends only with a restart"),
    }
}

/// Keeps in mind why the present files are not in force.
fn refuse(admin: &Admin, diagnostics: Vec<Diagnostic>) {
    let refused = Some(Arc::new(Refused { since: SystemTime::now(), diagnostics }));
    admin.set_in_force(InForce { refused, ..admin.in_force() });
}
