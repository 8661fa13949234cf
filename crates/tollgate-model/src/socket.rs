//! Settings of TCP connections that find peers which are not there any more.

use std::time::Duration;

use serde::Serialize;

/// Settings of TCP connections; they do not concern Unix sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TcpOptions {
    /// Probes of connections on which nothing happens. `None` = no probes.
    pub keepalive: Option<TcpKeepalive>,
    /// How long sent bytes may be unacknowledged, or a peer may keep its window closed, before the connection is given
    /// up (`TCP_USER_TIMEOUT`). `None` = as long as the system tries, about 15 minutes.
    pub user_timeout: Option<Duration>,
}

/// Probes of connections on which nothing happens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct TcpKeepalive {
    /// Unanswered probes after which a connection is given up, 1 to 127. `None` = the system's setting.
    pub probes: Option<u32>,
    /// Seconds without traffic before the first probe, 1 to 32767. `None` = the system's setting.
    pub time: Option<u32>,
    /// Seconds between probes, 1 to 32767. `None` = the system's setting.
    pub interval: Option<u32>,
}

impl TcpOptions {
    /// For clients: one that has vanished is noticed after two minutes without traffic.
    pub const DOWNSTREAM: Self = Self {
        keepalive: Some(TcpKeepalive { probes: Some(4), time: Some(60), interval: Some(15) }),
        user_timeout: None,
    };

    /// For upstreams: one that has vanished is noticed after half a minute without traffic.
    pub const UPSTREAM: Self = Self {
        keepalive: Some(TcpKeepalive { probes: Some(3), time: Some(15), interval: Some(5) }),
        user_timeout: None,
    };

    /// For upstreams that speak HTTP/2, processors among them, which always read what they are sent: one that has vanished
    /// is noticed after 20 seconds with traffic, too.
    pub const HTTP2_UPSTREAM: Self = Self { user_timeout: Some(Duration::from_secs(20)), ..Self::UPSTREAM };
}
