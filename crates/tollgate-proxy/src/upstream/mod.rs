//! The upstream side: clusters, their endpoints, and requests to them.
//!
//! [`SharedClusters`] is what all workers have in common (names resolved, circuit breakers counted); each worker has a
//! [`ClusterManager`] with its own hosts and connection pools. An [`UpstreamRequest`] is one request to a cluster.
//! Connections of HTTP/1 belong to the request that uses them and are driven by whoever polls it; only an HTTP/2
//! connection has a task of its own.

mod cluster_manager;
mod failure;
mod request;
mod shared;

pub(crate) use cluster_manager::{ClusterManager, WorkerCluster};
pub(crate) use failure::UpstreamFailure;
pub(crate) use request::UpstreamRequest;
pub(crate) use shared::SharedClusters;
