//! The chain of HTTP filters (dialects 5.4): external processing and the router.

use std::{rc::Rc, sync::Arc};

use tollgate_model::processor::HttpFilter;

use super::{
    Scope,
    ext_proc::{self, Filter, read_external_processor},
};
use crate::protobuf::{Message, Schema, Value, no_effect, read, refused};

pub(super) static HTTP_FILTER: Schema = Schema {
    name: "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter",
    title: "",
    fields: &[
        read("name", "", "Unique name in the chain; `typed_per_filter_config` refers to it. Required."),
        read("typed_config", "", "ExternalProcessor or Router. Required."),
        read("is_optional", "false", "Leave the filter out, with a warning, when its type is not supported."),
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
        no_effect("dynamic_stats", "metrics are always on"),
        no_effect("start_child_span", "no spans are exported"),
        no_effect("suppress_grpc_request_failure_code_stats", "metrics are always on"),
        refused("upstream_http_filters", "use http_filters of the HTTP connection manager"),
        refused("upstream_log", "use access_log of the HTTP connection manager"),
        refused("strict_check_headers", "x-envoy-* request headers are not read"),
        refused("respect_expected_rq_timeout", "x-envoy-expected-rq-timeout-ms is not read"),
    ],
    unsupported: &["upstream_log_options", "reject_connect_request_early_data"],
};

/// The schemas of this module.
pub(super) static SCHEMAS: [&Schema; 2] = [&HTTP_FILTER, &ROUTER];

/// The filters of a chain, as routes need them.
pub(super) struct Filters {
    /// Those that do something, in order.
    pub(super) filters: Vec<Rc<Filter>>,
    /// Every name of the chain, those of filters with problems too.
    pub(super) names: Vec<String>,
    /// Router option.
    pub(super) suppress_envoy_headers: bool,
}

impl Filters {
    pub(super) fn into_model(self) -> Vec<Arc<HttpFilter>> {
        self.filters
            .iter()
            .map(|filter| {
                Arc::new(HttpFilter {
                    name: filter.name.clone(),
                    stat_prefix: filter.stat_prefix.clone(),
                    default: filter.default_override(),
                })
            })
            .collect()
    }
}

/// Reads `http_filters` of the connection manager with this `stat_prefix`.
pub(super) fn read_http_filters(manager: &Message<'_>, stat_prefix: &str, scope: &Scope) -> Filters {
    let mut filters = Filters { filters: Vec::new(), names: Vec::new(), suppress_envoy_headers: false };
    let Some(list) = manager.required("http_filters") else { return filters };
    let values = list.list();
    if values.is_empty() {
        list.error("the router is missing: it has to be the last HTTP filter");
    }
    for (index, value) in values.iter().enumerate() {
        let Some(message) = value.message(&HTTP_FILTER) else { continue };
        let name = message.required_string("name");
        if !name.is_empty() && filters.names.contains(&name) {
            // EN-7: per-route configuration finds a filter by its name.
            value.error(format!("there are two HTTP filters named \"{name}\""));
        }
        filters.names.push(name.clone());
        read_http_filter(value, &message, name, index + 1 == values.len(), stat_prefix, scope, &mut filters);
    }
    filters
}

fn read_http_filter(
    value: &Value<'_>,
    message: &Message<'_>,
    name: String,
    is_last: bool,
    stat_prefix: &str,
    scope: &Scope,
    filters: &mut Filters,
) {
    let disabled = message.boolean("disabled", false);
    let optional = message.boolean("is_optional", false);
    let Some(any) = message.required("typed_config").and_then(|config| config.any()) else { return };
    let is_router = any.type_name == ROUTER.name;
    if is_last && !is_router {
        value.error("the last HTTP filter has to be the router");
    }
    if is_router {
        if !is_last {
            value.error("the router has to be the last HTTP filter");
        }
        if disabled {
            value.error("the router cannot be disabled");
        }
        if let Some(router) = any.value.message(&ROUTER) {
            filters.suppress_envoy_headers = router.boolean("suppress_envoy_headers", false);
        }
    } else if ext_proc::is_type(&any, "ExternalProcessor") {
        let filter = read_external_processor(&any.value, name, disabled, stat_prefix, scope);
        filters.filters.extend(filter.map(Rc::new));
    } else if optional {
        any.type_value.warning(
            format!("the HTTP filter \"{name}\" is left out: its type is not supported"),
            "is_optional allows this",
        );
    } else {
        any.unsupported("HTTP filter", &[ext_proc::EXTERNAL_PROCESSOR.name, ROUTER.name]);
    }
}
