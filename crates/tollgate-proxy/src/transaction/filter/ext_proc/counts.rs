//! What is counted of exchanges and their processors.

use std::rc::Rc;

use extproc::exchange::Counters;

use crate::{
    stats::{ClusterMetric, ExtProcMetric, ProcessorMetric},
    transaction::filter::Context,
    upstream::Processor,
};

/// What is counted of the stream of one exchange.
#[derive(Debug)]
pub(super) struct StreamCounts {
    pub(super) processor: Rc<Processor>,
    /// A stream was asked for and is not over.
    in_use: bool,
    /// The gauge of the cluster that the stream is counted by at present.
    gauge: Option<ClusterMetric>,
    answered: bool,
}

impl StreamCounts {
    pub(super) fn new(processor: Rc<Processor>) -> Self {
        Self { processor, in_use: false, gauge: None, answered: false }
    }

    /// A stream is asked for.
    pub(super) fn opened(&mut self) {
        self.processor.metrics.increment(ProcessorMetric::StreamsActive);
        self.in_use = true;
        self.answered = false;
    }

    /// It waits for a connection.
    pub(super) fn waits(&mut self) {
        if self.gauge.is_none() {
            self.processor.cluster_metrics.increment(ClusterMetric::UpstreamRqPendingTotal);
            self.move_to(Some(ClusterMetric::UpstreamRqPendingActive));
        }
    }

    /// It has a connection.
    pub(super) fn began(&mut self) {
        self.processor.cluster_metrics.increment(ClusterMetric::UpstreamRqTotal);
        self.move_to(Some(ClusterMetric::UpstreamRqActive));
    }

    fn move_to(&mut self, gauge: Option<ClusterMetric>) {
        let metrics = &self.processor.cluster_metrics;
        if let Some(before) = std::mem::replace(&mut self.gauge, gauge) {
            metrics.decrement(before);
        }
        if let Some(gauge) = gauge {
            metrics.increment(gauge);
        }
    }

    /// A message came: to the cluster, that is a response.
    pub(super) fn answered(&mut self) {
        if !std::mem::replace(&mut self.answered, true) {
            let metrics = &self.processor.cluster_metrics;
            metrics.increment(ClusterMetric::UpstreamRqCompleted);
            metrics.increment(ClusterMetric::UpstreamRq2xx);
        }
    }

    /// The stream is over; `failed` unless it had a good end.
    pub(super) fn closed(&mut self, failed: bool) {
        if !std::mem::take(&mut self.in_use) {
            return;
        }
        let waited = self.gauge == Some(ClusterMetric::UpstreamRqPendingActive);
        self.move_to(None);
        let metrics = &self.processor.cluster_metrics;
        if waited {
            metrics.increment(match failed {
                true => ClusterMetric::UpstreamRqPendingFailureEject,
                false => ClusterMetric::UpstreamRqCancelled,
            });
        }
        self.processor.metrics.decrement(ProcessorMetric::StreamsActive);
        if failed && !std::mem::replace(&mut self.answered, true) {
            metrics.increment(ClusterMetric::UpstreamRqCompleted);
            metrics.increment(ClusterMetric::UpstreamRq5xx);
        }
    }

    /// Adds what the exchange has counted to the metrics of its filter and its processor.
    pub(super) fn exchange(&self, cx: &Context<'_>, counters: Counters) {
        if counters.is_zero() {
            return;
        }
        if let Some(Some(metrics)) = cx.core.configuration.stats.filters.get(cx.place.index) {
            for (metric, count) in by_metric(&counters) {
                if count > 0 {
                    metrics.add(metric, u64::from(count));
                }
            }
        }
        let processor = &self.processor.metrics;
        for (metric, count) in [
            (ProcessorMetric::StreamsTotal, counters.streams_started),
            (ProcessorMetric::StreamsFailed, counters.streams_failed),
            (ProcessorMetric::MessagesSent, counters.stream_msgs_sent),
            (ProcessorMetric::MessagesReceived, counters.stream_msgs_received),
            (ProcessorMetric::MessageTimeouts, counters.message_timeouts),
            (ProcessorMetric::RejectedHeaderMutations, counters.rejected_header_mutations),
        ] {
            if count > 0 {
                processor.add(metric, u64::from(count));
            }
        }
    }
}

impl Drop for StreamCounts {
    fn drop(&mut self) {
        self.closed(false);
    }
}

fn by_metric(counters: &Counters) -> [(ExtProcMetric, u32); 16] {
    [
        (ExtProcMetric::StreamsStarted, counters.streams_started),
        (ExtProcMetric::StreamMsgsSent, counters.stream_msgs_sent),
        (ExtProcMetric::StreamMsgsReceived, counters.stream_msgs_received),
        (ExtProcMetric::SpuriousMsgsReceived, counters.spurious_msgs_received),
        (ExtProcMetric::StreamsClosed, counters.streams_closed),
        (ExtProcMetric::StreamsFailed, counters.streams_failed),
        (ExtProcMetric::FailureModeAllowed, counters.failure_mode_allowed),
        (ExtProcMetric::MessageTimeouts, counters.message_timeouts),
        (ExtProcMetric::RejectedHeaderMutations, counters.rejected_header_mutations),
        (ExtProcMetric::OverrideMessageTimeoutReceived, counters.override_message_timeout_received),
        (ExtProcMetric::OverrideMessageTimeoutIgnored, counters.override_message_timeout_ignored),
        (ExtProcMetric::ClearRouteCacheIgnored, counters.clear_route_cache_ignored),
        (ExtProcMetric::ClearRouteCacheDisabled, counters.clear_route_cache_disabled),
        (ExtProcMetric::ClearRouteCacheUpstreamIgnored, counters.clear_route_cache_upstream_ignored),
        (ExtProcMetric::ImmediateResponsesSent, counters.immediate_responses_sent),
        (ExtProcMetric::ServerHalfClosed, counters.server_half_closed),
    ]
}
