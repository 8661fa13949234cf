//! Descriptors: what of a request a limit is for.

use std::net::IpAddr;

use extproc::messages::value::Kind;
use tollgate_model::{
    filter::VirtualHostLimits,
    format::Format,
    metadata::MetadataKey,
    route::{
        EntryValue, HitsAddend, Limit, LimitOverride, LimitUnit, RateLimitAction, RateLimitPolicy, split_path,
    },
};

use crate::{
    format::{FormatContext, evaluate_header, query_parameter},
    transaction::core::Core,
};

/// What a limit is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::transaction::filter) struct Descriptor {
    /// Keys and values, in order.
    pub(in crate::transaction::filter) entries: Vec<(String, String)>,
    pub(super) limit: Option<Limit>,
    /// How much of the limit the request takes, and whether that is given back.
    pub(in crate::transaction::filter) hits: Option<(u64, bool)>,
}

/// Which policies there are.
#[derive(Debug, Clone, Copy)]
pub(in crate::transaction::filter) struct Policies<'a> {
    /// Those of the filter, instead of any others.
    pub(in crate::transaction::filter) of_filter: &'a [RateLimitPolicy],
    pub(in crate::transaction::filter) virtual_host: VirtualHostLimits,
    pub(in crate::transaction::filter) stage: u32,
    /// Those for requests that are over.
    pub(in crate::transaction::filter) on_stream_done: bool,
}

/// The descriptors of a request.
pub(in crate::transaction::filter) fn describe(policies: Policies<'_>, core: &Core) -> Vec<Descriptor> {
    let of_route = core.route_action().map(|action| &action.rate_limits);
    let own = of_route.map_or(&[][..], |limits| &limits.policies);
    let host = core.info.route.as_ref().map_or(&[][..], |route| &route.virtual_host.rate_limits);
    let includes = of_route.is_some_and(|limits| limits.include_virtual_host);
    let with_host = match policies.virtual_host {
        _ if includes => true,
        VirtualHostLimits::Include => true,
        VirtualHostLimits::Override => own.is_empty(),
        VirtualHostLimits::Ignore => false,
    };
    let (first, second) = match (policies.of_filter, with_host) {
        ([], true) => (own, host),
        ([], false) => (own, &[][..]),
        (of_filter, _) => (of_filter, &[][..]),
    };
    let of_filter = !policies.of_filter.is_empty();
    let wanted = |policy: &&RateLimitPolicy| {
        (of_filter || policy.stage == policies.stage)
            && policy.apply_on_stream_done == policies.on_stream_done
    };
    let wanted = first.iter().chain(second).filter(wanted);
    wanted.filter_map(|policy| descriptor(policy, of_filter, core)).collect()
}

fn descriptor(policy: &RateLimitPolicy, of_filter: bool, core: &Core) -> Option<Descriptor> {
    let mut entries = Vec::with_capacity(policy.actions.len());
    for action in &policy.actions {
        match entry(action, core) {
            Found::Entry(key, value) => entries.push((key, value)),
            Found::Nothing => {}
            Found::NoDescriptor => return None,
        }
    }
    if entries.is_empty() {
        return None;
    }
    let hits = match policy.hits_addend.as_ref().filter(|_| of_filter) {
        None => None,
        Some(HitsAddend::Number { number, is_negative }) => Some((*number, *is_negative)),
        Some(HitsAddend::Format { format, is_negative }) => {
            Some((evaluate(format, core).parse().ok()?, *is_negative))
        }
    };
    let limit = match &policy.limit {
        None => None,
        Some(LimitOverride::Fixed(limit)) => Some(*limit),
        Some(LimitOverride::Metadata(key)) => limit_in_metadata(key, core),
    };
    Some(Descriptor { entries, limit, hits })
}

/// What becomes of an action.
enum Found {
    Entry(String, String),
    Nothing,
    NoDescriptor,
}

fn entry(action: &RateLimitAction, core: &Core) -> Found {
    let request = &core.messages.request;
    let absent = |skip: bool| if skip { Found::Nothing } else { Found::NoDescriptor };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match action {
        RateLimitAction::SourceCluster => {
            Found::Entry("source_cluster".to_owned(), core.configuration.snapshot.node.cluster.clone())
        }
        RateLimitAction::DestinationCluster => match &core.decision.cluster {
            Some(cluster) => Found::Entry("destination_cluster".to_owned(), cluster.name.to_string()),
            None => Found::NoDescriptor,
        },
        RateLimitAction::RequestHeader { name, key, skip_if_absent } => {
            let value = name.first_in_request(request);
            value.map_or_else(|| absent(*skip_if_absent), |value| Found::Entry(key.clone(), text(value)))
        }
        RateLimitAction::QueryParameter { name, key, skip_if_absent } => {
            let value = query_parameter(split_path(request.path.as_bytes()).1, name.as_bytes());
            value.map_or_else(|| absent(*skip_if_absent), |value| Found::Entry(key.clone(), text(&value)))
        }
        RateLimitAction::RemoteAddress => match core.info.remote_address {
            Some(address) => Found::Entry("remote_address".to_owned(), address.ip().to_string()),
            None => Found::NoDescriptor,
        },
        RateLimitAction::MaskedRemoteAddress { ipv4_bits, ipv6_bits } => {
            let network = core.info.remote_address.and_then(|address| {
                let bits = if address.is_ipv4() { *ipv4_bits } else { *ipv6_bits };
                masked(address.ip(), bits)
            });
            match network {
                Some(network) => Found::Entry("masked_remote_address".to_owned(), network),
                None => Found::NoDescriptor,
            }
        }
        RateLimitAction::GenericKey(value) => of_value(value),
        RateLimitAction::HeaderValueMatch { entry, expect_match, headers } => {
            let is_match = headers.iter().all(|header| header.matches(request));
            if is_match == *expect_match { of_value(entry) } else { Found::NoDescriptor }
        }
        RateLimitAction::QueryParameterValueMatch { entry, expect_match, parameters } => {
            let query = split_path(request.path.as_bytes()).1;
            let is_match = parameters.iter().all(|parameter| parameter.matches(query));
            if is_match == *expect_match { of_value(entry) } else { Found::NoDescriptor }
        }
        RateLimitAction::Metadata { key, metadata_key, default, of_route, skip_if_absent } => {
            let found = metadata_string(metadata_key, *of_route, core).filter(|found| !found.is_empty());
            match found.or_else(|| (!default.is_empty()).then(|| default.clone())) {
                Some(value) => Found::Entry(key.clone(), value),
                None => absent(*skip_if_absent),
            }
        }
    }
}

fn of_value(value: &EntryValue) -> Found {
    Found::Entry(value.key.clone(), value.value.clone())
}

fn evaluate(format: &Format, core: &Core) -> String {
    let context = FormatContext { info: &core.info, messages: &core.messages, logs: &[] };
    String::from_utf8_lossy(&evaluate_header(format, &context)).into_owned()
}

fn metadata_string(key: &MetadataKey, of_route: bool, core: &Core) -> Option<String> {
    let namespace = if of_route {
        let route = &core.info.route.as_ref()?.route;
        route.metadata.filter_metadata.get(&key.namespace)
    } else {
        core.info.metadata.namespace(&key.namespace)
    };
    key.string(namespace).map(str::to_owned)
}

fn limit_in_metadata(key: &MetadataKey, core: &Core) -> Option<Limit> {
    let fields = key.map(core.info.metadata.namespace(&key.namespace))?;
    let number = match fields.fields.get("requests_per_unit")?.kind.as_ref()? {
        Kind::NumberValue(number) => *number,
        _ => return None,
    };
    let unit = match fields.fields.get("unit")?.kind.as_ref()? {
        Kind::StringValue(name) => LimitUnit::of_name(name)?,
        _ => return None,
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it becomes one of the range"
    )]
    Some(Limit { requests_per_unit: number.clamp(0.0, u32::MAX.into()) as u32, unit })
}

/// The network of an address.
fn masked(address: IpAddr, bits: u8) -> Option<String> {
    Some(ipnet::IpNet::new(address, bits).ok()?.trunc().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        let network = |address: &str, bits| masked(address.parse().unwrap(), bits).unwrap();
        assert_eq!(network("10.1.2.3", 24), "10.1.2.0/24");
        assert_eq!(network("10.1.2.3", 32), "10.1.2.3/32");
        assert_eq!(network("2001:db8::1", 64), "2001:db8::/64");
    }
}
