//! Resources of the tests.

use std::sync::Arc;

use extproc::{BodySendMode, Plan, ProcessingMode, messages::Metadata};
use tollgate_ir::{
    Action, Cluster, ClusterSpecifier, DownstreamTlsContext, ExtProc, FilterChain, FilterConfig, GrpcService,
    HttpConnectionManager, HttpFilter, Listener, PerFilter, Resources, Route, RouteAction, RouteTable,
    ServerValidation, Sourced, UpstreamTlsContext, VirtualHost,
};
use tollgate_model::{
    cluster::{Discovery, Endpoint, EndpointAddress},
    header::HeaderMutations,
    listener::{ConnectionLimits, FilterChainMatch, MisdirectedRequests, TrafficDirection},
    processor::GrpcTarget,
    route::{RouteMatch, TlsRequirement},
    socket::TcpOptions,
    tls::{ServerNameIndication, TlsVersions},
};

pub(crate) fn settings(change: impl FnOnce(&mut Plan)) -> ExtProc {
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

pub(crate) const BUFFERED: fn(&mut Plan) = |plan| {
    plan.processing_mode =
        ProcessingMode { request_body_mode: BodySendMode::Buffered, ..ProcessingMode::default() };
};

pub(crate) fn route(per_filter: PerFilter) -> Route {
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

/// A filter for a processor that is off.
pub(crate) fn filter() -> HttpFilter {
    HttpFilter {
        name: "processor".into(),
        stat_prefix: String::new(),
        disabled: true,
        config: FilterConfig::ExtProc(Arc::new(settings(|_| ()))),
        origin: Arc::default(),
    }
}

/// A filter chain with that filter, whose routes are in the table of this name.
pub(crate) fn chain(table: &str) -> FilterChain {
    let http = HttpConnectionManager::new("main".to_owned(), table.to_owned(), vec![filter()]);
    FilterChain {
        name: String::new(),
        filter_chain_match: FilterChainMatch::default(),
        tls: None,
        transport_socket_connect_timeout: None,
        http: Arc::new(http),
        tcp_proxy: None,
        misdirected_requests: MisdirectedRequests::default(),
        metadata: Metadata::default(),
    }
}

/// A listener with these filter chains.
pub(crate) fn listener(name: &str, filter_chains: Vec<FilterChain>) -> Listener {
    Listener {
        proxy_protocol: None,
        name: name.to_owned(),
        addresses: Vec::new(),
        filter_chains,
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
    }
}

/// A virtual host of its own domain with these routes.
pub(crate) fn virtual_host(name: &str, routes: Vec<Route>) -> VirtualHost {
    VirtualHost {
        require_tls: TlsRequirement::None,
        name: name.to_owned(),
        domains: vec![name.to_owned()],
        routes,
        headers: HeaderMutations::default(),
        metadata: Metadata::default(),
        include_request_attempt_count: false,
        include_attempt_count_in_response: false,
        rate_limits: Vec::new(),
        per_filter: PerFilter::default(),
    }
}

/// A table of these virtual hosts.
pub(crate) fn table(virtual_hosts: Vec<VirtualHost>) -> RouteTable {
    let virtual_hosts = virtual_hosts.into_iter().map(Arc::new).collect();
    RouteTable { virtual_hosts, ..RouteTable::default() }
}

/// TLS towards upstreams that asks for nothing, with the certificate of this name.
pub(crate) fn upstream_tls(certificate: Option<&str>) -> UpstreamTlsContext {
    UpstreamTlsContext {
        sni: ServerNameIndication::Fixed("app.test".to_owned()),
        validation: ServerValidation::Nothing,
        certificate: certificate.map(str::to_owned),
        alpn_protocols: vec!["h2".to_owned()],
        versions: TlsVersions::default(),
        max_session_keys: 1,
    }
}

/// TLS towards clients with the certificate of this name.
pub(crate) fn downstream_tls(certificate: &str) -> DownstreamTlsContext {
    DownstreamTlsContext {
        certificates: vec![certificate.to_owned()],
        require_sni: false,
        full_scan_certs_on_sni_mismatch: false,
        client_validation: None,
        alpn_protocols: Vec::new(),
        versions: TlsVersions::default(),
        prefer_client_ciphers: false,
        disable_stateless_session_resumption: false,
        disable_stateful_session_resumption: false,
    }
}

/// An endpoint of this machine.
pub(crate) fn endpoint(port: u16) -> Endpoint {
    Endpoint::new(EndpointAddress::Socket(([127, 0, 0, 1], port).into()))
}

/// A cluster with this endpoint.
pub(crate) fn cluster(name: &str, port: u16) -> Cluster {
    Cluster::new(name.to_owned(), Discovery::Static, vec![endpoint(port)])
}

/// A listener with a processor that is off, and these routes.
pub(crate) fn resources(routes: Vec<Route>) -> Resources {
    let mut resources = Resources::default();
    let listener = listener("main", vec![chain("table")]);
    resources.listeners.push(Arc::new(Sourced { value: listener, origin: Arc::default() }));
    resources.route_tables.insert("table".to_owned(), Arc::new(table(vec![virtual_host("*", routes)])));
    let tls = Some(Arc::new(upstream_tls(None)));
    resources.insert_cluster(Cluster { tls, ..cluster("app", 1) }, Arc::default());
    resources
}
