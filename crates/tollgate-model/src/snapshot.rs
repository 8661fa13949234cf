//! The root of the model.

use std::{collections::HashMap, net::SocketAddr, num::NonZeroUsize, sync::Arc};

use bytes::Bytes;
use serde::Serialize;

use crate::{
    cluster::Cluster, listener::Listener, management::Management, overload::OverloadManager, shared::same,
    watchdog::Watchdog,
};

/// A complete, immutable configuration. Cheap to clone: listeners and clusters are shared.
#[derive(Debug, Clone, Default, Serialize)]
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

impl PartialEq for Snapshot {
    fn eq(&self, other: &Self) -> bool {
        // Named one by one, so that none is forgotten.
        let Self { listeners, clusters, admin_address, node, overload, watchdog, concurrency, management } =
            self;
        let same_cluster =
            |(name, cluster)| other.clusters.get(name).is_some_and(|other| same(cluster, other));
        *admin_address == other.admin_address
            && *node == other.node
            && *overload == other.overload
            && *watchdog == other.watchdog
            && *concurrency == other.concurrency
            && *management == other.management
            && listeners.len() == other.listeners.len()
            && listeners.iter().zip(&other.listeners).all(|(one, other)| same(one, other))
            && clusters.len() == other.clusters.len()
            && clusters.iter().all(same_cluster)
    }
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
