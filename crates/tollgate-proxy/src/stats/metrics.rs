//! What is counted.

use http2_io::Flood;

use super::Metrics;

/// The metrics of a kind of thing.
#[derive(Debug)]
pub(super) struct Description {
    pub(super) metrics: &'static [Metric],
    /// Its histograms of durations.
    pub(super) histograms: &'static [Metric],
    /// Upper bounds of the buckets shown, milliseconds.
    pub(super) bounds: &'static [f64],
    /// Left out of reports until something was counted.
    pub(super) quiet: bool,
}

/// One metric.
#[derive(Debug)]
pub(super) struct Metric {
    /// As Envoy names it. `family[label=value]` is one of several that differ in a label; Envoy's form has it as
    /// `family.value`.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// What it counts, in a sentence without its full stop.
    pub(super) help: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Only grows.
    Counter,
    /// Grows and shrinks.
    Gauge,
    /// Of durations.
    Histogram,
}

/// Envoy's buckets, milliseconds.
pub(super) const REQUEST_BOUNDS: &[f64] = &[
    0.5,
    1.0,
    5.0,
    10.0,
    25.0,
    50.0,
    100.0,
    250.0,
    500.0,
    1000.0,
    2500.0,
    5000.0,
    10_000.0,
    30_000.0,
    60_000.0,
    300_000.0,
    600_000.0,
    1_800_000.0,
    3_600_000.0,
];

/// A processor beside the gateway answers in a fraction of a millisecond.
const PROCESSOR_BOUNDS: &[f64] = &[
    0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0,
    10_000.0, 30_000.0, 60_000.0,
];

/// An enumeration of metrics.
pub(crate) trait MetricSet: Copy {
    #[doc(hidden)]
    #[allow(private_interfaces, reason = "the metrics of a kind are described in this module only")]
    const DESCRIPTION: &'static Description;

    /// Its place in the description.
    fn index(self) -> usize;
}

/// Sets with a counter for each class of response status.
pub(crate) trait ResponseClasses: MetricSet + 'static {
    /// 1xx to 5xx.
    const CLASSES: &'static [Self; 5];
}

/// Makes a set of metrics.
macro_rules! metrics {
    (
        $(#[$documentation:meta])*
        $set:ident, histograms: [$($histogram:literal: $histogram_help:literal),*], bounds: $bounds:expr,
        quiet: $quiet:literal {
            $(#[doc = $help:literal] $(#[doc = $more:literal])* $variant:ident: $kind:ident = $name:literal,)+
        }
    ) => {
        $(#[$documentation])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum $set {
            $(#[doc = $help] $(#[doc = $more])* $variant,)+
        }

        #[allow(private_interfaces, reason = "as in the trait")]
        impl MetricSet for $set {
            const DESCRIPTION: &'static Description = &Description {
                metrics: &[
                    $(Metric { name: $name, kind: Kind::$kind, help: concat!($help $(, $more)*) },)+
                ],
                histograms: &[
                    $(Metric { name: $histogram, kind: Kind::Histogram, help: $histogram_help },)*
                ],
                bounds: $bounds,
                quiet: $quiet,
            };

            fn index(self) -> usize {
                self as usize
            }
        }
    };
}

metrics! {
    /// Of the process.
    ServerMetric, histograms: [], bounds: REQUEST_BOUNDS,
    quiet: false {
        /// Worker threads that have died.
        WorkersFailed: Counter = "workers_failed",
        /// Log lines that a slow destination made us drop.
        AccessLogDropped: Counter = "access_log_dropped",
        /// Bytes that requests and connections hold in buffers. Updated in steps of 256 KiB.
        BufferedBytes: Gauge = "buffered_bytes",
        /// Streams that were given up because buffers had reached their bound.
        BufferLimitResets: Counter = "buffer_limit_resets",
    }
}

metrics! {
    /// Of the management servers.
    ControlPlaneMetric, histograms: [], bounds: REQUEST_BOUNDS,
    quiet: true {
        /// Whether every stream to a management server is open (1) or not (0).
        ConnectedState: Gauge = "connected_state",
        /// Streams that were lost, or could not be opened.
        StreamsLost: Counter = "streams_lost",
    }
}

metrics! {
    /// Of a type of resources that management servers deliver.
    DiscoveryMetric, histograms: [], bounds: REQUEST_BOUNDS,
    quiet: true {
        /// Requests and answers that were sent.
        UpdateAttempt: Counter = "update_attempt",
        /// Responses that were taken.
        UpdateSuccess: Counter = "update_success",
        /// Responses of which something was refused.
        UpdateRejected: Counter = "update_rejected",
        /// Streams that were lost while they were subscribed to.
        UpdateFailure: Counter = "update_failure",
        /// Times that the first answer was waited for too long.
        InitFetchTimeout: Counter = "init_fetch_timeout",
        /// Resources in use.
        ResourcesActive: Gauge = "resources_active",
        /// Resources that wait for what they need.
        ResourcesWarming: Gauge = "resources_warming",
    }
}

metrics! {
    /// Of the watch over the workers.
    WorkersMetric, histograms: [], bounds: REQUEST_BOUNDS,
    quiet: false {
        /// Times that a worker made no progress for `miss_timeout`.
        WatchdogMiss: Counter = "watchdog_miss",
        /// Times that a worker made no progress for `megamiss_timeout`.
        WatchdogMegaMiss: Counter = "watchdog_mega_miss",
    }
}

metrics! {
    /// Of a resource that the overload manager looks at.
    OverloadResourceMetric, histograms: [], bounds: REQUEST_BOUNDS,
    quiet: false {
        /// How much of it is used, percent.
        Pressure: Gauge = "pressure",
    }
}

metrics! {
    /// Of an overload action.
    OverloadActionMetric, histograms: [], bounds: REQUEST_BOUNDS,
    quiet: false {
        /// Whether it is fully asked for.
        Active: Gauge = "active",
        /// How much of it is asked for, percent.
        ScalePercent: Gauge = "scale_percent",
    }
}

metrics! {
    /// Of a load shed point.
    LoadShedPointMetric, histograms: [], bounds: REQUEST_BOUNDS,
    quiet: false {
        /// How much of what comes is turned away, percent.
        ScalePercent: Gauge = "scale_percent",
        /// How often something was turned away. As of the last look at the resources.
        ShedLoadCount: Counter = "shed_load_count",
    }
}

metrics! {
    /// Of connections that are passed on as they are.
    TcpMetric, histograms: [], bounds: REQUEST_BOUNDS,
    quiet: false {
        /// Connections.
        DownstreamCxTotal: Counter = "downstream_cx_total",
        /// Connections whose cluster does not exist.
        DownstreamCxNoRoute: Counter = "downstream_cx_no_route",
        /// Bytes from clients.
        DownstreamCxRxBytesTotal: Counter = "downstream_cx_rx_bytes_total",
        /// Bytes to clients.
        DownstreamCxTxBytesTotal: Counter = "downstream_cx_tx_bytes_total",
        /// Connections on which nothing has moved for too long.
        IdleTimeout: Counter = "idle_timeout",
        /// Connections that were there for too long.
        MaxDownstreamConnectionDuration: Counter = "max_downstream_connection_duration",
    }
}

metrics! {
    /// Of a listener.
    ListenerMetric, histograms: ["downstream_rq_time": " Time from the head of a request to the end of its response."],
    bounds: REQUEST_BOUNDS,
    quiet: false {
        /// Connections accepted.
        DownstreamCxTotal: Counter = "downstream_cx_total",
        /// Connections closed.
        DownstreamCxDestroy: Counter = "downstream_cx_destroy",
        /// Connections open.
        DownstreamCxActive: Gauge = "downstream_cx_active",
        /// Connections closed because the listener has as many as it may have.
        DownstreamCxOverflow: Counter = "downstream_cx_overflow",
        /// Connections closed because the process has as many as it may have.
        DownstreamGlobalCxOverflow: Counter = "downstream_global_cx_overflow",
        /// Connections closed by an overload action.
        DownstreamCxOverloadReject: Counter = "downstream_cx_overload_reject",
        /// Connections closed because they do not begin with the PROXY protocol as they should.
        DownstreamCxProxyProtoError: Counter = "downstream_cx_proxy_proto_error",
        /// Connections that no filter chain wants.
        NoFilterChainMatch: Counter = "no_filter_chain_match",
        /// TLS handshakes that failed.
        SslConnectionError: Counter = "ssl.connection_error",
        /// TLS handshakes done.
        SslHandshake: Counter = "ssl.handshake",
        /// Requests.
        DownstreamRqTotal: Counter = "downstream_rq_total",
        /// Responses 1xx.
        DownstreamRq1xx: Counter = "downstream_rq_1xx",
        /// Responses 2xx.
        DownstreamRq2xx: Counter = "downstream_rq_2xx",
        /// Responses 3xx.
        DownstreamRq3xx: Counter = "downstream_rq_3xx",
        /// Responses 4xx.
        DownstreamRq4xx: Counter = "downstream_rq_4xx",
        /// Responses 5xx.
        DownstreamRq5xx: Counter = "downstream_rq_5xx",
    }
}

metrics! {
    /// Of a connection manager.
    HttpMetric, histograms: ["downstream_rq_time": " Time from the head of a request to the end of its response."],
    bounds: REQUEST_BOUNDS,
    quiet: false {
        /// Connections.
        DownstreamCxTotal: Counter = "downstream_cx_total",
        /// Connections closed.
        DownstreamCxDestroy: Counter = "downstream_cx_destroy",
        /// Connections open.
        DownstreamCxActive: Gauge = "downstream_cx_active",
        /// HTTP/1 connections.
        DownstreamCxHttp1Total: Counter = "downstream_cx_http1_total",
        /// HTTP/1 connections open.
        DownstreamCxHttp1Active: Gauge = "downstream_cx_http1_active",
        /// HTTP/2 connections.
        DownstreamCxHttp2Total: Counter = "downstream_cx_http2_total",
        /// HTTP/2 connections open.
        DownstreamCxHttp2Active: Gauge = "downstream_cx_http2_active",
        /// TLS connections.
        DownstreamCxSslTotal: Counter = "downstream_cx_ssl_total",
        /// Connections whose client broke the protocol.
        DownstreamCxProtocolError: Counter = "downstream_cx_protocol_error",
        /// Connections closed because they were idle.
        DownstreamCxIdleTimeout: Counter = "downstream_cx_idle_timeout",
        /// HTTP/2 connections closed because the client did not answer a PING.
        Http2KeepaliveTimeout: Counter = "http2.keepalive_timeout",
        /// Connections that end because an overload action asks for it.
        DownstreamCxOverloadDisableKeepalive: Counter = "downstream_cx_overload_disable_keepalive",
        /// Requests that became tunnels.
        DownstreamCxUpgradesTotal: Counter = "downstream_cx_upgrades_total",
        /// Requests.
        DownstreamRqTotal: Counter = "downstream_rq_total",
        /// Requests under way.
        DownstreamRqActive: Gauge = "downstream_rq_active",
        /// HTTP/1 requests.
        DownstreamRqHttp1Total: Counter = "downstream_rq_http1_total",
        /// HTTP/2 requests.
        DownstreamRqHttp2Total: Counter = "downstream_rq_http2_total",
        /// Requests that were answered.
        DownstreamRqCompleted: Counter = "downstream_rq_completed",
        /// Responses 1xx.
        DownstreamRq1xx: Counter = "downstream_rq_1xx",
        /// Responses 2xx.
        DownstreamRq2xx: Counter = "downstream_rq_2xx",
        /// Responses 3xx.
        DownstreamRq3xx: Counter = "downstream_rq_3xx",
        /// Responses 4xx.
        DownstreamRq4xx: Counter = "downstream_rq_4xx",
        /// Responses 5xx.
        DownstreamRq5xx: Counter = "downstream_rq_5xx",
        /// Requests whose client went away.
        DownstreamRqRxReset: Counter = "downstream_rq_rx_reset",
        /// Responses that we reset.
        DownstreamRqTxReset: Counter = "downstream_rq_tx_reset",
        /// Connections closed because their client had reset too many requests before they had an answer.
        DownstreamRqTooManyPrematureResets: Counter = "downstream_rq_too_many_premature_resets",
        /// Requests that ended by the stream idle timeout.
        DownstreamRqIdleTimeout: Counter = "downstream_rq_idle_timeout",
        /// Requests that were not complete in time.
        DownstreamRqTimeout: Counter = "downstream_rq_timeout",
        /// Requests whose head was not complete in time.
        DownstreamRqHeaderTimeout: Counter = "downstream_rq_header_timeout",
        /// Requests that lived too long.
        DownstreamRqMaxDurationReached: Counter = "downstream_rq_max_duration_reached",
        /// Requests answered 503 because an overload action asks for it.
        DownstreamRqOverloadClose: Counter = "downstream_rq_overload_close",
        /// Requests with a body beyond the limit (B-3.6).
        DownstreamRqTooLarge: Counter = "downstream_rq_too_large",
        /// Responses with a body beyond the limit (B-3.6).
        RsTooLarge: Counter = "rs_too_large",
        /// Requests with a path that cannot be normalized.
        DownstreamRqFailedPathNormalization: Counter = "downstream_rq_failed_path_normalization",
        /// Requests that reached the router.
        RqTotal: Counter = "rq_total",
        /// Requests without a route.
        NoRoute: Counter = "no_route",
        /// Requests whose cluster does not exist.
        NoCluster: Counter = "no_cluster",
        /// Requests that a route answered itself.
        RqDirectResponse: Counter = "rq_direct_response",
        /// Requests that a route redirected.
        RqRedirect: Counter = "rq_redirect",
        /// Responses reset after their head went out.
        RqResetAfterDownstreamResponseStarted: Counter = "rq_reset_after_downstream_response_started",
    }
}

metrics! {
    /// Of HTTP/2 with clients.
    Http2Metric, histograms: [], bounds: REQUEST_BOUNDS,
    quiet: false {
        /// Connections closed because too many frames waited for the peer.
        Outbound: Counter = "outbound_flood",
        /// The same of control frames.
        OutboundControl: Counter = "outbound_control_flood",
        /// Connections closed because of frames without a payload.
        InboundEmptyFrames: Counter = "inbound_empty_frames_flood",
        /// Connections closed because of PRIORITY frames.
        InboundPriorityFrames: Counter = "inbound_priority_frames_flood",
        /// Connections closed because of WINDOW_UPDATE frames.
        InboundWindowUpdateFrames: Counter = "inbound_window_update_frames_flood",
        /// Connections closed because of RST_STREAM frames.
        InboundResetFrames: Counter = "inbound_reset_frames_flood",
        /// Connections closed because of HEADERS frames.
        InboundHeadersFrames: Counter = "inbound_headers_frames_flood",
    }
}

impl Metrics<Http2Metric> {
    /// A connection was closed because of a flood.
    pub(crate) fn count_flood(&self, flood: Flood) {
        self.increment(match flood {
            Flood::Outbound => Http2Metric::Outbound,
            Flood::OutboundControl => Http2Metric::OutboundControl,
            Flood::EmptyFrames => Http2Metric::InboundEmptyFrames,
            Flood::Priority => Http2Metric::InboundPriorityFrames,
            Flood::WindowUpdate => Http2Metric::InboundWindowUpdateFrames,
            Flood::Resets => Http2Metric::InboundResetFrames,
            Flood::Heads => Http2Metric::InboundHeadersFrames,
        });
    }
}

impl Metrics<ClusterMetric> {
    /// A connection to a host was closed because of a flood.
    pub(crate) fn count_flood(&self, flood: Flood) {
        self.increment(match flood {
            Flood::Outbound => ClusterMetric::Http2Outbound,
            Flood::OutboundControl => ClusterMetric::Http2OutboundControl,
            Flood::EmptyFrames => ClusterMetric::Http2InboundEmptyFrames,
            Flood::Priority => ClusterMetric::Http2InboundPriorityFrames,
            Flood::WindowUpdate => ClusterMetric::Http2InboundWindowUpdateFrames,
            Flood::Resets => ClusterMetric::Http2InboundResetFrames,
            Flood::Heads => ClusterMetric::Http2InboundHeadersFrames,
        });
    }
}

metrics! {
    /// Of a route.
    RouteMetric, histograms: ["upstream_rq_time": " Time from the head of a request to the end of its response."],
    bounds: REQUEST_BOUNDS,
    quiet: true {
        /// Requests.
        UpstreamRqTotal: Counter = "upstream_rq_total",
        /// Requests that were answered.
        UpstreamRqCompleted: Counter = "upstream_rq_completed",
        /// Responses 1xx.
        UpstreamRq1xx: Counter = "upstream_rq_1xx",
        /// Responses 2xx.
        UpstreamRq2xx: Counter = "upstream_rq_2xx",
        /// Responses 3xx.
        UpstreamRq3xx: Counter = "upstream_rq_3xx",
        /// Responses 4xx.
        UpstreamRq4xx: Counter = "upstream_rq_4xx",
        /// Responses 5xx.
        UpstreamRq5xx: Counter = "upstream_rq_5xx",
    }
}

metrics! {
    /// Of a cluster.
    ClusterMetric, histograms: [
        "upstream_rq_time": " Time from the end of a request to the end of the response of the upstream.",
        "upstream_cx_connect_ms": " Time it took to make a connection."
    ],
    bounds: REQUEST_BOUNDS,
    quiet: false {
        /// Connections begun.
        UpstreamCxTotal: Counter = "upstream_cx_total",
        /// Connections open.
        UpstreamCxActive: Gauge = "upstream_cx_active",
        /// HTTP/1 connections.
        UpstreamCxHttp1Total: Counter = "upstream_cx_http1_total",
        /// HTTP/2 connections.
        UpstreamCxHttp2Total: Counter = "upstream_cx_http2_total",
        /// Connections closed.
        UpstreamCxDestroy: Counter = "upstream_cx_destroy",
        /// Connections that could not be established.
        UpstreamCxConnectFail: Counter = "upstream_cx_connect_fail",
        /// Connections that were not established in time.
        UpstreamCxConnectTimeout: Counter = "upstream_cx_connect_timeout",
        /// Connections not made because of the circuit breaker.
        UpstreamCxOverflow: Counter = "upstream_cx_overflow",
        /// Connections of clients that were turned away after enough attempts to reach an endpoint.
        UpstreamCxConnectAttemptsExceeded: Counter = "upstream_cx_connect_attempts_exceeded",
        /// Connections whose upstream broke the protocol.
        UpstreamCxProtocolError: Counter = "upstream_cx_protocol_error",
        /// Idle connections closed.
        UpstreamCxIdleTimeout: Counter = "upstream_cx_idle_timeout",
        /// HTTP/2 connections closed because the host did not answer a PING.
        Http2KeepaliveTimeout: Counter = "http2.keepalive_timeout",
        /// HTTP/2 connections closed because too many frames waited for the host.
        Http2Outbound: Counter = "http2.outbound_flood",
        /// The same of control frames.
        Http2OutboundControl: Counter = "http2.outbound_control_flood",
        /// HTTP/2 connections closed because of frames without a payload.
        Http2InboundEmptyFrames: Counter = "http2.inbound_empty_frames_flood",
        /// HTTP/2 connections closed because of PRIORITY frames.
        Http2InboundPriorityFrames: Counter = "http2.inbound_priority_frames_flood",
        /// HTTP/2 connections closed because of WINDOW_UPDATE frames.
        Http2InboundWindowUpdateFrames: Counter = "http2.inbound_window_update_frames_flood",
        /// HTTP/2 connections closed because of RST_STREAM frames.
        Http2InboundResetFrames: Counter = "http2.inbound_reset_frames_flood",
        /// HTTP/2 connections closed because of HEADERS frames.
        Http2InboundHeadersFrames: Counter = "http2.inbound_headers_frames_flood",
        /// Requests of an ORIGINAL_DST cluster whose header or metadata have no address.
        OriginalDstHostInvalid: Counter = "original_dst_host_invalid",
        /// Endpoints.
        MembershipTotal: Gauge = "membership_total",
        /// Endpoints that are well.
        MembershipHealthy: Gauge = "membership_healthy",
        /// Endpoints that are degraded.
        MembershipDegraded: Gauge = "membership_degraded",
        /// Endpoints that do not count.
        MembershipExcluded: Gauge = "membership_excluded",
        /// Changes of the endpoints.
        MembershipChange: Counter = "membership_change",
        /// Requests for which all endpoints were used, because too few are well.
        LbHealthyPanic: Counter = "lb_healthy_panic",
        /// Requests that had a subset of the endpoints.
        LbSubsetsSelected: Counter = "lb_subsets_selected",
        /// Requests without a subset that were sent to an endpoint nevertheless.
        LbSubsetsFallback: Counter = "lb_subsets_fallback",
        /// The same of `panic_mode_any`.
        LbSubsetsFallbackPanic: Counter = "lb_subsets_fallback_panic",
        /// Health checks.
        HealthCheckAttempt: Counter = "health_check.attempt",
        /// Health checks that succeeded.
        HealthCheckSuccess: Counter = "health_check.success",
        /// Health checks that failed, or responses that said so.
        HealthCheckFailure: Counter = "health_check.failure",
        /// Responses that said that their endpoint is not well.
        HealthCheckPassiveFailure: Counter = "health_check.passive_failure",
        /// Health checks without an answer.
        HealthCheckNetworkFailure: Counter = "health_check.network_failure",
        /// Endpoints that pass their health checks.
        HealthCheckHealthy: Gauge = "health_check.healthy",
        /// Endpoints whose health checks say that they are degraded.
        HealthCheckDegraded: Gauge = "health_check.degraded",
        /// Endpoints ejected at present.
        EjectionsActive: Gauge = "outlier_detection.ejections_active",
        /// Ejections.
        EjectionsEnforcedTotal: Counter = "outlier_detection.ejections_enforced_total",
        /// Endpoints not ejected because there are as many as may be.
        EjectionsOverflow: Counter = "outlier_detection.ejections_overflow",
        /// Endpoints that failed too often in a row.
        EjectionsDetectedConsecutive5xx: Counter = "outlier_detection.ejections_detected_consecutive_5xx",
        /// Ejections because of that.
        EjectionsEnforcedConsecutive5xx: Counter = "outlier_detection.ejections_enforced_consecutive_5xx",
        /// Endpoints with too many statuses 502, 503 and 504 in a row.
        EjectionsDetectedConsecutiveGatewayFailure: Counter =
            "outlier_detection.ejections_detected_consecutive_gateway_failure",
        /// Ejections because of that.
        EjectionsEnforcedConsecutiveGatewayFailure: Counter =
            "outlier_detection.ejections_enforced_consecutive_gateway_failure",
        /// Endpoints with too many failures on our side in a row.
        EjectionsDetectedConsecutiveLocalOriginFailure: Counter =
            "outlier_detection.ejections_detected_consecutive_local_origin_failure",
        /// Ejections because of that.
        EjectionsEnforcedConsecutiveLocalOriginFailure: Counter =
            "outlier_detection.ejections_enforced_consecutive_local_origin_failure",
        /// Endpoints whose success rate is far below the others'.
        EjectionsDetectedSuccessRate: Counter = "outlier_detection.ejections_detected_success_rate",
        /// Ejections because of that.
        EjectionsEnforcedSuccessRate: Counter = "outlier_detection.ejections_enforced_success_rate",
        /// The same for failures on our side.
        EjectionsDetectedLocalOriginSuccessRate: Counter =
            "outlier_detection.ejections_detected_local_origin_success_rate",
        /// Ejections because of that.
        EjectionsEnforcedLocalOriginSuccessRate: Counter =
            "outlier_detection.ejections_enforced_local_origin_success_rate",
        /// Endpoints of which too many requests failed.
        EjectionsDetectedFailurePercentage: Counter = "outlier_detection.ejections_detected_failure_percentage",
        /// Ejections because of that.
        EjectionsEnforcedFailurePercentage: Counter = "outlier_detection.ejections_enforced_failure_percentage",
        /// The same for failures on our side.
        EjectionsDetectedLocalOriginFailurePercentage: Counter =
            "outlier_detection.ejections_detected_local_origin_failure_percentage",
        /// Ejections because of that.
        EjectionsEnforcedLocalOriginFailurePercentage: Counter =
            "outlier_detection.ejections_enforced_local_origin_failure_percentage",
        /// Requests without a usable endpoint.
        UpstreamCxNoneHealthy: Counter = "upstream_cx_none_healthy",
        /// Requests.
        UpstreamRqTotal: Counter = "upstream_rq_total",
        /// Requests under way.
        UpstreamRqActive: Gauge = "upstream_rq_active",
        /// Requests that waited for a connection.
        UpstreamRqPendingTotal: Counter = "upstream_rq_pending_total",
        /// Requests that wait for a connection.
        UpstreamRqPendingActive: Gauge = "upstream_rq_pending_active",
        /// Requests refused by the circuit breaker.
        UpstreamRqPendingOverflow: Counter = "upstream_rq_pending_overflow",
        /// Requests that waited for a connection which could not be made.
        UpstreamRqPendingFailureEject: Counter = "upstream_rq_pending_failure_eject",
        /// Requests given up by us before the response.
        UpstreamRqCancelled: Counter = "upstream_rq_cancelled",
        /// Requests that ended by the route's timeout.
        UpstreamRqTimeout: Counter = "upstream_rq_timeout",
        /// Tries that took too long.
        UpstreamRqPerTryTimeout: Counter = "upstream_rq_per_try_timeout",
        /// Requests tried again.
        UpstreamRqRetry: Counter = "upstream_rq_retry",
        /// Requests that had a good end after they were tried again.
        UpstreamRqRetrySuccess: Counter = "upstream_rq_retry_success",
        /// Requests not tried again because of the circuit breaker.
        UpstreamRqRetryOverflow: Counter = "upstream_rq_retry_overflow",
        /// Requests not tried again because there were enough tries.
        UpstreamRqRetryLimitExceeded: Counter = "upstream_rq_retry_limit_exceeded",
        /// Requests that the upstream reset.
        UpstreamRqRxReset: Counter = "upstream_rq_rx_reset",
        /// Requests that we reset.
        UpstreamRqTxReset: Counter = "upstream_rq_tx_reset",
        /// Requests that were answered.
        UpstreamRqCompleted: Counter = "upstream_rq_completed",
        /// Responses 1xx.
        UpstreamRq1xx: Counter = "upstream_rq_1xx",
        /// Responses 2xx.
        UpstreamRq2xx: Counter = "upstream_rq_2xx",
        /// Responses 3xx.
        UpstreamRq3xx: Counter = "upstream_rq_3xx",
        /// Responses 4xx.
        UpstreamRq4xx: Counter = "upstream_rq_4xx",
        /// Responses 5xx.
        UpstreamRq5xx: Counter = "upstream_rq_5xx",
    }
}

metrics! {
    /// Of a processor.
    ProcessorMetric, histograms: [
        "message_time[step=request_headers]": " Time a message waited for its reply.",
        "message_time[step=request_body]": " Time a message waited for its reply.",
        "message_time[step=request_trailers]": " Time a message waited for its reply.",
        "message_time[step=response_headers]": " Time a message waited for its reply.",
        "message_time[step=response_body]": " Time a message waited for its reply.",
        "message_time[step=response_trailers]": " Time a message waited for its reply.",
        "stream_wait_time": " Time an exchange waited for a stream that could be used."
    ],
    bounds: PROCESSOR_BOUNDS,
    quiet: false {
        /// Streams begun.
        StreamsTotal: Counter = "streams_total",
        /// Streams open.
        StreamsActive: Gauge = "streams_active",
        /// Streams that ended with an error.
        StreamsFailed: Counter = "streams_failed",
        /// Messages sent.
        MessagesSent: Counter = "messages_sent",
        /// Messages received.
        MessagesReceived: Counter = "messages_received",
        /// Replies that did not come in time.
        MessageTimeouts: Counter = "message_timeouts",
        /// Immediate responses: the processor answered the client itself.
        ImmediateResponses: Counter = "immediate_responses",
        /// Operations of header mutations that were ignored or refused.
        RejectedHeaderMutations: Counter = "rejected_header_mutations",
        /// Failed exchanges after which the request went on without the processor.
        FailedOpen: Counter = "failed_open",
        /// Failed exchanges by reason: no reply in time.
        FailedTimeout: Counter = "failures[reason=timeout]",
        /// Failed exchanges by reason: a message that does not fit.
        FailedUnexpectedMessage: Counter = "failures[reason=unexpected_message]",
        /// Failed exchanges by reason: not reachable, or the stream ended with an error.
        FailedStream: Counter = "failures[reason=stream]",
        /// Failed exchanges by reason: a header mutation that was refused.
        FailedMutation: Counter = "failures[reason=refused_mutation]",
        /// Failed exchanges by reason: a body of another length than announced.
        FailedContentLength: Counter = "failures[reason=content_length_mismatch]",
        /// Failed exchanges by reason: the stream ended while a part of a body was owed.
        FailedMidBody: Counter = "failures[reason=closed_mid_body]",
        /// Failed exchanges by reason: a streamed response that cannot be sent.
        FailedResponse: Counter = "failures[reason=unusable_response]",
    }
}

metrics! {
    /// Of an ext_proc filter: all counters of rule Z-2.
    ExtProcMetric, histograms: [], bounds: REQUEST_BOUNDS,
    quiet: false {
        /// Streams opened; also when the connection fails later.
        StreamsStarted: Counter = "streams_started",
        /// Messages sent.
        StreamMsgsSent: Counter = "stream_msgs_sent",
        /// Replies accepted.
        StreamMsgsReceived: Counter = "stream_msgs_received",
        /// Spurious messages.
        SpuriousMsgsReceived: Counter = "spurious_msgs_received",
        /// Streams closed by us, or by the processor with OK.
        StreamsClosed: Counter = "streams_closed",
        /// Streams that ended with an error or could not be created.
        StreamsFailed: Counter = "streams_failed",
        /// Failures ignored by fail open.
        FailureModeAllowed: Counter = "failure_mode_allowed",
        /// Replies that did not come in time.
        MessageTimeouts: Counter = "message_timeouts",
        /// Ignored operations and refused mutations.
        RejectedHeaderMutations: Counter = "rejected_header_mutations",
        /// Timeouts extended.
        OverrideMessageTimeoutReceived: Counter = "override_message_timeout_received",
        /// Extensions of timeouts that were ignored.
        OverrideMessageTimeoutIgnored: Counter = "override_message_timeout_ignored",
        /// Requests to clear the route cache that came without a header mutation (K-3).
        ClearRouteCacheIgnored: Counter = "clear_route_cache_ignored",
        /// Requests to clear the route cache where that is switched off (K-4).
        ClearRouteCacheDisabled: Counter = "clear_route_cache_disabled",
        /// Requests to clear the route cache behind the router (K-2).
        ClearRouteCacheUpstreamIgnored: Counter = "clear_route_cache_upstream_ignored",
        /// Local replies: immediate responses and errors.
        ImmediateResponsesSent: Counter = "immediate_responses_sent",
        /// Ends of the stream by the processor while there was work.
        ServerHalfClosed: Counter = "server_half_closed",
    }
}

pub(super) use metrics;

macro_rules! response_classes {
    ($set:ident: $($class:ident)+) => {
        impl ResponseClasses for $set {
            const CLASSES: &'static [Self; 5] = &[$(Self::$class,)+];
        }
    };
}

response_classes!(
    ListenerMetric: DownstreamRq1xx DownstreamRq2xx DownstreamRq3xx DownstreamRq4xx DownstreamRq5xx
);
response_classes!(
    HttpMetric: DownstreamRq1xx DownstreamRq2xx DownstreamRq3xx DownstreamRq4xx DownstreamRq5xx
);
response_classes!(RouteMetric: UpstreamRq1xx UpstreamRq2xx UpstreamRq3xx UpstreamRq4xx UpstreamRq5xx);
response_classes!(ClusterMetric: UpstreamRq1xx UpstreamRq2xx UpstreamRq3xx UpstreamRq4xx UpstreamRq5xx);
