//! The bootstrap itself.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use serde_json::json;
use tollgate_ir::{Cluster, Process, Resources, Sourced};
use tollgate_model::{listener::BindAddress, snapshot::Node};

use super::{
    Bootstrap, Scope, Surroundings,
    address::read_bind_address,
    cluster::{read_cluster, schema::CLUSTER},
    config_source::read_resources,
    http_filters::{Filters, read_cluster_http_filters},
    limits::Limits,
    listener::{ChainOrigins, ChainTable, read_listener, schema::LISTENER},
    management::{is_from_server, read_management},
    overload::read_overload_manager,
    runtime::read_runtime,
    scope::{ClusterFacts, Clusters},
    tls::KnownSecrets,
    watchdog::read_watchdog,
};
use crate::{
    Explanations, NodeNames, RouteKey,
    place::Place,
    schema::{Message, Schema, Value, from_json, harmless, protects, read, refused, unimplemented, wire},
    yaml,
};

const NO_STATS: &str = "metrics are always on at the admin address";
const ONLY_STATIC: &str = "only static resources are supported; write them below static_resources";

pub(super) static BOOTSTRAP: Schema = Schema {
    name: "envoy.config.bootstrap.v3.Bootstrap",
    title: "",
    fields: &[
        read("static_resources", "", "Listeners and clusters."),
        read(
            "dynamic_resources",
            "",
            "Listeners and clusters that are elsewhere: in files, or with a management server.",
        ),
        read("admin", "", "The admin server."),
        read("node", "", "Who this gateway is."),
        read("layered_runtime", "", "Runtime keys."),
        read("header_prefix", "x-envoy", "Prefix of the proxy's own headers."),
        harmless("stats_config", NO_STATS),
        unimplemented("stats_sinks", NO_STATS),
        harmless("stats_flush_interval", NO_STATS),
        harmless("stats_flush_on_admin", NO_STATS),
        harmless("deferred_stat_options", NO_STATS),
        harmless("enable_dispatcher_stats", NO_STATS),
        read("cluster_manager", "{}", "Settings of all clusters."),
        read("watchdogs", "{}", "What is done about a worker that hangs."),
        read("watchdog", "", "Old form of watchdogs.worker_watchdog."),
        read(
            "overload_manager",
            "{}",
            "Limits of the whole process, and what happens when a resource runs short.",
        ),
        unimplemented("typed_dns_resolver_config", "names are resolved as the system is configured"),
        harmless("default_regex_engine", "expressions have RE2's syntax"),
        harmless("application_log_config", "logging is set on the command line"),
        unimplemented("tracing", "no spans are exported"),
        refused("hds_config", ONLY_STATIC),
        refused("config_sources", ONLY_STATIC),
        refused("default_config_source", ONLY_STATIC),
        harmless("node_context_params", "names of resources have no context here"),
        harmless("flags_path", "there are no runtime flags of that kind"),
        harmless("stats_eviction_interval", NO_STATS),
        harmless("stats_server_version_override", NO_STATS),
        unimplemented("use_tcp_for_dns_lookups", "names are resolved as the system is configured"),
        unimplemented("dns_resolution_config", "names are resolved as the system is configured"),
        harmless("fatal_actions", "nothing is done when the process crashes"),
        harmless("inline_headers", "every header is found alike"),
        harmless("perf_tracing_file_path", "there is no profiler to start"),
        harmless("grpc_async_client_manager_config", "clients live as long as their configuration"),
        harmless("memory_allocator_manager", "the allocator gives memory back by itself"),
        harmless("enable_worker_cpu_affinity", "the system places threads"),
    ],
    unsupported: &[
        "bootstrap_extensions",
        "default_socket_interface",
        "certificate_provider_instances",
        "xds_delegate_extension",
        "xds_config_tracker_extension",
        "listener_manager",
    ],
};

pub(super) static STATIC_RESOURCES: Schema = Schema {
    name: "envoy.config.bootstrap.v3.Bootstrap.StaticResources",
    title: "",
    fields: &[
        read("listeners", "[]", "Listeners."),
        read("clusters", "[]", "Clusters."),
        read("secrets", "[]", "Certificates and validation contexts that TLS contexts name."),
    ],
    unsupported: &[],
};

pub(super) static DYNAMIC_RESOURCES: Schema = Schema {
    name: "envoy.config.bootstrap.v3.Bootstrap.DynamicResources",
    title: "",
    fields: &[
        read("lds_config", "", "Where listeners come from: a file, `ads`, or a server of their own."),
        read("cds_config", "", "Where clusters come from: a file, `ads`, or a server of their own."),
        read("ads_config", "", "The management server of everything that says `ads`."),
    ],
    unsupported: &["lds_resources_locator", "cds_resources_locator"],
};

pub(super) static ADMIN: Schema = Schema {
    name: "envoy.config.bootstrap.v3.Admin",
    title: "",
    fields: &[
        read("address", "", "Where the admin server listens; a TCP address. Without it there is none."),
        unimplemented("access_log", "requests to the admin server are not logged"),
        unimplemented("access_log_path", "requests to the admin server are not logged"),
        harmless("profile_path", "there is no profiler to start"),
        protects(
            "allow_paths",
            "bind the admin server to an address that only those reach who may read all of it",
        ),
        harmless("socket_options", "the admin server needs none"),
        harmless("ignore_global_conn_limit", "the admin server has a limit of its own"),
    ],
    unsupported: &[],
};

pub(super) static NODE: Schema = Schema {
    name: "envoy.config.core.v3.Node",
    title: "",
    fields: &[
        read("id", "", "Name of this gateway."),
        read("cluster", "", "Name of the group of gateways that this one belongs to."),
        read("locality", "", "Where this gateway is; management servers are told."),
        read("metadata", "{}", "What else management servers are told."),
        read("user_agent_name", "tollgate", "What management servers are told."),
        read("user_agent_version", "", "What management servers are told."),
        read("user_agent_build_version", "", "What management servers are told."),
        read("dynamic_parameters", "{}", "What management servers are told."),
        read("extensions", "[]", "What management servers are told."),
        read("client_features", "[]", "What management servers are told."),
        read("listening_addresses", "[]", "What management servers are told."),
    ],
    unsupported: &[],
};

pub(super) static CLUSTER_MANAGER: Schema = Schema {
    name: "envoy.config.bootstrap.v3.ClusterManager",
    title: "",
    fields: &[
        unimplemented("local_cluster_name", "no choice depends on where the gateway is"),
        harmless("outlier_detection", "there is no log of ejections"),
        harmless(
            "enable_deferred_cluster_creation",
            "clusters are made when the configuration is put in force",
        ),
        refused("upstream_bind_config", "set it in each cluster"),
        refused("load_stats_config", "statistics are at the admin address"),
    ],
    unsupported: &[],
};

/// The schemas of this module.
pub(super) static SCHEMAS: [&Schema; 6] =
    [&BOOTSTRAP, &STATIC_RESOURCES, &DYNAMIC_RESOURCES, &ADMIN, &NODE, &CLUSTER_MANAGER];

/// Reads a bootstrap, and where its routes come from.
pub(super) fn read_bootstrap(value: &Value<'_>) -> Option<Bootstrap> {
    let bootstrap = value.message(&BOOTSTRAP)?;
    let mut limits = Limits::default();
    let mut scope = Scope {
        header_prefix: read_header_prefix(&bootstrap),
        runtime: read_runtime(&bootstrap, &mut limits),
        clusters: Clusters::Known(HashMap::new()),
        of_clusters: Filters::default(),
        secrets: KnownSecrets::of_bootstrap(),
    };
    let mut found = Resources {
        process: Process {
            admin_address: read_admin(&bootstrap),
            node: read_node(&bootstrap),
            ..Process::default()
        },
        ..Resources::default()
    };
    bootstrap.message("cluster_manager", &CLUSTER_MANAGER);
    if let Some(value) = bootstrap.get("overload_manager") {
        found.process.overload = read_overload_manager(&value);
    }
    found.process.watchdog = read_watchdog(&bootstrap);
    limits.apply_global(&mut found.process.overload);
    let fixed = bootstrap.message("static_resources", &STATIC_RESOURCES);
    let dynamic = bootstrap.message("dynamic_resources", &DYNAMIC_RESOURCES);
    fixed.iter().flat_map(|fixed| fixed.list("secrets")).for_each(|value| scope.secrets.read(&value));
    let (scope_prefix, scope_runtime) = (scope.header_prefix.clone(), scope.runtime.clone());
    let mut take_cluster = |value: &Value<'_>, cluster: Cluster| {
        let facts = ClusterFacts::of(&cluster.protocol, &cluster.endpoints);
        scope.clusters.insert(cluster.name.clone(), facts);
        if found.clusters.contains_key(&cluster.name) {
            value.error(format!("there are two clusters named \"{}\"", cluster.name));
        }
        found.insert_cluster(cluster, Place::of(value).origin(None));
    };
    // Filters of clusters may name clusters that come later.
    let mut lists = Vec::new();
    for value in fixed.iter().flat_map(|fixed| fixed.list("clusters")) {
        let Some((cluster, filters)) = read_cluster(&value, &scope.secrets) else { continue };
        lists.extend(filters.map(|filters| (cluster.name.clone(), filters)));
        take_cluster(&value, cluster);
    }
    let mut of_files = Vec::new();
    let of_file = |name| dynamic.as_ref()?.get(name).filter(|source| !is_from_server(source));
    if let Some(source) = of_file("cds_config") {
        let unknown = Scope {
            header_prefix: scope_prefix,
            runtime: scope_runtime,
            clusters: Clusters::NotKnown,
            of_clusters: Filters::default(),
            secrets: KnownSecrets::delivered(),
        };
        read_resources(&source, &CLUSTER, |value| {
            let Some((cluster, filters)) = read_cluster(value, &scope.secrets) else { return };
            of_files.extend(filters.map(|filters| {
                let read = read_cluster_http_filters(&filters, &cluster.name, &unknown);
                (cluster.name.clone(), read)
            }));
            take_cluster(value, cluster);
        });
    }
    let of_lists = lists.into_iter().map(|(cluster, list)| {
        let filters = read_cluster_http_filters(&list, &cluster, &scope);
        (cluster, filters)
    });
    let of_clusters: Vec<_> = of_lists.collect();
    for (cluster, mut filters) in of_clusters.into_iter().chain(of_files) {
        scope.add_filters(&cluster, &mut filters);
        let filters = filters.into_list();
        if !filters.is_empty() {
            found.cluster_http_filters.insert(cluster, filters.into());
        }
    }
    let in_place = bootstrap.get("static_resources");
    found.process.management = read_management(dynamic.as_ref(), in_place.as_ref(), &scope).map(|value| {
        let origin = dynamic.as_ref().map(|dynamic| Place::of(dynamic.value()).origin(None));
        Arc::new(Sourced { value, origin: origin.unwrap_or_default() })
    });
    let mut explanations = Explanations::default();
    let mut index = 0;
    let mut take_listener = |value: &Value<'_>| {
        index += 1;
        let Some((mut listener, tables)) = read_listener(value, index - 1, &scope) else { return };
        listener.limits.max_connections = limits.take(&listener.name);
        if found.listeners.iter().any(|other| other.name == listener.name) {
            value.error(format!("there are two listeners named \"{}\"", listener.name));
        }
        let taken = found.listeners.iter().find_map(|other| {
            let shared = listener.addresses.iter().find(|address| conflict(address, &other.addresses))?;
            Some((other.name.clone(), shared))
        });
        if let Some((name, _)) = taken {
            value.error(format!("it listens where the listener \"{name}\" does"));
        }
        let place = Place::of(value);
        let origin = place.origin(None);
        let mut origins = Vec::new();
        for ChainTable { chain, key, table, origins: of_table } in tables {
            found.route_tables.insert(key, Arc::new(table));
            origins.push((chain, of_table));
        }
        explain(&mut explanations, &listener.name, place, origins);
        found.listeners.push(Arc::new(Sourced { value: listener, origin }));
    };
    fixed.iter().flat_map(|fixed| fixed.list("listeners")).for_each(|value| take_listener(&value));
    if let Some(source) = of_file("lds_config") {
        read_resources(&source, &LISTENER, &mut take_listener);
    }
    let comes_later = |name| dynamic.as_ref()?.get(name).filter(is_from_server);
    if comes_later("lds_config").is_none() {
        limits.complain_about_the_rest();
    }
    let surroundings = Surroundings::new(
        scope.header_prefix,
        scope.runtime,
        limits.into_rest(),
        found.clusters.keys().cloned().collect(),
    );
    found.secrets = scope.secrets.into_inner();
    Some(Bootstrap { resources: found, explanations, surroundings })
}

/// Remembers where a listener and its routes come from.
fn explain(explanations: &mut Explanations, listener: &str, place: Place, origins: Vec<ChainOrigins>) {
    explanations.insert_listener(listener.to_owned(), place);
    for (filter_chain, table) in origins {
        explanations.insert_without_route(listener.to_owned(), filter_chain, table.without_route);
        for (virtual_host, routes) in table.routes.into_iter().enumerate() {
            for (route, explanation) in routes.into_iter().enumerate() {
                let key = RouteKey { listener: listener.to_owned(), filter_chain, virtual_host, route };
                explanations.insert(key, explanation);
            }
        }
    }
}

/// Whether `address` is among `taken`; port 0 is never the same twice.
fn conflict(address: &BindAddress, taken: &[BindAddress]) -> bool {
    !matches!(address, BindAddress::Socket(socket) if socket.port() == 0) && taken.contains(address)
}

fn read_header_prefix(bootstrap: &Message<'_>) -> String {
    let prefix = bootstrap.string("header_prefix");
    if prefix.is_empty() {
        return "x-envoy".to_owned();
    }
    if http::HeaderName::try_from(&prefix).is_err()
        && let Some(value) = bootstrap.get("header_prefix")
    {
        value.error(format!("\"{prefix}\" cannot begin a header name"));
    }
    prefix.to_ascii_lowercase()
}

fn read_admin(bootstrap: &Message<'_>) -> Option<std::net::SocketAddr> {
    let admin = bootstrap.message("admin", &ADMIN)?;
    let address = admin.get("address")?;
    match read_bind_address(&address)? {
        BindAddress::Socket(socket) => Some(socket),
        BindAddress::Pipe { .. } => {
            address.error("the admin server listens on TCP only");
            None
        }
    }
}

fn read_node(bootstrap: &Message<'_>) -> Node {
    let context = bootstrap.value().context;
    let named = &context.options.node;
    let node = bootstrap.message("node", &NODE);
    let text = |name: &'static str| node.as_ref().map(|node| node.string(name)).unwrap_or_default();
    let id = named.id.clone().unwrap_or_else(|| text("id"));
    let cluster = named.cluster.clone().unwrap_or_else(|| text("cluster"));
    // Only what says more than its name and group is kept as a whole.
    let others = NODE.read_names().filter(|name| !["id", "cluster"].contains(name));
    let is_more =
        node.as_ref().is_some_and(|node| others.filter(|name| node.get(name).is_some()).count() > 0);
    if (!is_more && named.zone.is_none()) || context.report.has_errors() {
        return Node { id, cluster, message: Bytes::new() };
    }
    let mut message = Vec::new();
    let mut add = |tree: &yaml::Node| match wire::canonical(NODE.name, tree) {
        Ok(bytes) => message.extend(bytes),
        Err(problem) => bootstrap.value().error(format!("{}: {}", problem.path, problem.message)),
    };
    if let Some(node) = &node {
        add(node.value().node);
    }
    if *named != NodeNames::default() {
        // A message after a message is merged into it.
        let mut over = json!({ "id": id, "cluster": cluster });
        if let Some(zone) = &named.zone {
            over["locality"] = json!({ "zone": zone });
        }
        add(&from_json(&over));
    }
    Node { id, cluster, message: message.into() }
}
