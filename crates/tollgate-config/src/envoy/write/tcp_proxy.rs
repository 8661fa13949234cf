//! The network filter tcp_proxy.

use serde_json::{Map, Value};
use tollgate_model::tcp_proxy::TcpProxy;

use super::{access_log::access_log, out::Out};
use crate::envoy::tcp_proxy::{CLUSTER_WEIGHT, HASH_POLICY, TCP_PROXY, WEIGHTED_CLUSTER};

pub(super) fn tcp_proxy(proxy: &TcpProxy) -> Value {
    let mut out = Out::new(&TCP_PROXY);
    out.set("stat_prefix", &*proxy.stat_prefix);
    match proxy.clusters.as_slice() {
        [one] => out.set("cluster", &*one.name),
        several => {
            let shares = several.iter().map(|cluster| {
                let mut out = Out::new(&CLUSTER_WEIGHT);
                out.set("name", &*cluster.name);
                out.set("weight", cluster.weight);
                out.done()
            });
            let mut weighted = Out::new(&WEIGHTED_CLUSTER);
            weighted.list("clusters", shares.collect());
            out.set("weighted_clusters", weighted.done());
        }
    }
    out.timeout("idle_timeout", proxy.idle_timeout, Some(TcpProxy::IDLE_TIMEOUT));
    out.timeout("max_downstream_connection_duration", proxy.max_downstream_connection_duration, None);
    out.unless("max_connect_attempts", proxy.max_connect_attempts, 1);
    if proxy.hash_source_ip {
        let mut policy = Out::new(&HASH_POLICY);
        policy.set("source_ip", Map::new());
        out.list("hash_policy", vec![policy.done()]);
    }
    out.list("access_log", proxy.access_log.iter().map(|log| access_log(log)).collect());
    out.any()
}
