//! Requests of one session go to one endpoint.

use std::{collections::HashSet, time::Duration};

use crate::support::{Running, Upstream, cluster, snapshot, to};
use http::HeaderName;
use tollgate_model::{
    cluster::Cluster,
    filter::FilterOverrides,
    header::HeaderMutations,
    route::{ClusterSpecifier, RouteAction, SessionPersistence, WeightedAction, WeightedCluster},
};

fn cookie(path: &str) -> SessionPersistence {
    SessionPersistence::Cookie {
        name: "session".to_owned(),
        path: path.to_owned(),
        ttl: Some(Duration::from_secs(60)),
    }
}

fn with(persistence: SessionPersistence, action: RouteAction) -> RouteAction {
    RouteAction { session_persistence: Some(persistence), ..action }
}

fn share(cluster: &Cluster, weight: u32) -> WeightedCluster {
    WeightedCluster {
        action: WeightedAction::Cluster(cluster.name.clone()),
        weight,
        headers: HeaderMutations::default(),
        filters: FilterOverrides::default(),
        host_rewrite_literal: None,
        path_rewrite: None,
        metadata_match: Default::default(),
    }
}

#[test]
fn a_cookie_leads_back_to_the_endpoint() {
    let upstreams: Vec<_> = (0..3).map(|_| Upstream::start()).collect();
    let all: Vec<_> = upstreams.iter().collect();
    let running = Running::start(snapshot(with(cookie("/shop"), to("app")), vec![cluster("app", &all)]));
    let mut seen = HashSet::new();
    for _ in 0..6 {
        let first = running.get("/shop/1", "");
        let cookies = first.values("set-cookie");
        assert!(
            cookies.len() == 1 && cookies[0].ends_with("; Max-Age=60; Path=/shop; HttpOnly"),
            "{cookies:?}"
        );
        let pair = cookies[0].split(';').next().unwrap();
        for _ in 0..4 {
            let next = running.get("/shop/2", &format!("cookie: a=b; {pair}\r\n"));
            assert_eq!(next.body, first.body);
            assert!(next.values("set-cookie").is_empty(), "the client knows");
        }
        seen.insert(first.body);
    }
    assert_eq!(seen.len(), 3, "new sessions are spread");
    assert!(running.get("/elsewhere", "").values("set-cookie").is_empty());
}

#[test]
fn a_header_leads_back_to_the_endpoint() {
    let (one, two) = (Upstream::start(), Upstream::start());
    let persistence = SessionPersistence::Header { name: HeaderName::from_static("x-session") };
    let running = Running::start(snapshot(with(persistence, to("app")), vec![cluster("app", &[&one, &two])]));
    let first = running.get("/", "");
    let value = first.values("x-session")[0].to_owned();
    for _ in 0..6 {
        let next = running.get("/", &format!("x-session: {value}\r\n"));
        assert_eq!(next.body, first.body);
        assert!(next.values("x-session").is_empty());
    }
}

/// What names no endpoint of the cluster is as good as nothing.
#[test]
fn a_session_whose_endpoint_is_gone_begins_anew() {
    let upstream = Upstream::start();
    let running = Running::start(snapshot(with(cookie("/"), to("app")), vec![cluster("app", &[&upstream])]));
    for value in ["MTI3LjAuMC4xOjE=", "nonsense"] {
        let response = running.get("/", &format!("cookie: session={value}\r\n"));
        assert_eq!((response.status, response.body.as_str()), (200, &*upstream.address.to_string()));
        assert_eq!(response.values("set-cookie").len(), 1);
    }
}

/// The share of the traffic follows the endpoint.
#[test]
fn a_session_stays_with_its_share() {
    let (blue, green) = (Upstream::start(), Upstream::start());
    let clusters = vec![cluster("blue", &[&blue]), cluster("green", &[&green])];
    let shares = vec![share(&clusters[0], 1), share(&clusters[1], 9)];
    let action = RouteAction::new(ClusterSpecifier::WeightedClusters(shares));
    let running = Running::start(snapshot(with(cookie("/"), action), clusters));
    for _ in 0..3 {
        for upstream in [&blue, &green] {
            let value = loop {
                let response = running.get("/", "");
                if response.body == upstream.address.to_string() {
                    break response.values("set-cookie")[0].split(';').next().unwrap().to_owned();
                }
            };
            for _ in 0..20 {
                let next = running.get("/", &format!("cookie: {value}\r\n"));
                assert_eq!(next.body, upstream.address.to_string());
            }
        }
    }
}
