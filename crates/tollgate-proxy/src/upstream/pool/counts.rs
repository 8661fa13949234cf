//! What is counted of connections and requests, for as long as they live.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::upstream::pool::transport::Transport;
use crate::{
    stats::{ClusterMetric, Metrics},
    stream_info::Protocol,
};

/// A connection to a host, from its first attempt to its end.
#[derive(Debug)]
pub(in crate::upstream) struct OpenConnection(Metrics<ClusterMetric>);

impl OpenConnection {
    /// One more.
    pub(in crate::upstream) fn new(metrics: &Metrics<ClusterMetric>) -> Self {
        metrics.increment(ClusterMetric::UpstreamCxTotal);
        metrics.increment(ClusterMetric::UpstreamCxActive);
        Self(metrics.clone())
    }

    /// What is spoken on it is known.
    pub(in crate::upstream) fn speaks(&self, protocol: Protocol) {
        self.0.increment(match protocol {
            Protocol::Http2 => ClusterMetric::UpstreamCxHttp2Total,
            Protocol::Http10 | Protocol::Http11 => ClusterMetric::UpstreamCxHttp1Total,
        });
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.decrement(ClusterMetric::UpstreamCxActive);
        self.0.increment(ClusterMetric::UpstreamCxDestroy);
    }
}

/// A stream whose connection is counted.
#[derive(Debug)]
pub(in crate::upstream) struct Counted {
    pub(in crate::upstream) transport: Transport,
    pub(in crate::upstream) _count: OpenConnection,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.transport).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.transport).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.transport.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_shutdown(cx)
    }
}
