//! The upstream side: clusters, their endpoints, and requests to them.
//!
//! [`SharedClusters`] is what all workers have in common (names resolved, circuit breakers counted); each worker has a
//! [`ClusterManager`] with its own hosts and connection pools. An [`UpstreamRequest`] is one request to a cluster.
//! Connections of HTTP/1 belong to the request that uses them and are driven by whoever polls it; only an HTTP/2
//! connection has a task of its own.

mod cluster;
mod exchange;
mod health;
mod pool;
#[cfg(test)]
mod tests;

pub(crate) use cluster::choice::{
    Choice, HashedRequest, HostsTried, NamedHost, PickedHosts, RoutedRequest, Tried,
};
pub(crate) use cluster::circuit_breaker::Permit as RetryPermit;
pub(crate) use cluster::consistent_hash::xx_hash;
pub use cluster::dns::{NameLookup, NameLookups};
pub(crate) use cluster::forwarded::Lookup;
pub(crate) use cluster::manager::{ClusterCounts, ClusterManager, WorkerCluster};
pub(crate) use cluster::processor::{Processor, ProcessorCall};
pub(crate) use cluster::shared::SharedClusters;
pub(crate) use cluster::targets::for_each_target;
pub(crate) use exchange::failure::UpstreamFailure;
pub(crate) use exchange::request::UpstreamRequest;
pub(crate) use exchange::tcp::{TcpAttempt, TcpUpstream};
pub use health::{HealthFlags, HealthReports};
