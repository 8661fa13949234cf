//! Endpoints that are the hosts of requests.

use std::time::Duration;

use serde::Serialize;

use super::Dns;

/// Names that requests bring, and what is known of their addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DnsCache {
    /// Filters and clusters of one name say the same about it.
    pub name: String,
    /// How names are looked up.
    pub dns: Dns,
    /// A name is forgotten when no request has brought it for so long. Default 5 min.
    pub host_ttl: Duration,
    /// Names at most. Default 1024.
    pub max_hosts: u32,
}

/// Settings of the `dynamic_forward_proxy` filter: it waits for the address of the host of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HostLookup {
    /// What the cluster looks up, and how.
    pub cache: DnsCache,
    /// What stands for the host of the request on a route. Default nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rewrite: Option<HostOverride>,
}

/// What stands for the host of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum HostOverride {
    /// This one.
    Literal(String),
    /// What this header names, if it is there.
    Header(String),
}
