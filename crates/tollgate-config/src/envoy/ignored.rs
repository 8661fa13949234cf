//! Extensions that are accepted and not carried out.
//!
//! Control planes add them to everything they send. Each of them only counts, tells others about this gateway, or prepares what a
//! later one of them reads: requests are answered alike with and without them. Nothing that may keep a request out is here.

use crate::schema::Any;

/// Types of HTTP filters, and why they can be left out.
const HTTP_FILTERS: [(&str, &str); 4] = [
    (
        "envoy.extensions.filters.http.grpc_stats.v3.FilterConfig",
        "the metrics of requests have the gRPC status",
    ),
    (
        "io.istio.http.peer_metadata.Config",
        "it describes the peers for the metrics of a mesh, which are not kept",
    ),
    (
        "istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig",
        "the protocols of the TLS context are offered, which servers of the mesh accept, too",
    ),
    ("stats.PluginConfig", "it counts for the metrics of a mesh, which are not kept"),
];

/// Types of network filters in front of upstream connections, and why they can be left out.
const UPSTREAM_NETWORK_FILTERS: [(&str, &str); 1] = [(
    "envoy.tcp.metadataexchange.config.MetadataExchange",
    "it describes the gateway to servers that negotiate istio-peer-exchange, for the metrics of a mesh",
)];

/// Whether an HTTP filter can be left out; it is reported then.
pub(super) fn is_ignored_http_filter(any: &Any<'_>) -> bool {
    is_ignored(&HTTP_FILTERS, any, "HTTP filter")
}

/// Whether a network filter of a cluster can be left out; it is reported then.
pub(super) fn is_ignored_upstream_filter(any: &Any<'_>) -> bool {
    is_ignored(&UPSTREAM_NETWORK_FILTERS, any, "network filter")
}

/// Whether there is an extension that can be left out among those of a package, which is without its version.
pub(super) fn is_ignored_package(package: &str) -> bool {
    let all = HTTP_FILTERS.iter().chain(&UPSTREAM_NETWORK_FILTERS);
    all.into_iter().any(|(name, _)| name.strip_prefix(package).is_some_and(|rest| rest.starts_with(".v3.")))
}

fn is_ignored(list: &[(&str, &str)], any: &Any<'_>, what: &str) -> bool {
    let Some((_, why)) = list.iter().find(|(name, _)| *name == any.type_name) else { return false };
    let Any { type_name, type_value, .. } = any;
    type_value.no_effect(format!("the {what} of type {type_name}"), why);
    true
}
