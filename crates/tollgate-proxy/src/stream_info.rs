//! Everything known about a connection and about one request on it: for access logs, format strings, attributes and
//! statistics.

use std::{
    borrow::Cow,
    net::SocketAddr,
    rc::{Rc, Weak},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use extproc::metadata::DynamicMetadata;
use http::StatusCode;
use tollgate_model::{
    cluster::{Cluster, Endpoint},
    listener::{FilterChain, Listener},
};

use crate::configuration::{ChainConfiguration, WorkerRoute};
pub(crate) use crate::{
    meter::{Meter, SharedMeter},
    response_flags::ResponseFlags,
    tls_info::TlsInfo,
};

/// The response code details of a response of the upstream.
pub(crate) const VIA_UPSTREAM: Cow<'static, str> = Cow::Borrowed("via_upstream");

/// A client connection.
#[derive(Debug)]
pub(crate) struct ConnectionInfo {
    /// Unique in the process.
    pub(crate) id: u64,
    /// The peer; `None` on a Unix socket.
    pub(crate) remote_address: Option<SocketAddr>,
    /// Our side; `None` on a Unix socket.
    pub(crate) local_address: Option<SocketAddr>,
    /// What the client wanted to connect to, if it was redirected and the listener asks for it: `local_address` is this one
    /// then.
    pub(crate) original_destination: Option<SocketAddr>,
    /// The peer itself where it speaks for somebody else (PROXY protocol); else the same as `remote_address`.
    pub(crate) direct_remote_address: Option<SocketAddr>,
    /// TLS facts, if any.
    pub(crate) tls: Option<TlsInfo>,
    /// When it was accepted.
    pub(crate) accepted: Instant,
    /// When the TLS handshake began and ended, if there was one.
    pub(crate) handshake: Option<(Instant, Instant)>,
}

/// What serves a request: a filter chain of a listener, of one configuration.
#[derive(Debug)]
pub(crate) struct FilterChainInfo {
    /// The listener.
    pub(crate) listener: Arc<Listener>,
    /// Index into the listener's filter chains; `None` = the default one.
    pub(crate) filter_chain: Option<usize>,
}

impl FilterChainInfo {
    /// The filter chain.
    pub(crate) fn filter_chain(&self) -> &FilterChain {
        let Listener { filter_chains, default_filter_chain, .. } = &*self.listener;
        match (self.filter_chain, default_filter_chain) {
            (None, Some(default)) => default,
            // There need be no other one than the default one.
            (index, _) => &filter_chains[index.unwrap_or(0)],
        }
    }
}

/// HTTP version of a request as its client speaks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
    /// HTTP/2.
    Http2,
}

impl Protocol {
    /// As logs and attributes name it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        }
    }
}

/// One request and its response so far.
#[derive(Debug)]
pub(crate) struct StreamInfo {
    /// The connection it came on.
    pub(crate) connection: Rc<ConnectionInfo>,
    /// What serves it.
    pub(crate) chain: Rc<FilterChainInfo>,
    /// Version the client speaks.
    pub(crate) protocol: Protocol,
    /// The client as far as it can be trusted; port 0 if a proxy named it. `None` on Unix sockets.
    pub(crate) remote_address: Option<SocketAddr>,
    /// When the request head was complete (wall clock).
    pub(crate) start_time: SystemTime,
    /// The same moment on the monotonic clock.
    pub(crate) start: Instant,
    /// When the request was complete.
    pub(crate) last_downstream_rx: Option<Instant>,
    /// When the first byte of the request went upstream.
    pub(crate) first_upstream_tx: Option<Instant>,
    /// When the last byte of the request went upstream.
    pub(crate) last_upstream_tx: Option<Instant>,
    /// When the upstream's head arrived.
    pub(crate) first_upstream_rx: Option<Instant>,
    /// When the first piece of the upstream's body arrived.
    pub(crate) first_upstream_body_rx: Option<Instant>,
    /// When the upstream's response was complete.
    pub(crate) last_upstream_rx: Option<Instant>,
    /// When the first byte of the response went to the client.
    pub(crate) first_downstream_tx: Option<Instant>,
    /// When the response was complete.
    pub(crate) last_downstream_tx: Option<Instant>,
    /// What the client sent could not be read as the head of a request: there is none to show.
    pub(crate) malformed: bool,
    /// A filter took the request for a health check.
    pub(crate) is_health_check: bool,
    /// Body bytes from the client.
    pub(crate) bytes_received: u64,
    /// Body bytes to the client.
    pub(crate) bytes_sent: u64,
    /// Status sent to the client.
    pub(crate) response_code: Option<StatusCode>,
    /// Response code details; `None` = nobody said anything, which is not the same as nothing (I-5).
    pub(crate) response_code_details: Option<Cow<'static, str>>,
    /// Response flags (`UF`, `NR`, ...).
    pub(crate) response_flags: ResponseFlags,
    /// The route in force.
    pub(crate) route: Option<Rc<WorkerRoute>>,
    /// How often it was looked for.
    pub(crate) route_resolutions: u32,
    /// How long that took, if a log shows it.
    pub(crate) route_resolution_time: Duration,
    /// The configuration that the request is served by, which its transaction holds.
    pub(crate) configuration: Weak<ChainConfiguration>,
    /// Upstream side, once an endpoint was chosen.
    pub(crate) upstream: UpstreamInfo,
    /// Dynamic metadata.
    pub(crate) metadata: DynamicMetadata,
    /// Bytes on the client's connection.
    pub(crate) downstream_meter: Meter,
    /// Bytes on the connections to the upstream, all tries together; `None` = nobody asked for them.
    pub(crate) upstream_meter: Option<SharedMeter>,
}

impl StreamInfo {
    /// A request whose head has just arrived.
    pub(crate) fn new(
        connection: Rc<ConnectionInfo>,
        chain: Rc<FilterChainInfo>,
        protocol: Protocol,
        now: Instant,
    ) -> Self {
        Self {
            remote_address: connection.remote_address,
            connection,
            chain,
            protocol,
            start_time: SystemTime::now(),
            start: now,
            last_downstream_rx: None,
            first_upstream_tx: None,
            last_upstream_tx: None,
            first_upstream_rx: None,
            first_upstream_body_rx: None,
            last_upstream_rx: None,
            first_downstream_tx: None,
            last_downstream_tx: None,
            malformed: false,
            is_health_check: false,
            bytes_received: 0,
            bytes_sent: 0,
            response_code: None,
            response_code_details: None,
            response_flags: ResponseFlags::default(),
            route: None,
            route_resolutions: 0,
            route_resolution_time: Duration::ZERO,
            configuration: Weak::new(),
            upstream: UpstreamInfo::default(),
            metadata: DynamicMetadata::default(),
            downstream_meter: Meter::default(),
            upstream_meter: None,
        }
    }
}

/// An endpoint of a cluster's configuration.
#[derive(Debug)]
pub(crate) struct ConfiguredEndpoint {
    /// The cluster.
    pub(crate) cluster: Arc<Cluster>,
    /// Which of its endpoints.
    pub(crate) index: usize,
}

impl ConfiguredEndpoint {
    /// The endpoint.
    pub(crate) fn get(&self) -> Option<&Endpoint> {
        self.cluster.endpoints.get(self.index)
    }
}

/// What is known about the upstream side.
#[derive(Debug, Clone, Default)]
pub(crate) struct UpstreamInfo {
    /// Cluster name.
    pub(crate) cluster: Option<Rc<str>>,
    /// What the cluster is called in statistics, if that is another name.
    pub(crate) stat_name: Option<Rc<str>>,
    /// Endpoint: `ip:port` or socket path.
    pub(crate) address: Option<Rc<str>>,
    /// Our side of the upstream connection.
    pub(crate) local_address: Option<SocketAddr>,
    /// Tries so far.
    pub(crate) attempt_count: u32,
    /// Version the upstream speaks, once a connection is there.
    pub(crate) protocol: Option<Protocol>,
    /// TLS facts of the connection, if any.
    pub(crate) tls: Option<Rc<TlsInfo>>,
    /// How long a connection was waited for, until it was there or failed.
    pub(crate) pool_ready_duration: Option<Duration>,
    /// The endpoint's host name, where the configuration gives one.
    pub(crate) host_name: Option<Rc<str>>,
    /// What was configured for the endpoint.
    pub(crate) endpoint: Option<Rc<ConfiguredEndpoint>>,
    /// Number of the connection; 0 without one.
    pub(crate) connection_id: u64,
    /// How the connection was made, once there is one.
    pub(crate) connect: Option<ConnectTimes>,
    /// `%UPSTREAM_TRANSPORT_FAILURE_REASON%`.
    pub(crate) transport_failure_reason: Option<String>,
}

/// How a connection to a host was made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConnectTimes {
    /// When it was begun.
    pub(crate) began: Instant,
    /// When the socket was connected.
    pub(crate) connected: Instant,
    /// When the TLS handshake was over, if there was one.
    pub(crate) handshake: Option<Instant>,
}
