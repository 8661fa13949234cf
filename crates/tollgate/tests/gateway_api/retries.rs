//! HTTPRouteRetry, HTTPRouteRetryConnectionError and HTTPRouteRetryBackendTimeout.

use super::world::{GATEWAY, World, route};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_are_tried_again_as_the_rule_says() {
    let rules = "  - matches: [{path: {value: /codes}}]
    retry: {codes: [503], attempts: 2, backoff: 1ms}
    backendRefs: [{name: one, port: 80}]
  - matches: [{path: {value: /others}}]
    retry: {codes: [500], attempts: 2, backoff: 1ms}
    backendRefs: [{name: one, port: 80}]
  - matches: [{path: {value: /slow}}]
    retry: {codes: [504], attempts: 1, backoff: 1ms}
    timeouts: {request: 30s, backendRequest: 200ms}
    backendRefs: [{name: one, port: 80}]
  - matches: [{path: {value: /connection}}]
    retry: {attempts: 10, backoff: 1ms}
    backendRefs: [{name: one, port: 80}, {name: broken, port: 80, weight: 0}]
  - matches: [{path: {value: /refused}}]
    retry: {attempts: 2, backoff: 1ms}
    backendRefs: [{name: broken, port: 80}]";
    let world = World::start(&format!("{GATEWAY}{}", route("HTTPRoute", "retry", "retry.test", rules))).await;
    let get = |path: &str| tokio::task::block_in_place(|| world.get("retry.test", path));
    get("/codes/fail-2/a").check("status=200; backend=one", "the third try succeeds");
    assert_eq!(world.one.count("/codes/fail-2/a"), 3);
    get("/codes/fail-3/a").check("status=503", "there is no fourth try");
    assert_eq!(world.one.count("/codes/fail-3/a"), 3);
    get("/others/fail-1/a").check("status=503", "another status is not tried again");
    assert_eq!(world.one.count("/others/fail-1/a"), 1);
    get("/slow/first-never").check("status=200; backend=one", "the second try is in time");
    assert_eq!(world.one.count("/slow/first-never"), 2);
    get("/connection").check("status=200; backend=one", "a backend without weight is not tried");
    get("/refused").check("status=503", "nobody listens");
}
