//! What a transaction leaves behind: counters and access log lines.

use std::time::Instant;

use extproc::{exchange::Counters, log::LoggingInfo};
use http::StatusCode;
use tollgate_model::processor::FilterOverride;

use super::{chain::Slot, host::Core, processor::Filter};
use crate::{
    format::{FilterLog, FormatContext},
    stats::{
        ClusterMetric, ConnectionStats, ExtProcMetric, HttpMetric, ListenerMetric, Metrics, ProcessorMetric,
        RouteMetric,
    },
    stream_info::{Protocol, ResponseFlags},
};

impl Core {
    /// A request has begun.
    pub(super) fn count_begin(&self) {
        let stats = &*self.configuration.stats;
        stats.listener.increment(ListenerMetric::DownstreamRqTotal);
        stats.http.increment(HttpMetric::DownstreamRqTotal);
        stats.http.increment(HttpMetric::DownstreamRqActive);
        stats.http.increment(match self.info.protocol {
            Protocol::Http2 => HttpMetric::DownstreamRqHttp2Total,
            Protocol::Http10 | Protocol::Http11 => HttpMetric::DownstreamRqHttp1Total,
        });
    }

    /// The request is over: counts and logs it.
    pub(super) fn record(&self, slots: &[Slot], now: Instant) {
        self.count_end(&self.configuration.stats, now);
        self.write_access_log(slots);
    }

    fn count_end(&self, stats: &ConnectionStats, now: Instant) {
        let took = now.saturating_duration_since(self.info.start);
        stats.http.decrement(HttpMetric::DownstreamRqActive);
        stats.http.record(took);
        stats.listener.record(took);
        let flags = self.info.response_flags;
        for (flag, metric) in [
            (ResponseFlags::DOWNSTREAM_CONNECTION_TERMINATION, HttpMetric::DownstreamRqRxReset),
            (ResponseFlags::DOWNSTREAM_REMOTE_RESET, HttpMetric::DownstreamRqRxReset),
            (ResponseFlags::STREAM_IDLE_TIMEOUT, HttpMetric::DownstreamRqIdleTimeout),
            (ResponseFlags::DURATION_TIMEOUT, HttpMetric::DownstreamRqMaxDurationReached),
            (ResponseFlags::NO_ROUTE_FOUND, HttpMetric::NoRoute),
            (ResponseFlags::NO_CLUSTER_FOUND, HttpMetric::NoCluster),
        ] {
            if flags.contains(flag) {
                stats.http.increment(metric);
            }
        }
        let Some(status) = self.info.response_code else {
            return;
        };
        stats.http.increment(HttpMetric::DownstreamRqCompleted);
        stats.http.count_response(status);
        stats.listener.count_response(status);
    }

    /// Counts something that happened on the way of a request.
    pub(super) fn count_http(&self, metric: HttpMetric) {
        self.configuration.stats.http.increment(metric);
    }

    /// The router has an answer of the upstream, or one that stands for it. What filters answer is not the upstream's.
    pub(super) fn charge_upstream(&self, status: StatusCode) {
        if let Some(cluster) = &self.info.upstream.cluster {
            self.worker.with_cluster_metrics(cluster, |cluster| {
                cluster.increment(ClusterMetric::UpstreamRqCompleted);
                cluster.count_response(status);
            });
        }
        if let Some(route) = self.route_metrics() {
            route.increment(RouteMetric::UpstreamRqTotal);
            route.increment(RouteMetric::UpstreamRqCompleted);
            route.count_response(status);
        }
    }

    /// The response of the upstream is complete.
    pub(super) fn time_upstream(&self, now: Instant) {
        let Some(sent) = self.info.last_upstream_tx else { return };
        let took = now.saturating_duration_since(sent);
        if let Some(cluster) = &self.info.upstream.cluster {
            self.worker.with_cluster_metrics(cluster, |cluster| cluster.record(took));
        }
        if let Some(route) = self.route_metrics() {
            route.record(took);
        }
    }

    fn route_metrics(&self) -> Option<&Metrics<RouteMetric>> {
        let route = self.route.as_ref()?;
        self.configuration.stats.route(route.virtual_host_index, route.route_index)
    }

    /// Counts something that happened to a request of its cluster.
    pub(super) fn count_cluster(&self, metric: ClusterMetric) {
        if let Some(cluster) = &self.info.upstream.cluster {
            self.worker.with_cluster_metrics(cluster, |cluster| cluster.increment(metric));
        }
    }

    fn write_access_log(&self, slots: &[Slot]) {
        let http = self.http();
        if http.access_log.is_empty() {
            return;
        }
        // G-1: every filter that is there has one, even if it did nothing. Those behind the router are made for a try.
        let nothing = LoggingInfo::default();
        let nothing = FilterLog { name: "", info: &nothing, destination: "" };
        let logs: Vec<FilterLog<'_>> = http
            .filters()
            .enumerate()
            .filter_map(|(index, filter)| {
                let log = match slots.get(index).unwrap_or(&Slot::Untouched) {
                    Slot::Active(filter) => {
                        FilterLog { info: &filter.log, destination: filter.destination(), ..nothing }
                    }
                    Slot::Idle => nothing,
                    Slot::Disabled | Slot::Cors(_) => return None,
                    Slot::Untouched if index >= http.http_filters.len() => return None,
                    Slot::Untouched => match self.filter_override(index) {
                        FilterOverride::ExtProc(_) | FilterOverride::Idle => nothing,
                        FilterOverride::Disabled | FilterOverride::Cors(_) => return None,
                    },
                };
                Some(FilterLog { name: &filter.name, ..log })
            })
            .collect();
        let context = FormatContext { info: &self.info, messages: &self.messages, logs: &logs };
        let dropped = self.worker.access_log.log(&http.access_log, &context);
        self.worker.count_dropped_log_lines(dropped);
    }

    /// Adds what an exchange counted to the metrics of its filter and its processor.
    pub(super) fn count_exchange(&self, index: usize, filter: &mut Filter) {
        let counters = filter.exchange.take_counters();
        if counters.is_zero() {
            return;
        }
        if let Some(metrics) = self.configuration.stats.filters.get(index) {
            for (metric, count) in by_metric(&counters) {
                if count > 0 {
                    metrics.add(metric, u64::from(count));
                }
            }
        }
        let processor = &filter.counts.processor;
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
