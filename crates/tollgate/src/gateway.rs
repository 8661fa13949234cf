//! A gateway with its admin server, from start to stop.

mod admin_server;

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use tokio::sync::{oneshot, watch};
use tollgate_config::ObjectReport;
use tollgate_ir::Compiled;
use tollgate_model::listener::BindAddress;
use tollgate_proxy::CallsThread;

use self::admin_server::AdminServer;
use crate::{
    admin::{Admin, AsEnvoy},
    cli::Lifecycle,
    descriptors,
    in_force::InForce,
    reload::Reload,
    signals::{self, Reopen, Signals, Stop},
    sources::Sources,
    xds::{assembly::Bootstrap, session::Session},
};

/// How long the process may take to end after the drain time before it is ended.
const RESERVE: Duration = Duration::from_secs(5);

/// What a gateway is started with.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) snapshot: Compiled,
    /// The Kubernetes objects that it was made of.
    pub(crate) objects: Vec<ObjectReport>,
    /// Threads that serve requests.
    pub(crate) workers: NonZeroUsize,
    /// Where the admin server listens, unless the snapshot says so itself; `None` = then there is none.
    pub(crate) admin_address: Option<SocketAddr>,
    /// How it stops, and who may ask the admin server.
    pub(crate) lifecycle: Lifecycle,
    /// Where later configurations come from.
    pub(crate) reload: Option<Reload>,
    /// The text of the snapshot, if management servers have the rest.
    pub(crate) bootstrap: Option<Bootstrap>,
    /// What is different if it acts as Envoy.
    pub(crate) as_envoy: Option<AsEnvoy>,
}

/// A gateway that serves requests, with its admin server.
#[derive(Debug)]
pub(crate) struct Gateway {
    data_plane: tollgate_proxy::Gateway,
    admin: Arc<Admin>,
    /// `None` = there is none.
    admin_address: Option<SocketAddr>,
    admin_server: Option<AdminServer>,
    /// Changes of the configuration are followed until it is dropped.
    following: Option<oneshot::Sender<Infallible>>,
    /// Management servers are followed until it is dropped.
    calls: Option<CallsThread>,
    lifecycle: Lifecycle,
    stop: Signals,
    hurry: Signals,
    reopen: Reopen,
}

/// A worker has died, which only a bug can do.
#[derive(Debug, thiserror::Error)]
#[error("a worker has died; whoever started the process has to start it again")]
pub(crate) struct WorkerFailed;

/// Why nothing is served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// The address of the admin server cannot be bound.
    #[error("the admin server cannot be bound to {address}: {source}{remedy}")]
    Admin { address: SocketAddr, source: io::Error, remedy: &'static str },
    /// The data plane does not start.
    #[error("{0}{remedy}", remedy = remedy(.0))]
    DataPlane(#[from] tollgate_proxy::StartError),
    /// The process could not be stopped.
    #[error("signals cannot be received: {0}")]
    Signals(io::Error),
    /// The system refused a thread.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
}

/// What to do about an address that takes privileges.
fn remedy(error: &tollgate_proxy::StartError) -> &'static str {
    match error {
        tollgate_proxy::StartError::Bind(error)
            if error.source.kind() == io::ErrorKind::PermissionDenied
                && error.address.parse::<SocketAddr>().is_ok() =>
        {
            "; ports below 1024 need privileges, --shift-privileged-ports serves those of Gateways elsewhere"
        }
        _ => "",
    }
}

impl Gateway {
    /// Binds everything and starts the workers, or serves nothing. A signal meanwhile ends the process at once.
    pub(crate) async fn start(settings: Settings) -> Result<Self, StartError> {
        let Settings { snapshot, objects, workers, admin_address, lifecycle, reload, bootstrap, as_envoy } =
            settings;
        let [stop, hurry, early] = [Signals::listen(), Signals::listen(), Signals::listen()]
            .map(|signals| signals.map_err(StartError::Signals));
        let reopen = Reopen::listen().map_err(StartError::Signals)?;
        let asked_admin_address = admin_address;
        let remedy =
            if snapshot.admin_address.is_some() { "" } else { "; --admin-address chooses another one" };
        let bound = snapshot.admin_address.or(admin_address).map(|address| {
            let failed = |source| StartError::Admin { address, source, remedy };
            let listener = admin_server::bind(address).map_err(failed)?;
            let address = listener.local_addr().map_err(failed)?;
            Ok::<_, StartError>((listener, address))
        });
        let (admin_listener, admin_address) = bound.transpose()?.unzip();
        let snapshot = Arc::new(snapshot);
        let snapshot_of_start = snapshot.clone();
        let drain_time = Duration::from_secs(lifecycle.drain_time_s);
        let options = tollgate_proxy::Options {
            workers,
            drain_time,
            max_connections: descriptors::most_connections(),
            buffer_limit: lifecycle.buffer_limit,
            // One Gateway must not keep the others from being served.
            leave_out_unavailable_addresses: !objects.is_empty(),
        };
        // Names are looked up, which may take a while.
        let starting = {
            let snapshot = Arc::clone(snapshot.snapshot());
            tokio::task::spawn_blocking(move || tollgate_proxy::Gateway::start(&snapshot, options))
        };
        let data_plane = tokio::select! {
            started = starting => started.map_err(|error| StartError::Thread(io::Error::other(error)))??,
            stop = early?.first() => std::process::exit(stop.exit_status()),
        };
        let in_force = InForce {
            generation: 1,
            since: SystemTime::now(),
            snapshot,
            objects: objects.into(),
            listeners: data_plane.local_addresses(),
            refused: None,
        };
        let admin = Admin::new(in_force, data_plane.stats().clone(), workers, Instant::now())
            .with_access_logs(data_plane.access_logs())
            .with_name_lookups(data_plane.name_lookups())
            .with_health(data_plane.health())
            .with_recorder(data_plane.recorder())
            .with_leaving(data_plane.leaving())
            .with_hosts(&lifecycle.admin_host)
            .with_as_envoy(as_envoy);
        let admin = match admin_address {
            Some(address) => admin.with_address(address),
            None => admin,
        };
        let admin = Arc::new(admin);
        if let Some(reload) = &reload {
            admin.set_origin(reload.input.sources.clone(), reload.options.clone());
        }
        let admin_server = admin_listener.map(|listener| AdminServer::start(listener, admin.clone()));
        let admin_server = admin_server.transpose().map_err(StartError::Thread)?;
        let (rebase, rebased) = watch::channel(Sources::default());
        let mut calls = None;
        if let (Some(management), Some(bootstrap)) = (snapshot_of_start.management.clone(), bootstrap) {
            let session = Session {
                bootstrap,
                snapshot: snapshot_of_start,
                management,
                rebased,
                updater: data_plane.updater(),
                admin: admin.clone(),
                admin_address: asked_admin_address,
                is_dry: false,
            };
            admin.initialize();
            let started = data_plane.start_calls(move |calls| session.run(calls));
            calls = Some(started.map_err(StartError::Thread)?);
        }
        let rebase = calls.is_some().then_some(rebase);
        let reload = reload.map(|reload| Reload { rebase, ..reload });
        let following = reload.map(|reload| reload.start(data_plane.updater(), admin.clone()));
        let following = following.transpose().map_err(StartError::Thread)?;
        let (stop, hurry) = (stop?, hurry?);
        Ok(Self {
            data_plane,
            admin,
            admin_address,
            admin_server,
            following,
            calls,
            lifecycle,
            stop,
            hurry,
            reopen,
        })
    }

    /// The names of the listeners and their addresses, with the ports that the kernel chose.
    pub(crate) fn local_addresses(&self) -> Vec<(String, BindAddress)> {
        self.data_plane.local_addresses()
    }

    /// The address of the admin server, if there is one.
    pub(crate) fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_address
    }

    /// Waits until what management servers deliver for the start is in force, or was waited for long enough.
    pub(crate) async fn until_initialized(&self) {
        self.admin.until_initialized().await;
    }

    /// Serves whatever configuration is in force until a signal, then until every request has ended or the drain time is
    /// over. Another signal ends the process at once, and so does the end of all times if something hangs.
    ///
    /// # Errors
    ///
    /// When a worker has died. The others are drained as by a signal.
    pub(crate) async fn until_stopped(self) -> Result<(), WorkerFailed> {
        let Self {
            data_plane,
            admin,
            admin_server,
            following,
            calls,
            lifecycle,
            stop,
            hurry,
            mut reopen,
            ..
        } = self;
        let Lifecycle { drain_time, lame_duck, .. } = lifecycle;
        let reopen = async {
            loop {
                reopen.next().await;
                tracing::info!("the files of access logs are opened again");
                admin.reopen_logs();
            }
        };
        let drain = async {
            let stop = tokio::select! {
                stop = stop.first() => Some(stop),
                () = admin.until_asked_to_quit() => Some(Stop::Interrupt),
                () = data_plane.worker_failed() => None,
            };
            admin.drain();
            // A person does not want to wait for others to notice.
            let lame_duck = if stop == Some(Stop::Terminate) { lame_duck } else { Duration::ZERO };
            signals::end_within(lame_duck + drain_time + RESERVE);
            if !lame_duck.is_zero() {
                tracing::info!("not ready any more; connections are accepted for another {lame_duck:?}");
                tokio::time::sleep(lame_duck).await;
            }
            drop((following, calls));
            tracing::info!("draining: no new connections, {} for requests under way", seconds(drain_time));
            match data_plane.drain(drain_time).await {
                0 => tracing::info!("drained"),
                connections => tracing::warn!(connections, "cut off after the drain time"),
            }
            if stop.is_some() { Ok(()) } else { Err(WorkerFailed) }
        };
        let outcome = tokio::select! {
            never = reopen => never,
            outcome = hurry.exit_on_second(drain) => outcome,
        };
        data_plane.shutdown();
        drop(admin_server);
        outcome
    }
}

/// `20 s`, or `0.5 s`.
fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}
