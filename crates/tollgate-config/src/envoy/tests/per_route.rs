//! Per-route configuration and its folding (section 19, EN-12, EN-30).

use extproc::{BodySendMode, HeaderSendMode, ProcessingMode};
use tollgate_model::{
    filter::{FilterOverride, FilterOverrides},
    processor::{ExtProcFilter, GrpcTarget},
    route::{Action, ClusterSpecifier},
};

use super::*;

/// Four levels of configuration of the filter `ext`, each the inside of `ExtProcPerRoute` or a whole
/// `typed_per_filter_config`; empty says nothing.
#[derive(Default)]
struct Levels<'a> {
    /// The filter's service, where it is not the usual one.
    service: &'a str,
    filter: &'a str,
    outer: &'a str,
    table: &'a str,
    virtual_host: &'a str,
    route: &'a str,
    weighted: &'a str,
}

impl Levels<'_> {
    fn gateway(&self) -> Gateway {
        let said = |level: &str| match level {
            "" => String::new(),
            whole if whole.starts_with("typed_per_filter_config") => format!("{whole}, "),
            overrides => per_route(overrides) + ", ",
        };
        let filter = match self.service {
            "" => ext_proc("ext", self.filter),
            service => ext_proc_with(service, "ext", self.filter),
        };
        Gateway {
            filters: filter.replacen("{name: ext,", &format!("{{name: ext, {}", self.outer), 1),
            table: said(self.table),
            virtual_host: format!("{}domains: ['*']", said(self.virtual_host)),
            routes: format!(
                "{{{}match: {{prefix: /}}, route: {{weighted_clusters: {{clusters: [{{{}name: app, weight: 1}}]}}}}}}",
                said(self.route),
                said(self.weighted)
            ),
            ..Gateway::default()
        }
    }

    /// What applies on the route and on its weighted cluster.
    fn applied(&self) -> [FilterOverride; 2] {
        let snapshot = self.gateway().snapshot();
        let table = &snapshot.listeners[0].filter_chains[0].http.route_config;
        let route = &table.virtual_hosts.iter().next().unwrap().routes[0];
        let Action::Route(action) = &route.action else { panic!() };
        let ClusterSpecifier::WeightedClusters(clusters) = &action.cluster else { panic!() };
        // Filters at the end that are off by default and still off are left out.
        let first = |filters: &FilterOverrides| filters.get(0).cloned().unwrap_or(FilterOverride::Disabled);
        [first(&route.filters), first(&clusters[0].filters)]
    }

    fn is_on(&self) -> [bool; 2] {
        self.applied().map(|applied| matches!(applied, FilterOverride::ExtProc(_)))
    }

    fn on_route(&self) -> std::sync::Arc<ExtProcFilter> {
        match self.applied() {
            [FilterOverride::ExtProc(filter), _] => filter,
            other => panic!("{other:?}"),
        }
    }
}

const OFF: &str = "typed_per_filter_config: {ext: {\"@type\": type.googleapis.com/envoy.config.route.v3.FilterConfig, disabled: true}}";
const ON: &str = "typed_per_filter_config: {ext: {\"@type\": type.googleapis.com/envoy.config.route.v3.FilterConfig, config: {}}}";

#[test]
fn the_most_specific_level_says_whether_the_filter_is_disabled() {
    //
    let levels = Levels { virtual_host: "disabled: true", ..Levels::default() };
    assert_eq!(levels.is_on(), [false, false]);
    let levels = Levels { virtual_host: "disabled: true", route: "overrides: {}", ..Levels::default() };
    assert_eq!(levels.is_on(), [true, true]);
    let levels = Levels { table: "overrides: {}", weighted: "disabled: true", ..Levels::default() };
    assert_eq!(levels.is_on(), [true, false]);
    let levels = Levels {
        table: "disabled: true",
        route: "disabled: true",
        weighted: "overrides: {}",
        ..Levels::default()
    };
    assert_eq!(levels.is_on(), [false, true]);
}

#[test]
fn a_filter_that_is_off_in_the_chain_is_turned_on_by_naming_it() {
    // EN-12, EN-30
    let off = || Levels { outer: "disabled: true, ", ..Levels::default() };
    assert_eq!(off().is_on(), [false, false]);
    assert_eq!(Levels { virtual_host: ON, ..off() }.is_on(), [true, true]);
    assert_eq!(Levels { route: "overrides: {}", ..off() }.is_on(), [true, true]);
    assert_eq!(Levels { weighted: ON, ..off() }.is_on(), [false, true]);
    assert_eq!(Levels { virtual_host: ON, route: OFF, ..off() }.is_on(), [false, false]);
    assert_eq!(Levels { route: OFF, ..Levels::default() }.is_on(), [false, false]);
    assert_eq!(Levels { virtual_host: OFF, route: ON, ..Levels::default() }.is_on(), [true, true]);
}

#[test]
fn turning_on_by_the_wrapper_does_not_undo_disabled() {
    // The wrapper only says that the filter is in the chain; what it does is folded from all levels.
    let levels = Levels { virtual_host: "disabled: true", route: ON, ..Levels::default() };
    assert_eq!(levels.is_on(), [false, false]);
}

#[test]
fn a_mode_replaces_the_whole_mode() {
    // Q-5, O-3
    let levels = Levels {
        filter: "processing_mode: {request_header_mode: SKIP, request_body_mode: BUFFERED}",
        virtual_host: "overrides: {processing_mode: {request_header_mode: SKIP}}",
        route: "overrides: {processing_mode: {response_header_mode: SKIP}}",
        ..Levels::default()
    };
    let plan = &levels.on_route().plan;
    let expected = ProcessingMode { response_header_mode: HeaderSendMode::Skip, ..ProcessingMode::default() };
    assert_eq!(plan.processing_mode, expected);
    assert_eq!(plan.filter_processing_mode.request_body_mode, BodySendMode::Buffered);
}

#[test]
fn disabled_forgets_the_mode_of_less_specific_levels() {
    //
    let levels = Levels {
        table: "overrides: {processing_mode: {request_header_mode: SKIP}, failure_mode_allow: true}",
        virtual_host: "disabled: true",
        route: "overrides: {}",
        ..Levels::default()
    };
    let plan = &levels.on_route().plan;
    assert_eq!(plan.processing_mode, ProcessingMode::default());
    assert!(plan.failure_mode_allow);
}

#[test]
fn a_full_duplex_mode_is_not_checked_per_route() {
    // Section 1.1, error 3.
    let levels = Levels {
        route: "overrides: {processing_mode: {request_body_mode: FULL_DUPLEX_STREAMED}}",
        ..Levels::default()
    };
    assert_eq!(levels.on_route().plan.processing_mode.request_body_mode, BodySendMode::FullDuplexStreamed);
}

#[test]
fn another_service_brings_its_own_metadata_and_merged_metadata_lies_over_it() {
    //
    let service = "grpc_service: {envoy_grpc: {cluster_name: processor}, \
                   initial_metadata: [{key: a, value: '1'}, {key: b, value: '2'}]}";
    let metadata = |levels: &Levels<'_>| -> Vec<String> {
        let service = &levels.on_route().grpc_service;
        service.initial_metadata.iter().map(|(key, value)| format!("{key}={}", value.source())).collect()
    };
    // Keys are compared as they are written.
    let merged = Levels {
        service,
        virtual_host: "overrides: {grpc_initial_metadata: [{key: b, value: x}, {key: A, value: z}]}",
        route: "overrides: {grpc_initial_metadata: [{key: b, value: w}]}",
        ..Levels::default()
    };
    assert_eq!(metadata(&merged), ["a=1", "b=w", "A=z"]);
    let other = Levels {
        service,
        virtual_host: "overrides: {grpc_service: {envoy_grpc: {cluster_name: app}, initial_metadata: [{key: c, value: '3'}]}}",
        route: "overrides: {grpc_initial_metadata: [{key: d, value: '4'}]}",
        ..Levels::default()
    };
    assert_eq!(metadata(&other), ["c=3", "d=4"]);
    let GrpcTarget::EnvoyGrpc(cluster) = &other.on_route().grpc_service.target else { panic!() };
    assert_eq!(cluster, "app");
}

#[test]
fn metadata_namespaces_are_replaced_list_by_list() {
    //
    let levels = Levels {
        filter: "metadata_options: {forwarding_namespaces: {untyped: [a], typed: [b]}, receiving_namespaces: {untyped: [c]}}",
        virtual_host: "overrides: {metadata_options: {forwarding_namespaces: {untyped: [x]}}}",
        route: "overrides: {metadata_options: {cluster_metadata_forwarding_namespaces: {untyped: [z]}}}",
        ..Levels::default()
    };
    let options = levels.on_route().plan.metadata_options.clone();
    assert_eq!(options.forwarding_namespaces.untyped, ["x"]);
    assert!(options.forwarding_namespaces.typed.is_empty());
    assert_eq!(options.receiving_namespaces.untyped, ["c"]);
    assert_eq!(options.cluster_metadata_forwarding_namespaces.untyped, ["z"]);
    let none = Levels { route: "overrides: {metadata_options: {receiving_namespaces: {}}}", ..levels };
    assert!(none.on_route().plan.metadata_options.receiving_namespaces.untyped.is_empty());
}

#[test]
fn failing_open_is_overridden_in_both_directions() {
    //
    let plan =
        |filter, route| Levels { filter, route, ..Levels::default() }.on_route().plan.failure_mode_allow;
    assert!(plan("", "overrides: {failure_mode_allow: true}"));
    assert!(!plan("failure_mode_allow: true", "overrides: {failure_mode_allow: false}"));
    assert!(plan("failure_mode_allow: true", "overrides: {}"));
}

#[test]
fn attributes_are_replaced() {
    // Decision 6.
    let levels = Levels {
        filter: "request_attributes: [request.path], response_attributes: [response.code]",
        route: "overrides: {request_attributes: [request.method]}",
        ..Levels::default()
    };
    let plan = &levels.on_route().plan;
    assert_eq!(plan.request_attributes, extproc::Attributes::parse(["request.method"]).unwrap());
    assert_eq!(plan.response_attributes, extproc::Attributes::parse(["response.code"]).unwrap());
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let said = |route| Levels { route, ..Levels::default() }.gateway().said();
    assert_eq!(said("disabled: false"), ["error: must be true [overrides: {} turns the filter on]"]);
    assert_eq!(
        said("disabled: true, overrides: {}"),
        ["error: \"disabled\" and \"overrides\" cannot be given together"]
    );
    assert_eq!(said("# nothing\n"), ["error: one of \"disabled\", \"overrides\" is missing"]);
    assert_eq!(
        said("overrides: {request_properties: [request.path]}"),
        ["error: \"request_properties\" is not supported [use request_attributes]"]
    );
    let empty =
        "typed_per_filter_config: {ext: {\"@type\": type.googleapis.com/envoy.config.route.v3.FilterConfig}}";
    assert_eq!(said(empty), ["error: \"config\" is missing"]);
    assert_eq!(
        said("typed_per_filter_config: {ext: {}}"),
        ["error: \"@type\" is missing [name the type of the message: \"@type\": type.googleapis.com/...]"]
    );
}

#[test]
fn a_filter_that_does_not_exist_is_warned_about() {
    // EN-12
    let route = "typed_per_filter_config: {envoy.filters.http.ext_proc: {\"@type\": \
                 type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute, disabled: true}}";
    let levels = Levels { route, ..Levels::default() };
    assert_eq!(
        levels.gateway().said(),
        [
            "warning: there is no HTTP filter named \"envoy.filters.http.ext_proc\"; this has no effect [filters of the chain: ext, router]"
        ]
    );
    assert_eq!(levels.is_on(), [true, true]);
}

#[test]
fn what_is_not_different_is_shared() {
    // A thousand routes below an override hold one copy of it.
    let gateway = Gateway {
        virtual_host: format!("{}, domains: ['*']", per_route("overrides: {failure_mode_allow: true}")),
        routes: "{match: {path: /a}, route: {cluster: app}}, {match: {path: /b}, route: {cluster: app}}"
            .into(),
        ..Gateway::default()
    };
    let snapshot = gateway.snapshot();
    let table = &snapshot.listeners[0].filter_chains[0].http.route_config;
    let routes = &table.virtual_hosts.iter().next().unwrap().routes;
    let [FilterOverride::ExtProc(one), FilterOverride::ExtProc(other)] =
        [routes[0].filters.get(0).unwrap(), routes[1].filters.get(0).unwrap()]
    else {
        panic!()
    };
    assert!(std::sync::Arc::ptr_eq(one, other));
}

#[test]
fn the_old_type_name_is_mentioned_once() {
    // EN-41
    let old = |level: &str| level.replace("ext_proc.v3.", "ext_proc.v3alpha.");
    let text = Gateway {
        virtual_host: format!("{}, domains: ['*']", per_route("overrides: {}")),
        ..Gateway::default()
    }
    .to_string();
    assert_eq!(said(&old(&text)).len(), 1);
}
