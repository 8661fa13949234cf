//! Clusters: their hosts, how one is chosen, how many requests they may have.
//!
//! [`SharedCluster`](shared_cluster::SharedCluster) is what all workers have in common, [`WorkerCluster`](manager::WorkerCluster)
//! what one of them has: a [`HostSet`](host_set::HostSet) with a pool for each host.

pub(super) mod address;
pub(super) mod aggregate;
pub(super) mod bounded_load;
pub(super) mod choice;
pub(super) mod circuit_breaker;
pub(super) mod consistent_hash;
pub(super) mod dns;
pub(super) mod forwarded;
pub(super) mod group;
pub(super) mod host;
pub(super) mod host_set;
pub(super) mod hosts;
pub(super) mod load_balancer;
pub(super) mod manager;
pub(super) mod original_dst;
pub(super) mod priorities;
pub(super) mod processor;
pub(super) mod shared;
pub(super) mod shared_cluster;
pub(super) mod spread;
pub(super) mod subsets;
pub(super) mod targets;
