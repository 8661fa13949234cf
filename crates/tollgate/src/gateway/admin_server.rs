//! The admin server on threads of its own: it answers whatever else the process is busy with.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use tokio::runtime::{Builder, Runtime};

use crate::{
    admin::Admin,
    http_server::{self, Limits},
};

/// Threads. One may be busy with a large answer.
const THREADS: usize = 2;
/// Time for the head of a request, and for an idle connection.
const HEAD: Duration = Duration::from_secs(10);
/// Longest life of a connection: whoever reads that slowly is not waited for.
const LIFE: Duration = Duration::from_secs(120);

/// A running admin server. Dropping it ends its connections.
#[derive(Debug)]
pub(super) struct AdminServer {
    runtime: Option<Runtime>,
}

/// Where an admin server is to listen.
pub(super) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

impl AdminServer {
    /// Answers at the listener.
    pub(super) fn start(listener: TcpListener, admin: Arc<Admin>) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("tollgate-admin")
            .enable_all()
            .build()?;
        let entered = runtime.enter();
        let listener = tokio::net::TcpListener::from_std(listener)?;
        drop(entered);
        let limits = Limits { head: HEAD, life: Some(LIFE) };
        runtime.spawn(http_server::serve_with(listener, limits, move |request, _| {
            let admin = admin.clone();
            async move { admin.respond(request).await }
        }));
        Ok(Self { runtime: Some(runtime) })
    }
}

impl Drop for AdminServer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
