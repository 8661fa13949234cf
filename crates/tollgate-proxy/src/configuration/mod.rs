//! The configuration in force, as one worker uses it.
//!
//! An update gives every worker the same [`Adoption`]. A worker takes it in between two polls of its tasks: from then on
//! each new request finds, through the [`ServedChain`] of its connection, one [`ChainConfiguration`], which is all of
//! one configuration and which the request keeps to its end. There is nothing to lock and nothing to compare on the way
//! of a request.

mod routes;
mod served;

use std::{collections::HashSet, rc::Rc, sync::Arc};

use tollgate_model::{
    Snapshot,
    access_log::LogSink,
    format::{ByteCount, Operator},
    http_connection_manager::HttpConnectionManager,
    listener::FilterChain,
};

pub(crate) use routes::{WorkerRoute, WorkerRoutes};
pub(crate) use served::{Served, ServedChain, ServedListener};

use crate::{
    overload::Overload,
    stats::ConnectionStats,
    stream_info::FilterChainInfo,
    upstream::{ClusterManager, SharedClusters},
};

/// What the requests of one filter chain are served by: parts of the same configuration.
#[derive(Debug)]
pub(crate) struct ChainConfiguration {
    /// The whole configuration.
    pub(crate) snapshot: Arc<Snapshot>,
    /// Its clusters.
    pub(crate) clusters: Rc<ClusterManager>,
    /// Listener and filter chain.
    pub(crate) chain: Rc<FilterChainInfo>,
    /// Its routes.
    pub(crate) routes: Rc<WorkerRoutes>,
    /// Where requests are counted.
    pub(crate) stats: Rc<ConnectionStats>,
    /// What its access logs show beyond what is known anyway.
    pub(crate) shows: Shown,
}

/// What access logs show that is measured only then.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Shown {
    /// Bytes on upstream connections.
    pub(crate) upstream_bytes: bool,
    /// The session id of the client's TLS connection.
    pub(crate) tls_session_id: bool,
    /// How long routes were looked for.
    pub(crate) route_resolution: bool,
}

impl Shown {
    /// What requests and connections of this chain need.
    pub(crate) fn by(chain: &FilterChainInfo) -> Self {
        let logs = || chain.filter_chain().access_logs().chain(&chain.listener.access_log);
        let any = |test: fn(&Operator) -> bool| logs().any(|log| log.format.any(&test));
        Self {
            upstream_bytes: any(|operator| {
                matches!(operator, Operator::StreamBytes(ByteCount { upstream: true, .. }))
            }),
            tls_session_id: any(|operator| matches!(operator, Operator::TlsSessionId { upstream: false })),
            route_resolution: any(|operator| matches!(operator, Operator::RouteResolutionTime)),
        }
    }
}

impl ChainConfiguration {
    /// The HTTP side.
    pub(crate) fn http(&self) -> &Arc<HttpConnectionManager> {
        &self.chain.filter_chain().http
    }
}

/// An address that connections are accepted at, the same one in every worker and for as long as it is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct AddressId(pub(crate) u64);

/// A configuration on its way to the workers.
#[derive(Debug)]
pub(crate) struct Adoption {
    /// What is configured.
    pub(crate) snapshot: Arc<Snapshot>,
    /// Its clusters.
    pub(crate) shared: Arc<SharedClusters>,
    /// Every address that is open or about to be, with the name of its listener. One that is about to be closed keeps
    /// the listener it has, which need not be part of the configuration any more.
    pub(crate) addresses: Vec<(AddressId, String)>,
    /// The destinations of access logs.
    pub(crate) sinks: HashSet<LogSink>,
    /// What protects the process, whatever the configuration.
    pub(crate) overload: Arc<Overload>,
}

impl Adoption {
    /// A configuration whose listeners accept connections at `addresses`.
    pub(crate) fn new(
        snapshot: Arc<Snapshot>,
        shared: Arc<SharedClusters>,
        addresses: Vec<(AddressId, String)>,
        overload: Arc<Overload>,
    ) -> Self {
        let chains = snapshot
            .listeners
            .iter()
            .flat_map(|listener| listener.filter_chains.iter().chain(&listener.default_filter_chain));
        let of_requests = chains.flat_map(FilterChain::access_logs);
        let of_connections = snapshot.listeners.iter().flat_map(|listener| &listener.access_log);
        let sinks = of_requests.chain(of_connections).map(|log| log.sink.clone()).collect();
        Self { snapshot, shared, addresses, sinks, overload }
    }
}
