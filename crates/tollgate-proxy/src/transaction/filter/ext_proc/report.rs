//! What the log and the metrics say about exchanges that failed.

use std::{fmt, time::Duration};

use extproc::{
    Direction,
    exchange::{Failed, FailedReason, IgnoredMutation, Outcome},
    log::Step,
};

use crate::{incident::Incident, stats::ProcessorMetric, transaction::filter::Context, upstream::Processor};

/// Counts a failed exchange and, once in a while, logs it.
pub(super) fn failure(cx: &Context<'_>, processor: &Processor, address: &str, failed: &Failed) {
    let (metric, incident) = match failed.reason {
        FailedReason::Timeout => (ProcessorMetric::FailedTimeout, Incident::ProcessorTimeout),
        FailedReason::UnexpectedMessage => {
            (ProcessorMetric::FailedUnexpectedMessage, Incident::ProcessorMessage)
        }
        FailedReason::Stream => (ProcessorMetric::FailedStream, Incident::ProcessorStream),
        FailedReason::RefusedMutation => (ProcessorMetric::FailedMutation, Incident::ProcessorMutation),
        FailedReason::ContentLengthMismatch => {
            (ProcessorMetric::FailedContentLength, Incident::ProcessorBody)
        }
        FailedReason::ClosedMidBody => (ProcessorMetric::FailedMidBody, Incident::ProcessorBody),
        FailedReason::UnusableResponse => (ProcessorMetric::FailedResponse, Incident::ProcessorBody),
        FailedReason::UncollectableUpgrade => (ProcessorMetric::FailedResponse, Incident::ProcessorBody),
        FailedReason::TooMuchMetadata => {
            (ProcessorMetric::FailedUnexpectedMessage, Incident::ProcessorMessage)
        }
    };
    processor.metrics.increment(metric);
    let outcome = match failed.outcome {
        Outcome::FailedOpen => {
            processor.metrics.increment(ProcessorMetric::FailedOpen);
            "failed open: the request goes on without the processor".to_owned()
        }
        Outcome::Status(status) => format!("status {}", status.as_u16()),
    };
    let Some(suppressed) = processor.metrics.admit(incident) else { return };
    let what = match failed.reason {
        FailedReason::Timeout => "a processor did not answer in time",
        FailedReason::UnexpectedMessage => "a processor sent a message that does not fit",
        FailedReason::Stream => "a processor cannot be reached, or ended its stream with an error",
        FailedReason::RefusedMutation => "a header change of a processor was refused",
        FailedReason::ContentLengthMismatch => {
            "a processor gave a body of another length than content-length says"
        }
        FailedReason::ClosedMidBody => "a processor ended its stream while it owed parts of a body",
        FailedReason::UnusableResponse => "a response made by a processor cannot be sent",
        FailedReason::UncollectableUpgrade => {
            "an upgrade has no body that ends, so a processor cannot have it in one piece"
        }
        FailedReason::TooMuchMetadata => "a processor sent too much dynamic metadata",
    };
    let waited_for = failed.awaited.map(Waited);
    tracing::warn!(
        processor = &*processor.name,
        address,
        filter = cx.core.filter_name(cx.place.index),
        step = waited_for.map(tracing::field::display),
        elapsed_ms = failed.elapsed.map(millis),
        limit_ms = failed.limit.map(millis),
        received = failed.received,
        header = failed.header.as_deref(),
        details = failed.details,
        outcome,
        request_id = cx.core.request_id(),
        suppressed,
        "{what}"
    );
}

/// Counts operations of a header mutation that were ignored and, once in a while, tells of them.
pub(super) fn ignored(cx: &Context<'_>, processor: &Processor, ignored: &IgnoredMutation) {
    let Some(suppressed) = processor.metrics.admit(Incident::ProcessorIgnored) else { return };
    tracing::warn!(
        processor = &*processor.name,
        filter = cx.core.filter_name(cx.place.index),
        step = %Waited((ignored.direction, ignored.step)),
        header = ignored.header.as_deref(),
        count = ignored.count,
        request_id = cx.core.request_id(),
        suppressed,
        "a header change of a processor had no effect: the mutation rules, or the kind of header, do not allow it"
    );
}

/// A step by the name of its message.
#[derive(Debug, Clone, Copy)]
struct Waited((Direction, Step));

impl fmt::Display for Waited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            (Direction::Request, Step::Headers) => "request_headers",
            (Direction::Request, Step::Body) => "request_body",
            (Direction::Request, Step::Trailers) => "request_trailers",
            (Direction::Response, Step::Headers) => "response_headers",
            (Direction::Response, Step::Body) => "response_body",
            (Direction::Response, Step::Trailers) => "response_trailers",
        })
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
