//! The future that drives a connection and then writes out what it collected.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::AsyncWrite;

use crate::{Flood, Flusher};

/// Polls the future that drives a connection (of h2 or hyper) on a [`Coalesced`](crate::Coalesced) stream and flushes
/// that stream once after each poll.
pub struct Driven<F, S> {
    driver: Pin<Box<F>>,
    flusher: Flusher<S>,
    failed: bool,
}

impl<F: Future, S: AsyncWrite + Unpin> Driven<F, S> {
    /// Drives a connection together with the flusher of its stream.
    #[must_use]
    pub fn new(driver: F, flusher: Flusher<S>) -> Self {
        Self { driver: Box::pin(driver), flusher, failed: false }
    }

    /// Bytes that were received so far: whether the peer is alive.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.flusher.received()
    }

    /// What the peer sent too much of, if that ended the connection.
    #[must_use]
    pub fn flood(&self) -> Option<Flood> {
        self.flusher.flood()
    }

    /// The driving future, e.g. to start a graceful shutdown.
    pub fn driver(&mut self) -> Pin<&mut F> {
        self.driver.as_mut()
    }
}

impl<F: Future, S: AsyncWrite + Unpin> Future for Driven<F, S> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let outcome = self.driver.as_mut().poll(cx);
        // A driver that has ended flushed its stream by shutting it down; what is left after a failure is tried once.
        if let Poll::Ready(Err(_)) = self.flusher.poll_flush(cx)
            && outcome.is_pending()
            && !self.failed
        {
            // The driver learns of the failure from its stream.
            self.failed = true;
            cx.waker().wake_by_ref();
        }
        outcome
    }
}

impl<F, S> fmt::Debug for Driven<F, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driven").finish_non_exhaustive()
    }
}
