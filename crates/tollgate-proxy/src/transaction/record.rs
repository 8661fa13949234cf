//! What a transaction leaves behind: counters and access log lines.

use std::time::Instant;

use extproc::log::LoggingInfo;
use http::StatusCode;
use tollgate_model::filter::FilterOverride;

use super::{
    core::Core,
    filter::{Filter, Slot},
    slots::Slots,
};
use crate::{
    format::{FilterLog, FormatContext},
    stats::{ClusterMetric, ConnectionStats, HttpMetric, ListenerMetric, Metrics, RouteMetric},
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
    pub(super) fn record(&self, slots: &Slots, now: Instant) {
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
        if let Some(cluster) = &self.decision.cluster {
            cluster.metrics.increment(ClusterMetric::UpstreamRqCompleted);
            cluster.metrics.count_response(status);
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
        if let Some(cluster) = &self.decision.cluster {
            cluster.metrics.record(took);
        }
        if let Some(route) = self.route_metrics() {
            route.record(took);
        }
    }

    fn route_metrics(&self) -> Option<&Metrics<RouteMetric>> {
        self.info.route.as_ref().map(|route| route.metrics())
    }

    /// Counts something that happened to a request of its cluster.
    pub(super) fn count_cluster(&self, metric: ClusterMetric) {
        if let Some(cluster) = &self.decision.cluster {
            cluster.metrics.increment(metric);
        }
    }

    fn write_access_log(&self, slots: &Slots) {
        let http = self.http();
        if http.access_log.is_empty() {
            return;
        }
        // G-1: every filter that is there has one, even if it did nothing. Those behind the router are made for a try.
        let nothing = LoggingInfo::default();
        let idle = |name| FilterLog { name, info: &nothing, destination: "" };
        let decided = slots.present().filter_map(|(index, slot)| {
            let name = self.filter_name(index)?;
            match slot {
                Slot::Active(filter) => filter.log(name),
                Slot::Idle => Some(idle(name)),
            }
        });
        let before_router = |index: &&usize| **index < http.http_filters.len();
        let undecided = self.filters_on().iter().take_while(before_router).filter_map(|index| {
            let is_logged =
                matches!(self.filter_override(*index), FilterOverride::ExtProc(_) | FilterOverride::Idle);
            (is_logged && !slots.is_decided(*index)).then_some(())?;
            self.filter_name(*index).map(idle)
        });
        let logs: Vec<FilterLog<'_>> = decided.chain(undecided).collect();
        let context = FormatContext { info: &self.info, messages: &self.messages, logs: &logs };
        let dropped = self.worker.access_log.log(&http.access_log, &context);
        self.worker.count_dropped_log_lines(dropped);
    }
}
