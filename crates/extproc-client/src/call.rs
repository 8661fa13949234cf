//! One exchange with a processor.

use std::{
    fmt,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;

use crate::{
    client::ClientSettings,
    endpoint::{Endpoint, Endpoints},
    status::GrpcStatus,
};

/// What [`Call::poll`] reports.
#[derive(Debug)]
pub enum Event {
    /// A whole reply, freed of its gRPC framing. Its bytes count against the flow-control window until they are given
    /// back with [`Call::credit`].
    Message(Bytes),
    /// The exchange is over, and nothing follows. `Ok` is a clean end (F-11).
    Closed(Result<(), GrpcStatus>),
}

/// How an exchange is ended by this side (L-5, V-6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Close {
    /// Half-close, then reset (L-5 a).
    Reset,
    /// Half-close, then wait this long for the processor's own end before resetting (L-5 b). The caller does not wait.
    Graceful(Duration),
    /// Leave the stream open this long so that the processor can read what is in flight, then end it gracefully (V-6).
    Deferred(Duration),
}

/// One exchange with a processor: a gRPC stream that is opened when it is first polled. Dropping it is
/// [`Close::Reset`].
pub struct Call {
    endpoints: Rc<dyn Endpoints>,
    settings: Rc<ClientSettings>,
    endpoint: Rc<Endpoint>,
    request: http::Request<()>,
}

impl Call {
    pub(crate) fn new(
        endpoints: Rc<dyn Endpoints>,
        settings: Rc<ClientSettings>,
        endpoint: Rc<Endpoint>,
        request: http::Request<()>,
    ) -> Self {
        Self { endpoints, settings, endpoint, request }
    }

    /// Queues a framed message (gRPC prefix included). It is sent at the next [`poll`](Self::poll), together with
    /// everything else that is queued by then. Without effect once the exchange is over.
    pub fn send(&mut self, frame: Bytes) {
        self.send_parts(frame, Bytes::new());
    }

    /// As [`send`](Self::send), for a message in two parts, so that a large body need not be copied behind its prefix.
    pub fn send_parts(&mut self, _prefix: Bytes, _body: Bytes) {
        let _ = (&self.endpoints, &self.settings, &self.endpoint, &self.request);
    }

    /// Whether less than 128 KiB are queued: above that the caller pauses what feeds the exchange (N-9). When enough
    /// has been sent the task that last polled is woken.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        true
    }

    /// Bytes that were queued and have not been handed to the connection yet.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        0
    }

    /// Gives window back for this many bytes of the messages received: they have been forwarded or dropped, and the
    /// processor may send as many more. Framing is accounted for internally.
    pub fn credit(&mut self, _bytes: usize) {}

    /// Drives the exchange: connects, opens, sends, receives. After [`Event::Closed`] always pending.
    pub fn poll(&mut self, _cx: &mut Context<'_>) -> Poll<Event> {
        Poll::Pending
    }

    /// Ends the exchange. What is queued is still sent, except with [`Close::Reset`] where the peer is too slow for it.
    pub fn close(self, _close: Close) {}

    /// Wire bytes sent for this exchange: HTTP/2 frames, headers included (G-7).
    #[must_use]
    pub fn bytes_sent(&self) -> u64 {
        0
    }

    /// Wire bytes received for this exchange (G-7).
    #[must_use]
    pub fn bytes_received(&self) -> u64 {
        0
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}
