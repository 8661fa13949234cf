//! What a server counts.

use std::{
    fmt,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};

/// Numbers of a [`Server`](crate::Server) since it was made. Reading them costs nothing and stops nobody; shown, they are in
/// Prometheus' text format.
#[derive(Debug, Default)]
pub struct Counters {
    pub(crate) active_exchanges: AtomicUsize,
    pub(crate) buffered_bytes: AtomicUsize,
    pub(crate) exchanges: AtomicU64,
    pub(crate) refused_exchanges: AtomicU64,
    pub(crate) exhausted_exchanges: AtomicU64,
    pub(crate) errors: AtomicU64,
    pub(crate) panics: AtomicU64,
    pub(crate) timeouts: AtomicU64,
    pub(crate) failed_connections: AtomicU64,
    pub(crate) failed_accepts: AtomicU64,
}

impl Counters {
    /// Exchanges under way.
    #[must_use]
    pub fn active_exchanges(&self) -> usize {
        self.active_exchanges.load(Relaxed)
    }

    /// Bytes of messages that arrived and that no handler has taken yet, that were collected for one, and of answers on their way
    /// to the gateway.
    #[must_use]
    pub fn buffered_bytes(&self) -> usize {
        self.buffered_bytes.load(Relaxed)
    }

    /// Exchanges that were begun.
    #[must_use]
    pub fn exchanges(&self) -> u64 {
        self.exchanges.load(Relaxed)
    }

    /// Exchanges that were refused because there were too many ([`Server::max_exchanges`](crate::Server::max_exchanges)).
    #[must_use]
    pub fn refused_exchanges(&self) -> u64 {
        self.refused_exchanges.load(Relaxed)
    }

    /// Exchanges that were ended because too much was buffered
    /// ([`Server::max_buffered_bytes`](crate::Server::max_buffered_bytes)).
    #[must_use]
    pub fn exhausted_exchanges(&self) -> u64 {
        self.exhausted_exchanges.load(Relaxed)
    }

    /// Handlers that returned an error.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.errors.load(Relaxed)
    }

    /// Handlers that panicked.
    #[must_use]
    pub fn panics(&self) -> u64 {
        self.panics.load(Relaxed)
    }

    /// Handlers that did not answer within the [`Server::handler_timeout`](crate::Server::handler_timeout).
    #[must_use]
    pub fn timeouts(&self) -> u64 {
        self.timeouts.load(Relaxed)
    }

    /// Connections that failed, or whose TLS handshake or HTTP/2 preface did not come in time.
    #[must_use]
    pub fn failed_connections(&self) -> u64 {
        self.failed_connections.load(Relaxed)
    }

    /// Connections that could not be accepted.
    #[must_use]
    pub fn failed_accepts(&self) -> u64 {
        self.failed_accepts.load(Relaxed)
    }
}

impl fmt::Display for Counters {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut metric = |name: &str, kind: &str, help: &str, value: u64| {
            let name = format_args!("extproc_server_{name}");
            writeln!(formatter, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}")
        };
        metric("active_exchanges", "gauge", "Exchanges in progress.", self.active_exchanges() as u64)?;
        metric("buffered_bytes", "gauge", "Bytes of messages in memory.", self.buffered_bytes() as u64)?;
        metric("exchanges_total", "counter", "Exchanges that were begun.", self.exchanges())?;
        metric("refused_exchanges_total", "counter", "Exchanges over the limit.", self.refused_exchanges())?;
        let help = "Exchanges that were ended because too much was buffered.";
        metric("exhausted_exchanges_total", "counter", help, self.exhausted_exchanges())?;
        metric("errors_total", "counter", "Handlers that returned an error.", self.errors())?;
        metric("panics_total", "counter", "Handlers that panicked.", self.panics())?;
        metric("timeouts_total", "counter", "Handlers that did not answer in time.", self.timeouts())?;
        metric("failed_connections_total", "counter", "Connections that failed.", self.failed_connections())?;
        let help = "Connections that could not be accepted.";
        metric("failed_accepts_total", "counter", help, self.failed_accepts())
    }
}

/// Adds one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}
