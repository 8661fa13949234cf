//! What is counted of client connections, for as long as they live.

use super::establish::HttpVersion;
use crate::stats::{HttpMetric, ListenerMetric, Metrics};

/// A connection of a listener.
pub(super) struct ListenerConnection(Metrics<ListenerMetric>);

impl ListenerConnection {
    pub(super) fn new(metrics: &Metrics<ListenerMetric>) -> Self {
        metrics.increment(ListenerMetric::DownstreamCxTotal);
        metrics.increment(ListenerMetric::DownstreamCxActive);
        Self(metrics.clone())
    }
}

impl Drop for ListenerConnection {
    fn drop(&mut self) {
        self.0.decrement(ListenerMetric::DownstreamCxActive);
        self.0.increment(ListenerMetric::DownstreamCxDestroy);
    }
}

/// A connection on which HTTP is spoken.
pub(super) struct HttpConnection {
    metrics: Metrics<HttpMetric>,
    version: HttpVersion,
}

impl HttpConnection {
    pub(super) fn new(metrics: Metrics<HttpMetric>, version: HttpVersion, is_tls: bool) -> Self {
        metrics.increment(HttpMetric::DownstreamCxTotal);
        metrics.increment(HttpMetric::DownstreamCxActive);
        metrics.increment(match version {
            HttpVersion::Http1 => HttpMetric::DownstreamCxHttp1Total,
            HttpVersion::Http2 => HttpMetric::DownstreamCxHttp2Total,
        });
        metrics.increment(active(version));
        if is_tls {
            metrics.increment(HttpMetric::DownstreamCxSslTotal);
        }
        Self { metrics, version }
    }
}

fn active(version: HttpVersion) -> HttpMetric {
    match version {
        HttpVersion::Http1 => HttpMetric::DownstreamCxHttp1Active,
        HttpVersion::Http2 => HttpMetric::DownstreamCxHttp2Active,
    }
}

impl Drop for HttpConnection {
    fn drop(&mut self) {
        self.metrics.decrement(HttpMetric::DownstreamCxActive);
        self.metrics.decrement(active(self.version));
        self.metrics.increment(HttpMetric::DownstreamCxDestroy);
    }
}
