//! The server: accepts connections, serves them, stops.

mod connection;
mod stop;

use std::{fmt, io, pin::pin, sync::Arc, time::Duration};

use http::{HeaderMap, request};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{sleep, timeout},
};
use tracing::Span;

use self::connection::{Connecting, serve_connection};
#[cfg(feature = "tls")]
use crate::Tls;
use crate::{
    Counters, Failure, Handler, Health, ListenAddress, Outcome, ProcessorService, Result,
    counters::count,
    exchange::{Driver, DriverSettings},
    failure::OnError,
    handler,
    limits::Limits,
    listener::Listener,
    raw::{Raw, RawDriver},
    service::{Exchanger, Inner},
    throttle::Throttle,
    trace::MakeSpan,
};

/// Most connections at a time; more wait to be accepted.
const MAX_CONNECTIONS: usize = 4096;
/// For the first bytes of HTTP/2. After them PINGs find out whether the peer is there.
const PREFACE_TIMEOUT: Duration = Duration::from_secs(10);
/// After an accept that failed for want of something, such as file descriptors: trying at once would only burn time.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What is served and how. Not bound to an address yet.
pub struct Server {
    new_exchange: Arc<NewExchange>,
    settings: Settings,
}

/// Makes an exchange from the metadata of its call.
type NewExchange = dyn Fn(&HeaderMap, &Arc<DriverSettings>) -> Box<dyn Exchanger> + Send + Sync;

/// A server that has its address. It serves when [`serve`](Self::serve) runs; until then clients wait.
pub struct BoundServer {
    service: ProcessorService,
    settings: Settings,
    listener: Listener,
    address: ListenAddress,
}

/// Everything that can be set.
#[derive(Debug)]
struct Settings {
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
    preface_timeout: Duration,
    drain_delay: Duration,
    drain_timeout: Duration,
    keep_alive: Duration,
    max_message_size: usize,
    max_exchanges: usize,
    max_buffered: usize,
    handler_timeout: Duration,
    on_error: OnError,
    span: MakeSpan,
    counters: Arc<Counters>,
    health: Health,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            #[cfg(feature = "tls")]
            tls: None,
            preface_timeout: PREFACE_TIMEOUT,
            drain_delay: Duration::ZERO,
            drain_timeout: Duration::from_secs(10),
            keep_alive: Duration::from_secs(60),
            max_message_size: 64 << 20,
            max_exchanges: 10_000,
            max_buffered: 256 << 20,
            handler_timeout: Duration::from_secs(60),
            on_error: OnError::default(),
            span: MakeSpan::default(),
            counters: Arc::default(),
            health: Health::default(),
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Server").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl fmt::Debug for BoundServer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("BoundServer").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Server {
    /// Serves a handler: an `async fn(Request, Next) -> Result<Response>`, or anything else that is a [`Handler`].
    pub fn new(handler: impl Handler) -> Self {
        let handler = Arc::new(handler::boxed(handler));
        Self::making(Arc::new(move |_, settings| Box::new(Driver::new(handler.clone(), settings.clone()))))
    }

    /// Serves [raw](crate::raw) processors made by `new`, one for each exchange, from the metadata of its call.
    pub fn raw<R: Raw>(new: impl Fn(&HeaderMap) -> R + Send + Sync + 'static) -> Self {
        Self::making(Arc::new(move |metadata, settings| {
            Box::new(RawDriver::new(|| new(metadata), settings.clone()))
        }))
    }

    fn making(new_exchange: Arc<NewExchange>) -> Self {
        Self { new_exchange, settings: Settings::default() }
    }

    /// Serves TLS. Default: cleartext.
    #[cfg(feature = "tls")]
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

    /// How long the server goes on after the stop, while its health says NOT_SERVING. Default: not at all. Gateways that
    /// check health go elsewhere in that time.
    #[must_use]
    pub fn drain_delay(mut self, delay: Duration) -> Self {
        self.settings.drain_delay = delay;
        self
    }

    /// How long exchanges in progress may go on after that. Default 10 s.
    #[must_use]
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.settings.drain_timeout = timeout;
        self
    }

    /// The largest number of exchanges at a time, on all connections together. Default 10,000. Further ones end with
    /// `RESOURCE_EXHAUSTED`. Up to 64 KiB may have arrived for each that its handler has not read, beside what
    /// [`max_buffered_bytes`](Self::max_buffered_bytes) limits.
    #[must_use]
    pub fn max_exchanges(mut self, exchanges: usize) -> Self {
        self.settings.max_exchanges = exchanges;
        self
    }

    /// The largest number of bytes of messages that are in memory at a time, for all exchanges together: what no handler has
    /// taken, what bodies collect, and answers that wait for the gateway. Default 256 MiB. An exchange that needs more than is
    /// left ends with `RESOURCE_EXHAUSTED`.
    #[must_use]
    pub fn max_buffered_bytes(mut self, bytes: usize) -> Self {
        self.settings.max_buffered = bytes;
        self
    }

    /// How long a handler may work while the gateway waits for it. Default 60 s. Set it below the gateway's
    /// `message_timeout` (200 ms by default) to decide with [`on_error`](Self::on_error) what happens then. Time in which the
    /// handler waits for the gateway does not count, and the clock starts anew with every message in either direction. It works
    /// at points where the handler waits: one that never does blocks its thread. A gateway does not say how long it
    /// waits, so this is for you to set.
    #[must_use]
    pub fn handler_timeout(mut self, timeout: Duration) -> Self {
        self.settings.handler_timeout = timeout;
        self
    }

    /// Decides what becomes of an exchange whose handler failed: returned an error, panicked or took too long. Default: 413 for
    /// a body that is too large, otherwise a status, with which the gateway does as its failure mode says. Each failure is
    /// counted, and logged by `tracing`, at most one a second.
    ///
    /// ```
    /// use extproc_server::{Failure, Next, Outcome, Request, Response, Result, Server};
    /// use http::StatusCode;
    ///
    /// async fn handler(request: Request, next: Next) -> Result<Response> {
    ///     next.run(request).await
    /// }
    ///
    /// let server = Server::new(handler).on_error(|failure| match failure {
    ///     Failure::TimedOut(_) => Outcome::respond(StatusCode::SERVICE_UNAVAILABLE),
    ///     other => other.into(),
    /// });
    /// # drop(server);
    /// ```
    #[must_use]
    pub fn on_error(mut self, decide: impl Fn(&Failure) -> Outcome + Send + Sync + 'static) -> Self {
        self.settings.on_error = OnError::new(decide);
        self
    }

    /// Makes the span of `tracing` in which the handler of an exchange and its bodies run, from the head of the request. Default:
    /// one with the name `exchange`, with method, path, and the ids of `traceparent` as fields. A span of your own becomes a
    /// child of the gateway's where the head is at hand; with the crates `tracing-opentelemetry` and `opentelemetry-http`:
    ///
    /// ```text
    /// Server::new(handler).span(|head| {
    ///     let span = tracing::info_span!("exchange", path = head.uri.path());
    ///     let parent = global::get_text_map_propagator(|it| it.extract(&HeaderExtractor(&head.headers)));
    ///     let _ = span.set_parent(parent);
    ///     span
    /// })
    /// ```
    ///
    /// [Raw](crate::raw) processors make their own.
    #[must_use]
    pub fn span(mut self, make: impl Fn(&request::Parts) -> Span + Send + Sync + 'static) -> Self {
        self.settings.span = MakeSpan::new(make);
        self
    }

    /// How long a new connection may take to send the first bytes of HTTP/2, after the TLS handshake if there is one.
    /// Default 10 s. It is closed then.
    #[must_use]
    pub fn preface_timeout(mut self, timeout: Duration) -> Self {
        self.settings.preface_timeout = timeout;
        self
    }

    /// How long a connection may be silent before it is asked whether the peer is still there. Default 60 s. One that does not
    /// answer within 20 s is closed.
    #[must_use]
    pub fn keep_alive(mut self, interval: Duration) -> Self {
        self.settings.keep_alive = interval;
        self
    }

    /// What this server counts.
    #[must_use]
    pub fn counters(&self) -> Arc<Counters> {
        self.settings.counters.clone()
    }

    /// What the health service of this server says.
    #[must_use]
    pub fn health(&self) -> Health {
        self.settings.health.clone()
    }

    /// Makes a service for another server to mount: for `hyper`, and with feature `tower` for everything that takes a
    /// `tower::Service`, such as axum and tonic. It has no connections, so limits of those and TLS are the other server's
    /// business. Its health says SERVING.
    #[must_use]
    pub fn into_service(mut self) -> ProcessorService {
        self.settings.health.serve();
        self.service()
    }

    fn service(&mut self) -> ProcessorService {
        let settings = &mut self.settings;
        let limits = Limits {
            max_exchanges: settings.max_exchanges,
            max_buffered: settings.max_buffered,
            counters: settings.counters.clone(),
            warnings: Throttle::default(),
        };
        let driver_settings = Arc::new(DriverSettings {
            handler_timeout: settings.handler_timeout,
            on_error: std::mem::take(&mut settings.on_error),
            span: std::mem::take(&mut settings.span),
            counters: settings.counters.clone(),
            warnings: Throttle::default(),
        });
        let new_exchange = self.new_exchange.clone();
        let inner = Inner {
            make: Box::new(move |metadata| new_exchange(metadata, &driver_settings)),
            max_message_size: settings.max_message_size,
            limits: Arc::new(limits),
            health: settings.health.clone(),
        };
        ProcessorService { inner: Arc::new(inner) }
    }

    /// Binds the address. Connections are accepted from here on, and served when [`BoundServer::serve`] runs.
    ///
    /// # Errors
    /// The text is no address, or what the operating system says, for example that the address is in use. A file that is in
    /// the place of a Unix socket and is none is left alone.
    pub async fn bind(
        mut self,
        address: impl TryInto<ListenAddress, Error: Into<crate::ParseListenAddressError>>,
    ) -> io::Result<BoundServer> {
        let address =
            address.try_into().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error.into()))?;
        let (listener, address) = Listener::bind(&address).await?;
        let service = self.service();
        Ok(BoundServer { service, settings: self.settings, listener, address })
    }

    /// Binds the address, and serves until SIGTERM or SIGINT: see [`BoundServer::serve`].
    ///
    /// # Errors
    /// As [`bind`](Self::bind), or if signals cannot be received.
    pub async fn serve(
        self,
        address: impl TryInto<ListenAddress, Error: Into<crate::ParseListenAddressError>>,
    ) -> Result<()> {
        let stop = stop::signal()?;
        let server = self.bind(address).await?;
        tracing::info!("the processor listens on {}", server.local_address());
        server.serve(stop).await;
        Ok(())
    }
}

impl BoundServer {
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

    /// What the health service of this server says.
    #[must_use]
    pub fn health(&self) -> Health {
        self.settings.health.clone()
    }

    /// Serves until `stop` is ready. Then the health service says NOT_SERVING; after the drain delay no connection is accepted
    /// any more, clients are told to open no new streams (GOAWAY), exchanges in progress go on until they end or the drain
    /// timeout is over, and what is left is cut off.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let Self { service, settings, listener, .. } = self;
        let counters = settings.counters.clone();
        let warnings = Throttle::default();
        let (stopping, stopped) = watch::channel(());
        #[cfg(feature = "tls")]
        let reloads = settings.tls.as_ref().and_then(Tls::reload);
        #[cfg(feature = "tls")]
        let tls = settings.tls.clone();
        let connecting = Connecting {
            service,
            preface_timeout: settings.preface_timeout,
            keep_alive: settings.keep_alive,
            stopped,
            #[cfg(feature = "tls")]
            tls,
        };
        let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut connections = JoinSet::new();
        settings.health.serve();
        let mut stop = pin!(async {
            stop.await;
            settings.health.stop();
            sleep(settings.drain_delay).await;
        });
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
                        let serve = serve_connection(connection, connecting.clone());
                        connections.spawn(async move {
                            serve.await;
                            drop(permit);
                        });
                    }
                    Err(error) => {
                        count(&counters.failed_accepts);
                        if let Some(suppressed) = warnings.pass() {
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
        #[cfg(feature = "tls")]
        drop(reloads);
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

#[cfg(test)]
mod tests;
