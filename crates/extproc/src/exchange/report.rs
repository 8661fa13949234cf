//! What an exchange reports to people: why it failed, and what of a reply had no effect.

use std::time::{Duration, Instant};

use http::StatusCode;

use super::{Action, Exchange, failure::Failure, timer::Timer};
use crate::{
    http_message::Direction,
    log::Step,
    messages::{ProcessingResponse, processing_response::Response},
};

/// A failed exchange, for a log or a metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// The kind of failure.
    pub reason: FailedReason,
    /// The reply that was outstanding; of two, the one asked for first. `None`: none was.
    pub awaited: Option<(Direction, Step)>,
    /// Since the message was sent that this reply was to answer.
    pub elapsed: Option<Duration>,
    /// How long that reply may take in all. `None`: without a limit.
    pub limit: Option<Duration>,
    /// The kind of message the processor sent, by the name of its field, where a message is at fault.
    pub received: Option<&'static str>,
    /// The header whose change was refused, fit for a log.
    pub header: Option<Box<str>>,
    /// The response code details.
    pub details: String,
    /// What becomes of the HTTP request.
    pub outcome: Outcome,
}

/// Kinds of failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailedReason {
    /// No reply in time.
    Timeout,
    /// A message that does not fit.
    UnexpectedMessage,
    /// The processor could not be reached, or the stream was refused, broke or ended with an error.
    Stream,
    /// A header mutation was refused.
    RefusedMutation,
    /// A body of another length than `content-length` says.
    ContentLengthMismatch,
    /// The processor ended the stream while it owed parts of a body.
    ClosedMidBody,
    /// A streamed response that cannot be sent.
    UnusableResponse,
    /// An upgrade in a mode that collects the body, which never ends.
    UncollectableUpgrade,
    /// More dynamic metadata than a request may have.
    TooMuchMetadata,
}

impl FailedReason {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::Timeout,
        Self::UnexpectedMessage,
        Self::Stream,
        Self::RefusedMutation,
        Self::ContentLengthMismatch,
        Self::ClosedMidBody,
        Self::UnusableResponse,
        Self::UncollectableUpgrade,
        Self::TooMuchMetadata,
    ];
}

/// What becomes of the HTTP request of a failed exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It goes on without the processor.
    FailedOpen,
    /// The client gets this status, or a reset where the response is on its way already.
    Status(StatusCode),
}

/// Operations of a header mutation that were ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IgnoredMutation {
    /// Of which direction.
    pub direction: Direction,
    /// In the reply to which step.
    pub step: Step,
    /// How many.
    pub count: u32,
    /// The header of the first one, fit for a log.
    pub header: Option<Box<str>>,
}

/// The name of the field that says what a message is.
pub(super) fn kind_of(message: &ProcessingResponse) -> &'static str {
    match &message.response {
        _ if message.override_message_timeout.is_some() => "override_message_timeout",
        Some(Response::RequestHeaders(_)) => "request_headers",
        Some(Response::ResponseHeaders(_)) => "response_headers",
        Some(Response::RequestBody(_)) => "request_body",
        Some(Response::ResponseBody(_)) => "response_body",
        Some(Response::RequestTrailers(_)) => "request_trailers",
        Some(Response::ResponseTrailers(_)) => "response_trailers",
        Some(Response::ImmediateResponse(_)) => "immediate_response",
        Some(Response::StreamedImmediateResponse(_)) => "streamed_immediate_response",
        None if message.mode_override.is_some() => "mode_override",
        None => "nothing",
    }
}

impl Exchange {
    /// Reports a failure, before its consequences.
    pub(super) fn report(&mut self, failure: &Failure, outcome: Outcome, now: Instant) {
        let reason = match failure {
            Failure::MessageTimeout => FailedReason::Timeout,
            Failure::Spurious(_) => FailedReason::UnexpectedMessage,
            Failure::Stream { .. } => FailedReason::Stream,
            Failure::RefusedMutation(_) => FailedReason::RefusedMutation,
            Failure::ContentLengthMismatch => FailedReason::ContentLengthMismatch,
            Failure::ClosedMidBody => FailedReason::ClosedMidBody,
            Failure::EmptyStreamedReply => FailedReason::UnusableResponse,
            Failure::UpgradeCannotBeBuffered => FailedReason::UncollectableUpgrade,
            Failure::TooMuchMetadata => FailedReason::TooMuchMetadata,
        };
        let header = match failure {
            Failure::RefusedMutation(refused) => refused.header.clone(),
            _ => None,
        };
        self.report_as(reason, header, failure.details(), outcome, now);
    }

    pub(super) fn report_as(
        &mut self,
        reason: FailedReason,
        header: Option<Box<str>>,
        details: String,
        outcome: Outcome,
        now: Instant,
    ) {
        // A timeout is about the reply that is due.
        let awaited = self
            .sides()
            .into_iter()
            .filter_map(|side| Some((side.line.direction, side.phase.awaited()?, &side.line.timer)))
            .filter(|(_, _, timer)| timer.sent_at().is_some())
            .min_by_key(|(_, _, timer)| (timer.deadline().is_none(), timer.deadline(), timer.sent_at()));
        let timer = awaited.map(|(_, _, timer)| timer);
        let sent_at = timer.and_then(Timer::sent_at);
        let received = match reason {
            FailedReason::Timeout | FailedReason::Stream => None,
            _ => self.link.received,
        };
        let failed = Failed {
            reason,
            awaited: awaited.map(|(direction, step, _)| (direction, step)),
            elapsed: sent_at.map(|sent_at| now.saturating_duration_since(sent_at)),
            limit: timer
                .and_then(Timer::deadline)
                .zip(sent_at)
                .map(|(deadline, sent_at)| deadline.saturating_duration_since(sent_at)),
            received,
            header,
            details,
            outcome,
        };
        self.link.push(Action::Failed(Box::new(failed)));
    }
}
