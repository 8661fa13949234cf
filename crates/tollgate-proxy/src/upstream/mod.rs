//! The upstream side: clusters, their endpoints, and requests to them.
//!
//! [`SharedClusters`] is what all workers have in common (names resolved, circuit breakers counted); each worker has a
//! [`ClusterManager`] with its own hosts and connection pools. An [`UpstreamRequest`] is one request to a cluster.
//! Connections of HTTP/1 belong to the request that uses them and are driven by whoever polls it; only an HTTP/2
//! connection has a task of its own.

mod address;
mod circuit_breaker;
mod cluster_manager;
mod connect;
mod connection_slot;
mod counts;
mod dns;
mod failure;
mod held;
mod host;
mod host_set;
mod http1_exchange;
mod http1_pool;
mod http2_connection;
mod http2_exchange;
mod http2_pool;
mod load_balancer;
mod processor;
mod request;
mod shared;
mod shared_cluster;
mod targets;
#[cfg(test)]
mod tests;
mod transport;
mod wait_queue;

pub(crate) use circuit_breaker::Permit as RetryPermit;
pub(crate) use cluster_manager::{ClusterCounts, ClusterManager, WorkerCluster};
pub use dns::{NameLookup, NameLookups};
pub(crate) use failure::UpstreamFailure;
pub(crate) use processor::{Processor, ProcessorCall};
pub(crate) use request::{HostsTried, UpstreamRequest};
pub(crate) use shared::SharedClusters;
pub(crate) use targets::for_each_target;
