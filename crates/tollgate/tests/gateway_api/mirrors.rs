//! Copies of requests: HTTPRouteRequestMirror, HTTPRouteRequestMultipleMirrors and HTTPRouteRequestPercentageMirror.

use super::world::{GATEWAY, World, route, wait_until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_go_to_other_backends_and_their_responses_nowhere() {
    let rules = "  - matches: [{path: {value: /single}}]
    filters: [{type: RequestMirror, requestMirror: {backendRef: {name: two, port: 80}}}]
    backendRefs: [{name: one, port: 80}]
  - matches: [{path: {value: /several}}]
    filters:
    - {type: RequestMirror, requestMirror: {backendRef: {name: two, port: 80}}}
    - {type: RequestMirror, requestMirror: {backendRef: {name: two, port: 80}}}
    backendRefs: [{name: one, port: 80}]
  - matches: [{path: {value: /nothing}}]
    filters: [{type: RequestMirror, requestMirror: {backendRef: {name: two, port: 80}, percent: 0}}]
    backendRefs: [{name: one, port: 80}]
  - matches: [{path: {value: /half}}]
    filters: [{type: RequestMirror, requestMirror: {backendRef: {name: two, port: 80}, fraction: {numerator: 500, denominator: 1000}}}]
    backendRefs: [{name: one, port: 80}]";
    let world =
        World::start(&format!("{GATEWAY}{}", route("HTTPRoute", "mirror", "mirror.test", rules))).await;
    let get = |path: &str| tokio::task::block_in_place(|| world.get("mirror.test", path));
    get("/nothing").check("status=200; backend=one", "percent 0");
    for _ in 0..200 {
        get("/half").check("status=200; backend=one", "half");
    }
    get("/single").check("status=200; backend=one", "single");
    get("/several").check("status=200; backend=one", "several");
    wait_until("one copy", || world.two.count("/single") == 1).await;
    wait_until("two copies", || world.two.count("/several") == 2).await;
    wait_until("half of the copies", || (50..150).contains(&world.two.count("/half"))).await;
    assert_eq!(world.two.count("/nothing"), 0);
    assert_eq!((world.one.count("/single"), world.one.count("/half")), (1, 200));
}
