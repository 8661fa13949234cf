//! The root of the model.

use std::{collections::HashMap, net::SocketAddr, num::NonZeroUsize, sync::Arc};

use bytes::Bytes;
use serde::Serialize;

use crate::{
    cluster::Cluster, listener::Listener, management::Management, overload::OverloadManager,
    watchdog::Watchdog,
};

/// A complete, immutable configuration.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Snapshot {
    /// Listeners by configuration order; names are unique.
    pub listeners: Vec<Arc<Listener>>,
    /// Clusters by name.
    pub clusters: HashMap<String, Arc<Cluster>>,
    /// Where the admin server listens, when the configuration says so.
    pub admin_address: Option<SocketAddr>,
    /// Who this gateway is.
    pub node: Node,
    /// Limits of the whole process, and what happens when a resource runs short. Default: no limits.
    pub overload: OverloadManager,
    /// What is done about a worker that hangs.
    pub watchdog: Watchdog,
    /// Threads that serve requests, when the configuration says so; it counts when a gateway starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<NonZeroUsize>,
    /// Where resources come from that are not here. `None` = everything is here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub management: Option<Arc<Management>>,
}

/// The identity a configuration gives the gateway; visible as the attribute `xds.node` and in admin output.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
pub struct Node {
    /// `node.id`.
    pub id: String,
    /// `node.cluster`.
    pub cluster: String,
    /// The whole of it, for management servers: the bytes of an `envoy.config.core.v3.Node`. Empty if there is no more to say.
    #[serde(skip)]
    pub message: Bytes,
}
