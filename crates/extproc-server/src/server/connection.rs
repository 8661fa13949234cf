//! One connection of a gateway.

use std::{fmt, pin::pin, time::Duration};

use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{sync::watch, time::timeout};

#[cfg(feature = "tls")]
use crate::Tls;
use crate::{ProcessorService, counters::count, listener::Connection, preface::preface};

/// Exchanges at a time on a connection.
const MAX_CONCURRENT_STREAMS: u32 = 1000;
/// What may arrive unread for one exchange.
const STREAM_WINDOW: u32 = 64 << 10;
/// What may arrive unread on a connection: as much as on all its exchanges together, so that processors that do not read
/// slow nobody but their own exchanges.
const CONNECTION_WINDOW: u32 = (MAX_CONCURRENT_STREAMS + 1) * STREAM_WINDOW;
/// Answers that the gateway does not take are kept up to this size for one exchange; no more is asked of its processor then.
const SEND_BUFFER: usize = 64 << 10;
/// Largest request head.
const MAX_HEADER_LIST_SIZE: u32 = 64 << 10;
#[cfg(feature = "tls")]
const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// A peer that vanished is found out after the interval and the timeout together.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// What every connection needs.
#[derive(Debug, Clone)]
pub(super) struct Connecting {
    pub(super) service: ProcessorService,
    pub(super) preface_timeout: Duration,
    pub(super) keep_alive: Duration,
    /// Changes, or rather loses its sender, when the server stops.
    pub(super) stopped: watch::Receiver<()>,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<Tls>,
}

pub(super) async fn serve_connection(connection: Connection, connecting: Connecting) {
    let counters = connecting.service.inner.limits.counters.clone();
    let served = async {
        #[cfg(feature = "tls")]
        let connection: Connection = match &connecting.tls {
            None => connection,
            Some(tls) => {
                let accepted = timeout(TLS_HANDSHAKE_TIMEOUT, tls.acceptor().accept(connection)).await;
                Box::pin(accepted.map_err(|_| "the TLS handshake took too long".to_owned())?.map_err(text)?)
            }
        };
        serve_http2(connection, connecting).await
    };
    if let Err(error) = served.await {
        count(&counters.failed_connections);
        tracing::debug!(%error, "connection failed");
    }
}

fn text(error: impl fmt::Display) -> String {
    error.to_string()
}

async fn serve_http2(connection: Connection, connecting: Connecting) -> Result<(), String> {
    let Connecting { service, preface_timeout, keep_alive, mut stopped, .. } = connecting;
    let connection = tokio::select! {
        greeted = timeout(preface_timeout, preface(connection)) => {
            greeted.map_err(|_| "the HTTP/2 preface did not come in time".to_owned())?.map_err(text)?
        }
        // Nobody is served yet.
        _ = stopped.changed() => return Ok(()),
    };
    let mut connection = pin!(
        http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(keep_alive)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .max_concurrent_streams(MAX_CONCURRENT_STREAMS)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .initial_stream_window_size(STREAM_WINDOW)
            .max_send_buf_size(SEND_BUFFER)
            .max_header_list_size(MAX_HEADER_LIST_SIZE)
            .serve_connection(TokioIo::new(connection), service)
    );
    tokio::select! {
        ended = &mut connection => ended.map_err(text),
        // The sender is dropped to stop; it never sends.
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await.map_err(text)
        }
    }
}
