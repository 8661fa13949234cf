//! The server: accepts connections, serves them, stops.

use std::{convert::Infallible, fmt, io, pin::pin, sync::Arc, time::Duration};

use extproc::messages::ProcessingResponse;
use hyper::{server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tonic::{Status, metadata::MetadataMap};

use crate::{
    Counters, Failure, ListenAddress, Processor, Tls,
    counters::count,
    failure::OnFailure,
    limits::Limits,
    listener::{Connection, Listener},
    preface::preface,
    service::Service,
    throttle::Throttle,
};

/// Most connections at a time; more wait to be accepted.
const MAX_CONNECTIONS: usize = 4096;
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
const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// For the first bytes of HTTP/2. After them PINGs find out whether the peer is there.
const PREFACE_TIMEOUT: Duration = Duration::from_secs(10);
/// A peer that vanished is found out after the interval and the timeout together.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(60);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// After an accept that failed for want of something, such as file descriptors: trying at once would only burn time.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What is served and how. Not bound to an address yet.
pub struct Server<F> {
    new_processor: F,
    settings: Settings,
}

/// A server that has its address. It serves when [`serve`](Self::serve) runs; until then clients wait.
pub struct BoundServer<F> {
    service: Arc<Service<F>>,
    settings: Settings,
    listener: Listener,
    address: ListenAddress,
}

/// Everything that can be set.
#[derive(Debug)]
struct Settings {
    tls: Option<Tls>,
    preface_timeout: Duration,
    drain_timeout: Duration,
    max_message_size: usize,
    max_exchanges: usize,
    max_buffered: usize,
    handler_timeout: Duration,
    on_failure: OnFailure,
    counters: Arc<Counters>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            tls: None,
            preface_timeout: PREFACE_TIMEOUT,
            drain_timeout: Duration::from_secs(10),
            max_message_size: 64 << 20,
            max_exchanges: 10_000,
            max_buffered: 256 << 20,
            handler_timeout: Duration::from_secs(60),
            on_failure: OnFailure::default(),
            counters: Arc::default(),
        }
    }
}

impl<F> fmt::Debug for Server<F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Server").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl<F> fmt::Debug for BoundServer<F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("BoundServer").field("address", &self.address).finish_non_exhaustive()
    }
}

impl<F, P> Server<F>
where
    F: Fn(&MetadataMap) -> P + Send + Sync + 'static,
    P: Processor,
{
    /// Serves processors made by `new_processor`, one for each exchange, from the metadata of its call.
    pub fn new(new_processor: F) -> Self {
        Self { new_processor, settings: Settings::default() }
    }

    /// Serves TLS. Default: cleartext.
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.settings.tls = Some(tls);
        self
    }

    /// Largest message in either direction, bytes. Default 64 MiB. Larger ones end their exchange with
    /// `OUT_OF_RANGE`.
    #[must_use]
    pub fn max_message_size(mut self, bytes: usize) -> Self {
        self.settings.max_message_size = bytes;
        self
    }

    /// How long exchanges under way may go on after the stop. Default 10 s.
    #[must_use]
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.settings.drain_timeout = timeout;
        self
    }

    /// Most exchanges at a time, on all connections together. Default 10,000. Further ones end with
    /// `RESOURCE_EXHAUSTED`. Up to 64 KiB may have arrived for each that its processor has not read, beside what
    /// [`max_buffered_bytes`](Self::max_buffered_bytes) limits.
    #[must_use]
    pub fn max_exchanges(mut self, exchanges: usize) -> Self {
        self.settings.max_exchanges = exchanges;
        self
    }

    /// Most bytes of messages that are in memory at a time, for all exchanges together: those that have been read and not
    /// been answered, and answers that wait for the gateway. Default 256 MiB. An exchange that needs more than is left
    /// ends with `RESOURCE_EXHAUSTED`.
    #[must_use]
    pub fn max_buffered_bytes(mut self, bytes: usize) -> Self {
        self.settings.max_buffered = bytes;
        self
    }

    /// How long a processor may take for one answer. Default 60 s. What happens then is up to
    /// [`on_failure`](Self::on_failure). It works at points where the processor waits: a processor that never waits blocks
    /// its thread.
    #[must_use]
    pub fn handler_timeout(mut self, timeout: Duration) -> Self {
        self.settings.handler_timeout = timeout;
        self
    }

    /// Decides what becomes of an exchange whose processor panicked or took too long: a last answer, such as an
    /// immediate response, or a status, with which the gateway does as its failure mode says. Either ends the exchange;
    /// the processor is dropped. Default: `INTERNAL` and `DEADLINE_EXCEEDED`. Each failure is logged and counted.
    #[must_use]
    pub fn on_failure(
        mut self,
        decide: impl Fn(&Failure) -> Result<ProcessingResponse, Status> + Send + Sync + 'static,
    ) -> Self {
        self.settings.on_failure = OnFailure::new(decide);
        self
    }

    /// How long a new connection may take to send the first bytes of HTTP/2, after the TLS handshake if there is one.
    /// Default 10 s. It is closed then.
    #[must_use]
    pub fn preface_timeout(mut self, timeout: Duration) -> Self {
        self.settings.preface_timeout = timeout;
        self
    }

    /// What this server counts.
    #[must_use]
    pub fn counters(&self) -> Arc<Counters> {
        self.settings.counters.clone()
    }

    /// Binds the address. Connections are accepted from here on, and served when [`BoundServer::serve`] runs.
    ///
    /// # Errors
    /// What the operating system says, for example that the address is in use. A file that is in the place of a Unix
    /// socket and is none is left alone.
    pub async fn bind(mut self, address: &ListenAddress) -> io::Result<BoundServer<F>> {
        let (listener, address) = Listener::bind(address).await?;
        let settings = &mut self.settings;
        let limits = Limits {
            max_exchanges: settings.max_exchanges,
            max_buffered: settings.max_buffered,
            counters: settings.counters.clone(),
            warnings: Throttle::default(),
        };
        let service = Arc::new(Service {
            new_processor: self.new_processor,
            max_message_size: settings.max_message_size,
            handler_timeout: settings.handler_timeout,
            on_failure: std::mem::take(&mut settings.on_failure),
            limits: Arc::new(limits),
        });
        Ok(BoundServer { service, settings: self.settings, listener, address })
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

    /// What this server counts.
    #[must_use]
    pub fn counters(&self) -> Arc<Counters> {
        self.settings.counters.clone()
    }

    /// Serves until `stop` is ready. Then no connection is accepted any more, clients are told to open no new streams
    /// (GOAWAY), exchanges under way go on until they end or the drain timeout is over, and what is left is cut off.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let Self { service, settings, listener, .. } = self;
        let acceptor = settings.tls.map(|Tls(config)| TlsAcceptor::from(config));
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
                            acceptor.clone(),
                            settings.preface_timeout,
                            service.clone(),
                            stopped.clone(),
                        );
                        connections.spawn(async move {
                            serve.await;
                            drop(permit);
                        });
                    }
                    Err(error) => {
                        count(&settings.counters.failed_accepts);
                        if let Some(suppressed) = service.limits.warnings.pass() {
                            tracing::warn!(%error, suppressed, "cannot accept a connection");
                        }
                        if !is_of_the_peer(&error) {
                            tokio::select! {
                                () = &mut stop => break,
                                () = sleep(ACCEPT_PAUSE) => {}
                            }
                        }
                    }
                },
                Some(_) = connections.join_next() => {}
            }
        }
        drop(listener);
        drop(stopping);
        let all_ended = async { while connections.join_next().await.is_some() {} };
        if timeout(settings.drain_timeout, all_ended).await.is_err() {
            tracing::warn!(connections = connections.len(), "cut off after the drain timeout");
        }
        connections.shutdown().await;
    }
}

/// Whether an accept failed because of the connection, and the next one may succeed.
fn is_of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

async fn serve_connection<F, P>(
    connection: Connection,
    acceptor: Option<TlsAcceptor>,
    preface_timeout: Duration,
    service: Arc<Service<F>>,
    stopped: watch::Receiver<()>,
) where
    F: Fn(&MetadataMap) -> P + Send + Sync + 'static,
    P: Processor,
{
    let counters = service.limits.counters.clone();
    let served = async {
        let connection: Connection = match acceptor {
            None => connection,
            Some(acceptor) => {
                let accepted = timeout(TLS_HANDSHAKE_TIMEOUT, acceptor.accept(connection)).await;
                Box::pin(accepted.map_err(|_| "the TLS handshake took too long".to_owned())?.map_err(text)?)
            }
        };
        serve_http2(connection, preface_timeout, service, stopped).await
    };
    if let Err(error) = served.await {
        count(&counters.failed_connections);
        tracing::debug!(%error, "connection failed");
    }
}

fn text(error: impl fmt::Display) -> String {
    error.to_string()
}

async fn serve_http2<F, P>(
    connection: Connection,
    preface_timeout: Duration,
    service: Arc<Service<F>>,
    mut stopped: watch::Receiver<()>,
) -> Result<(), String>
where
    F: Fn(&MetadataMap) -> P + Send + Sync + 'static,
    P: Processor,
{
    let connection = tokio::select! {
        greeted = timeout(preface_timeout, preface(connection)) => {
            greeted.map_err(|_| "the HTTP/2 preface did not come in time".to_owned())?.map_err(text)?
        }
        // Nobody is served yet.
        _ = stopped.changed() => return Ok(()),
    };
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
            .max_send_buf_size(SEND_BUFFER)
            .max_header_list_size(MAX_HEADER_LIST_SIZE)
            .serve_connection(TokioIo::new(connection), answer)
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

#[cfg(test)]
mod tests;
