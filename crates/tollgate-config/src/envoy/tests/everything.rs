//! Every field that works.

use super::*;
use crate::{
    envoy::reference::schemas,
    laws::{is_read_alike_from_bytes, is_read_as_written, resources_are_accepted_by_themselves},
    read_with,
    schema::{Support, coverage},
};

const EVERYTHING: &str = include_str!("everything.yaml");
const FILTERS: &str = include_str!("everything_filters.yaml");
const BESIDE: &str = include_str!("everything_beside.yaml");
const MANAGED: &str = include_str!("everything_managed.yaml");
const CLUSTERS: &str = include_str!("everything_clusters.yaml");
const OLD_SPELLINGS: &str = include_str!("old_spellings.yaml");

#[test]
fn every_field_of_the_reference_is_read() {
    load(EVERYTHING);
    load(FILTERS);
    load(BESIDE);
    load(OLD_SPELLINGS);
    load(MANAGED);
    load(CLUSTERS);
    // Only in what is delivered.
    let own =
        "static_resources: {clusters: [{name: a, type: EDS, eds_cluster_config: {eds_config: {self: {}}}}]}";
    let other_form = "node: {id: a, user_agent_version: b}";
    let local = "dynamic_resources: {ads_config: {api_type: GRPC, transport_api_version: V3, grpc_services: [{google_grpc: \
        {target_uri: 'unix:/xds', stat_prefix: a, channel_credentials: {local_credentials: {}}, call_credentials: \
        [{access_token: secret}]}}]}}";
    for text in [own, other_form, local] {
        let _ = load_with(&source(text), &TestFiles, &Options::default());
    }
    let unread: Vec<String> = schemas()
        .into_iter()
        .flat_map(|schema| schema.fields.iter().map(move |field| (schema, field)))
        .filter(|(_, field)| field.support == Support::Read)
        .map(|(schema, field)| (schema, field.name))
        .filter(|(schema, name)| !coverage::is_read(schema, name))
        .map(|(schema, name)| format!("{}.{name}", schema.name))
        .collect();
    assert_eq!(unread, Vec::<String>::new());
}

#[test]
fn everything_is_read_as_it_is_written() {
    for text in [EVERYTHING, FILTERS, BESIDE, OLD_SPELLINGS, MANAGED, CLUSTERS] {
        let reading = read_with(&source(text), &TestFiles, &Options::default());
        let resources = reading.resources.unwrap();
        is_read_as_written(&resources, &TestFiles);
        is_read_alike_from_bytes(text, &resources, &TestFiles);
        resources_are_accepted_by_themselves(text, &TestFiles);
    }
}

#[test]
fn everything_becomes_a_snapshot() {
    insta::assert_snapshot!(json(EVERYTHING));
}

#[test]
fn filters_become_a_snapshot() {
    let snapshot = snapshot(FILTERS);
    let chain = &snapshot.listeners[0].filter_chains[0].http;
    let all = serde_json::json!({
        "http_filters": chain.http_filters,
        "upstream_http_filters": chain.upstream_http_filters,
        "routes": chain.route_config.virtual_hosts.iter().flat_map(|host| &host.routes).map(|route| &route.filters)
            .collect::<Vec<_>>(),
    });
    insta::assert_snapshot!(serde_json::to_string_pretty(&all).unwrap());
}

#[test]
fn what_stands_beside_becomes_a_snapshot() {
    insta::assert_snapshot!(json(BESIDE));
    // Envoy wants a key there.
    let key = "warning: \"runtime_key\" is not implemented [runtime keys other than those of features are not looked up]";
    let exchange = "info: the network filter of type envoy.tcp.metadataexchange.config.MetadataExchange has no effect [it \
        describes the gateway to servers that negotiate istio-peer-exchange, for the metrics of a mesh]";
    let unverified = "warning: the server's certificate is not verified [add common_tls_context.validation_context with a \
        trusted_ca; Envoy does not verify it either]";
    assert_eq!(said(BESIDE), [key, exchange, unverified]);
}

#[test]
fn clusters_become_a_snapshot() {
    insta::assert_snapshot!(json(CLUSTERS));
    // Envoy wants a key there.
    let known =
        ["warning: the server's certificate is not verified", "warning: \"runtime_key\" is not implemented"];
    let said = said(CLUSTERS);
    assert!(said.iter().all(|said| known.iter().any(|known| said.starts_with(known))), "{said:?}");
}

#[test]
fn old_spellings_become_a_snapshot() {
    insta::assert_snapshot!(json(OLD_SPELLINGS));
}

#[test]
fn everything_is_accepted_with_few_words() {
    insta::assert_snapshot!(diagnostics(EVERYTHING) + "\n" + &diagnostics(OLD_SPELLINGS));
    // Envoy wants a key there.
    let key = "info: \"runtime_key\" has no effect [there is no runtime that would change it]";
    assert_eq!(said(FILTERS), [key; 2]);
}
