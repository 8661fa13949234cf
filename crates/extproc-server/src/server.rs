//! The server: accepts connections, serves them, stops.

use std::{convert::Infallible, io, pin::pin, sync::Arc, time::Duration};

use hyper::{server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tonic::metadata::MetadataMap;

use crate::{
    ListenAddress, Processor, Tls,
    listener::{Connection, Listener},
    service::Service,
};

/// Most connections at a time; more wait to be accepted.
const MAX_CONNECTIONS: usize = 4096;
/// Exchanges at a time on a connection.
const MAX_CONCURRENT_STREAMS: u32 = 1000;
/// Many exchanges share a connection, and what arrives unread on all of them must fit.
const CONNECTION_WINDOW: u32 = 16 << 20;
const STREAM_WINDOW: u32 = 1 << 20;
const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// A peer that vanished is found out after the interval and the timeout together.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(60);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// After a failed accept: the process may be out of file descriptors, and trying at once would only burn time.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What is served and how. Not bound to an address yet.
#[derive(Debug)]
pub struct Server<F> {
    service: Service<F>,
    tls: Option<Tls>,
    drain_timeout: Duration,
}

/// A server that has its address. It serves when [`serve`](Self::serve) runs; until then clients wait.
#[derive(Debug)]
pub struct BoundServer<F> {
    server: Server<F>,
    listener: Listener,
    address: ListenAddress,
}

impl<F, P> Server<F>
where
    F: Fn(&MetadataMap) -> P + Send + Sync + 'static,
    P: Processor,
{
    /// Serves processors made by `new_processor`, one for each exchange, from the metadata of its call.
    pub fn new(new_processor: F) -> Self {
        Self {
            service: Service { new_processor: Arc::new(new_processor), max_message_size: 64 << 20 },
            tls: None,
            drain_timeout: Duration::from_secs(10),
        }
    }

    /// Serves TLS. Default: cleartext.
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Largest message in either direction, bytes. Default 64 MiB. Larger ones end their exchange with
    /// `OUT_OF_RANGE`.
    #[must_use]
    pub fn max_message_size(mut self, bytes: usize) -> Self {
        self.service.max_message_size = bytes;
        self
    }

    /// How long exchanges under way may go on after the stop. Default 10 s.
    #[must_use]
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.drain_timeout = timeout;
        self
    }

    /// Binds the address. Connections are accepted from here on, and served when [`BoundServer::serve`] runs.
    ///
    /// # Errors
    /// What the operating system says, for example that the address is in use.
    pub async fn bind(self, address: &ListenAddress) -> io::Result<BoundServer<F>> {
        let (listener, address) = Listener::bind(address).await?;
        Ok(BoundServer { server: self, listener, address })
    }
}

impl<F, P> BoundServer<F>
where
    F: Fn(&MetadataMap) -> P + Send + Sync + 'static,
    P: Processor,
{
    /// The address, with the port that the kernel chose if it was asked to.
    #[must_use]
    pub fn local_address(&self) -> &ListenAddress {
        &self.address
    }

    /// Serves until `stop` is ready. Then no connection is accepted any more, clients are told to open no new streams
    /// (GOAWAY), exchanges under way go on until they end or the drain timeout is over, and what is left is cut off.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let Self { server, listener, .. } = self;
        let (stopping, stopped) = watch::channel(());
        let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut connections = JoinSet::new();
        let mut stop = pin!(stop);
        loop {
            let accepted = async {
                // Never closed, so always given.
                let permit = Arc::clone(&permits).acquire_owned().await;
                (listener.accept().await, permit)
            };
            tokio::select! {
                () = &mut stop => break,
                (connection, permit) = accepted => match connection {
                    Ok(connection) => {
                        let serve = serve_connection(
                            connection,
                            server.tls.clone(),
                            server.service.clone(),
                            stopped.clone(),
                        );
                        connections.spawn(async move {
                            serve.await;
                            drop(permit);
                        });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection");
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(_) = connections.join_next() => {}
            }
        }
        drop(listener);
        drop(stopping);
        let all_ended = async { while connections.join_next().await.is_some() {} };
        if timeout(server.drain_timeout, all_ended).await.is_err() {
            tracing::warn!(connections = connections.len(), "cut off after the drain timeout");
        }
        connections.shutdown().await;
    }
}

async fn serve_connection<F, P>(
    connection: Connection,
    tls: Option<Tls>,
    service: Service<F>,
    stopped: watch::Receiver<()>,
) where
    F: Fn(&MetadataMap) -> P + Send + Sync + 'static,
    P: Processor,
{
    match tls {
        None => serve_http2(connection, service, stopped).await,
        Some(Tls(config)) => {
            match timeout(TLS_HANDSHAKE_TIMEOUT, TlsAcceptor::from(config).accept(connection)).await {
                Ok(Ok(connection)) => serve_http2(Box::pin(connection), service, stopped).await,
                Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
                Err(_) => tracing::debug!("TLS handshake timed out"),
            }
        }
    }
}

async fn serve_http2<F, P>(connection: Connection, service: Service<F>, mut stopped: watch::Receiver<()>)
where
    F: Fn(&MetadataMap) -> P + Send + Sync + 'static,
    P: Processor,
{
    let answer = service_fn(move |request| {
        let service = service.clone();
        async move { Ok::<_, Infallible>(service.call(request).await) }
    });
    let mut connection = pin!(
        http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(KEEP_ALIVE_INTERVAL)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .max_concurrent_streams(MAX_CONCURRENT_STREAMS)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .initial_stream_window_size(STREAM_WINDOW)
            .serve_connection(TokioIo::new(connection), answer)
    );
    let ended = tokio::select! {
        ended = &mut connection => ended,
        // The sender is dropped to stop; it never sends.
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection failed");
    }
}

#[cfg(test)]
mod tests;
