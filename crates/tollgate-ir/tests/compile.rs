//! What compiling folds, shares and takes over.

use std::{sync::Arc, time::Duration};

use extproc::{BodySendMode, Plan, ProcessingMode, messages::Metadata};
use tollgate_ir::{
    Action, Cluster, ClusterSpecifier, ExtProc, ExtProcOverrides, FilterChain, FilterConfig, GrpcService,
    HttpConnectionManager, HttpFilter, Listener, Origin, Override, PerFilter, Resources, Route, RouteAction,
    RouteTable, ServerValidation, Sourced, UpstreamTlsContext, VirtualHost, compile,
};
use tollgate_model::{
    Snapshot,
    cluster::Discovery,
    header::HeaderMutations,
    listener::{ConnectionLimits, FilterChainMatch, MisdirectedRequests, TrafficDirection},
    processor::{FilterOverride, GrpcTarget},
    route::RouteMatch,
    socket::TcpOptions,
    tls::{ServerNameIndication, TlsVersions},
};

fn settings(change: impl FnOnce(&mut Plan)) -> ExtProc {
    let mut plan = Plan::new("processor");
    change(&mut plan);
    ExtProc {
        plan: Arc::new(plan),
        grpc_service: GrpcService {
            target: GrpcTarget::EnvoyGrpc("processor".to_owned()),
            target_uri: None,
            authority: "processor".to_owned(),
            initial_metadata: Vec::new(),
            max_receive_message_length: 1024,
            skip_envoy_headers: false,
            retry_policy: None,
        },
    }
}

const BUFFERED: fn(&mut Plan) = |plan| {
    plan.processing_mode =
        ProcessingMode { request_body_mode: BodySendMode::Buffered, ..ProcessingMode::default() };
};

fn route(per_filter: PerFilter) -> Route {
    Route {
        name: String::new(),
        route_match: RouteMatch::any(),
        action: Action::Route(Box::new(RouteAction::new(ClusterSpecifier::Cluster("app".to_owned())))),
        headers: HeaderMutations::default(),
        request_body_buffer_limit: None,
        metadata: Metadata::default(),
        per_filter,
        origin: Arc::default(),
    }
}

/// A listener with a processor that is off, and these routes.
fn resources(routes: Vec<Route>) -> Resources {
    let filter = HttpFilter {
        name: "processor".into(),
        stat_prefix: String::new(),
        disabled: true,
        config: FilterConfig::ExtProc(Arc::new(settings(|_| ()))),
        origin: Arc::default(),
    };
    let http = HttpConnectionManager::new("main".to_owned(), "table".to_owned(), vec![filter]);
    let chain = FilterChain {
        name: String::new(),
        filter_chain_match: FilterChainMatch::default(),
        tls: None,
        transport_socket_connect_timeout: None,
        http: Arc::new(http),
        misdirected_requests: MisdirectedRequests::default(),
        metadata: Metadata::default(),
    };
    let listener = Listener {
        proxy_protocol: None,
        name: "main".to_owned(),
        addresses: Vec::new(),
        filter_chains: vec![chain],
        default_filter_chain: None,
        per_connection_buffer_limit_bytes: 1024,
        listener_filters_timeout: None,
        tcp: TcpOptions::DOWNSTREAM,
        limits: ConnectionLimits::default(),
        original_dst: false,
        tls_fingerprints: Default::default(),
        traffic_direction: TrafficDirection::Unspecified,
        metadata: Metadata::default(),
        access_log: Vec::new(),
    };
    let host = VirtualHost {
        require_tls: tollgate_model::route::TlsRequirement::None,
        name: "all".to_owned(),
        domains: vec!["*".to_owned()],
        routes,
        headers: HeaderMutations::default(),
        metadata: Metadata::default(),
        include_request_attempt_count: false,
        include_attempt_count_in_response: false,
        rate_limits: Vec::new(),
        per_filter: PerFilter::default(),
    };
    let mut resources = Resources::default();
    resources.listeners.push(Arc::new(Sourced { value: listener, origin: Arc::default() }));
    let table = RouteTable { virtual_hosts: vec![host], ..RouteTable::default() };
    resources.route_tables.insert("table".to_owned(), Arc::new(table));
    let tls = UpstreamTlsContext {
        sni: ServerNameIndication::Fixed("app.test".to_owned()),
        validation: ServerValidation::Nothing,
        certificate: None,
        alpn_protocols: vec!["h2".to_owned()],
        versions: TlsVersions::default(),
        max_session_keys: 1,
    };
    let cluster = Cluster::new("app".to_owned(), Discovery::Static, Vec::new());
    resources.insert_cluster(Cluster { tls: Some(Arc::new(tls)), ..cluster }, Arc::default());
    resources
}

fn said(over: Override) -> PerFilter {
    std::iter::once((Arc::from("processor"), over)).collect()
}

/// What the filters do on every route.
fn filters(snapshot: &Snapshot) -> Vec<Vec<FilterOverride>> {
    let hosts = &snapshot.listeners[0].filter_chains[0].http.route_config.virtual_hosts;
    let routes = hosts.iter().flat_map(|host| &host.routes);
    routes.map(|route| route.filters.dense().cloned().collect()).collect()
}

fn slices(filters: &[Vec<FilterOverride>]) -> Vec<&[FilterOverride]> {
    filters.iter().map(Vec::as_slice).collect()
}

#[test]
fn routes_that_say_the_same_share_what_is_compiled() {
    let different = ExtProcOverrides::between(&settings(|_| ()), &settings(BUFFERED)).unwrap();
    let different = Override::ExtProc(Arc::new(different));
    let snapshot = compile(
        &resources(vec![
            route(said(different.clone())),
            route(said(different)),
            route(said(Override::Enabled)),
            route(PerFilter::default()),
            route(said(Override::Disabled)),
        ]),
        None,
    )
    .unwrap();
    let all = filters(&snapshot);
    let [
        [FilterOverride::ExtProc(one)],
        [FilterOverride::ExtProc(two)],
        [FilterOverride::ExtProc(base)],
        rest @ ..,
    ] = &*slices(&all)
    else {
        panic!("{all:?}")
    };
    assert!(Arc::ptr_eq(one, two) && !Arc::ptr_eq(one, base));
    assert_eq!(one.plan.processing_mode.request_body_mode, BodySendMode::Buffered);
    assert_eq!(base.plan.processing_mode, ProcessingMode::default());
    // What is off everywhere takes no room.
    assert_eq!(rest, [&[] as &[FilterOverride], &[]]);
}

#[test]
fn other_settings_take_the_place_of_those_of_the_filter() {
    let other = Arc::new(settings(|plan| plan.message_timeout = Duration::from_secs(9)));
    let snapshot = compile(&resources(vec![route(said(Override::Instead(other)))]), None).unwrap();
    let all = filters(&snapshot);
    let [[FilterOverride::ExtProc(found)]] = &*slices(&all) else { panic!() };
    assert_eq!(found.plan.message_timeout, Duration::from_secs(9));
}

#[test]
fn what_overrides_can_say_is_said_by_them() {
    let base = settings(|_| ());
    for (change, possible) in [
        (BUFFERED, true),
        (|plan: &mut Plan| plan.failure_mode_allow = true, true),
        (|plan: &mut Plan| plan.metadata_options.receiving_namespaces.untyped.push("a".to_owned()), true),
        (|plan: &mut Plan| plan.message_timeout = Duration::from_secs(9), false),
        (|plan: &mut Plan| plan.observability_mode = true, false),
    ] as [(fn(&mut Plan), bool); 5]
    {
        let wanted = settings(change);
        let found = ExtProcOverrides::between(&base, &wanted);
        assert_eq!(found.is_some(), possible, "{wanted:?}");
        if let Some(overrides) = found {
            assert_eq!(overrides.apply(&base), wanted);
        }
    }
}

#[test]
fn what_did_not_change_is_taken_over() {
    let first = compile(&resources(vec![route(said(Override::Enabled))]), None).unwrap();
    let again = compile(&resources(vec![route(said(Override::Enabled))]), Some(&first)).unwrap();
    assert!(Arc::ptr_eq(&first.listeners[0], &again.listeners[0]));
    assert!(Arc::ptr_eq(&first.clusters["app"], &again.clusters["app"]));
    let mut slower = resources(vec![route(said(Override::Disabled))]);
    let (cluster, origin) = (slower.clusters["app"].value.clone(), Arc::new(Origin::default()));
    let value = tollgate_ir::BareCluster { connect_timeout: Duration::from_secs(1), ..cluster };
    slower.clusters.insert("app".to_owned(), Arc::new(Sourced { value, origin }));
    let changed = compile(&slower, Some(&first)).unwrap();
    assert!(!Arc::ptr_eq(&first.listeners[0], &changed.listeners[0]));
    let tls = |snapshot: &Snapshot| Arc::clone(snapshot.clusters["app"].tls.as_ref().unwrap());
    assert!(!Arc::ptr_eq(&first.clusters["app"], &changed.clusters["app"]));
    // Its sessions can be resumed.
    assert!(Arc::ptr_eq(&tls(&first), &tls(&changed)));
}
