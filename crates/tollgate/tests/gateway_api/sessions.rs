//! Sessions, and listeners of ListenerSets.

use super::world::{GATEWAY, World, route};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_of_a_session_go_to_one_endpoint() {
    let rules = "  - matches: [{path: {value: /cookie}}]
    sessionPersistence: {sessionName: chosen}
    backendRefs: [{name: both, port: 80}]
  - matches: [{path: {value: /header}}]
    sessionPersistence: {type: Header, header: {name: x-session}}
    backendRefs: [{name: both, port: 80}]";
    let world =
        World::start(&format!("{GATEWAY}{}", route("HTTPRoute", "session", "session.test", rules))).await;
    let get = |path: &str, headers: &[(&str, &str)]| {
        tokio::task::block_in_place(|| world.request("http", "GET", "session.test", path, headers))
    };
    let first = get("/cookie", &[]);
    let cookie = first.header("set-cookie").expect("a cookie");
    assert!(cookie.starts_with("chosen="), "{cookie}");
    let cookie = cookie.split(';').next().expect("a cookie");
    let header = get("/header", &[]);
    let session = header.header("x-session").expect("a session");
    for _ in 0..20 {
        let seen = get("/cookie", &[("cookie", cookie)]);
        assert_eq!(seen.told("backend"), first.told("backend"));
        let seen = get("/header", &[("x-session", &session)]);
        assert_eq!(seen.told("backend"), header.told("backend"));
    }
}

/// ListenerSetHTTPRouting.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listener_sets_have_listeners_and_routes_of_their_own() {
    let text = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  gatewayClassName: tollgate
  addresses: [{value: 127.0.0.1}]
  allowedListeners: {namespaces: {from: Same}}
  listeners: [{name: http, port: 8080, protocol: HTTP, hostname: gateway.test}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: more}
spec:
  parentRef: {name: edge}
  listeners: [{name: more, port: 8080, protocol: HTTP, hostname: more.test}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: to-gateway}
spec:
  parentRefs: [{name: edge}]
  rules: [{backendRefs: [{name: one, port: 80}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: to-set}
spec:
  parentRefs: [{kind: ListenerSet, name: more}]
  rules: [{backendRefs: [{name: two, port: 80}]}]
";
    let world = World::start(text).await;
    let get = |host: &str| tokio::task::block_in_place(|| world.get(host, "/"));
    get("gateway.test").check("status=200; backend=one", "the Gateway's");
    get("more.test").check("status=200; backend=two", "the ListenerSet's");
    get("other.test").check("status=404", "nobody's");
}
