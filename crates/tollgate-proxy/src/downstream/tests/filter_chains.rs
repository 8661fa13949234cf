use ipnet::IpNet;
use tollgate_model::listener::TransportProtocol;

use super::*;
use crate::downstream::filter_chain::{ConnectionFacts, choose, needs_first_bytes};

fn matching(conditions: FilterChainMatch) -> FilterChain {
    FilterChain { filter_chain_match: conditions, ..chain(manager()) }
}

fn any() -> FilterChainMatch {
    FilterChainMatch::default()
}

fn ranges(texts: &[&str]) -> Vec<IpNet> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn names(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn plain(local: &str, remote: &str) -> ConnectionFacts<'static> {
    ConnectionFacts {
        local_address: Some(local.parse().unwrap()),
        remote_address: Some(remote.parse().unwrap()),
        ..ConnectionFacts::default()
    }
}

fn tls<'a>(server_name: Option<&'a str>, application_protocols: &'a [&'a str]) -> ConnectionFacts<'a> {
    ConnectionFacts { server_name, tls: true, application_protocols, ..plain("10.0.0.1:443", "1.2.3.4:5") }
}

#[test]
fn the_most_specific_chain_wins_in_envoys_order() {
    let listener = listener(vec![
        matching(any()),
        matching(FilterChainMatch { destination_port: Some(443), ..any() }),
        matching(FilterChainMatch { prefix_ranges: ranges(&["10.0.0.0/8"]), ..any() }),
        matching(FilterChainMatch { prefix_ranges: ranges(&["10.1.0.0/16", "192.168.0.0/16"]), ..any() }),
        matching(FilterChainMatch { source_prefix_ranges: ranges(&["1.2.0.0/16"]), ..any() }),
        matching(FilterChainMatch {
            source_prefix_ranges: ranges(&["1.2.0.0/16"]),
            source_ports: vec![7, 8],
            ..any()
        }),
    ]);
    let chosen = |local, remote| choose(&listener, &plain(local, remote)).unwrap().unwrap();
    assert_eq!(chosen("11.0.0.1:80", "9.9.9.9:1"), 0);
    // The port comes before the address.
    assert_eq!(chosen("10.1.0.1:443", "9.9.9.9:1"), 1);
    assert_eq!(chosen("10.2.0.1:80", "9.9.9.9:1"), 2);
    assert_eq!(chosen("10.1.0.1:80", "9.9.9.9:1"), 3);
    // The destination comes before the source.
    assert_eq!(chosen("10.1.0.1:80", "1.2.3.4:1"), 3);
    assert_eq!(chosen("11.0.0.1:80", "1.2.3.4:1"), 4);
    assert_eq!(chosen("11.0.0.1:80", "1.2.3.4:8"), 5);
    assert!(!needs_first_bytes(&listener));
}

#[test]
fn server_names_match_exactly_or_by_the_longest_suffix() {
    let by_name = |texts: &[&str]| matching(FilterChainMatch { server_names: names(texts), ..any() });
    let listener = listener(vec![
        by_name(&["a.example.com"]),
        by_name(&["*.example.com"]),
        by_name(&["*.b.example.com"]),
        matching(any()),
    ]);
    let chosen = |name| choose(&listener, &tls(name, &[])).unwrap().unwrap();
    assert_eq!(chosen(Some("a.example.com")), 0);
    assert_eq!(chosen(Some("c.example.com")), 1);
    assert_eq!(chosen(Some("d.c.example.com")), 1);
    assert_eq!(chosen(Some("c.b.example.com")), 2);
    assert_eq!(chosen(Some("example.com")), 3);
    assert_eq!(chosen(None), 3);
    assert!(needs_first_bytes(&listener));
}

#[test]
fn there_is_no_way_back_to_a_less_specific_step() {
    let mut listener = listener(vec![
        matching(FilterChainMatch {
            server_names: names(&["a"]),
            transport_protocol: Some(TransportProtocol::RawBuffer),
            ..any()
        }),
        matching(any()),
    ]);
    assert_eq!(choose(&listener, &tls(Some("a"), &[])), None);
    listener.default_filter_chain = Some(chain(manager()));
    assert_eq!(choose(&listener, &tls(Some("a"), &[])), Some(None));
    assert_eq!(choose(&listener, &tls(Some("b"), &[])), Some(Some(1)));
}

#[test]
fn the_clients_first_protocol_that_some_chain_wants_decides() {
    let by_protocol =
        |texts: &[&str]| matching(FilterChainMatch { application_protocols: names(texts), ..any() });
    let listener = listener(vec![by_protocol(&["http/1.1"]), by_protocol(&["h2"]), matching(any())]);
    let chosen = |offered: &[&str]| choose(&listener, &tls(None, offered)).unwrap().unwrap();
    assert_eq!(chosen(&["h2", "http/1.1"]), 1);
    assert_eq!(chosen(&["x", "http/1.1", "h2"]), 0);
    assert_eq!(chosen(&["x"]), 2);
    assert_eq!(chosen(&[]), 2);
}

#[test]
fn transport_protocols_are_told_apart() {
    let by_transport =
        |transport| matching(FilterChainMatch { transport_protocol: Some(transport), ..any() });
    let listener =
        listener(vec![by_transport(TransportProtocol::Tls), by_transport(TransportProtocol::RawBuffer)]);
    assert_eq!(choose(&listener, &tls(None, &[])), Some(Some(0)));
    assert_eq!(choose(&listener, &plain("1.1.1.1:1", "2.2.2.2:2")), Some(Some(1)));
    let unix = ConnectionFacts::default();
    assert_eq!(choose(&listener, &unix), Some(Some(1)));
}
