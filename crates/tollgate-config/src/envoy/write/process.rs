//! What the process is told: node, admin, limits, runtime.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Map, Value};
use tollgate_ir::{ExtProc, FilterConfig, Override, Resources, RouteTable};
use tollgate_model::{
    http_connection_manager::RequestFloods,
    listener::BindAddress,
    overload::ResourceMonitor,
    route::{ClusterSpecifier, PathParameters},
    watchdog::Watchdog,
};

use super::{
    Writer,
    listener::address,
    management::dynamic_resources,
    out::{Out, wide},
    overload::overload,
};
use crate::envoy::{
    bootstrap::{ADMIN, NODE},
    protocol_options::PERCENT,
    runtime::{LAYERED_RUNTIME, RUNTIME_LAYER},
    watchdog::{WATCHDOG, WATCHDOGS},
};
use crate::schema::{to_json, wire};

pub(super) fn process(writer: &Writer<'_>, bootstrap: &mut Out) {
    let process = &writer.resources.process;
    if let Some(socket) = process.admin_address {
        let mut admin = Out::new(&ADMIN);
        admin.set("address", address(&BindAddress::Socket(socket)));
        bootstrap.set("admin", admin.done());
    }
    let mut node = Out::new(&NODE);
    node.text("id", &process.node.id);
    node.text("cluster", &process.node.cluster);
    match whole_node(&process.node.message) {
        Some(whole) => bootstrap.set("node", whole),
        None => bootstrap.unless_empty("node", node),
    }
    if let Some(management) = &process.management {
        bootstrap.unless_empty("dynamic_resources", dynamic_resources(management));
    }
    if let Some(manager) = overload(&process.overload) {
        bootstrap.set("overload_manager", manager);
    }
    if process.watchdog != Watchdog::default() {
        let mut watchdogs = Out::new(&WATCHDOGS);
        watchdogs.set("worker_watchdog", watchdog(&process.watchdog));
        bootstrap.set("watchdogs", watchdogs.done());
    }
    if let Some(threads) = process.concurrency {
        let what = format!("{threads} threads are asked for: start Envoy with --concurrency {threads}");
        writer.cannot(&Arc::default(), what);
    }
    header_prefix(writer, bootstrap);
    let keys = runtime(writer.resources);
    if !keys.is_empty() {
        let mut layer = Out::new(&RUNTIME_LAYER);
        layer.set("name", "static");
        layer.set("static_layer", Value::Object(keys.into_iter().collect::<Map<_, _>>()));
        let mut layers = Out::new(&LAYERED_RUNTIME);
        layers.list("layers", vec![layer.done()]);
        bootstrap.set("layered_runtime", layers.done());
    }
}

/// A node with more than a name and a group.
fn whole_node(message: &[u8]) -> Option<Value> {
    if message.is_empty() {
        return None;
    }
    let report = crate::diagnostic::Report::new("");
    wire::decode(NODE.name, message, &report).map(|node| to_json(&node))
}

fn watchdog(watchdog: &Watchdog) -> Value {
    let usual = Watchdog::default();
    let mut out = Out::new(&WATCHDOG);
    out.timeout("miss_timeout", Some(watchdog.miss), Some(usual.miss));
    out.timeout("megamiss_timeout", Some(watchdog.megamiss), Some(usual.megamiss));
    out.timeout("kill_timeout", watchdog.kill, None);
    out.timeout("max_kill_timeout_jitter", Some(watchdog.max_kill_jitter), Some(usual.max_kill_jitter));
    out.timeout("multikill_timeout", watchdog.multikill, None);
    if watchdog.multikill_share > 0.0 {
        let mut percent = Out::new(&PERCENT);
        percent.set("value", watchdog.multikill_share * 100.0);
        out.set("multikill_threshold", percent.done());
    }
    out.done()
}

fn header_prefix(writer: &Writer<'_>, bootstrap: &mut Out) {
    let mut prefix: Option<&str> = None;
    for listener in &writer.resources.listeners {
        for chain in listener.filter_chains.iter().chain(&listener.default_filter_chain) {
            let own = &*chain.http.header_prefix;
            if prefix.is_some_and(|prefix| prefix != own) {
                let what = format!(
                    "headers begin with \"{own}\" here: in Envoy they begin with the same everywhere"
                );
                writer.cannot(&listener.origin, what);
            }
            prefix.get_or_insert(own);
        }
    }
    bootstrap.unless("header_prefix", prefix.unwrap_or("x-envoy"), "x-envoy");
}

/// Runtime keys that are not what they are without being set.
fn runtime(resources: &Resources) -> BTreeMap<String, Value> {
    let mut keys = BTreeMap::new();
    let mut guard = |name: &str, value: bool, default: bool| {
        if value != default {
            keys.insert(format!("envoy.reloadable_features.{name}"), Value::from(value));
        }
    };
    let mut floods = RequestFloods::default();
    for listener in &resources.listeners {
        for chain in listener.filter_chains.iter().chain(&listener.default_filter_chain) {
            let http = &chain.http;
            guard("http_pause_generic_upgrade_request_body", http.hold_generic_upgrades, true);
            guard("http1_allow_query_method", !http.http1.refuse_query, true);
            guard("strip_dotdot_segments_with_parameters", !http.keep_dot_segment_parameters, true);
            if http.request_floods != floods {
                floods = http.request_floods;
            }
            for filter in http.filters() {
                filter_guards(&filter.config, &mut guard);
            }
        }
    }
    for filter in resources.cluster_http_filters.values().flat_map(|filters| filters.iter()) {
        filter_guards(&filter.config, &mut guard);
    }
    for table in resources.route_tables.values() {
        guard("strip_path_parameters_per_segment", table.path_parameters != PathParameters::EndThePath, true);
        for settings in other_settings(table) {
            ext_proc_guards(settings, &mut guard);
        }
    }
    let usual = RequestFloods::default();
    let mut number = |name: &str, value: u64, usual: u64| {
        if value != usual {
            keys.insert(name.to_owned(), wide(value));
        }
    };
    number(
        "overload.premature_reset_total_stream_count",
        floods.premature_reset_total_stream_count,
        usual.premature_reset_total_stream_count,
    );
    number(
        "overload.premature_reset_min_stream_lifetime_seconds",
        floods.premature_reset_min_stream_lifetime_seconds,
        usual.premature_reset_min_stream_lifetime_seconds,
    );
    number("http.max_requests_per_io_cycle", floods.max_requests_per_io_cycle.map_or(0, u64::from), 0);
    for listener in &resources.listeners {
        if let Some(most) = listener.limits.max_connections {
            keys.insert(
                format!("envoy.resource_limits.listener.{}.connection_limit", listener.name),
                wide(most),
            );
        }
    }
    let overload = &resources.process.overload;
    let has_monitor = overload
        .resources
        .iter()
        .any(|known| matches!(known.monitor, ResourceMonitor::DownstreamConnections));
    if let (Some(most), false) = (overload.max_downstream_connections, has_monitor) {
        keys.insert("overload.global_downstream_max_connections".to_owned(), wide(most));
    }
    keys
}

fn filter_guards(config: &FilterConfig, guard: &mut impl FnMut(&str, bool, bool)) {
    let mut inner = Vec::new();
    match config {
        FilterConfig::ExtProc(settings) => ext_proc_guards(settings, guard),
        FilterConfig::Matched(matched) => matched.visit(&mut |filter| inner.push(filter)),
        FilterConfig::Cors | FilterConfig::Settings(_) => {}
    }
    for filter in inner {
        filter_guards(filter, guard);
    }
}

fn ext_proc_guards(settings: &ExtProc, guard: &mut impl FnMut(&str, bool, bool)) {
    let plan = &settings.plan;
    guard("ext_proc_fail_close_spurious_resp", plan.fail_close_spurious_response, true);
    guard("ext_proc_graceful_grpc_close", plan.graceful_grpc_close, true);
    guard("ext_proc_not_send_empty_data_with_false_eos", !plan.send_empty_data, true);
}

/// Settings that routes have instead of those of the filter.
pub(super) fn other_settings(table: &RouteTable) -> impl Iterator<Item = &Arc<ExtProc>> {
    levels(table).flat_map(|level| level.iter()).filter_map(|(_, said)| match said {
        Override::Instead(settings) => Some(settings),
        _ => None,
    })
}

/// Everything that a table says about filters.
pub(super) fn levels(table: &RouteTable) -> impl Iterator<Item = &tollgate_ir::PerFilter> {
    let of_hosts = table.virtual_hosts.iter().flat_map(|host| {
        let of_routes = host.routes.iter().flat_map(|route| {
            let shares = match &route.action {
                tollgate_ir::Action::Route(action) => match &action.cluster {
                    ClusterSpecifier::WeightedClusters(shares) => shares.as_slice(),
                    _ => &[],
                },
                _ => &[],
            };
            std::iter::once(&route.per_filter).chain(shares.iter().map(|share| &share.filters))
        });
        std::iter::once(&host.per_filter).chain(of_routes)
    });
    std::iter::once(&table.per_filter).chain(of_hosts)
}
