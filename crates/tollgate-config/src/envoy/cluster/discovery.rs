//! Where the addresses of a cluster come from.

use std::time::Duration;

use http::HeaderName;
use tollgate_model::cluster::{Discovery, Dns, DnsFailureRefresh, DnsLookupFamily, OriginalDst};

use super::forward_proxy::{FORWARD_PROXY_CLUSTER, read_forward_proxy};
use super::schema::{
    AGGREGATE_CLUSTER, CUSTOM_CLUSTER_TYPE, DNS_CLUSTER, ORIGINAL_DST_LB_CONFIG, REFRESH_RATE,
};
use crate::{
    envoy::{header::read_header_name, metadata_key::read_metadata_key},
    schema::{Enumeration, Message, Value},
};

#[derive(Clone, Copy)]
enum Type {
    Static,
    StrictDns,
    LogicalDns,
    OriginalDst,
    Eds,
}

static TYPE: Enumeration<Type> = Enumeration {
    values: &[
        ("STATIC", 0, Some(Type::Static)),
        ("STRICT_DNS", 1, Some(Type::StrictDns)),
        ("LOGICAL_DNS", 2, Some(Type::LogicalDns)),
        ("EDS", 3, Some(Type::Eds)),
        ("ORIGINAL_DST", 4, Some(Type::OriginalDst)),
    ],
};

pub(in crate::envoy) static LOOKUP_FAMILY: Enumeration<DnsLookupFamily> = Enumeration {
    values: &[
        ("AUTO", 0, Some(DnsLookupFamily::Auto)),
        ("V4_ONLY", 1, Some(DnsLookupFamily::V4Only)),
        ("V6_ONLY", 2, Some(DnsLookupFamily::V6Only)),
        ("V4_PREFERRED", 3, Some(DnsLookupFamily::V4Preferred)),
        ("ALL", 4, Some(DnsLookupFamily::All)),
    ],
};

/// The enum of `DnsCluster` has other numbers, and a value that means its default.
pub(in crate::envoy) static DNS_CLUSTER_LOOKUP_FAMILY: Enumeration<DnsLookupFamily> = Enumeration {
    values: &[
        ("UNSPECIFIED", 0, Some(DnsLookupFamily::Auto)),
        ("AUTO", 1, Some(DnsLookupFamily::Auto)),
        ("V4_ONLY", 2, Some(DnsLookupFamily::V4Only)),
        ("V6_ONLY", 3, Some(DnsLookupFamily::V6Only)),
        ("V4_PREFERRED", 4, Some(DnsLookupFamily::V4Preferred)),
        ("ALL", 5, Some(DnsLookupFamily::All)),
    ],
};

/// Whether the endpoints of a cluster are in a file of their own.
pub(super) fn is_eds(cluster: &Message<'_>) -> bool {
    cluster.get("type").is_some_and(|value| value.is_text("EDS") || value.is_text("3"))
}

pub(super) fn read_discovery(cluster: &Message<'_>) -> Option<Discovery> {
    let dns = Dns {
        refresh_rate: read_refresh_rate(cluster),
        respect_dns_ttl: cluster.boolean("respect_dns_ttl", false),
        lookup_family: cluster.enumeration("dns_lookup_family", &LOOKUP_FAMILY, DnsLookupFamily::Auto),
        failure_refresh: read_failure_refresh(cluster),
        jitter: cluster.duration("dns_jitter").unwrap_or_default(),
    };
    let original_dst = read_original_dst(cluster);
    match cluster.one_of(&["type", "cluster_type"]) {
        None => Some(Discovery::Static),
        Some(("type", value)) => Some(match value.enumeration(&TYPE)? {
            // Endpoints that are in a file have addresses, as those of a static cluster.
            Type::Static | Type::Eds => Discovery::Static,
            Type::StrictDns => Discovery::StrictDns(dns),
            Type::LogicalDns => Discovery::LogicalDns(dns),
            Type::OriginalDst => Discovery::OriginalDst(original_dst?),
        }),
        Some((_, value)) => read_cluster_type(&value),
    }
}

/// `None`: it cannot be read.
fn read_original_dst(cluster: &Message<'_>) -> Option<OriginalDst> {
    let mut settings = OriginalDst::default();
    if let Some(interval) = cluster.get("cleanup_interval") {
        settings.cleanup_interval = interval.duration()?;
        if settings.cleanup_interval.is_zero() {
            interval.error("must be more than zero");
        }
    }
    let Some(config) = cluster.get("original_dst_lb_config") else { return Some(settings) };
    let message = config.message(&ORIGINAL_DST_LB_CONFIG)?;
    let header = match message.get("http_header_name") {
        Some(name) if !message.boolean("use_http_header", false) => {
            name.no_effect("http_header_name", "use_http_header is not set");
            None
        }
        Some(name) => read_header_name(&name, false),
        None => Some(HeaderName::from_static("x-envoy-original-dst-host")),
    };
    if message.boolean("use_http_header", false) {
        settings.header = Some(header?);
    }
    if let Some(key) = message.get("metadata_key") {
        settings.metadata_key = Some(read_metadata_key(&key)?);
    }
    if let Some(port) = message.get("upstream_port_override") {
        settings.port_override = Some(port.port(0)?);
    }
    Some(settings)
}

fn read_cluster_type(value: &Value<'_>) -> Option<Discovery> {
    let message = value.message(&CUSTOM_CLUSTER_TYPE)?;
    message.required_string("name");
    let any = message.required("typed_config")?.any()?;
    if any.type_name == AGGREGATE_CLUSTER.name {
        let message = any.value.message(&AGGREGATE_CLUSTER)?;
        let names = message.list("clusters");
        if names.is_empty() {
            any.value.error("\"clusters\" is missing: at least one");
        }
        return Some(Discovery::Aggregate(names.iter().filter_map(|name| name.non_empty_string()).collect()));
    }
    if any.type_name == FORWARD_PROXY_CLUSTER.name {
        return read_forward_proxy(&any.value);
    }
    if any.type_name != DNS_CLUSTER.name {
        let known = [DNS_CLUSTER.name, AGGREGATE_CLUSTER.name, FORWARD_PROXY_CLUSTER.name];
        any.unsupported("cluster type", &known);
        return None;
    }
    let message = any.value.message(&DNS_CLUSTER)?;
    let dns = Dns {
        refresh_rate: read_refresh_rate(&message),
        respect_dns_ttl: message.boolean("respect_dns_ttl", false),
        lookup_family: message.enumeration(
            "dns_lookup_family",
            &DNS_CLUSTER_LOOKUP_FAMILY,
            DnsLookupFamily::Auto,
        ),
        failure_refresh: read_failure_refresh(&message),
        jitter: message.duration("dns_jitter").unwrap_or_default(),
    };
    Some(if message.boolean("all_addresses_in_single_endpoint", false) {
        Discovery::LogicalDns(dns)
    } else {
        Discovery::StrictDns(dns)
    })
}

fn read_refresh_rate(message: &Message<'_>) -> Duration {
    let default = Duration::from_secs(5);
    let Some(value) = message.get("dns_refresh_rate") else { return default };
    let rate = value.duration().unwrap_or(default);
    if rate < Duration::from_millis(1) {
        value.error("must be at least 0.001s");
    }
    rate
}

pub(super) fn read_failure_refresh(message: &Message<'_>) -> Option<DnsFailureRefresh> {
    let value = message.get("dns_failure_refresh_rate")?;
    let rate = value.message(&REFRESH_RATE)?;
    let base_interval = rate.required("base_interval")?.duration()?;
    // As in Envoy.
    let max_interval = rate.duration("max_interval").unwrap_or(base_interval * 10);
    if base_interval < Duration::from_millis(1) {
        value.error("\"base_interval\" must be at least 0.001s");
    }
    if max_interval < base_interval {
        value.error("\"max_interval\" must not be less than \"base_interval\"");
    }
    Some(DnsFailureRefresh { base_interval, max_interval })
}
