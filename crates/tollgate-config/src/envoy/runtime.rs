//! `layered_runtime`: the keys that change what an exchange does (Z-4).

use std::collections::BTreeMap;

use tollgate_model::http_connection_manager::RequestFloods;

use super::limits::Limits;
use crate::{
    place::Place,
    schema::{Message, Schema, Value, read, refused},
};

pub(super) static LAYERED_RUNTIME: Schema = Schema {
    name: "envoy.config.bootstrap.v3.LayeredRuntime",
    title: "",
    fields: &[read("layers", "[]", "Layers; a later one wins.")],
    unsupported: &[],
};

pub(super) static RUNTIME_LAYER: Schema = Schema {
    name: "envoy.config.bootstrap.v3.RuntimeLayer",
    title: "",
    fields: &[
        read("name", "", "Name of the layer, required and unique."),
        read(
            "static_layer",
            "{}",
            "Keys and values, nested or dotted. `envoy.reloadable_features.ext_proc_fail_close_spurious_resp`, \
             `envoy.reloadable_features.ext_proc_graceful_grpc_close` and \
             `envoy.reloadable_features.ext_proc_not_send_empty_data_with_false_eos` work, the other guards of ext_proc \
             and `envoy.reloadable_features.re2_use_latin1_mode` are accepted at their default. So do `envoy.reloadable_features.http_pause_generic_upgrade_request_body`, \
             `envoy.reloadable_features.http1_allow_query_method`, \
             `envoy.reloadable_features.strip_dotdot_segments_with_parameters` and \
             `envoy.reloadable_features.strip_path_parameters_per_segment`. \
             `overload.global_downstream_max_connections` and \
             `envoy.resource_limits.listener.<name>.connection_limit` limit connections. \
             `overload.premature_reset_total_stream_count`, `overload.premature_reset_min_stream_lifetime_seconds` and \
             `http.max_requests_per_io_cycle` limit requests. Every other key has no effect.",
        ),
        read("admin_layer", "", "Accepted when empty: there is nothing to set at run time."),
        refused("disk_layer", "use static_layer"),
        refused("rtds_layer", "use static_layer"),
    ],
    unsupported: &[],
};

/// The schemas of this module.
pub(super) static SCHEMAS: [&Schema; 2] = [&LAYERED_RUNTIME, &RUNTIME_LAYER];

/// Runtime keys.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Runtime {
    /// `envoy.reloadable_features.ext_proc_fail_close_spurious_resp` (F-14).
    pub(super) fail_close_spurious_response: bool,
    /// `envoy.reloadable_features.ext_proc_graceful_grpc_close` (L-5).
    pub(super) graceful_grpc_close: bool,
    /// `envoy.reloadable_features.http_pause_generic_upgrade_request_body`.
    pub(super) pause_generic_upgrades: bool,
    /// `envoy.reloadable_features.http1_allow_query_method` is false.
    pub(super) refuse_query: bool,
    /// `envoy.reloadable_features.strip_dotdot_segments_with_parameters` is false.
    pub(super) keep_dot_segment_parameters: bool,
    /// `envoy.reloadable_features.strip_path_parameters_per_segment` is false.
    pub(super) cut_at_path_parameters: bool,
    /// `envoy.reloadable_features.ext_proc_not_send_empty_data_with_false_eos` is false (B-4.11).
    pub(super) send_empty_data: bool,
    /// `overload.premature_reset_*` and `http.max_requests_per_io_cycle`.
    pub(super) request_floods: RequestFloods,
    /// Where they are written, by the names of these fields.
    pub(super) sources: BTreeMap<&'static str, Place>,
}

impl Default for Runtime {
    fn default() -> Self {
        Self {
            fail_close_spurious_response: true,
            graceful_grpc_close: true,
            pause_generic_upgrades: true,
            refuse_query: false,
            keep_dot_segment_parameters: false,
            cut_at_path_parameters: false,
            send_empty_data: false,
            request_floods: RequestFloods::default(),
            sources: BTreeMap::new(),
        }
    }
}

/// Guards that describe how Envoy does it, with their defaults.
const FIXED_GUARDS: [(&str, bool); 4] = [
    ("ext_proc_inject_data_with_state_update", true),
    ("ext_proc_return_stop_iteration", true),
    ("ext_proc_report_client_creation_error", true),
    ("re2_use_latin1_mode", true),
];

pub(super) fn read_runtime<'a>(bootstrap: &Message<'a>, limits: &mut Limits<'a>) -> Runtime {
    let mut runtime = Runtime::default();
    let Some(layered) = bootstrap.message("layered_runtime", &LAYERED_RUNTIME) else { return runtime };
    let mut names = Vec::new();
    let mut admin_layer = false;
    for layer in layered.list("layers") {
        let Some(layer) = layer.message(&RUNTIME_LAYER) else { continue };
        let name = layer.required_string("name");
        if !name.is_empty() && names.contains(&name) {
            layer.value().error(format!("there are two layers named \"{name}\""));
        }
        names.push(name);
        match layer.required_one_of(&["static_layer", "admin_layer"]) {
            Some(("static_layer", value)) => read_keys(&value, "", &mut runtime, limits),
            Some((_, value)) => {
                if !value.is_empty_message() {
                    value.error("expected {}");
                }
                if admin_layer {
                    value.error("there can be one admin_layer at most");
                }
                admin_layer = true;
            }
            None => {}
        }
    }
    runtime
}

/// Reads keys, which may be nested: `{a: {b: 1}}` is `a.b`.
fn read_keys<'a>(value: &Value<'a>, prefix: &str, runtime: &mut Runtime, limits: &mut Limits<'a>) {
    for (key, value) in value.map() {
        let key = if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") };
        if value.is_mapping() {
            read_keys(&value, &key, runtime, limits);
            continue;
        }
        if limits.read(&key, &value) {
            continue;
        }
        if read_request_floods(&value, &key, &mut runtime.request_floods) {
            continue;
        }
        let Some(guard) = key.strip_prefix("envoy.reloadable_features.") else {
            no_effect(&value, &key);
            continue;
        };
        match guard {
            "ext_proc_fail_close_spurious_resp" => {
                runtime.fail_close_spurious_response = value.boolean().unwrap_or(true);
                runtime.sources.insert("fail_close_spurious_response", Place::of(&value));
            }
            "ext_proc_graceful_grpc_close" => {
                runtime.graceful_grpc_close = value.boolean().unwrap_or(true);
                runtime.sources.insert("graceful_grpc_close", Place::of(&value));
            }
            "http_pause_generic_upgrade_request_body" => {
                runtime.pause_generic_upgrades = value.boolean().unwrap_or(true);
            }
            "http1_allow_query_method" => runtime.refuse_query = !value.boolean().unwrap_or(true),
            "strip_dotdot_segments_with_parameters" => {
                runtime.keep_dot_segment_parameters = !value.boolean().unwrap_or(true);
            }
            "strip_path_parameters_per_segment" => {
                runtime.cut_at_path_parameters = !value.boolean().unwrap_or(true);
            }
            "ext_proc_not_send_empty_data_with_false_eos" => {
                runtime.send_empty_data = !value.boolean().unwrap_or(true);
                runtime.sources.insert("send_empty_data", Place::of(&value));
            }
            _ => match FIXED_GUARDS.iter().find(|(name, _)| *name == guard) {
                Some((_, default)) => {
                    if value.boolean().is_some_and(|wanted| wanted != *default) {
                        value.error_with_help(
                            format!("\"{key}\" cannot be changed"),
                            format!("only its default, {default}, is supported"),
                        );
                    }
                }
                None => no_effect(&value, &key),
            },
        }
    }
}

/// Reads a key that limits how requests come and go. False: it is another one.
fn read_request_floods(value: &Value<'_>, key: &str, floods: &mut RequestFloods) -> bool {
    let number =
        |least: i64| value.integer(least..=i64::from(u32::MAX)).and_then(|number| u32::try_from(number).ok());
    match key {
        "overload.premature_reset_total_stream_count" => {
            floods.premature_reset_total_stream_count = number(1).map_or(500, u64::from);
        }
        "overload.premature_reset_min_stream_lifetime_seconds" => {
            floods.premature_reset_min_stream_lifetime_seconds = number(0).map_or(1, u64::from);
        }
        "http.max_requests_per_io_cycle" => floods.max_requests_per_io_cycle = number(1),
        _ => return false,
    }
    true
}

fn no_effect(value: &Value<'_>, key: &str) {
    value.no_effect(format!("the runtime key \"{key}\""), "no setting here depends on it");
}
