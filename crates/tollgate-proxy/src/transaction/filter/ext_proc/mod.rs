//! External processing: an exchange, and its call to the processor.

mod call;
mod counts;
mod report;

use std::{
    sync::Arc,
    task::{self, Poll},
    time::{Duration, Instant},
};

use extproc::{
    Direction, Slices,
    exchange::{self, Close, Exchange, StreamEnd},
    log::{LoggingInfo, Note},
};
use extproc_client::{Event, GrpcStatus};
use tollgate_model::processor::{ExtProcFilter as Settings, GrpcService, GrpcTarget};

use self::counts::StreamCounts;
use super::{Action, Context, Filter, FilterPlace, Room};
use crate::{
    format::FilterLog,
    local_reply::LocalReply,
    memory::PRESSED_WATERMARK,
    recording::Track,
    stats::ProcessorMetric,
    stream_info::ResponseFlags,
    transaction::{chain::Part, core::Core},
    upstream::ProcessorCall,
};

/// How long a processor may take to end a stream that we have half-closed (L-5 b).
const REMOTE_CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Bytes of replies that are taken in while one direction has no room. Replies of both directions come on one stream, and
/// the blocked direction may wait for the other one: for an upstream that reads on only when its response is read.
const MOST_LENT: usize = 16 * 1024 * 1024;

/// The filter.
#[derive(Debug)]
pub(in crate::transaction) struct ExtProc {
    exchange: Exchange,
    /// What access logs show of it (section 21).
    log: LoggingInfo,
    counts: StreamCounts,
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
    /// Somebody wants to see it.
    track: Option<Box<Track>>,
}

impl ExtProc {
    pub(super) fn begin(settings: &Arc<Settings>, place: FilterPlace, core: &Core) -> Self {
        let processor = core.configuration.clusters.processor(settings);
        let plan = processor.settings.plan.clone();
        Self {
            exchange: if place.upstream { Exchange::upstream(plan) } else { Exchange::new(plan) },
            log: LoggingInfo::default(),
            counts: StreamCounts::new(processor),
            asked: None,
            address: String::new(),
            contacted: false,
            call: None,
            owed_credit: 0,
            lent_credit: 0,
            hasty: false,
            track: None,
        }
    }

    fn service(&self) -> &GrpcService {
        &self.counts.processor.settings.grpc_service
    }

    fn open(&mut self, cx: &Context<'_>) {
        match call::open(cx.core, &self.counts.processor) {
            Ok(call) => {
                self.call = Some(call);
                self.asked = Some(cx.now);
                self.track = cx.core.worker.recorder.begin(&self.counts.processor.name, cx.now);
                self.counts.opened();
            }
            Err(status) => {
                let end = StreamEnd::Error { code: status.code, details: status.rcd(), started: false };
                self.exchange.handle_stream_end(end, cx.now);
            }
        }
    }

    fn close(&mut self, close: Close) {
        self.counts.closed(false);
        self.track = None;
        if let Some(call) = self.call.take() {
            call.close(match close {
                _ if self.hasty => extproc_client::Close::Reset,
                Close::Reset => extproc_client::Close::Reset,
                Close::Graceful => extproc_client::Close::Graceful(REMOTE_CLOSE_TIMEOUT),
                Close::Deferred(time) => extproc_client::Close::Deferred(time),
            });
        }
    }

    /// The call has ended by itself.
    fn closed(&mut self, result: Result<(), GrpcStatus>, now: Instant) {
        self.meter();
        if result.is_err() {
            self.address = self.address().to_owned();
        }
        self.counts.closed(result.is_err());
        self.call = None;
        if let Some(mut track) = self.track.take() {
            track.ended(result.as_ref().map_or_else(|status| status.code, |()| 0));
        }
        let end = match result {
            Ok(()) => StreamEnd::Ok,
            Err(status) => {
                let status = match self.service().target {
                    GrpcTarget::GoogleGrpc(_) => as_of_google_grpc(status),
                    GrpcTarget::EnvoyGrpc(_) => status,
                };
                StreamEnd::Error { code: status.code, details: status.rcd(), started: true }
            }
        };
        self.exchange.handle_stream_end(end, now);
    }

    fn note(&mut self, note: Note) {
        self.contacted |= matches!(note, Note::Bytes | Note::Call { .. } | Note::StatusBeforeFirstCall(_));
        match note {
            Note::Bytes => self.meter(),
            Note::Call { direction, step, latency, .. } => {
                self.counts.processor.metrics.record_step(direction, step, latency);
                self.log.note(note);
            }
            Note::ImmediateResponse => {
                self.counts.processor.metrics.increment(ProcessorMetric::ImmediateResponses);
                self.log.note(note);
            }
            note => self.log.note(note),
        }
    }

    /// Where the processor is, as far as it is known.
    fn address(&self) -> &str {
        self.call.as_ref().map_or(&self.address, |call| call.address())
    }

    /// How access logs name the processor; empty if nothing was noted about it.
    fn destination(&self) -> &str {
        if self.contacted { self.service().destination() } else { "" }
    }

    /// Notes the bytes of the stream so far. Streams to google_grpc targets are not metered (G-7).
    fn meter(&mut self) {
        if let (Some(call), GrpcTarget::EnvoyGrpc(_)) = (&self.call, &self.service().target) {
            self.log.bytes_sent = call.bytes_sent();
            self.log.bytes_received = call.bytes_received();
        }
    }
}

impl Filter for ExtProc {
    fn headers(&mut self, direction: Direction, end_stream: bool, cx: &mut Context<'_>) -> Option<Action> {
        self.exchange.handle_headers(direction, end_stream, cx.now, cx.core);
        self.next_action(cx)
    }

    fn data(
        &mut self,
        direction: Direction,
        data: Slices,
        end_stream: bool,
        cx: &mut Context<'_>,
    ) -> Option<Action> {
        self.exchange.handle_data(direction, data, end_stream, cx.now, cx.core);
        self.next_action(cx)
    }

    fn trailers(&mut self, direction: Direction, cx: &mut Context<'_>) -> Option<Action> {
        self.exchange.handle_trailers(direction, cx.now, cx.core);
        self.next_action(cx)
    }

    /// Deals with what concerns the processor; the rest is the chain's business.
    fn next_action(&mut self, cx: &mut Context<'_>) -> Option<Action> {
        loop {
            return Some(match self.exchange.poll_action()? {
                exchange::Action::Open => {
                    self.open(cx);
                    continue;
                }
                exchange::Action::Send { message, payload } => {
                    if let Some(call) = &mut self.call {
                        if let Some(track) = &mut self.track {
                            track.sent(&message, payload.iter(), cx.now);
                        }
                        call.send_parts(message, payload);
                    }
                    continue;
                }
                exchange::Action::Close(close) => {
                    self.close(close);
                    continue;
                }
                exchange::Action::Note(note) => {
                    self.note(note);
                    continue;
                }
                exchange::Action::Failed(failed) => {
                    report::failure(cx, &self.counts.processor, self.address(), &failed);
                    continue;
                }
                exchange::Action::Ignored(ignored) => {
                    report::ignored(cx, &self.counts.processor, &ignored);
                    continue;
                }
                exchange::Action::ForwardHeaders { direction, end_stream } => {
                    Action::Forward(direction, Part::Headers { end_stream })
                }
                exchange::Action::ForwardData { direction, data, end_stream } => {
                    Action::Forward(direction, Part::Data { data, end_stream })
                }
                exchange::Action::ForwardTrailers { direction } => Action::Forward(direction, Part::Trailers),
                exchange::Action::ClearRouteCache => Action::ClearRouteCache,
                exchange::Action::Reply(reply) => Action::Reply(Box::new(local_reply(*reply))),
                exchange::Action::PayloadTooLarge(direction) => Action::PayloadTooLarge(direction),
                exchange::Action::ReplyHeaders { head, end_stream } => {
                    cx.core.info.response_code_details = Some("ext_proc_local_response".into());
                    Action::StartResponse { head, end_stream }
                }
                exchange::Action::ReplyData { data, end_stream } => {
                    Action::ContinueResponse(Part::Data { data, end_stream })
                }
                exchange::Action::ReplyTrailers(trailers) => {
                    cx.core.messages.response_trailers = Some(*trailers);
                    Action::ContinueResponse(Part::Trailers)
                }
            });
        }
    }

    /// Sends what is queued for the processor and takes in what it answers.
    fn poll(&mut self, task: &mut task::Context<'_>, room: Room, cx: &mut Context<'_>) -> Poll<usize> {
        let Some(call) = &mut self.call else {
            return Poll::Pending;
        };
        if room.response && room.request {
            self.lent_credit = 0;
            call.credit(std::mem::take(&mut self.owed_credit));
        } else if (room.response || room.request) && self.lent_credit < MOST_LENT {
            self.lent_credit += self.owed_credit;
            call.credit(std::mem::take(&mut self.owed_credit));
        }
        let polled = call.poll(task);
        if let Some(asked) = self.asked {
            if !call.is_open() {
                self.counts.waits();
            } else {
                self.asked = None;
                self.counts.began();
                // Measured here and not at the beginning of the turn: connecting is part of the turn.
                let waited = Instant::now().saturating_duration_since(asked);
                self.counts.processor.metrics.record_stream_wait(waited);
            }
        }
        polled.map(|event| match event {
            Event::Message(message) => {
                self.owed_credit += message.len();
                self.counts.answered();
                let read = message.len();
                if let Some(track) = &mut self.track {
                    track.received(message.iter(), cx.now);
                }
                self.exchange.handle_message(message, cx.now, cx.core);
                read
            }
            Event::Closed(result) => {
                self.closed(result, cx.now);
                0
            }
        })
    }

    fn deadline(&self) -> Option<Instant> {
        self.exchange.poll_timeout()
    }

    fn deadline_passed(&mut self, cx: &mut Context<'_>) {
        self.exchange.handle_timeout(cx.now);
    }

    /// The exchange does not hold too much, and the call has room (N-9). While memory is short, what waits for a reply is
    /// little.
    fn has_room(&self, direction: Direction, pressed: bool) -> bool {
        self.exchange.wants(direction)
            && self.call.as_ref().is_none_or(|call| call.is_writable())
            && !(pressed && self.exchange.unanswered_bytes(direction) >= PRESSED_WATERMARK)
    }

    /// Closes the call at once, when it comes to that: what is queued for the processor is not sent.
    fn make_haste(&mut self) {
        self.hasty = true;
    }

    /// What is on its way to the processor is a part of what the exchange holds, or the other way round.
    fn held(&self) -> usize {
        let queued = self.call.as_ref().map_or(0, |call| call.queued_bytes());
        self.exchange.held_bytes().max(queued)
    }

    /// A processor that was to answer is named (decision 13).
    fn waits(&self) -> Option<&'static str> {
        (self.exchange.is_replying() || self.exchange.awaits_processor()).then_some("processor_idle")
    }

    /// L-6.5.
    fn end(&mut self, _cx: &mut Context<'_>) {
        if self.exchange.plan().observability_mode {
            self.contacted |= self.call.is_some();
            self.meter();
        }
        self.exchange.handle_end();
        // What would be noted now comes too late for the log, as in Envoy.
        while let Some(action) = self.exchange.poll_action() {
            if let exchange::Action::Close(close) = action {
                self.close(close);
            }
        }
    }

    fn log<'a>(&'a self, name: &'a str) -> Option<FilterLog<'a>> {
        Some(FilterLog { name, info: &self.log, destination: self.destination() })
    }

    fn count(&mut self, cx: &mut Context<'_>) {
        self.counts.exchange(cx, self.exchange.take_counters());
    }
}

/// An immediate response, or the error of a failed exchange.
fn local_reply(reply: exchange::LocalReply) -> LocalReply {
    LocalReply {
        status: reply.status,
        fields: reply.fields,
        body: reply.body,
        grpc_status: reply.grpc_status,
        details: reply.details.into(),
        flags: ResponseFlags::default(),
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
