//! What happens when something goes wrong (section 12).

use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::{Action, Exchange, LocalReply, Outcome, Stream, StreamedReply, close::CloseKind, side::Awaiting};
use crate::{http_message::Direction, log::Note, mutation::Refused};

/// How the stream to the processor ended, as its transport tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamEnd {
    /// With status OK (L-8).
    Ok,
    /// With another status, or it broke.
    Error {
        /// gRPC code; −1 for a status that is none (F-12).
        code: i32,
        /// Response code details, white space replaced: `ext_proc_error_gRPC_error_<code>{...}` (F-8).
        details: String,
        /// False if the stream could not even be created (F-9).
        started: bool,
    },
}

/// A kind of failure (F-1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    ///
    MessageTimeout,
    /// F-13, with its response code details.
    Spurious(&'static str),
    /// F-8 to F-12.
    Stream { code: i32, details: String },
    /// M-9.
    RefusedMutation(Refused),
    /// B-3.4.
    ContentLengthMismatch,
    /// The processor ended while it owed body data (decision 4).
    ClosedMidBody,
    /// An upgrade in a mode that collects the body, which never ends (B-3.9).
    UpgradeCannotBeBuffered,
    /// More dynamic metadata than a request may have (D-7).
    TooMuchMetadata,
    /// A streamed immediate response without content (S-6).
    EmptyStreamedReply,
}

impl Failure {
    pub(super) fn details(&self) -> String {
        match self {
            Self::MessageTimeout => "ext_proc_error_per-message_timeout_exceeded".to_owned(),
            Self::Spurious(details) => (*details).to_owned(),
            Self::Stream { details, .. } => details.clone(),
            Self::RefusedMutation(refused) => refused.reason.as_str().to_owned(),
            Self::ContentLengthMismatch => {
                "mismatch_between_content_length_and_the_length_of_the_mutated_body".to_owned()
            }
            Self::ClosedMidBody => "processor_closed_mid_body".to_owned(),
            Self::UpgradeCannotBeBuffered => "upgrade_cannot_be_buffered".to_owned(),
            Self::TooMuchMetadata => "too_much_dynamic_metadata".to_owned(),
            Self::EmptyStreamedReply => "Invalid_local_response_headers_continue".to_owned(),
        }
    }

    /// gRPC code of the steps it ended (G-5).
    const fn call_status(&self) -> i32 {
        match self {
            Self::MessageTimeout => 4,
            Self::Spurious(_) => 9,
            Self::Stream { code, .. } => *code,
            Self::RefusedMutation(_) | Self::EmptyStreamedReply => 3,
            Self::TooMuchMetadata => 8,
            Self::ContentLengthMismatch | Self::UpgradeCannotBeBuffered => 13,
            Self::ClosedMidBody => 10,
        }
    }
}

impl Exchange {
    /// The processor ended the stream, or it broke.
    pub fn handle_stream_end(&mut self, end: StreamEnd, now: Instant) {
        if self.stream != Stream::Open {
            return;
        }
        self.stream = Stream::Closed;
        self.counters.server_half_closed += 1;
        match end {
            StreamEnd::Ok => {
                self.counters.streams_closed += 1;
                self.closed_by_processor(now);
            }
            StreamEnd::Error { code, details, started } => {
                self.counters.streams_failed += 1;
                if !started {
                    // F-9: nothing was opened, so nothing was sent.
                    self.counters.streams_started = self.counters.streams_started.saturating_sub(1);
                    self.counters.stream_msgs_sent = self.counters.stream_msgs_sent.saturating_sub(1);
                    self.request.sent_at = None;
                    self.response.sent_at = None;
                    if self.plan.observability_mode && !self.plan.failure_mode_allow {
                        // The answer stands for what would have been passed on behind the copy.
                        self.actions.clear();
                    }
                }
                if self.complete && self.streamed_reply != StreamedReply::Started {
                    return;
                }
                self.fail(&Failure::Stream { code, details }, now);
            }
        }
    }

    /// L-8: an orderly end is not a failure, unless the processor still has data of ours (decision 4) or was giving the
    /// response.
    fn closed_by_processor(&mut self, now: Instant) {
        if self.streamed_reply == StreamedReply::Started {
            // S-8: nobody is left to end the response.
            self.fail(&Failure::ClosedMidBody, now);
            return;
        }
        if self.complete {
            return;
        }
        if self.plan.observability_mode {
            self.note(Note::StatusBeforeFirstCall(10));
            return;
        }
        for direction in [Direction::Request, Direction::Response] {
            if self.side(direction).duplex_owed {
                self.fail(&Failure::ClosedMidBody, now);
                return;
            }
        }
        self.record_outstanding(10, now);
        self.complete = true;
        self.release_unanswered();
    }

    /// A message that does not fit (F-13).
    pub(super) fn spurious(&mut self, details: &'static str, now: Instant) {
        self.counters.spurious_msgs_received += 1;
        self.fail(&Failure::Spurious(details), now);
    }

    /// Ends the exchange by the failure policy: everything goes on unmodified, or the client gets an error.
    pub(super) fn fail(&mut self, failure: &Failure, now: Instant) {
        if self.may_fail_open(failure) {
            self.report(failure, Outcome::FailedOpen, now);
            self.fail_open(failure, now);
            return;
        }
        let status = match failure {
            Failure::MessageTimeout => StatusCode::GATEWAY_TIMEOUT,
            _ => self.plan.status_on_error,
        };
        self.report(failure, Outcome::Status(status), now);
        self.record_outstanding(failure.call_status(), now);
        self.finish_stream(CloseKind::Failed);
        self.reply(LocalReply {
            status,
            fields: HeaderMap::new(),
            body: Bytes::new(),
            grpc_status: None,
            details: failure.details(),
        });
    }

    /// Goes on as if there were no processor. What the log gets to know depends on the order of things: bytes are noted
    /// while the stream is open, and nothing is once the response has been passed on.
    fn fail_open(&mut self, failure: &Failure, now: Instant) {
        self.counters.failure_mode_allowed += 1;
        self.complete = true;
        match failure {
            Failure::Stream { .. } => {
                // F-10
                self.counters.streams_closed += 1;
                self.record_outstanding(failure.call_status(), now);
                self.release_unanswered();
                self.note(Note::FailedOpen);
            }
            Failure::Spurious(_) => {
                self.finish_stream(CloseKind::Failed);
                self.note(Note::FailedOpen);
                self.record_outstanding(failure.call_status(), now);
                self.release_unanswered();
            }
            _ => {
                self.record_outstanding(failure.call_status(), now);
                self.finish_stream(CloseKind::Failed);
                self.note(Note::FailedOpen);
                self.release_unanswered();
            }
        }
    }

    /// Answers the client and is done.
    pub(super) fn reply(&mut self, reply: LocalReply) {
        self.counters.immediate_responses_sent += 1;
        self.answer(reply);
    }

    /// As [`reply`](Self::reply), for an answer that is not the filter's own.
    pub(super) fn answer(&mut self, reply: LocalReply) {
        self.complete = true;
        if self.streamed_reply == StreamedReply::Started {
            self.streamed_reply = StreamedReply::Ended;
        }
        for side in [&mut self.request, &mut self.response] {
            side.stop_timer();
            side.awaiting = Awaiting::Idle;
            side.held.take();
            side.take_chunks();
            side.paused = false;
        }
        self.actions.push_back(Action::Reply(Box::new(reply)));
    }

    fn may_fail_open(&self, failure: &Failure) -> bool {
        let allowed = match failure {
            // M-9; decision 4
            Failure::RefusedMutation(_)
            | Failure::ContentLengthMismatch
            | Failure::ClosedMidBody
            | Failure::UpgradeCannotBeBuffered
            | Failure::TooMuchMetadata
            | Failure::EmptyStreamedReply => false,
            // F-14
            Failure::Spurious(_) => self.plan.failure_mode_allow || !self.plan.fail_close_spurious_response,
            Failure::MessageTimeout | Failure::Stream { .. } => self.plan.failure_mode_allow,
        };
        // F-6
        let data_is_gone =
            [&self.request, &self.response].iter().any(|side| side.is_duplex() && side.duplex_received);
        allowed && !data_is_gone && self.streamed_reply == StreamedReply::None
    }

    /// Notes how all that is outstanding ended, and the status alone if nothing ever was (G-5).
    pub(super) fn record_outstanding(&mut self, status: i32, now: Instant) {
        if self.request.sent_at.is_none() && self.response.sent_at.is_none() {
            self.note(Note::StatusBeforeFirstCall(status));
        }
        self.note(Note::Bytes);
        for direction in [Direction::Request, Direction::Response] {
            self.record_step(direction, status, now);
        }
    }

    /// Notes how the awaited step ended (G-5, G-6).
    pub(super) fn record_step(&mut self, direction: Direction, status: i32, now: Instant) {
        let side = self.side(direction);
        if let (Some(step), Some(sent_at)) = (side.awaiting.step(), side.sent_at) {
            let latency = now.saturating_duration_since(sent_at);
            self.note(Note::Call { direction, step, latency, status });
        }
    }
}
