//! What parts of a configuration change in the snapshot of a small one, and what is said about them.
//!
//! An input names places of `goldens/base.yaml` (`LISTENER:`, `ROUTES:`, ...) and what is inserted there. Its golden holds
//! the members of the snapshot that are other than those of the base, and the diagnostics. Envoy validates the inputs that
//! are accepted (`tests/accepted_by_envoy.rs`).

use std::collections::BTreeMap;

use serde_json::Value;
use tollgate_model::{Snapshot, processor::FilterOverride};

use super::*;
use crate::{golden::changed_fields, template};

const BASE: &str = include_str!("goldens/base.yaml");

/// The members of a value by their paths. What has a name in a list is called by it, so that a golden does not change where
/// only places do.
fn flatten(value: &Value, path: String, members: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(object) if !object.is_empty() => {
            for (name, member) in object {
                flatten(member, format!("{path}.{name}"), members);
            }
        }
        Value::Array(list) if !list.is_empty() => {
            for (index, member) in list.iter().enumerate() {
                let name = member["name"].as_str().filter(|name| !name.is_empty());
                let key = name.map_or_else(|| index.to_string(), str::to_owned);
                flatten(member, format!("{path}[{key}]"), members);
            }
        }
        leaf => {
            members.insert(path, leaf.to_string());
        }
    }
}

fn members(outcome: &Outcome) -> BTreeMap<String, String> {
    let mut members = BTreeMap::new();
    if let Some(snapshot) = &outcome.snapshot {
        flatten(&serde_json::to_value(snapshot).unwrap(), String::new(), &mut members);
    }
    members
}

/// What filters do that is not the default: in the chain, and on routes that say otherwise.
fn plans(shown: &mut String, snapshot: &Snapshot) {
    for chain in snapshot.listeners.iter().flat_map(|listener| &listener.filter_chains) {
        let names: Vec<&str> = chain.http.filters().map(|filter| filter.name.as_str()).collect();
        let defaults: Vec<&FilterOverride> = chain.http.filters().map(|filter| &filter.default).collect();
        let mut show = |place: &str, name: &str, does: &FilterOverride| {
            let FilterOverride::ExtProc(settings) = does else { return };
            for field in changed_fields(name, &settings.plan) {
                shown.push_str(&format!("{place} {name}: {field}\n"));
            }
        };
        for (name, default) in names.iter().zip(&defaults) {
            show("filter", name, default);
        }
        for route in chain.http.route_config.virtual_hosts.iter().flat_map(|host| &host.routes) {
            for ((name, does), default) in names.iter().zip(&route.filters).zip(&defaults) {
                if does != *default {
                    show(&format!("route {}", route.name), name, does);
                }
            }
        }
    }
}

fn golden(name: &str, input: &str) {
    let text = template::fill(BASE, input);
    let outcome = load(&text);
    let mut shown = String::new();
    match &outcome.snapshot {
        None => shown.push_str("refused\n"),
        Some(snapshot) => {
            let (base, own) = (members(&load(BASE)), members(&outcome));
            for (path, value) in base.iter().filter(|(path, _)| !own.contains_key(*path)) {
                shown.push_str(&format!("- {path}: {value}\n"));
            }
            plans(&mut shown, snapshot);
            for (path, value) in own.iter().filter(|(path, value)| base.get(*path) != Some(value)) {
                shown.push_str(&format!("+ {path}: {value}\n"));
            }
        }
    }
    shown.push_str(&diagnostics(&text));
    insta::with_settings!({ snapshot_path => "goldens/snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, shown);
    });
}

macro_rules! golden {
    ($($name:ident),* $(,)?) => {$(
        #[test]
        fn $name() {
            golden(stringify!($name), include_str!(concat!("goldens/inputs/", stringify!($name), ".yaml")));
        }
    )*};
}

golden! {
    access_log_text,
    access_log_unknown_operator,
    admin_and_node,
    camel_case,
    cluster_kinds,
    cluster_problems,
    cluster_protocols,
    cluster_tls,
    direct_response_too_large,
    dynamic_resources,
    ext_proc_errors,
    ext_proc_modes,
    ext_proc_not_supported,
    ext_proc_observability,
    ext_proc_rules,
    filter_chain_match,
    google_grpc,
    grpc_service_options,
    header_prefix,
    listener_settings,
    manager_addresses,
    manager_out_of_range,
    manager_paths,
    manager_protocols,
    manager_timeouts,
    match_kinds,
    match_problems,
    near_misses,
    network_filter,
    not_supported,
    oneof_twice,
    per_route_errors,
    per_route_filter_config,
    per_route_levels,
    processor_cluster_unknown,
    processor_without_http2,
    redirects_and_answers,
    retries_and_mirrors,
    route_actions,
    router_not_last,
    router_options,
    routes_from_elsewhere,
    runtime,
    same_domain,
    same_filter_name,
    tls_problems,
    tls_termination,
    typed_struct,
    udp_listener,
    unknown_cluster,
    unknown_filter,
    version_2,
    version_3alpha,
    virtual_hosts,
    weighted_clusters,
}
