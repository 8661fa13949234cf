//! What protects the process when memory or connections run short.

use std::{path::PathBuf, time::Duration};

use serde::Serialize;

/// Limits of the whole process, and what happens when a resource runs short.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OverloadManager {
    /// How often resources are looked at. Default 1 s.
    pub refresh_interval: Duration,
    /// Most connections of clients, all listeners and workers together. Further ones are closed as soon as they are
    /// accepted. `None` = no limit.
    pub max_downstream_connections: Option<u64>,
    /// What is looked at.
    pub resources: Vec<Resource>,
    /// What is done.
    pub actions: Vec<OverloadAction>,
    /// What [`OverloadActionKind::ReduceTimeouts`] reduces; each timeout once at most.
    pub reduced_timeouts: Vec<ReducedTimeout>,
}

impl Default for OverloadManager {
    fn default() -> Self {
        Self {
            refresh_interval: Duration::from_secs(1),
            max_downstream_connections: None,
            resources: Vec::new(),
            actions: Vec::new(),
            reduced_timeouts: Vec::new(),
        }
    }
}

/// Something that can run short. Its pressure is the share that is used, 1 when nothing is left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Resource {
    /// Its name in Envoy, unique.
    pub name: String,
    /// What it is.
    pub monitor: ResourceMonitor,
}

/// How the pressure of a resource is found out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ResourceMonitor {
    /// Resident memory of the process.
    FixedHeap {
        /// What counts as all, bytes; more than 0.
        max_heap_size_bytes: u64,
    },
    /// Memory of the control group that the process runs in.
    CgroupMemory {
        /// What counts as all, bytes, if it is less than the limit of the group.
        max_memory_bytes: Option<u64>,
    },
    /// Connections of clients, as far as `max_downstream_connections` counts them.
    DownstreamConnections,
    /// Processor time, smoothed over about twenty looks.
    CpuUtilization {
        /// Of the control group that the process runs in, as a share of what it may use; else of the whole machine.
        container: bool,
    },
    /// A file with a number from 0 to 1.
    Injected {
        /// The file.
        filename: PathBuf,
    },
}

/// Something that is done while resources run short.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OverloadAction {
    /// What.
    pub kind: OverloadActionKind,
    /// When; the one that asks for most decides.
    pub triggers: Vec<OverloadTrigger>,
}

/// What is done while resources run short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OverloadActionKind {
    /// New requests are answered with 503.
    StopAcceptingRequests,
    /// Connections stay in the queues of the kernel.
    StopAcceptingConnections,
    /// Connections are accepted and closed at once.
    RejectIncomingConnections,
    /// Connections end with the response that is under way.
    DisableHttpKeepalive,
    /// The allocator gives free memory back to the system.
    ShrinkHeap,
    /// Requests that hold much memory are ended.
    ResetHighMemoryStream,
    /// Clients are waited for less long; [`OverloadManager::reduced_timeouts`] says where.
    ReduceTimeouts,
    /// Load shed point: connections are closed as soon as they are accepted.
    TcpListenerAccept,
    /// Load shed point: requests are answered with 503 before any filter sees them.
    HttpConnectionManagerDecodeHeaders,
    /// Load shed point: what arrives on an HTTP/1 connection is answered with 500, and the connection ends.
    Http1ServerAbortDispatch,
    /// Load shed point: connections on which something arrives take no further requests.
    Http2ServerGoAwayOnDispatch,
    /// Load shed point: connections on which something arrives are closed.
    Http2ServerGoAwayAndCloseOnDispatch,
    /// Load shed point: connections are closed when the first bytes of HTTP arrive.
    HcmOnDataCreatingCodec,
    /// Load shed point: requests that have come through the filters are answered with 503.
    HttpDownstreamFilterCheck,
}

impl OverloadActionKind {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::StopAcceptingRequests,
        Self::StopAcceptingConnections,
        Self::RejectIncomingConnections,
        Self::DisableHttpKeepalive,
        Self::ShrinkHeap,
        Self::ResetHighMemoryStream,
        Self::ReduceTimeouts,
        Self::TcpListenerAccept,
        Self::HttpConnectionManagerDecodeHeaders,
        Self::Http1ServerAbortDispatch,
        Self::Http2ServerGoAwayOnDispatch,
        Self::Http2ServerGoAwayAndCloseOnDispatch,
        Self::HcmOnDataCreatingCodec,
        Self::HttpDownstreamFilterCheck,
    ];

    /// Its name in Envoy, of an action or of a load shed point.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::StopAcceptingRequests => "envoy.overload_actions.stop_accepting_requests",
            Self::StopAcceptingConnections => "envoy.overload_actions.stop_accepting_connections",
            Self::RejectIncomingConnections => "envoy.overload_actions.reject_incoming_connections",
            Self::DisableHttpKeepalive => "envoy.overload_actions.disable_http_keepalive",
            Self::ShrinkHeap => "envoy.overload_actions.shrink_heap",
            Self::ResetHighMemoryStream => "envoy.overload_actions.reset_high_memory_stream",
            Self::ReduceTimeouts => "envoy.overload_actions.reduce_timeouts",
            Self::TcpListenerAccept => "envoy.load_shed_points.tcp_listener_accept",
            Self::HttpConnectionManagerDecodeHeaders => {
                "envoy.load_shed_points.http_connection_manager_decode_headers"
            }
            Self::Http1ServerAbortDispatch => "envoy.load_shed_points.http1_server_abort_dispatch",
            Self::Http2ServerGoAwayOnDispatch => "envoy.load_shed_points.http2_server_go_away_on_dispatch",
            Self::Http2ServerGoAwayAndCloseOnDispatch => {
                "envoy.load_shed_points.http2_server_go_away_and_close_on_dispatch"
            }
            Self::HcmOnDataCreatingCodec => "envoy.load_shed_points.hcm_ondata_creating_codec",
            Self::HttpDownstreamFilterCheck => "envoy.load_shed_points.http_downstream_filter_check",
        }
    }

    /// Whether it is a load shed point, not an action.
    #[must_use]
    pub fn is_load_shed_point(self) -> bool {
        self.name().starts_with("envoy.load_shed_points.")
    }
}

/// How much less long clients are waited for somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ReducedTimeout {
    /// Where.
    pub timeout: ClientTimeout,
    /// What is left of it when the action is fully asked for.
    pub minimum: TimeoutMinimum,
}

/// A time for which clients are waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientTimeout {
    /// `idle_timeout` of connections.
    ConnectionIdle,
    /// `stream_idle_timeout`, and `idle_timeout` of routes.
    StreamIdle,
    /// `transport_socket_connect_timeout`: the TLS handshake.
    TransportSocketConnect,
    /// `max_connection_duration`.
    ConnectionMax,
    /// How long a client may take to accept the end of a response.
    StreamFlush,
}

impl ClientTimeout {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::ConnectionIdle,
        Self::StreamIdle,
        Self::TransportSocketConnect,
        Self::ConnectionMax,
        Self::StreamFlush,
    ];
}

/// What is left of a timeout at full pressure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeoutMinimum {
    /// So long, if the timeout is longer.
    Absolute(Duration),
    /// This share of the timeout, 0 to 1.
    Share(f32),
}

/// When something is done.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct OverloadTrigger {
    /// The resource, by its place in [`OverloadManager::resources`].
    pub resource: usize,
    /// From which pressure.
    pub threshold: OverloadThreshold,
}

/// From which pressure something is done, and how much of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OverloadThreshold {
    /// Fully from this pressure on.
    Fixed(f64),
    /// From `scaling` on, growing to fully at `saturation`, which is more.
    Scaled {
        /// Nothing is done up to here.
        scaling: f64,
        /// Fully from here on.
        saturation: f64,
    },
}

impl OverloadThreshold {
    /// How much is done at this pressure, 0 to 1.
    #[must_use]
    pub fn value(self, pressure: f64) -> f64 {
        match self {
            Self::Fixed(threshold) => f64::from(u8::from(pressure >= threshold)),
            Self::Scaled { scaling, saturation } => {
                if pressure <= scaling {
                    0.0
                } else if pressure >= saturation {
                    1.0
                } else {
                    (pressure - scaling) / (saturation - scaling)
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds() {
        let fixed = OverloadThreshold::Fixed(0.9);
        assert_eq!([0.0, 0.89, 0.9, 1.5].map(|pressure| fixed.value(pressure)), [0.0, 0.0, 1.0, 1.0]);
        let scaled = OverloadThreshold::Scaled { scaling: 0.5, saturation: 1.0 };
        assert_eq!([0.5, 0.75, 1.0, 2.0].map(|pressure| scaled.value(pressure)), [0.0, 0.5, 1.0, 1.0]);
    }
}
