//! The parts that log, by Envoy's names, and what they are here.

/// Envoy's names of the parts that log, and the paths in the source of what does the same here. Parts without a path do not log. The
/// longest path that something begins with counts.
pub(crate) static COMPONENTS: &[(&str, &[&str])] = &[
    ("a2a", &[]),
    ("admin", &["tollgate::admin", "tollgate::http_server"]),
    ("ai_protocol_manager", &[]),
    ("alternate_protocols_cache", &[]),
    ("aws", &[]),
    ("assert", &[]),
    ("backtrace", &[]),
    ("basic_auth", &[]),
    ("cache_filter", &[]),
    ("client", &[]),
    ("config", &["tollgate_config", "tollgate::xds", "tollgate_xds", "tollgate::reload", "tollgate::report"]),
    ("connection", &["tollgate_proxy::io"]),
    ("conn_handler", &["tollgate_proxy::listener", "tollgate_proxy::worker"]),
    ("compression", &[]),
    ("credential_injector", &[]),
    ("decompression", &[]),
    ("dns", &["tollgate_proxy::upstream::cluster::dns"]),
    ("dubbo", &[]),
    ("envoy_bug", &[]),
    ("ext_authz", &["tollgate_proxy::transaction::filter::ext_authz"]),
    ("ext_proc", &["extproc", "tollgate_proxy::transaction::filter::ext_proc"]),
    ("rocketmq", &[]),
    ("file", &["tollgate_proxy::access_log"]),
    ("filter", &["tollgate_proxy::transaction"]),
    ("forward_proxy", &[]),
    ("geolocation", &[]),
    ("grpc", &["tollgate_proxy::gateway::calls"]),
    ("happy_eyeballs", &[]),
    ("hc", &["tollgate_proxy::upstream::health"]),
    ("health_checker", &[]),
    ("http", &["tollgate_proxy::downstream"]),
    ("http2", &["tollgate_proxy::downstream::http2", "http2_io", "h2"]),
    ("hystrix", &[]),
    ("init", &[]),
    ("io", &[]),
    ("jwt", &["tollgate_proxy::transaction::filter::jwt_authn"]),
    ("json_rpc", &[]),
    ("kafka", &[]),
    ("key_value_store", &[]),
    ("lua", &[]),
    ("local_rate_limit", &[]),
    ("main", &["tollgate::", "tollgate_proxy::gateway"]),
    ("matcher", &[]),
    ("mcp", &[]),
    ("misc", &[]),
    ("mongo", &[]),
    ("multi_connection", &[]),
    ("notification", &[]),
    ("oauth2", &[]),
    ("quic", &[]),
    ("quic_stream", &[]),
    ("pool", &["tollgate_proxy::upstream::pool"]),
    ("rate_limit_quota", &[]),
    ("rbac", &[]),
    ("rds", &[]),
    ("redis", &[]),
    ("router", &[]),
    ("runtime", &[]),
    ("stats", &[]),
    ("secret", &[]),
    ("sse", &[]),
    ("tap", &[]),
    ("testing", &[]),
    ("thrift", &[]),
    ("tracing", &[]),
    ("upstream", &["tollgate_proxy::upstream"]),
    ("udp", &[]),
    ("wasm", &[]),
    ("websocket", &[]),
    ("golang", &[]),
    ("stats_sinks", &[]),
    ("dynamic_modules", &[]),
    ("ip_tagging", &[]),
];

/// The paths in the source that a part of Envoy's is here. `None`: Envoy has no such part.
pub(crate) fn paths(component: &str) -> Option<&'static [&'static str]> {
    COMPONENTS.iter().find(|(name, _)| *name == component).map(|(_, paths)| *paths)
}

/// The part that something is logged by.
pub(crate) fn component(target: &str) -> &'static str {
    let all = COMPONENTS.iter().flat_map(|(name, paths)| paths.iter().map(move |path| (*name, *path)));
    let of_it = all.filter(|(_, path)| target.starts_with(path));
    of_it.max_by_key(|(_, path)| path.len()).map_or("misc", |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found_by_what_is_closest() {
        for (target, expected) in [
            ("tollgate::gateway", "main"),
            ("tollgate::xds::session", "config"),
            ("tollgate_proxy::upstream::cluster::dns", "dns"),
            ("tollgate_proxy::upstream::elsewhere", "upstream"),
            ("tollgate_proxy::overload", "misc"),
            ("h2::proto", "http2"),
            ("mio", "misc"),
        ] {
            assert_eq!(component(target), expected, "{target}");
        }
    }
}
