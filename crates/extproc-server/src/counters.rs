//! What a server counts.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// Numbers of a [`Server`](crate::Server) since it was made. Reading them costs nothing and stops nobody.
#[derive(Debug, Default)]
pub struct Counters {
    pub(crate) active_exchanges: AtomicUsize,
    pub(crate) buffered_bytes: AtomicUsize,
    pub(crate) exchanges: AtomicU64,
    pub(crate) refused_exchanges: AtomicU64,
    pub(crate) exhausted_exchanges: AtomicU64,
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

    /// Bytes of messages that have been read for exchanges whose processors have not answered them yet, and of answers
    /// that wait for the gateway.
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

    /// Processors that panicked.
    #[must_use]
    pub fn panics(&self) -> u64 {
        self.panics.load(Relaxed)
    }

    /// Processors that did not answer within the [`Server::handler_timeout`](crate::Server::handler_timeout).
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

/// Adds one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}
