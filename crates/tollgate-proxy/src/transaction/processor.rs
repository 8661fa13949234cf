//! A filter at work: its exchange and its call to the processor.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use extproc::{
    Direction, Slices,
    exchange::{Action, Close, Exchange, StreamEnd},
    log::{LoggingInfo, Note},
};
use extproc_client::{Event, GrpcStatus};
use tollgate_model::processor::{ExtProc, GrpcTarget};

use super::{Transaction, chain::Slot, failure::ProcessorCounts};
use crate::{memory::PRESSED_WATERMARK, stats::ProcessorMetric, stream::Downstream, upstream::ProcessorCall};

/// How long a processor may take to end a stream that we have half-closed (L-5 b).
const REMOTE_CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Bytes of replies that are taken in while one direction has no room. Replies of both directions come on one stream, and
/// the blocked direction may wait for the other one: for an upstream that reads on only when its response is read.
const MOST_LENT: usize = 16 * 1024 * 1024;

/// A filter at work.
#[derive(Debug)]
pub(super) struct Filter {
    pub(super) config: Arc<ExtProc>,
    pub(super) exchange: Exchange,
    /// What access logs show of it (section 21).
    pub(super) log: LoggingInfo,
    pub(super) counts: ProcessorCounts,
    /// When a stream was asked for, until there is one.
    asked: Option<Instant>,
    /// Where the processor was, when the call is over.
    address: String,
    /// Something was noted about the processor, so logs name it (G-2).
    contacted: bool,
    call: Option<ProcessorCall>,
    /// Bytes of replies whose content may still be queued; their flow-control credit is due.
    owed_credit: usize,
    /// Credit given since one of the directions had no room.
    lent_credit: usize,
    /// Its memory is needed.
    hasty: bool,
}

impl Filter {
    /// A filter that has seen nothing yet; `upstream` tells whether it stands behind the router.
    pub(super) fn new(config: Arc<ExtProc>, upstream: bool, counts: ProcessorCounts) -> Self {
        let plan = config.plan.clone();
        Self {
            exchange: if upstream { Exchange::upstream(plan) } else { Exchange::new(plan) },
            config,
            log: LoggingInfo::default(),
            counts,
            asked: None,
            address: String::new(),
            contacted: false,
            call: None,
            owed_credit: 0,
            lent_credit: 0,
            hasty: false,
        }
    }

    /// Whether more of a body may be handed in: the exchange does not hold too much, and the call has room (N-9). While
    /// memory is short, what waits for a reply is little.
    pub(super) fn has_room(&self, direction: Direction, pressed: bool) -> bool {
        self.exchange.wants(direction)
            && self.call.as_ref().is_none_or(|call| call.is_writable())
            && !(pressed && self.exchange.unanswered_bytes(direction) >= PRESSED_WATERMARK)
    }

    /// Closes the call at once, when it comes to that: what is queued for the processor is not sent.
    pub(super) fn make_haste(&mut self) {
        self.hasty = true;
    }

    /// Bytes that it holds. What is on its way to the processor is a part of what the exchange holds, or the other way
    /// round.
    pub(super) fn held(&self) -> usize {
        let queued = self.call.as_ref().map_or(0, |call| call.queued_bytes());
        self.exchange.held_bytes().max(queued)
    }

    pub(super) fn send(&mut self, message: Bytes, payload: Slices) {
        if let Some(call) = &mut self.call {
            call.send_parts(message, payload);
        }
    }

    /// Where the processor is, as far as it is known.
    pub(super) fn address(&self) -> &str {
        self.call.as_ref().map_or(&self.address, |call| call.address())
    }

    pub(super) fn close(&mut self, close: Close) {
        self.counts.closed(false);
        if let Some(call) = self.call.take() {
            call.close(match close {
                _ if self.hasty => extproc_client::Close::Reset,
                Close::Reset => extproc_client::Close::Reset,
                Close::Graceful => extproc_client::Close::Graceful(REMOTE_CLOSE_TIMEOUT),
                Close::Deferred(time) => extproc_client::Close::Deferred(time),
            });
        }
    }

    pub(super) fn note(&mut self, note: Note) {
        self.contacted |= matches!(note, Note::Bytes | Note::Call { .. } | Note::StatusBeforeFirstCall(_));
        match note {
            Note::Bytes => self.meter(),
            Note::Call { direction, step, latency, .. } => {
                self.counts.processor.record_step(direction, step, latency);
                self.log.note(note);
            }
            Note::ImmediateResponse => {
                self.counts.processor.increment(ProcessorMetric::ImmediateResponses);
                self.log.note(note);
            }
            note => self.log.note(note),
        }
    }

    /// How access logs name the processor; empty if nothing was noted about it.
    pub(super) fn destination(&self) -> &str {
        if self.contacted { self.config.grpc_service.destination() } else { "" }
    }

    /// Notes the bytes of the stream so far. Streams to google_grpc targets are not metered (G-7).
    fn meter(&mut self) {
        if let (Some(call), GrpcTarget::EnvoyGrpc(_)) = (&self.call, &self.config.grpc_service.target) {
            self.log.bytes_sent = call.bytes_sent();
            self.log.bytes_received = call.bytes_received();
        }
    }
}

/// F-8, N-8: this client knows no HTTP details, and does not tell why there is no connection.
fn as_of_google_grpc(mut status: GrpcStatus) -> GrpcStatus {
    if status.details.contains("remote_connection_failure") {
        status.code = 13;
        status.message.clear();
    }
    status.details.clear();
    status
}

impl<D: Downstream> Transaction<'_, D> {
    pub(super) fn open_call(&mut self, index: usize, now: Instant) {
        let Slot::Active(filter) = &mut self.slots[index] else {
            return;
        };
        match self.core.open_call(&filter.config.grpc_service) {
            Ok(call) => {
                filter.call = Some(call);
                filter.asked = Some(now);
                filter.counts.opened();
            }
            Err(status) => {
                let end = StreamEnd::Error { code: status.code, details: status.rcd(), started: false };
                filter.exchange.handle_stream_end(end, now);
            }
        }
    }

    /// Sends what is queued for processors and takes in what they answer.
    pub(super) fn poll_processors(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let mut progress = false;
        for index in 0..self.slots.len() {
            while !self.finished && !self.turn.is_over() && self.poll_processor(index, cx, now) {
                progress = true;
            }
        }
        progress
    }

    fn poll_processor(&mut self, index: usize, cx: &mut Context<'_>, now: Instant) -> bool {
        let (response_room, request_room) = (self.client_has_room(), self.router_has_room(cx));
        let Slot::Active(filter) = &mut self.slots[index] else {
            return false;
        };
        let Some(call) = &mut filter.call else {
            return false;
        };
        if response_room && request_room {
            filter.lent_credit = 0;
            call.credit(std::mem::take(&mut filter.owed_credit));
        } else if (response_room || request_room) && filter.lent_credit < MOST_LENT {
            filter.lent_credit += filter.owed_credit;
            call.credit(std::mem::take(&mut filter.owed_credit));
        }
        let polled = call.poll(cx);
        if let Some(asked) = filter.asked {
            if !call.is_open() {
                filter.counts.waits();
            } else {
                filter.asked = None;
                filter.counts.began();
                // Measured here and not at the beginning of the turn: connecting is part of the turn.
                filter.counts.processor.record_stream_wait(Instant::now().saturating_duration_since(asked));
            }
        }
        match polled {
            Poll::Pending => return false,
            Poll::Ready(Event::Message(message)) => {
                self.turn.spend(message.len());
                filter.owed_credit += message.len();
                filter.counts.answered();
                filter.exchange.handle_message(message, now, &mut self.core);
            }
            Poll::Ready(Event::Closed(result)) => {
                filter.meter();
                if result.is_err() {
                    filter.address = filter.address().to_owned();
                }
                filter.counts.closed(result.is_err());
                filter.call = None;
                let end = match result {
                    Ok(()) => StreamEnd::Ok,
                    Err(status) if matches!(filter.config.grpc_service.target, GrpcTarget::GoogleGrpc(_)) => {
                        let status = as_of_google_grpc(status);
                        StreamEnd::Error { code: status.code, details: status.rcd(), started: true }
                    }
                    Err(status) => {
                        StreamEnd::Error { code: status.code, details: status.rcd(), started: true }
                    }
                };
                filter.exchange.handle_stream_end(end, now);
            }
        }
        self.run_actions(index, now);
        true
    }

    /// The transaction is over for this filter (L-6.5).
    pub(super) fn end_filter(&mut self, index: usize, _now: Instant) {
        let Slot::Active(filter) = &mut self.slots[index] else {
            return;
        };
        if filter.exchange.plan().observability_mode {
            filter.contacted |= filter.call.is_some();
            filter.meter();
        }
        filter.exchange.handle_end();
        // What would be noted now comes too late for the log, as in Envoy.
        while let Some(action) = filter.exchange.poll_action() {
            if let Action::Close(close) = action {
                filter.close(close);
            }
        }
        self.core.count_exchange(index, filter);
    }
}
