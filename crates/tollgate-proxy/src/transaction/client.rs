//! The client's side as a transaction uses it.

use std::{
    task::{Context, Poll},
    time::Instant,
};

use super::{Transaction, chain::Part};
use crate::{stats::HttpMetric, stream::Downstream};

/// How far the exchange of messages with the client is.
#[derive(Debug)]
pub(super) struct Client {
    /// The request has arrived completely.
    pub(super) request_ended: bool,
    /// Nobody wants the rest of the request: it was answered locally.
    pub(super) request_abandoned: bool,
    /// A response head is on its way through the filters before the router.
    pub(super) response_routed: bool,
    /// The response head was queued for the client.
    pub(super) response_started: bool,
    /// The client's queue has room.
    pub(super) writable: bool,
}

impl Client {
    pub(super) fn new(end_stream: bool) -> Self {
        Self {
            request_ended: end_stream,
            request_abandoned: false,
            response_routed: false,
            response_started: false,
            writable: true,
        }
    }
}

impl<D: Downstream> Transaction<'_, D> {
    /// Writes what is queued for the client.
    pub(super) fn poll_client_writable(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        if self.finished || !self.client.response_started {
            return false;
        }
        let had_room = self.client_has_room();
        match self.downstream.poll_writable(cx) {
            Poll::Ready(Ok(())) => {
                self.client.writable = true;
                !had_room
            }
            Poll::Ready(Err(error)) => {
                self.client_failed(error, now);
                true
            }
            Poll::Pending => {
                self.client.writable = false;
                false
            }
        }
    }

    /// Whether more of a response may be handed to the client.
    pub(super) fn client_has_room(&self) -> bool {
        self.client.writable && self.downstream.has_room()
    }

    /// A part of the response left the chain.
    pub(super) fn client_part(&mut self, part: Part, now: Instant) {
        if self.finished {
            return;
        }
        self.deadlines.activity(now);
        let end_stream = match part {
            Part::Headers { end_stream } => {
                self.client.response_started = true;
                self.core.info.first_downstream_tx = Some(now);
                self.core.finish_response();
                if let Some(head) = &self.core.messages.response {
                    self.core.info.response_code = Some(head.status);
                    self.downstream.send_headers(head, end_stream);
                }
                end_stream
            }
            Part::Data { data, end_stream } => {
                self.core.info.bytes_sent += data.len() as u64;
                self.downstream.send_data(data, end_stream);
                end_stream
            }
            Part::Trailers => {
                if let Some(trailers) = &self.core.messages.response_trailers {
                    self.downstream.send_trailers(trailers);
                }
                true
            }
        };
        if end_stream {
            self.core.info.last_downstream_tx = Some(now);
            self.finish(now);
        }
    }

    /// The response cannot be completed: the client's stream is reset (F-4, I-8).
    pub(super) fn reset_client(&mut self, now: Instant) {
        self.core.count_http(HttpMetric::DownstreamRqTxReset);
        self.downstream.reset();
        self.finish(now);
    }
}
