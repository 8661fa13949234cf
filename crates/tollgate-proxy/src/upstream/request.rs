//! One request to a cluster.

use std::{
    rc::Rc,
    task::{Context, Poll},
    time::Instant,
};

use bytes::Bytes;
use extproc::RequestHeaders;
use http::HeaderMap;

use super::{cluster_manager::WorkerCluster, failure::UpstreamFailure};
use crate::{stream::ResponseEvent, stream_info::UpstreamInfo};

/// One request to a cluster and its response.
///
/// Order of calls: [`start`](Self::start); [`poll_connect`](Self::poll_connect) until it is ready, which queues the
/// head; then data, trailers and [`poll_writable`](Self::poll_writable) in turn, while
/// [`poll_response`](Self::poll_response) is polled at any time. `poll_response` also writes what is queued, so nothing
/// else needs polling once the request is complete.
///
/// Dropping it gives the request up: an HTTP/2 stream is reset (`CANCEL`), an HTTP/1 connection closed unless both
/// messages were complete.
#[derive(Debug)]
pub(crate) struct UpstreamRequest {
    cluster: Rc<WorkerCluster>,
    info: UpstreamInfo,
}

impl UpstreamRequest {
    /// Chooses an endpoint. Nothing is connected or sent yet.
    ///
    /// # Errors
    ///
    /// [`UpstreamFailure::NoHealthyUpstream`] when there is no endpoint.
    pub(crate) fn start(cluster: &Rc<WorkerCluster>, _now: Instant) -> Result<Self, UpstreamFailure> {
        Ok(Self { cluster: cluster.clone(), info: UpstreamInfo::default() })
    }

    /// What is known about the upstream side so far.
    pub(crate) fn info(&self) -> &UpstreamInfo {
        &self.info
    }

    /// The endpoint's host name for `auto_host_rewrite`; known from the start. `None` = it has none.
    pub(crate) fn host_name(&self) -> Option<&str> {
        let _ = &self.cluster;
        None
    }

    /// Takes a pooled connection or makes one, then queues the head. Called with the same arguments until ready, and
    /// not again after that.
    ///
    /// The head is sent as it is: hop-by-hop fields were removed and the authority rewritten by the caller. Framing
    /// (`content-length` or chunked) is the codec's business.
    ///
    /// # Errors
    ///
    /// The request was not sent, or at most its head.
    pub(crate) fn poll_connect(
        &mut self,
        _cx: &mut Context<'_>,
        _head: &RequestHeaders,
        _end_stream: bool,
    ) -> Poll<Result<(), UpstreamFailure>> {
        Poll::Pending
    }

    /// Writes what is queued; ready when the queue is below its watermark. A broken connection is reported by
    /// [`poll_response`](Self::poll_response) only, because a response may have been received before.
    pub(crate) fn poll_writable(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), UpstreamFailure>> {
        Poll::Pending
    }

    /// Queues a piece of the body. After a `101` the pieces are raw bytes.
    pub(crate) fn send_data(&mut self, _data: Bytes, _end_stream: bool) {}

    /// Queues trailers, which end the request. On HTTP/1 without `enable_trailers` they only end it (T-9).
    pub(crate) fn send_trailers(&mut self, _trailers: &HeaderMap) {}

    /// The next part of the response. HTTP/1 reports the end of a body as an empty piece of its own; a response without
    /// a body ends with its head. Not called again after the end. The bytes of a piece count against the flow-control
    /// window until the next call, so a caller that cannot pass them on does not call.
    ///
    /// # Errors
    ///
    /// The response failed; nothing follows.
    pub(crate) fn poll_response(
        &mut self,
        _cx: &mut Context<'_>,
    ) -> Poll<Result<ResponseEvent, UpstreamFailure>> {
        Poll::Pending
    }
}
