//! A gateway with its admin server, from start to stop.

use std::{
    io,
    net::SocketAddr,
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use tokio::net::TcpListener;
use tollgate_config::ObjectReport;
use tollgate_model::{Snapshot, listener::BindAddress};

use crate::{admin::Admin, http_server, in_force::InForce, reload::Reload, signals::Signals};

/// How long requests under way may go on after the first signal: less than the 30 s after which Kubernetes kills.
const DRAIN_TIME: Duration = Duration::from_secs(20);

/// What a gateway is started with.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) snapshot: Snapshot,
    /// The Kubernetes objects that it was made of.
    pub(crate) objects: Vec<ObjectReport>,
    /// Threads that serve requests.
    pub(crate) workers: NonZeroUsize,
    /// Where the admin server listens, unless the snapshot says so itself.
    pub(crate) admin_address: SocketAddr,
    /// Where later configurations come from.
    pub(crate) reload: Option<Reload>,
}

/// A gateway that serves requests. Its admin server answers while [`until_stopped`](Self::until_stopped) runs.
#[derive(Debug)]
pub(crate) struct Gateway {
    data_plane: tollgate_proxy::Gateway,
    admin: Arc<Admin>,
    admin_listener: TcpListener,
    admin_address: SocketAddr,
    reload: Option<Reload>,
    stop: Signals,
    hurry: Signals,
}

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
    /// Binds everything and starts the workers, or serves nothing.
    pub(crate) async fn start(settings: Settings) -> Result<Self, StartError> {
        let Settings { snapshot, objects, workers, admin_address, reload } = settings;
        let stop = Signals::listen().map_err(StartError::Signals)?;
        let hurry = Signals::listen().map_err(StartError::Signals)?;
        let (address, remedy) = match snapshot.admin_address {
            Some(address) => (address, ""),
            None => (admin_address, "; --admin-address chooses another one"),
        };
        let (admin_listener, admin_address) =
            bind(address).await.map_err(|source| StartError::Admin { address, source, remedy })?;
        let snapshot = Arc::new(snapshot);
        let data_plane = tollgate_proxy::Gateway::start(
            &snapshot,
            tollgate_proxy::Options { workers, ..Default::default() },
        )?;
        let in_force = InForce {
            generation: 1,
            since: SystemTime::now(),
            snapshot,
            objects: objects.into(),
            listeners: data_plane.local_addresses(),
            refused: None,
        };
        let admin = Admin::new(in_force, data_plane.stats().clone(), workers, Instant::now())
            .with_access_logs(data_plane.access_logs());
        Ok(Self { data_plane, admin: Arc::new(admin), admin_listener, admin_address, reload, stop, hurry })
    }

    /// The names of the listeners and their addresses, with the ports that the kernel chose.
    pub(crate) fn local_addresses(&self) -> Vec<(String, BindAddress)> {
        self.data_plane.local_addresses()
    }

    /// The address of the admin server.
    pub(crate) fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// Serves whatever configuration is in force until a signal, then until every request has ended or the drain time is over. Another signal
    /// ends the process at once.
    pub(crate) async fn until_stopped(self) {
        let Self { data_plane, admin, admin_listener, reload, stop, hurry, .. } = self;
        let answers = Arc::clone(&admin);
        let serve_admin = http_server::serve(admin_listener, move |request, _| answers.answer(request));
        let drain = async {
            let changes = async {
                match reload {
                    Some(reload) => reload.run(&data_plane, &admin).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.first() => {}
                never = changes => match never {},
            }
            tracing::info!("draining: no new connections, {} s for requests under way", DRAIN_TIME.as_secs());
            admin.drain();
            match data_plane.drain(DRAIN_TIME).await {
                0 => tracing::info!("drained"),
                connections => tracing::warn!(connections, "cut off after the drain time"),
            }
        };
        tokio::select! {
            never = serve_admin => match never {},
            () = hurry.exit_on_second(drain) => data_plane.shutdown(),
        }
    }
}

async fn bind(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}
