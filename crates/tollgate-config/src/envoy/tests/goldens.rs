//! What parts of a configuration change in the snapshot of a small one, and what is said about them.
//!
//! An input names places of `goldens/base.yaml` (`LISTENER:`, `ROUTES:`, ...) and what is inserted there. Its golden holds
//! the members of the snapshot that are other than those of the base, and the diagnostics. What an input adds (a route, a
//! cluster, ...) is held against the one of the base, so that only what its configuration says is there. Envoy validates the
//! inputs that are accepted (`tests/accepted_by_envoy.rs`).

use std::collections::BTreeMap;

use serde_json::Value;
use tollgate_model::{
    Snapshot,
    processor::FilterOverride,
    route::{Action, ClusterSpecifier},
};

use super::*;
use crate::{
    golden::changed_fields,
    laws::{is_read_alike_from_bytes, is_read_as_written, resources_are_accepted_by_themselves},
    read_with, template,
};

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
        // Bytes are shown as text.
        Value::Array(list) if path.ends_with(".body") => {
            let bytes =
                list.iter().map(|byte| byte.as_u64().and_then(|byte| u8::try_from(byte).ok()).unwrap());
            let text = String::from_utf8(bytes.collect()).unwrap();
            members.insert(path, format!("{text:?}"));
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

/// The path of the same member in the base, for members of what an input adds.
fn path_in_base(path: &str) -> String {
    // Lists by what stands before them, the element of the base, and what follows where it counts.
    let elements = [
        (".filter_chains[", "plain"),
        (".virtual_hosts[", "all"),
        (".routes[", "app"),
        (".http_filters[", "ext_proc"),
        (".filters[", "0"),
    ];
    let mut path = path.replace(".default_filter_chain.", ".filter_chains[plain].");
    // A share of a route has filters as the route itself.
    if let Some((route, share)) = path.split_once(".action.Route.cluster.WeightedClusters[")
        && let Some((_, member)) = share.split_once(']')
    {
        path = format!("{route}{member}");
    }
    for (list, name) in elements {
        if let Some((before, after)) = path.split_once(list)
            && let Some((_, after)) = after.split_once(']')
        {
            path = format!("{before}{list}{name}]{after}");
        }
    }
    let of_cluster = path.strip_prefix(".clusters.").and_then(|rest| rest.split_once('.'));
    match of_cluster.or_else(|| path.split_once(".GoogleGrpc.")) {
        Some((_, member)) => format!(".clusters.app.{member}"),
        None => path,
    }
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
            for ((name, does), default) in names.iter().zip(route.filters.dense()).zip(&defaults) {
                if does != *default {
                    show(&format!("route {}", route.name), name, does);
                }
            }
            let Action::Route(action) = &route.action else { continue };
            let ClusterSpecifier::WeightedClusters(shares) = &action.cluster else { continue };
            for (index, share) in shares.iter().enumerate() {
                for ((name, does), of_route) in
                    names.iter().zip(share.filters.dense()).zip(route.filters.dense())
                {
                    if does != of_route {
                        show(&format!("route {} share {index}", route.name), name, does);
                    }
                }
            }
        }
    }
}

/// A path without what is the same in most of them.
fn short(path: &str) -> String {
    let short = path.replace(".listeners[main].filter_chains[plain].http", "http");
    short.replace("http.route_config.virtual_hosts[all].routes[", "routes[")
}

fn golden(name: &str, input: &str) {
    let text = template::fill(BASE, input);
    let reading = read_with(&source(&text), &TestFiles, &Options::default());
    if let Some(resources) = &reading.resources {
        is_read_as_written(resources, &TestFiles);
        // EN-40: Envoy's API does not have those types any more.
        if !text.contains("v3alpha") {
            is_read_alike_from_bytes(&text, resources, &TestFiles);
            resources_are_accepted_by_themselves(&text, &TestFiles);
        }
    }
    let outcome = reading.compile(None);
    let mut shown = String::new();
    match &outcome.snapshot {
        None => shown.push_str("refused\n"),
        Some(snapshot) => {
            let (base, own) = (members(&load(BASE)), members(&outcome));
            for (path, value) in base.iter().filter(|(path, _)| !own.contains_key(*path)) {
                shown.push_str(&format!("- {}: {value}\n", short(path)));
            }
            plans(&mut shown, snapshot);
            let is_said = |(path, value): &(&String, &String)| {
                base.get(*path) != Some(value)
                    && (base.contains_key(*path) || base.get(&path_in_base(path)) != Some(value))
            };
            for (path, value) in own.iter().filter(is_said) {
                shown.push_str(&format!("+ {}: {value}\n", short(path)));
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
    access_log_json,
    access_log_not_supported,
    access_log_text,
    access_log_unknown_operator,
    admin_and_node,
    admin_problems,
    aliases,
    buffer_limits,
    camel_case,
    cluster_client_certificate,
    cluster_endpoints,
    cluster_http1,
    cluster_kinds,
    cluster_new_forms,
    cluster_not_supported,
    cluster_problems,
    cluster_problems_of_values,
    cluster_protocol_problems,
    cluster_protocols,
    cluster_tls,
    direct_response_problems,
    direct_response_sources,
    direct_response_too_large,
    dynamic_resources,
    ext_proc_errors,
    ext_proc_modes,
    ext_proc_more,
    ext_proc_not_supported,
    ext_proc_not_this_way,
    ext_proc_observability,
    ext_proc_rules,
    ext_proc_status_on_error,
    ext_proc_without_service,
    filter_chain_match,
    google_grpc,
    google_grpc_problems,
    google_grpc_targets,
    grpc_service_options,
    http_filters_problems,
    header_changes,
    header_changes_refused,
    header_matchers,
    header_prefix,
    listener_default_chain,
    listener_filters_not_supported,
    listener_settings,
    manager_addresses,
    manager_not_supported,
    manager_out_of_range,
    manager_paths,
    manager_protocols,
    manager_timeouts,
    mapped_attributes,
    mapped_attributes_problems,
    match_kinds,
    match_problems,
    matchers_not_supported,
    metadata,
    near_misses,
    network_filter,
    not_supported,
    oneof_twice,
    per_route_disabled,
    per_route_empty_overrides,
    per_route_errors,
    per_route_filter_config,
    per_route_levels,
    per_route_overrides,
    per_route_problems,
    per_route_version_3alpha,
    processor_cluster_unknown,
    processor_without_http2,
    redirect_problems,
    redirects_and_answers,
    resources_of_files,
    resources_of_files_problems,
    retries_and_mirrors,
    retry_problems,
    retry_settings,
    route_actions,
    route_without_action,
    router_not_last,
    router_options,
    routes_from_elsewhere,
    runtime,
    same_chain_match,
    same_domain,
    same_filter_name,
    tls_not_supported,
    tls_problems,
    tls_secrets,
    tls_secrets_problems,
    tls_termination,
    transport_socket_unknown,
    typed_struct,
    udp_listener,
    unknown_cluster,
    unknown_filter,
    upgrades_of_routes,
    value_forms,
    value_problems,
    version_2,
    version_3alpha,
    virtual_hosts,
    weighted_clusters,
    weighted_clusters_problems,
}
