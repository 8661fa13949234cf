//! Connections that are passed on as they are.

use std::{sync::Arc, time::Duration};

use serde::Serialize;

use crate::access_log::AccessLog;

/// A filter chain that passes the bytes of its connections on to a cluster (`tcp_proxy`).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TcpProxy {
    /// Its counters are `tcp.<stat_prefix>.`.
    pub stat_prefix: String,
    /// Clusters and their shares of the connections; never empty. One that does not exist takes no connection.
    pub clusters: Vec<TcpCluster>,
    /// A connection on which nothing moves for so long is closed. Default 1 h; `None` = never.
    pub idle_timeout: Option<Duration>,
    /// A connection is closed after so long. Default `None`: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_downstream_connection_duration: Option<Duration>,
    /// Hosts that are tried before the client is turned away, 1 or more. Default 1.
    pub max_connect_attempts: u32,
    /// Connections of one client go to one host, where the cluster hashes. Default false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub hash_source_ip: bool,
    /// Logs with a line for each connection that has ended. Default none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub access_log: Vec<Arc<AccessLog>>,
}

/// A cluster and its share of the connections.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TcpCluster {
    /// Name of the cluster.
    pub name: String,
    /// Its share, 1 or more.
    pub weight: u32,
}

impl TcpProxy {
    /// Time without a byte after which a connection is closed, where nothing is said about it.
    pub const IDLE_TIMEOUT: Duration = Duration::from_secs(3600);

    /// The cluster of a connection: `random` is any number.
    #[must_use]
    pub fn choose(&self, random: u64) -> Option<&str> {
        let total: u64 = self.clusters.iter().map(|cluster| u64::from(cluster.weight)).sum();
        let mut left = random.checked_rem(total)?;
        let chosen = self.clusters.iter().find(|cluster| match left.checked_sub(cluster.weight.into()) {
            Some(rest) => {
                left = rest;
                false
            }
            None => true,
        });
        chosen.map(|cluster| &*cluster.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_have_their_shares() {
        let cluster = |name: &str, weight| TcpCluster { name: name.to_owned(), weight };
        let proxy = TcpProxy {
            stat_prefix: "a".to_owned(),
            clusters: vec![cluster("one", 1), cluster("two", 2)],
            idle_timeout: None,
            max_downstream_connection_duration: None,
            max_connect_attempts: 1,
            hash_source_ip: false,
            access_log: Vec::new(),
        };
        let chosen: Vec<_> = (0..6).filter_map(|random| proxy.choose(random)).collect();
        assert_eq!(chosen, ["one", "two", "two", "one", "two", "two"]);
        assert_eq!(TcpProxy { clusters: Vec::new(), ..proxy }.choose(5), None);
    }
}
