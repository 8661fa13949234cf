//! What happens when something goes wrong (section 12).

use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::{
    Action, Exchange, LocalReply, Outcome, State,
    body::Duplex,
    link::{CloseKind, Stream},
};
use crate::{log::Note, mutation::Refused};

/// How the stream to the processor ended, as its transport reports it.
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
    /// A reply that is not awaited.
    pub(super) const SPURIOUS: Self = Self::Spurious("spurious_message");

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
        let link = &mut self.link;
        if link.stream != Stream::Open {
            return;
        }
        link.stream = Stream::Closed;
        link.counters.server_half_closed += 1;
        match end {
            StreamEnd::Ok => {
                link.counters.streams_closed += 1;
                self.closed_by_processor(now);
            }
            StreamEnd::Error { code, details, started } => {
                link.counters.streams_failed += 1;
                if !started {
                    // F-9: nothing was opened, so nothing was sent.
                    link.counters.streams_started = link.counters.streams_started.saturating_sub(1);
                    link.counters.stream_msgs_sent = link.counters.stream_msgs_sent.saturating_sub(1);
                    self.request.line.timer.unsend();
                    self.response.line.timer.unsend();
                    if link.plan.observability_mode && !link.plan.failure_mode_allow {
                        // The error reply replaces the parts that were queued behind the copy.
                        link.actions.clear();
                    }
                }
                if !self.is_complete() {
                    self.fail(&Failure::Stream { code, details }, now);
                }
            }
        }
    }

    /// L-8: an orderly end is not a failure, unless the processor still has data of ours (decision 4) or was giving the
    /// response.
    fn closed_by_processor(&mut self, now: Instant) {
        match self.state {
            // S-8: nobody is left to end the response.
            State::Replying => self.fail(&Failure::ClosedMidBody, now),
            State::Replied | State::Over => {}
            State::Processing if self.link.plan.observability_mode => {
                self.link.note(Note::StatusBeforeFirstCall(10));
            }
            State::Processing => {
                let owes = |side: &&super::side::Side| side.phase.duplex().is_some_and(Duplex::is_owed);
                if self.sides().iter().any(owes) {
                    self.fail(&Failure::ClosedMidBody, now);
                    return;
                }
                self.record_outstanding(10, now);
                self.state = State::Over;
                self.release_all();
            }
        }
    }

    /// Ends the exchange by the failure policy: everything goes on unmodified, or the client gets an error.
    pub(super) fn fail(&mut self, failure: &Failure, now: Instant) {
        if matches!(failure, Failure::Spurious(_)) {
            // F-13
            self.link.counters.spurious_msgs_received += 1;
        }
        if self.may_fail_open(failure) {
            self.report(failure, Outcome::FailedOpen, now);
            self.fail_open(failure, now);
            return;
        }
        let status = match failure {
            Failure::MessageTimeout => StatusCode::GATEWAY_TIMEOUT,
            _ => self.link.plan.status_on_error,
        };
        self.report(failure, Outcome::Status(status), now);
        self.record_outstanding(failure.call_status(), now);
        self.link.close(CloseKind::Failed);
        self.answer_as_filter(LocalReply {
            status,
            fields: HeaderMap::new(),
            body: Bytes::new(),
            grpc_status: None,
            details: failure.details(),
        });
    }

    /// Goes on as if there were no processor. The order matters to the access log: bytes are noted while the stream is open,
    /// and nothing is once the response has been passed on.
    fn fail_open(&mut self, failure: &Failure, now: Instant) {
        self.link.counters.failure_mode_allowed += 1;
        self.state = State::Over;
        let status = failure.call_status();
        match failure {
            Failure::Stream { .. } => {
                // F-10
                self.link.counters.streams_closed += 1;
                self.record_outstanding(status, now);
                self.release_all();
                self.link.note(Note::FailedOpen);
            }
            Failure::Spurious(_) => {
                self.link.close(CloseKind::Failed);
                self.link.note(Note::FailedOpen);
                self.record_outstanding(status, now);
                self.release_all();
            }
            _ => {
                self.record_outstanding(status, now);
                self.link.close(CloseKind::Failed);
                self.link.note(Note::FailedOpen);
                self.release_all();
            }
        }
    }

    /// Answers the client and is done.
    pub(super) fn answer_as_filter(&mut self, reply: LocalReply) {
        self.link.counters.immediate_responses_sent += 1;
        self.answer(reply);
    }

    /// As [`answer_as_filter`](Self::answer_as_filter), for an answer that is not the filter's own.
    pub(super) fn answer(&mut self, reply: LocalReply) {
        self.state = self.state.ended();
        self.request.give_up();
        self.response.give_up();
        self.link.push(Action::Reply(Box::new(reply)));
    }

    fn may_fail_open(&self, failure: &Failure) -> bool {
        let plan = &self.link.plan;
        let allowed = match failure {
            // M-9; decision 4
            Failure::RefusedMutation(_)
            | Failure::ContentLengthMismatch
            | Failure::ClosedMidBody
            | Failure::UpgradeCannotBeBuffered
            | Failure::TooMuchMetadata
            | Failure::EmptyStreamedReply => false,
            // F-14
            Failure::Spurious(_) => plan.failure_mode_allow || !plan.fail_close_spurious_response,
            Failure::MessageTimeout | Failure::Stream { .. } => plan.failure_mode_allow,
        };
        // F-6
        let data_is_gone = self.sides().iter().any(|side| side.phase.duplex().is_some_and(Duplex::was_given));
        allowed && !data_is_gone && self.state == State::Processing
    }

    /// Notes how all that is outstanding ended, and the status alone if nothing ever was (G-5).
    pub(super) fn record_outstanding(&mut self, status: i32, now: Instant) {
        let link = &mut self.link;
        if self.request.line.timer.sent_at().is_none() && self.response.line.timer.sent_at().is_none() {
            link.note(Note::StatusBeforeFirstCall(status));
        }
        link.note(Note::Bytes);
        for side in [&self.request, &self.response] {
            side.line.record(link, side.phase.awaited(), status, now);
        }
    }
}
