//! Clusters whose endpoints are the hosts of requests: `dynamic_forward_proxy`.

use std::time::Duration;

use tollgate_ir::{ServerValidation, UpstreamTlsContext, Validation};
use tollgate_model::{
    cluster::{Discovery, Dns, DnsCache, DnsLookupFamily},
    tls::ServerNameIndication,
};

use super::{
    discovery::{LOOKUP_FAMILY, read_failure_refresh},
    schema::SYSTEM_DNS,
};
use crate::schema::{Message, Schema, Value, read, refused, unimplemented};

pub(in crate::envoy) static FORWARD_PROXY_CLUSTER: Schema = Schema {
    name: "envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig",
    title: "ClusterConfig of dynamic_forward_proxy",
    fields: &[
        read("dns_cache_config", "", "How hosts of requests are looked up. Required."),
        refused("sub_clusters_config", "use dns_cache_config"),
        read(
            "allow_insecure_cluster_options",
            "false",
            "`upstream_http_protocol_options` may leave auto_sni or auto_san_validation out.",
        ),
        refused("allow_coalesced_connections", "every host has connections of its own"),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static DNS_CACHE_CONFIG: Schema = Schema {
    name: "envoy.extensions.common.dynamic_forward_proxy.v3.DnsCacheConfig",
    title: "",
    fields: &[
        read(
            "name",
            "",
            "Name; filters and clusters of one name say the same. What the cluster says counts. Required.",
        ),
        read("dns_lookup_family", "AUTO", "AUTO, V4_ONLY, V6_ONLY, V4_PREFERRED or ALL."),
        read("dns_refresh_rate", "60s", "Time between lookups of a name, at least 0.001s."),
        read("dns_failure_refresh_rate", "up to 60s", "Time between lookups that fail."),
        read("host_ttl", "300s", "A name is forgotten when no request was for it for so long."),
        read("max_hosts", "1024", "Names at most; requests for others are answered 503."),
        refused("dns_cache_circuit_breaker", "lookups are bounded by max_hosts"),
        unimplemented("dns_min_refresh_rate", "names are looked up again as dns_refresh_rate says"),
        unimplemented("dns_query_timeout", "a request waits for a lookup for 5 seconds"),
        unimplemented("preresolve_hostnames", "names are looked up when a request is for them"),
        unimplemented("disable_dns_refresh_on_failure", "lookups that fail are repeated"),
        unimplemented("use_tcp_for_dns_lookups", SYSTEM_DNS),
        unimplemented("dns_resolution_config", SYSTEM_DNS),
        unimplemented("typed_dns_resolver_config", SYSTEM_DNS),
        refused("key_value_config", "names are not kept when the gateway ends"),
    ],
    unsupported: &["resolved_address_filter"],
};

pub(in crate::envoy) static UPSTREAM_HTTP_PROTOCOL_OPTIONS: Schema = Schema {
    name: "envoy.config.core.v3.UpstreamHttpProtocolOptions",
    title: "",
    fields: &[
        read("auto_sni", "false", "The server name of TLS is the host of the request."),
        read("auto_san_validation", "false", "The server's certificate has to be for that name."),
        refused("override_auto_sni_header", "the host of the request is the name"),
    ],
    unsupported: &[],
};

/// Reads the `ClusterConfig` of a cluster.
pub(super) fn read_forward_proxy(value: &Value<'_>) -> Option<Discovery> {
    let message = value.message(&FORWARD_PROXY_CLUSTER)?;
    message.boolean("allow_insecure_cluster_options", false);
    read_dns_cache(&message.required("dns_cache_config")?).map(Discovery::DynamicForwardProxy)
}

/// Reads a `DnsCacheConfig`.
pub(in crate::envoy) fn read_dns_cache(value: &Value<'_>) -> Option<DnsCache> {
    let message = value.message(&DNS_CACHE_CONFIG)?;
    let name = message.required("name")?.non_empty_string();
    let refresh_rate = message.duration("dns_refresh_rate").unwrap_or(Duration::from_secs(60));
    if refresh_rate < Duration::from_millis(1) {
        value.error("\"dns_refresh_rate\" must be at least 0.001s");
    }
    let host_ttl = message.duration("host_ttl").unwrap_or(Duration::from_secs(300));
    if host_ttl.is_zero() {
        value.error("\"host_ttl\" must be more than zero");
    }
    let max_hosts = message.get("max_hosts").and_then(|most| most.integer(1..=i64::from(u32::MAX)));
    Some(DnsCache {
        dns: Dns {
            refresh_rate,
            respect_dns_ttl: false,
            lookup_family: message.enumeration("dns_lookup_family", &LOOKUP_FAMILY, DnsLookupFamily::Auto),
            failure_refresh: read_failure_refresh(&message),
            jitter: Duration::ZERO,
        },
        host_ttl,
        max_hosts: max_hosts.and_then(|most| u32::try_from(most).ok()).unwrap_or(1024),
        name: name?,
    })
}

/// The server name of each host is its own, and its certificate has to be for it, unless `upstream_http_protocol_options` say
/// something else.
pub(super) fn name_hosts(tls: &mut UpstreamTlsContext, options: Option<&Value<'_>>, allows_insecure: bool) {
    let (mut auto_sni, mut auto_san) = (true, true);
    if let Some(value) = options
        && let Some(message) = value.message(&UPSTREAM_HTTP_PROTOCOL_OPTIONS)
    {
        auto_sni = message.boolean("auto_sni", false);
        auto_san = message.boolean("auto_san_validation", false);
        if !(auto_sni && auto_san || allows_insecure) {
            value.error_with_help(
                "a dynamic_forward_proxy cluster needs auto_sni and auto_san_validation",
                "set both, or allow_insecure_cluster_options",
            );
        }
    }
    if auto_sni {
        tls.sni = ServerNameIndication::EndpointHostname { otherwise: String::new() };
    }
    if auto_san && let ServerValidation::Chain(context) = &tls.validation {
        let context = Validation { subject_alt_names: Vec::new(), ..context.clone() };
        tls.validation = ServerValidation::ChainAndServerName(context);
    }
}

/// Whether `allow_insecure_cluster_options` is set.
pub(super) fn allows_insecure(cluster: &Message<'_>) -> bool {
    let config = cluster.get("cluster_type").and_then(|kind| kind.member("typed_config"));
    let allows = config.and_then(|config| config.member("allow_insecure_cluster_options"));
    allows.and_then(|allows| allows.boolean()).unwrap_or(false)
}
