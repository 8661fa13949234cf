//! When a server has to stop.

use std::io;

use tokio::signal::unix::{SignalKind, signal as listen};

/// Ready with the first SIGTERM or SIGINT. Further ones change nothing; the drain timeout bounds the stop.
pub(super) fn signal() -> io::Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping when the exchanges in progress have ended");
    })
}
