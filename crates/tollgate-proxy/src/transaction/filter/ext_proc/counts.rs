//! What is counted of exchanges and their processors.

use std::sync::Arc;

use extproc::exchange::Counters;
use tollgate_model::processor::{ExtProc, GrpcTarget};

use crate::{
    stats::{ClusterMetric, ExtProcMetric, Metrics, ProcessorMetric},
    transaction::filter::Context,
    upstream::Active,
    worker::Worker,
};

/// The metrics of a filter's processor and of its cluster.
#[derive(Debug)]
pub(super) struct ProcessorCounts {
    pub(super) processor: Metrics<ProcessorMetric>,
    cluster: Metrics<ClusterMetric>,
    pub(super) name: Arc<str>,
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
    /// Adds what the exchange has counted to the metrics of its filter and its processor.
    pub(super) fn exchange(&self, cx: &Context<'_>, counters: Counters) {
        if counters.is_zero() {
            return;
        }
        if let Some(metrics) = cx.core.configuration.stats.filters.get(cx.place.index) {
            for (metric, count) in by_metric(&counters) {
                if count > 0 {
                    metrics.add(metric, u64::from(count));
                }
            }
        }
        let processor = &self.processor;
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

impl Drop for ProcessorCounts {
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
