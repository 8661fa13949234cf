//! How a gateway and its listeners are set up, where it is not as their controller does it.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use tollgate_ir::HttpConnectionManager;
use tollgate_model::{access_log::AccessLog, socket::TcpOptions};

use super::Controller;

/// Settings of a gateway that are written in no Gateway.
#[derive(Debug, Clone)]
pub(crate) struct GatewaySettings {
    pub(crate) ip_family: Option<IpFamily>,
    /// Rules are tried in the order in which they are written.
    pub(crate) preserve_route_order: bool,
    /// Requests on a connection for the host of another listener of the port are told so (9.3).
    pub(crate) tells_misdirected: bool,
    /// The gateways of the class share their ports.
    pub(crate) merge_gateways: bool,
    /// Threads that serve requests.
    pub(crate) concurrency: Option<NonZeroUsize>,
    /// Access logs, where they are not those of the command line.
    pub(crate) access_logs: Option<Vec<Arc<AccessLog>>>,
}

impl Default for GatewaySettings {
    /// Those of a gateway that refers to nothing.
    fn default() -> Self {
        Self {
            ip_family: None,
            preserve_route_order: false,
            tells_misdirected: true,
            merge_gateways: false,
            concurrency: None,
            access_logs: None,
        }
    }
}

/// Addresses of listeners and of names of backends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IpFamily {
    V4,
    V6,
    Both,
}

/// How a listener treats its clients. Listeners that are served together have to agree.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ListenerSettings {
    /// Limit of buffered bodies, bytes.
    pub(crate) buffer_limit: usize,
    /// Most connections at a time; `None` = no limit.
    pub(crate) max_connections: Option<u64>,
    pub(crate) tcp: TcpOptions,
    /// Limit of a TLS handshake.
    pub(crate) handshake_timeout: Option<Duration>,
    /// Limit of the first bytes of a connection.
    pub(crate) inspection_timeout: Option<Duration>,
    /// Everything but its routes, filters and logs.
    pub(crate) http: HttpConnectionManager,
}

/// How long a TLS handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(15);

/// The upgrade that most controllers allow without being asked for.
pub(super) const WEBSOCKET: &str = "websocket";

impl ListenerSettings {
    /// As a controller does it.
    pub(super) fn of(controller: &Controller) -> Self {
        let mut http = HttpConnectionManager {
            upgrade_types: vec![WEBSOCKET.to_owned()],
            ..HttpConnectionManager::new(String::new(), String::new(), Vec::new())
        };
        (controller.defaults.connection_manager)(&mut http);
        Self {
            buffer_limit: controller.defaults.buffer_limit,
            max_connections: None,
            tcp: TcpOptions::DOWNSTREAM,
            handshake_timeout: Some(HANDSHAKE_TIMEOUT),
            inspection_timeout: Some(HANDSHAKE_TIMEOUT),
            http,
        }
    }
}
