//! The filter `dynamic_forward_proxy`.

use std::sync::Arc;

use tollgate_ir::{FilterConfig, Override};
use tollgate_model::{
    cluster::{Dns, DnsCache, DnsLookupFamily, HostLookup, HostOverride},
    filter::FilterSettings,
};

use super::kinds::{Kind, PerRoute};
use crate::{
    envoy::{Scope, cluster::forward_proxy::read_dns_cache, header::read_header_name},
    schema::{Schema, Value, read, refused},
};

pub(in crate::envoy) static HOST_LOOKUP: Schema = Schema {
    name: "envoy.extensions.filters.http.dynamic_forward_proxy.v3.FilterConfig",
    title: "FilterConfig of dynamic_forward_proxy",
    fields: &[
        read("dns_cache_config", "", "What the cluster says, too. Required."),
        refused("sub_cluster_config", "use dns_cache_config"),
        refused("save_upstream_address", "no filter reads it"),
        refused("allow_dynamic_host_from_filter_state", "no filter sets it"),
    ],
    unsupported: &[],
};

pub(in crate::envoy) static HOST_LOOKUP_PER_ROUTE: Schema = Schema {
    name: "envoy.extensions.filters.http.dynamic_forward_proxy.v3.PerRouteConfig",
    title: "PerRouteConfig of dynamic_forward_proxy",
    fields: &[
        read("host_rewrite_literal", "", "The host becomes this."),
        read("host_rewrite_header", "", "The host becomes the value of this header, if it is there."),
    ],
    unsupported: &[],
};

pub(super) static SCHEMAS: [&Schema; 2] = [&HOST_LOOKUP, &HOST_LOOKUP_PER_ROUTE];

pub(super) const KIND: Kind = Kind {
    settings: &HOST_LOOKUP,
    read: read_host_lookup,
    per_route: Some(PerRoute { settings: &HOST_LOOKUP_PER_ROUTE, read: read_per_route }),
    upstream: false,
};

fn read_host_lookup(value: &Value<'_>, _scope: &Scope) -> Option<FilterConfig> {
    let message = value.message(&HOST_LOOKUP)?;
    let cache = read_dns_cache(&message.required("dns_cache_config")?)?;
    let settings = HostLookup { cache, rewrite: None };
    Some(FilterConfig::Settings(FilterSettings::HostLookup(Arc::new(settings))))
}

fn read_per_route(value: &Value<'_>, _scope: &Scope) -> Option<Override> {
    let message = value.message(&HOST_LOOKUP_PER_ROUTE)?;
    let rewrite = match message.one_of(&["host_rewrite_literal", "host_rewrite_header"]) {
        None => None,
        Some(("host_rewrite_literal", host)) => Some(HostOverride::Literal(host.header_text()?)),
        Some((_, name)) => Some(HostOverride::Header(read_header_name(&name, false)?.as_str().to_owned())),
    };
    // A route says nothing about lookups.
    let dns = Dns {
        refresh_rate: std::time::Duration::from_secs(60),
        respect_dns_ttl: false,
        lookup_family: DnsLookupFamily::Auto,
        failure_refresh: None,
        jitter: std::time::Duration::ZERO,
    };
    let cache =
        DnsCache { name: String::new(), dns, host_ttl: std::time::Duration::from_secs(300), max_hosts: 1024 };
    Some(Override::Settings(FilterSettings::HostLookup(Arc::new(HostLookup { cache, rewrite }))))
}
