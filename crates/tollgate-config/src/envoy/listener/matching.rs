//! Which connections a filter chain serves.

use std::collections::HashSet;

use ipnet::IpNet;
use tollgate_ir::FilterChain;
use tollgate_model::listener::{FilterChainMatch, TransportProtocol};

use super::schema::{CIDR_RANGE, FILTER_CHAIN_MATCH};
use crate::{
    envoy::address::ip,
    schema::{Message, Value},
};

/// Reads a `FilterChainMatch`.
pub(super) fn read_filter_chain_match(value: &Value<'_>) -> Option<FilterChainMatch> {
    let message = value.message(&FILTER_CHAIN_MATCH)?;
    let transport_protocol =
        message.get("transport_protocol").and_then(|protocol| match protocol.string()?.as_str() {
            "" => None,
            "tls" => Some(TransportProtocol::Tls),
            "raw_buffer" => Some(TransportProtocol::RawBuffer),
            other => {
                protocol.error_with_help(
                    format!("unknown transport protocol \"{other}\""),
                    "supported: tls, raw_buffer",
                );
                None
            }
        });
    Some(FilterChainMatch {
        destination_port: message.get("destination_port").and_then(|port| port.port(1)),
        prefix_ranges: read_ranges(&message, "prefix_ranges"),
        server_names: message.list("server_names").iter().filter_map(read_server_name).collect(),
        transport_protocol,
        application_protocols: message.strings("application_protocols"),
        source_prefix_ranges: read_ranges(&message, "source_prefix_ranges"),
        source_ports: message.list("source_ports").iter().filter_map(|port| port.port(1)).collect(),
    })
}

fn read_server_name(value: &Value<'_>) -> Option<String> {
    let name = value.non_empty_string()?.to_ascii_lowercase();
    if name.strip_prefix("*.").unwrap_or(&name).contains('*') {
        value.error("a wildcard stands for the first labels: \"*.example.com\"");
        return None;
    }
    Some(name)
}

fn read_ranges(message: &Message<'_>, name: &'static str) -> Vec<IpNet> {
    message.list(name).iter().filter_map(read_cidr_range).collect()
}

/// Reads a `CidrRange`.
pub(in crate::envoy) fn read_cidr_range(value: &Value<'_>) -> Option<IpNet> {
    let message = value.message(&CIDR_RANGE)?;
    let address = ip(value, &message.required_string("address_prefix"))?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let length = message.get("prefix_len").map_or(Some(0), |length| length.integer(0..=longest))?;
    IpNet::new(address, u8::try_from(length).ok()?).ok().map(|range| range.trunc())
}

/// No connection may be served by two chains that are equally specific: every combination of conditions is unique.
pub(super) fn check_overlap(values: &[Value<'_>], chains: &[FilterChain]) {
    if values.len() != chains.len() {
        // Something in them is wrong and reported.
        return;
    }
    let mut seen = HashSet::new();
    for (value, chain) in values.iter().zip(chains) {
        for combination in combinations(&chain.filter_chain_match) {
            if seen.len() > MAX_COMBINATIONS {
                value.error(format!(
                    "the filter chains have more than {MAX_COMBINATIONS} combinations of conditions"
                ));
                return;
            }
            if !seen.insert(combination) {
                value.error(
                    "a combination of its filter_chain_match is given twice, here or in a chain before",
                );
                break;
            }
        }
    }
}

/// Most combinations of conditions of a listener.
const MAX_COMBINATIONS: usize = 100_000;

/// Every combination of the alternatives of a match, one of each condition.
fn combinations(conditions: &FilterChainMatch) -> impl Iterator<Item = FilterChainMatch> {
    let mut all = vec![FilterChainMatch {
        destination_port: conditions.destination_port,
        transport_protocol: conditions.transport_protocol,
        ..FilterChainMatch::default()
    }];
    multiply(&mut all, &conditions.prefix_ranges, |one| &mut one.prefix_ranges);
    multiply(&mut all, &conditions.server_names, |one| &mut one.server_names);
    multiply(&mut all, &conditions.application_protocols, |one| &mut one.application_protocols);
    multiply(&mut all, &conditions.source_prefix_ranges, |one| &mut one.source_prefix_ranges);
    multiply(&mut all, &conditions.source_ports, |one| &mut one.source_ports);
    all.into_iter()
}

fn multiply<T: Clone>(
    all: &mut Vec<FilterChainMatch>,
    alternatives: &[T],
    field: impl Fn(&mut FilterChainMatch) -> &mut Vec<T>,
) {
    if alternatives.is_empty() || all.len().saturating_mul(alternatives.len()) > 2 * MAX_COMBINATIONS {
        return;
    }
    *all = std::mem::take(all)
        .iter()
        .flat_map(|one| {
            alternatives.iter().map(|alternative| {
                let mut one = one.clone();
                field(&mut one).push(alternative.clone());
                one
            })
        })
        .collect();
}
