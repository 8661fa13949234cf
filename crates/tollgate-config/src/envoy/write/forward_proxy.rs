//! Clusters and filters of `dynamic_forward_proxy`.

use std::time::Duration;

use serde_json::Value;
use tollgate_ir::{BareCluster, ServerValidation};
use tollgate_model::{
    cluster::{Discovery, DnsCache, DnsLookupFamily, HostLookup, HostOverride},
    tls::ServerNameIndication,
};

use super::out::{Out, duration, extension};
use crate::envoy::{
    cluster::{
        discovery::LOOKUP_FAMILY,
        forward_proxy::{DNS_CACHE_CONFIG, FORWARD_PROXY_CLUSTER, UPSTREAM_HTTP_PROTOCOL_OPTIONS},
        schema::{CUSTOM_CLUSTER_TYPE, REFRESH_RATE},
    },
    http_filters::host_lookup::{HOST_LOOKUP, HOST_LOOKUP_PER_ROUTE},
};

/// The type of a cluster.
pub(super) fn cluster_type(cache: &DnsCache) -> Value {
    let mut config = Out::new(&FORWARD_PROXY_CLUSTER);
    config.set("dns_cache_config", dns_cache(cache));
    config.set("allow_insecure_cluster_options", true);
    extension(&CUSTOM_CLUSTER_TYPE, "envoy.clusters.dynamic_forward_proxy", config.any())
}

/// What is said about server names of TLS, where the hosts of requests are endpoints.
pub(super) fn server_names(cluster: &BareCluster) -> Option<Value> {
    let tls =
        cluster.tls.as_ref().filter(|_| matches!(cluster.discovery, Discovery::DynamicForwardProxy(_)))?;
    let mut out = Out::new(&UPSTREAM_HTTP_PROTOCOL_OPTIONS);
    out.set("auto_sni", matches!(tls.sni, ServerNameIndication::EndpointHostname { .. }));
    out.set("auto_san_validation", matches!(tls.validation, ServerValidation::ChainAndServerName(_)));
    Some(out.done())
}

/// The settings of a filter.
pub(super) fn filter(settings: &HostLookup) -> Value {
    let mut out = Out::new(&HOST_LOOKUP);
    out.set("dns_cache_config", dns_cache(&settings.cache));
    out.any()
}

/// What a level says about it.
pub(super) fn per_route(settings: &HostLookup) -> Value {
    let mut out = Out::new(&HOST_LOOKUP_PER_ROUTE);
    match &settings.rewrite {
        None => {}
        Some(HostOverride::Literal(host)) => out.set("host_rewrite_literal", host.as_str()),
        Some(HostOverride::Header(name)) => out.set("host_rewrite_header", name.as_str()),
    }
    out.any()
}

fn dns_cache(cache: &DnsCache) -> Value {
    let mut out = Out::new(&DNS_CACHE_CONFIG);
    out.set("name", cache.name.as_str());
    out.name("dns_lookup_family", &LOOKUP_FAMILY, &cache.dns.lookup_family, &DnsLookupFamily::Auto);
    out.timeout("dns_refresh_rate", Some(cache.dns.refresh_rate), Some(Duration::from_secs(60)));
    out.timeout("host_ttl", Some(cache.host_ttl), Some(Duration::from_secs(300)));
    out.unless("max_hosts", cache.max_hosts, 1024);
    if let Some(refresh) = &cache.dns.failure_refresh {
        let mut rate = Out::new(&REFRESH_RATE);
        rate.set("base_interval", duration(refresh.base_interval));
        rate.set("max_interval", duration(refresh.max_interval));
        out.set("dns_failure_refresh_rate", rate.done());
    }
    out.done()
}
