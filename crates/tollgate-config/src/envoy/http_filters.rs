//! The chain of HTTP filters: external processing, the [kinds] that stand beside it, and the router.

pub(in crate::envoy) mod buffer;
pub(in crate::envoy) mod compressor;
mod cors;
pub(in crate::envoy) mod decompressor;
pub(in crate::envoy) mod ext_authz;
pub(in crate::envoy) mod fault;
pub(in crate::envoy) mod grpc_web;
pub(in crate::envoy) mod header_mutation;
pub(in crate::envoy) mod header_to_metadata;
mod health_check;
pub(in crate::envoy) mod host_lookup;
pub(in crate::envoy) mod jwt_authn;
mod kinds;
pub(in crate::envoy) mod local_ratelimit;
pub(in crate::envoy) mod lua;
pub(in crate::envoy) mod matched;
pub(in crate::envoy) mod ratelimit;
pub(in crate::envoy) mod rbac;
pub(in crate::envoy) mod set_metadata;
mod unary_service;

use std::{rc::Rc, sync::Arc};

use tollgate_ir::{FilterConfig, HttpFilter};

pub(in crate::envoy) use self::{
    health_check::HEALTH_CHECK,
    kinds::{Kind, SCHEMAS as KINDS_SCHEMAS},
};
use super::{
    Scope,
    ext_proc::{self, Filter, read_external_processor},
    ignored::is_ignored_http_filter,
};
use crate::{
    place::Place,
    schema::{Message, Schema, Value, harmless, read, refused},
    suggestion::nearest,
};

pub(super) static HTTP_FILTER: Schema = Schema {
    name: "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter",
    title: "",
    fields: &[
        read("name", "", "Unique name in the chain; `typed_per_filter_config` refers to it. Required."),
        read(
            "typed_config",
            "",
            "Router, ExternalProcessor, or one of the other HTTP filters here. Required.",
        ),
        read(
            "is_optional",
            "false",
            "Leave the filter out, with a warning, when its type is not supported and protects nothing.",
        ),
        read("disabled", "false", "Off until a route turns it on."),
        refused("config_discovery", "write the filter itself"),
    ],
    unsupported: &[],
};

pub(super) static ROUTER: Schema = Schema {
    name: "envoy.extensions.filters.http.router.v3.Router",
    title: "",
    fields: &[
        read("suppress_envoy_headers", "false", "Do not add `x-envoy-*` headers."),
        read(
            "upstream_http_filters",
            "[]",
            "Filters behind the router, for each attempt: those that Envoy has there too, and UpstreamCodec at the end.",
        ),
        harmless("dynamic_stats", "metrics are always on"),
        harmless("start_child_span", "no spans are exported"),
        harmless("suppress_grpc_request_failure_code_stats", "metrics are always on"),
        refused("upstream_log", "use access_log of the HTTP connection manager"),
        refused("strict_check_headers", "x-envoy-* request headers are not read"),
        refused("respect_expected_rq_timeout", "x-envoy-expected-rq-timeout-ms is not read"),
    ],
    unsupported: &["upstream_log_options", "reject_connect_request_early_data"],
};

pub(super) static UPSTREAM_CODEC: Schema = Schema {
    name: "envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec",
    title: "",
    fields: &[],
    unsupported: &[],
};

/// The schemas of this module.
pub(super) static SCHEMAS: [&Schema; 3] = [&HTTP_FILTER, &ROUTER, &UPSTREAM_CODEC];

/// One of the two chains of a connection manager.
struct Chain<'s> {
    /// What stands at its end, and only there.
    end: &'static Schema,
    /// How messages call that.
    end_name: &'static str,
    scope: &'s Scope,
    /// The cluster that it belongs to.
    cluster: Option<&'s str>,
}

/// The filters of a chain, as routes need them.
#[derive(Default)]
pub(super) struct Filters {
    /// Those of external processing, in order; those behind the router come last.
    pub(super) processors: Vec<Rc<Filter>>,
    /// All that do something, in the same order.
    all: Vec<HttpFilter>,
    /// How many of them stand behind the router.
    upstream: usize,
    /// Every name of both chains, those of filters with problems too.
    pub(super) names: Vec<String>,
    /// Names of filters that are left out.
    pub(super) left_out: Vec<String>,
    /// Router option.
    pub(super) suppress_envoy_headers: bool,
}

impl Filters {
    /// All of them.
    pub(super) fn into_list(self) -> Vec<HttpFilter> {
        self.all
    }

    /// The filters before the router, and those behind it.
    pub(super) fn into_lists(mut self) -> (Vec<HttpFilter>, Vec<HttpFilter>) {
        let upstream = self.all.split_off(self.all.len().saturating_sub(self.upstream));
        (self.all, upstream)
    }
}

/// Reads `http_filters` of a connection manager.
pub(super) fn read_http_filters(manager: &Message<'_>, scope: &Scope) -> Filters {
    let mut filters = Filters {
        processors: Vec::new(),
        all: Vec::new(),
        upstream: 0,
        names: Vec::new(),
        left_out: Vec::new(),
        suppress_envoy_headers: false,
    };
    let Some(list) = manager.required("http_filters") else { return filters };
    let chain = Chain { end: &ROUTER, end_name: "the router", scope, cluster: None };
    if let Some(router) = read_chain(&list, &chain, &mut filters) {
        filters.suppress_envoy_headers = router.boolean("suppress_envoy_headers", false);
        if let Some(list) = router.get("upstream_http_filters") {
            let before = filters.all.len();
            let chain = Chain { end: &UPSTREAM_CODEC, end_name: "the upstream codec", ..chain };
            read_chain(&list, &chain, &mut filters);
            filters.upstream = filters.all.len() - before;
        }
    }
    // What routes say about the filters of clusters is looked at with the rest.
    filters.names.extend(scope.of_clusters.names.iter().cloned());
    filters.left_out.extend(scope.of_clusters.left_out.iter().cloned());
    filters.processors.extend(scope.of_clusters.processors.iter().map(Rc::clone));
    filters
}

/// Reads `http_filters` of a cluster. They stand behind the router.
pub(super) fn read_cluster_http_filters(list: &Value<'_>, cluster: &str, scope: &Scope) -> Filters {
    let mut filters = Filters::default();
    if !list.is_empty_list() {
        let chain =
            Chain { end: &UPSTREAM_CODEC, end_name: "the upstream codec", scope, cluster: Some(cluster) };
        read_chain(list, &chain, &mut filters);
        filters.upstream = filters.all.len();
    }
    filters
}

/// Reads the filters of a chain; gives the one at its end.
fn read_chain<'a>(list: &Value<'a>, chain: &Chain<'_>, filters: &mut Filters) -> Option<Message<'a>> {
    let values = list.list();
    if values.is_empty() {
        list.error(format!("{} is missing: it has to be the last HTTP filter", chain.end_name));
    }
    let mut end = None;
    for (index, value) in values.iter().enumerate() {
        let Some(message) = value.message(&HTTP_FILTER) else { continue };
        let name = message.required_string("name");
        // Of filters with one name each runs, and what routes say about the name is said about all of them, as in Envoy.
        filters.names.push(name.clone());
        let is_last = index + 1 == values.len();
        end = read_http_filter(value, &message, name, is_last, chain, filters);
    }
    end
}

/// Reads a filter; gives it if it is the one that ends the chain.
fn read_http_filter<'a>(
    value: &Value<'a>,
    message: &Message<'a>,
    name: String,
    is_last: bool,
    chain: &Chain<'_>,
    filters: &mut Filters,
) -> Option<Message<'a>> {
    let disabled = message.boolean("disabled", false);
    let optional = message.boolean("is_optional", false);
    let any = message.required("typed_config").and_then(|config| config.any())?;
    let Chain { end, end_name, scope, cluster } = chain;
    let is_end = any.type_name == end.name;
    if is_last && !is_end {
        value.error(format!("the last HTTP filter has to be {end_name}"));
    }
    if is_end {
        if !is_last {
            value.error(format!("{end_name} has to be the last HTTP filter"));
        }
        if disabled {
            value.error(format!("{end_name} cannot be disabled"));
        }
        return any.value.message(end);
    }
    let upstream = end.name == UPSTREAM_CODEC.name;
    if ext_proc::is_type(&any, "ExternalProcessor") {
        if let Some(filter) = read_external_processor(&any.value, name, disabled, scope) {
            filters.all.push(HttpFilter {
                name: Arc::from(&*filter.name),
                stat_prefix: filter.stat_prefix.clone(),
                disabled,
                config: FilterConfig::ExtProc(Arc::clone(&filter.settings)),
                origin: filter.place.origin(None),
            });
            let cluster = cluster.map(str::to_owned);
            filters.processors.push(Rc::new(Filter { upstream, cluster, ..filter }));
        }
    } else if let Some(kind) = Kind::find(&any.type_name) {
        if upstream && !kind.upstream {
            value.error_with_help(
                format!("the HTTP filter \"{name}\" cannot stand behind the router"),
                "put it into http_filters of the connection manager",
            );
        }
        let config = kind.read(&any.value, scope);
        filters.all.extend(config.map(|config| HttpFilter {
            name: Arc::from(&*name),
            stat_prefix: String::new(),
            disabled,
            config,
            origin: Place::of(&any.value).origin(None),
        }));
    } else if is_ignored_http_filter(&any) {
        filters.left_out.push(name);
    } else if optional && is_harmless(&any.type_name) {
        any.type_value.warning(
            format!("the HTTP filter \"{name}\" is left out: its type is not supported"),
            "is_optional allows this",
        );
        filters.left_out.push(name);
    } else if optional {
        any.type_value.error_with_help(
            format!("the HTTP filter \"{name}\" of type \"{}\" is not supported", any.type_name),
            "is_optional leaves no filter out that may protect routes: remove it from the file to serve them without it",
        );
    } else if is_harmless(&any.type_name) {
        any.type_value.error_with_help(
            format!("unsupported HTTP filter \"{}\"", any.type_name),
            "put \"is_optional: true\" on the filter to serve without it",
        );
    } else {
        let names = Kind::names(end.name, upstream);
        let has_near = nearest(&any.type_name, names.iter().copied()).is_some();
        let few = [ext_proc::EXTERNAL_PROCESSOR.name, end.name];
        any.unsupported("HTTP filter", if has_near { &names } else { &few });
    }
    None
}

/// Packages of filters that requests can do without: whatever they do, none of it lets in who should be kept out, and nothing
/// that another filter reads comes from them. Everything else may protect something, filters that nobody here knows above all.
const HARMLESS: [&str; 14] = [
    "envoy.extensions.filters.http.alternate_protocols_cache.",
    "envoy.extensions.filters.http.cache.",
    "envoy.extensions.filters.http.cache_v2.",
    "envoy.extensions.filters.http.compressor.",
    "envoy.extensions.filters.http.connect_grpc_bridge.",
    "envoy.extensions.filters.http.file_system_buffer.",
    "envoy.extensions.filters.http.grpc_http1_bridge.",
    "envoy.extensions.filters.http.grpc_http1_reverse_bridge.",
    "envoy.extensions.filters.http.grpc_json_transcoder.",
    "envoy.extensions.filters.http.kill_request.",
    "envoy.extensions.filters.http.on_demand.",
    "envoy.extensions.filters.http.stateful_session.",
    "envoy.extensions.filters.http.tap.",
    "envoy.extensions.filters.http.upstream_codec.",
];

/// Whether requests may be served without a filter of this type, or without its settings.
pub(super) fn is_harmless(type_name: &str) -> bool {
    HARMLESS.iter().any(|package| type_name.starts_with(package))
}
