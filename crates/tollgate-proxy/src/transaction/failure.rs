//! What the log and the metrics say about exchanges that failed.

use std::{fmt, sync::Arc, time::Duration};

use extproc::{
    Direction,
    exchange::{Failed, FailedReason, IgnoredMutation, Outcome},
    log::Step,
};
use tollgate_model::processor::{ExtProc, GrpcTarget};

use super::host::Core;
use crate::{
    incident::Incident,
    stats::{ClusterMetric, Metrics, ProcessorMetric},
    upstream::Active,
    worker::Worker,
};

/// The metrics of a filter's processor and of its cluster.
#[derive(Debug)]
pub(super) struct ProcessorCounts {
    pub(super) processor: Metrics<ProcessorMetric>,
    pub(super) cluster: Metrics<ClusterMetric>,
    name: Arc<str>,
    /// A stream was asked for and is not over.
    in_use: bool,
    /// Counts the stream while it waits for a connection.
    pending: Option<Active>,
    /// Counts it while it is open.
    active: Option<Active>,
    answered: bool,
}

impl ProcessorCounts {
    /// Of the processor of a filter.
    pub(super) fn of(worker: &Worker, config: &ExtProc) -> Self {
        // A processor is named by its cluster, which is its target where it has none in the configuration.
        let name = match &config.grpc_service.target {
            GrpcTarget::EnvoyGrpc(name) => name,
            GrpcTarget::GoogleGrpc(cluster) => &cluster.name,
        };
        let (name, processor, cluster) = worker.processor_metrics(name);
        Self { processor, cluster, name, in_use: false, pending: None, active: None, answered: false }
    }

    /// A stream is asked for.
    pub(super) fn opened(&mut self) {
        self.processor.increment(ProcessorMetric::StreamsActive);
        self.in_use = true;
        self.answered = false;
    }

    /// It waits for a connection.
    pub(super) fn waits(&mut self) {
        self.pending.get_or_insert_with(|| Active::pending(&self.cluster));
    }

    /// It has a connection.
    pub(super) fn began(&mut self) {
        self.pending = None;
        self.active = Some(Active::request(&self.cluster));
    }

    /// A message came: to the cluster, that is a response.
    pub(super) fn answered(&mut self) {
        if !std::mem::replace(&mut self.answered, true) {
            self.cluster.increment(ClusterMetric::UpstreamRqCompleted);
            self.cluster.increment(ClusterMetric::UpstreamRq2xx);
        }
    }

    /// The stream is over; `failed` unless it had a good end.
    pub(super) fn closed(&mut self, failed: bool) {
        if !std::mem::take(&mut self.in_use) {
            return;
        }
        self.active = None;
        if self.pending.take().is_some() {
            self.cluster.increment(match failed {
                true => ClusterMetric::UpstreamRqPendingFailureEject,
                false => ClusterMetric::UpstreamRqCancelled,
            });
        }
        self.processor.decrement(ProcessorMetric::StreamsActive);
        if failed && !std::mem::replace(&mut self.answered, true) {
            self.cluster.increment(ClusterMetric::UpstreamRqCompleted);
            self.cluster.increment(ClusterMetric::UpstreamRq5xx);
        }
    }
}

impl Drop for ProcessorCounts {
    fn drop(&mut self) {
        self.closed(false);
    }
}

impl Core {
    /// Counts a failed exchange and, once in a while, tells of it.
    pub(super) fn report_failure(
        &self,
        filter: usize,
        counts: &ProcessorCounts,
        address: &str,
        failed: &Failed,
    ) {
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
        counts.processor.increment(metric);
        let outcome = match failed.outcome {
            Outcome::FailedOpen => {
                counts.processor.increment(ProcessorMetric::FailedOpen);
                "failed open: the request goes on without the processor".to_owned()
            }
            Outcome::Status(status) => format!("status {}", status.as_u16()),
        };
        let Some(suppressed) = counts.processor.admit(incident) else { return };
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
            processor = &*counts.name,
            address,
            filter = self.filter_name(filter),
            step = waited_for.map(tracing::field::display),
            elapsed_ms = failed.elapsed.map(millis),
            limit_ms = failed.limit.map(millis),
            received = failed.received,
            header = failed.header.as_deref(),
            details = failed.details,
            outcome,
            request_id = self.request_id(),
            suppressed,
            "{what}"
        );
    }

    /// Counts operations of a header mutation that were ignored and, once in a while, tells of them.
    pub(super) fn report_ignored(&self, filter: usize, counts: &ProcessorCounts, ignored: &IgnoredMutation) {
        let Some(suppressed) = counts.processor.admit(Incident::ProcessorIgnored) else { return };
        tracing::warn!(
            processor = &*counts.name,
            filter = self.filter_name(filter),
            step = %Waited((ignored.direction, ignored.step)),
            header = ignored.header.as_deref(),
            count = ignored.count,
            request_id = self.request_id(),
            suppressed,
            "a header change of a processor had no effect: the mutation rules, or the kind of header, do not allow it"
        );
    }

    /// Once in a while tells of a body that is too large for a filter that wants all of it.
    pub(super) fn report_too_large(&self, direction: Direction) {
        let Some(suppressed) = self.configuration.stats.http.admit(Incident::TooLarge) else { return };
        let direction = match direction {
            Direction::Request => "request",
            Direction::Response => "response",
        };
        tracing::warn!(
            listener = self.info.chain.listener.name,
            direction,
            limit_bytes = self.body_buffer_limit(),
            request_id = self.request_id(),
            suppressed,
            "a body is larger than what a filter may hold of it"
        );
    }

    /// Once in a while tells of a request without a route.
    pub(super) fn report_no_route(&self) {
        let Some(suppressed) = self.configuration.stats.http.admit(Incident::NoRoute) else { return };
        let request = &self.messages.request;
        tracing::warn!(
            listener = self.info.chain.listener.name,
            host = ?request.authority,
            path = ?request.path,
            suppressed,
            "a request has no route"
        );
    }

    fn filter_name(&self, index: usize) -> Option<&str> {
        self.http().filters().nth(index).map(|filter| filter.name.as_str())
    }

    fn request_id(&self) -> Option<&str> {
        self.messages.request.fields.get("x-request-id").and_then(|id| id.to_str().ok())
    }
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
