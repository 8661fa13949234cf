//! Exchanges that are sent although nobody waits for an answer (V-6).

use tokio::time::Instant;

use super::{
    connection::StreamPermit,
    detached_stream::{DetachedStream, Ending},
};
use crate::{payload::Payload, receive::Receive};

/// Queued messages of an exchange whose caller has left before the stream could be opened.
pub(crate) struct DetachedRequest {
    request: http::Request<()>,
    outgoing: Payload,
    half_close_at: Instant,
}

impl DetachedRequest {
    /// Everything an exchange wants to be sent if it can be until then, which is when the stream is half-closed, too.
    pub(crate) fn new(request: http::Request<()>, outgoing: Payload, half_close_at: Instant) -> Self {
        Self { request, outgoing, half_close_at }
    }

    /// When it is too late to open the stream.
    pub(crate) fn expiry(&self) -> Instant {
        self.half_close_at
    }

    /// Opens the stream, sends what was queued and leaves it to the connection.
    pub(crate) fn open(mut self: Box<Self>, permit: StreamPermit) {
        if let Ok((response, mut send)) = permit.open(self.request) {
            // An error means that the stream has ended.
            let _ = send.send_data(self.outgoing.split(), false);
            let receive = Receive::Head(response);
            DetachedStream { send, receive, nothing: self.outgoing, permit }
                .leave(Ending::HalfClose(self.half_close_at));
        }
    }
}
