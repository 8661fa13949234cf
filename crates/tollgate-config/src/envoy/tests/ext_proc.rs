//! The external processing filter: defaults and the errors of section 1.1.

use std::{sync::Arc, time::Duration};

use extproc::{BodySendMode, HeaderSendMode, ProcessingMode, RouteCacheAction};
use http::StatusCode;
use tollgate_model::processor::{ExtProcFilter, FilterOverride};

use super::*;

fn with(fields: &str) -> Gateway {
    Gateway { filters: ext_proc("ext", fields), ..Gateway::default() }
}

fn filter(gateway: &Gateway) -> Arc<ExtProcFilter> {
    let snapshot = gateway.snapshot();
    match &snapshot.listeners[0].filter_chains[0].http.http_filters[0].default {
        FilterOverride::ExtProc(filter) => Arc::clone(filter),
        other => panic!("{other:?}"),
    }
}

fn refused(fields: &str) -> String {
    let said = with(fields).said();
    assert_eq!(said.len(), 1, "{said:?}");
    said[0].clone()
}

fn accepted(fields: &str) {
    assert_eq!(with(fields).said(), Vec::<String>::new(), "{fields}");
}

#[test]
fn defaults_are_envoys() {
    let plan = &filter(&Gateway::default()).plan;
    assert_eq!(plan.filter_name, "ext");
    assert_eq!(plan.processing_mode, ProcessingMode::default());
    assert!(!plan.failure_mode_allow);
    assert!(plan.fail_close_spurious_response);
    assert_eq!(plan.message_timeout, Duration::from_millis(200));
    assert_eq!(plan.max_message_timeout, Duration::ZERO);
    assert_eq!(plan.deferred_close_timeout, Duration::from_secs(5));
    assert_eq!(plan.status_on_error, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(plan.route_cache_action, RouteCacheAction::Default);
    assert_eq!(plan.header_prefix, "x-envoy");
    // Decision 5.
    assert!(plan.graceful_grpc_close);
}

#[test]
fn every_setting_arrives() {
    let plan = Arc::clone(
        &filter(&with(
            "failure_mode_allow: true, message_timeout: 1.5s, max_message_timeout: 10s, \
             processing_mode: {request_body_mode: BUFFERED, response_header_mode: SKIP, response_trailer_mode: SEND}, \
             allow_mode_override: true, allowed_override_modes: [{request_body_mode: 2}], \
             disable_immediate_response: true, observability_mode: true, deferred_close_timeout: 0s, \
             route_cache_action: RETAIN, send_body_without_waiting_for_header_response: true, \
             status_on_error: {code: 503}, allow_content_length_header: true, stat_prefix: one, \
             request_attributes: [request.path], mutation_rules: {disallow_all: true}, \
             forward_rules: {allowed_headers: {patterns: [{exact: x-a}]}}, \
             metadata_options: {forwarding_namespaces: {untyped: [a], typed: [b]}, receiving_namespaces: {untyped: [c]}}",
        ))
        .plan,
    );
    let mode = ProcessingMode {
        request_body_mode: BodySendMode::Buffered,
        response_header_mode: HeaderSendMode::Skip,
        response_trailer_mode: HeaderSendMode::Send,
        ..ProcessingMode::default()
    };
    assert_eq!(plan.processing_mode, mode);
    assert_eq!(plan.filter_processing_mode, mode);
    assert!(plan.failure_mode_allow && plan.allow_mode_override && plan.observability_mode);
    assert!(plan.disable_immediate_response && plan.send_body_without_waiting_for_header_response);
    assert!(plan.allow_content_length_header && !plan.request_attributes.is_empty());
    assert_eq!(plan.message_timeout, Duration::from_millis(1500));
    assert_eq!(plan.max_message_timeout, Duration::from_secs(10));
    assert_eq!(plan.deferred_close_timeout, Duration::ZERO);
    assert_eq!(plan.allowed_override_modes.len(), 1);
    assert_eq!(plan.route_cache_action, RouteCacheAction::Retain);
    assert_eq!(plan.status_on_error, StatusCode::SERVICE_UNAVAILABLE);
    assert!(plan.mutation_rules.disallow_all);
    assert!(plan.forward_rules.forwards("x-a") && !plan.forward_rules.forwards("x-b"));
    assert_eq!(plan.metadata_options.forwarding_namespaces.untyped, ["a"]);
    assert_eq!(plan.metadata_options.forwarding_namespaces.typed, ["b"]);
    assert_eq!(plan.metadata_options.receiving_namespaces.untyped, ["c"]);
}

#[test]
fn statistics_are_named_after_connection_manager_and_filter() {
    // Z-1
    let prefix = |fields| {
        let snapshot = with(fields).snapshot();
        snapshot.listeners[0].filter_chains[0].http.http_filters[0].stat_prefix.clone()
    };
    assert_eq!(prefix(""), "http.ingress.ext_proc.");
    assert_eq!(prefix("stat_prefix: one"), "http.ingress.ext_proc.one.");
}

#[test]
fn a_service_is_needed_and_only_grpc_is_supported() {
    // Section 1.1, error 1.
    let missing =
        Gateway { filters: ext_proc_with("failure_mode_allow: true", "ext", ""), ..Gateway::default() };
    assert_eq!(missing.said(), ["error: \"grpc_service\" is missing"]);
    let http = Gateway { filters: ext_proc_with("http_service: {}", "ext", ""), ..Gateway::default() };
    assert_eq!(http.said(), [refused("http_service: {}")]);
    assert_eq!(
        refused("http_service: {}"),
        "error: \"http_service\" is not supported [use grpc_service; processors over HTTP are not supported]"
    );
}

#[test]
fn a_full_duplex_body_needs_its_trailers() {
    // Section 1.1, error 3.
    assert_eq!(
        refused("processing_mode: {request_body_mode: FULL_DUPLEX_STREAMED, response_trailer_mode: SEND}"),
        "error: a request body in FULL_DUPLEX_STREAMED mode needs the request trailers [add request_trailer_mode: SEND]"
    );
    assert_eq!(
        refused("processing_mode: {response_body_mode: 4}"),
        "error: a response body in FULL_DUPLEX_STREAMED mode needs the response trailers [add response_trailer_mode: SEND]"
    );
    accepted("processing_mode: {request_body_mode: FULL_DUPLEX_STREAMED, request_trailer_mode: SEND}");
}

#[test]
fn both_ways_to_say_the_route_cache_action_contradict_each_other() {
    // Section 1.1, error 4: even when they agree.
    for action in ["CLEAR", "RETAIN"] {
        assert_eq!(
            refused(&format!("disable_clear_route_cache: true, route_cache_action: {action}")),
            "error: \"disable_clear_route_cache\" and \"route_cache_action\" cannot be given together"
        );
    }
    accepted("disable_clear_route_cache: true, route_cache_action: DEFAULT");
    let plan = &filter(&with("disable_clear_route_cache: true")).plan;
    assert_eq!(plan.route_cache_action, RouteCacheAction::Retain);
}

#[test]
fn values_outside_of_their_range_are_refused() {
    // Section 1.1, error 5.
    assert_eq!(refused("message_timeout: 3601s"), "error: must be at most 3600s");
    assert_eq!(refused("max_message_timeout: 3601s"), "error: must be at most 3600s");
    assert_eq!(refused("deferred_close_timeout: -1s"), "error: \"-1s\" is negative");
    assert_eq!(
        refused("message_timeout: 200ms"),
        "error: \"200ms\" is not a duration: it must be seconds that end with \"s\" \
         [write it in seconds: \"0.2s\"]"
    );
    assert_eq!(
        refused("processing_mode: {request_body_mode: 6}"),
        "error: unknown value 6 [supported: NONE, STREAMED, BUFFERED, BUFFERED_PARTIAL, FULL_DUPLEX_STREAMED, GRPC]"
    );
    assert_eq!(
        refused("processing_mode: {request_header_mode: SKIPP}"),
        "error: unknown value SKIPP [did you mean \"SKIP\"?]"
    );
    assert_eq!(
        refused("mutation_rules: {allow_expression: {regex: '('}}"),
        "error: not a regular expression: unclosed group"
    );
    assert_eq!(
        refused("forward_rules: {allowed_headers: {}}"),
        "error: \"patterns\" is missing: at least one"
    );
    assert_eq!(
        refused("mesage_timeout: 1s"),
        "error: unknown field \"mesage_timeout\" in ExternalProcessor [did you mean \"message_timeout\"?]"
    );
    let said = refused("request_attributes: ['request.[']");
    assert!(said.starts_with("error: the attribute \"request.[\""), "{said}");
    accepted("message_timeout: 0s");
    accepted("message_timeout: 3600s");
}

#[test]
fn what_envoy_accepts_although_it_looks_odd_is_accepted() {
    // Section 1.1, item 6.
    accepted("allowed_override_modes: [{}]");
    accepted("observability_mode: true, processing_mode: {request_body_mode: BUFFERED}");
    accepted("processing_mode: {request_body_mode: GRPC}");
    accepted(
        "failure_mode_allow: true, \
         processing_mode: {request_body_mode: FULL_DUPLEX_STREAMED, request_trailer_mode: SEND}",
    );
}

#[test]
fn a_status_on_error_that_is_no_error_becomes_500() {
    let gateway = with("status_on_error: {code: OK}");
    assert_eq!(
        gateway.said(),
        ["warning: 200 is no error status; 500 is used [status_on_error takes 400 to 599]"]
    );
    assert_eq!(filter(&gateway).plan.status_on_error, StatusCode::INTERNAL_SERVER_ERROR);
    let plan = &filter(&with("status_on_error: {code: TooManyRequests}")).plan;
    assert_eq!(plan.status_on_error, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused("status_on_error: {}"), "error: \"code\" is missing");
    assert!(refused("status_on_error: {code: 299}").starts_with("error: unknown value 299"));
}

#[test]
fn runtime_keys_apply_to_every_filter() {
    let layer = |keys: &str| Gateway {
        bootstrap: format!("layered_runtime: {{layers: [{{name: a, static_layer: {{{keys}}}}}]}}"),
        ..Gateway::default()
    };
    let plan = &filter(&layer("envoy.reloadable_features.ext_proc_fail_close_spurious_resp: false")).plan;
    assert!(!plan.fail_close_spurious_response);
    let nested = "envoy: {reloadable_features: {ext_proc_graceful_grpc_close: false}}";
    assert!(!filter(&layer(nested)).plan.graceful_grpc_close);
    let empty = "envoy.reloadable_features.ext_proc_not_send_empty_data_with_false_eos: false";
    assert!(filter(&layer(empty)).plan.send_empty_data);
}

#[test]
fn the_name_of_the_filter_is_free_and_its_type_decides() {
    // EN-7, EN-42
    let gateway = Gateway { filters: ext_proc("envoy.ext_proc", ""), ..Gateway::default() };
    assert_eq!(filter(&gateway).plan.filter_name, "envoy.ext_proc");
    let twice = Gateway {
        filters: format!("{}, {}", ext_proc("ext", ""), ext_proc("ext", "")),
        ..Gateway::default()
    };
    assert_eq!(twice.said(), [""; 0]);
}
