//! Listeners and filter chains.

use std::time::Duration;

use tollgate_model::listener::{BindAddress, TransportProtocol};

use super::*;

const ADDRESS: &str = "address: {socket_address: {address: 127.0.0.1, port_value: 10000}}";

fn with(listener: &str) -> Gateway {
    Gateway { listener: listener.into(), ..Gateway::default() }
}

fn chain(fields: &str) -> Gateway {
    Gateway { chain: format!("{fields},"), ..Gateway::default() }
}

fn refused(gateway: &Gateway) -> String {
    let said = gateway.said();
    assert_eq!(said.len(), 1, "{said:?}");
    said[0].clone()
}

#[test]
fn defaults_are_envoys() {
    let snapshot = with(ADDRESS).snapshot();
    let listener = &snapshot.listeners[0];
    assert_eq!(listener.name, "127.0.0.1:10000");
    assert_eq!(listener.per_connection_buffer_limit_bytes, 1024 * 1024);
    assert_eq!(listener.listener_filters_timeout, Some(Duration::from_secs(15)));
    assert!(listener.filter_chains[0].tls.is_none() && listener.default_filter_chain.is_none());
    assert_eq!(listener.filter_chains[0].transport_socket_connect_timeout, Some(Duration::from_secs(15)));
}

#[test]
fn a_listener_has_several_addresses_and_may_be_a_unix_socket() {
    let text = "address: {pipe: {path: /tmp/a.sock, mode: 0600}}, \
                additional_addresses: [{address: {socket_address: {address: '::1', port_value: 0}}}]";
    let snapshot = with(text).snapshot();
    assert_eq!(
        snapshot.listeners[0].addresses,
        [
            BindAddress::Pipe { path: "/tmp/a.sock".into(), mode: Some(0o600) },
            BindAddress::Socket("[::1]:0".parse().unwrap())
        ]
    );
}

#[test]
fn an_address_of_both_families_is_two_addresses() {
    for (address, expected) in [
        ("{address: '::', port_value: 8080}", &["[::]:8080"][..]),
        ("{address: '::', port_value: 8080, ipv4_compat: true}", &["[::]:8080", "0.0.0.0:8080"]),
        ("{address: '::ffff:10.0.0.1', port_value: 8080, ipv4_compat: true}", &["10.0.0.1:8080"]),
        ("{address: '::1', port_value: 8080, ipv4_compat: true}", &["[::1]:8080"]),
    ] {
        let snapshot = with(&format!("address: {{socket_address: {address}}}")).snapshot();
        let expected: Vec<BindAddress> =
            expected.iter().map(|address| BindAddress::Socket(address.parse().unwrap())).collect();
        assert_eq!(snapshot.listeners[0].addresses, expected, "{address}");
    }
}

#[test]
fn a_match_is_read() {
    let snapshot = chain(
        "filter_chain_match: {destination_port: 443, prefix_ranges: [{address_prefix: 10.1.2.3, prefix_len: 8}], \
         server_names: [A.Example.com, '*.example.com'], transport_protocol: tls, application_protocols: [h2], \
         source_prefix_ranges: [{address_prefix: '::1', prefix_len: 128}], source_ports: [5, 6]}",
    )
    .snapshot();
    let matching = &snapshot.listeners[0].filter_chains[0].filter_chain_match;
    assert_eq!(matching.destination_port, Some(443));
    assert_eq!(matching.prefix_ranges, ["10.0.0.0/8".parse().unwrap()]);
    assert_eq!(matching.server_names, ["a.example.com", "*.example.com"]);
    assert_eq!(matching.transport_protocol, Some(TransportProtocol::Tls));
    assert_eq!(matching.application_protocols, ["h2"]);
    assert_eq!(matching.source_prefix_ranges, ["::1/128".parse().unwrap()]);
    assert_eq!(matching.source_ports, [5, 6]);
}

#[test]
fn addresses_have_to_be_addresses() {
    let address = |text: &str| refused(&with(&format!("name: a, {text}")));
    assert_eq!(address("stat_prefix: a"), "error: \"address\" is missing");
    assert_eq!(address("address: {}"), "error: one of \"socket_address\", \"pipe\" is missing");
    let socket = |text: &str| address(&format!("address: {{socket_address: {{{text}}}}}"));
    assert_eq!(socket("address: localhost, port_value: 1"), "error: \"localhost\" is not an IP address");
    assert_eq!(socket("address: 127.0.0.1"), "error: \"port_value\" is missing");
    assert_eq!(socket("address: 127.0.0.1, port_value: 65536"), "error: 65536 is not between 0 and 65535");
    assert_eq!(
        socket("address: 127.0.0.1, port_value: 1, protocol: UDP"),
        "error: \"UDP\" is not supported [supported: TCP]"
    );
    assert_eq!(
        socket("address: 127.0.0.1, named_port: http, port_value: 1"),
        "error: \"named_port\" is not supported [use port_value]"
    );
    assert_eq!(
        address("address: {pipe: {path: '@a'}}"),
        "error: abstract Unix sockets are not supported; use a path"
    );
}

#[test]
fn chains_that_take_the_same_connections_are_refused() {
    let two = |first: &str, second: &str| {
        let one = Gateway::default().to_string();
        let start = one.find("filter_chains: [").unwrap() + "filter_chains: [".len();
        let end = one.rfind("]}]}").unwrap();
        let filters = &one[start + 1..end - 1];
        let chain = |matching: &str| format!("{{filter_chain_match: {{{matching}}}, {filters}}}");
        said(&format!("{}{}, {}{}", &one[..start], chain(first), chain(second), &one[end..]))
    };
    let overlap =
        ["error: a combination of its filter_chain_match is given twice, here or in a chain before"];
    assert_eq!(two("server_names: [a, b]", "server_names: [b, c]"), overlap);
    assert_eq!(two("server_names: [a]", "server_names: [A]"), overlap);
    assert_eq!(two("source_ports: [1]", "source_ports: [2, 2]"), overlap);
    assert_eq!(two("", ""), overlap);
    assert_eq!(two("server_names: [a]", "server_names: [a], transport_protocol: tls"), Vec::<String>::new());
    assert_eq!(two("server_names: [a]", ""), Vec::<String>::new());
}

#[test]
fn inspectors_are_implied_and_other_listener_filters_refused() {
    let filter = |name: &str| {
        with(&format!(
            "name: a, {ADDRESS}, listener_filters: [{{name: x, typed_config: {{\"@type\": \
             type.googleapis.com/envoy.extensions.filters.listener.{name}}}}}]"
        ))
    };
    assert_eq!(filter("tls_inspector.v3.TlsInspector").said(), Vec::<String>::new());
    assert_eq!(filter("http_inspector.v3.HttpInspector").said(), Vec::<String>::new());
    assert!(refused(&filter("local_ratelimit.v3.LocalRateLimit")).starts_with(
        "error: unsupported listener filter \"envoy.extensions.filters.listener.local_ratelimit"
    ));
}

#[test]
fn other_settings_are_refused_or_have_no_effect() {
    assert_eq!(
        refused(&with(&format!("{ADDRESS}, bind_to_port: false"))),
        "error: a listener that is not bound is not supported [remove bind_to_port]"
    );
    assert_eq!(
        refused(&with(&format!("{ADDRESS}, udp_listener_config: {{}}"))),
        "error: \"udp_listener_config\" is not supported [only TCP is served]"
    );
    assert_eq!(refused(&with(&format!("{ADDRESS}, freebind: true"))), "error: \"freebind\" is not supported");
    assert_eq!(
        with(&format!("{ADDRESS}, tcp_backlog_size: 5, transparent: false")).said(),
        ["info: \"tcp_backlog_size\" has no effect [the system's largest backlog is used]"]
    );
}

#[test]
fn other_network_filters_are_refused() {
    let text = Gateway::default().to_string().replace(
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "envoy.extensions.filters.network.redis_proxy.v3.RedisProxy",
    );
    let said = said(&text);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0]
            .starts_with("error: unsupported network filter \"envoy.extensions.filters.network.redis_proxy")
    );
}
