//! Expected values are what Envoy 1.39.3 sent upstream for the same requests.

use tollgate_model::route::ClusterSpecifier;

use super::*;
use crate::connection_manager::testing::{http, request, shown};

fn route() -> RouteAction {
    RouteAction::new(ClusterSpecifier::Cluster("c".to_owned()))
}

const FIFTEEN: Option<Duration> = Some(Duration::from_secs(15));

#[test]
fn timeouts() {
    let default = http(|_| ());
    let sent = |fields: &[(&str, &str)], route_timeout| {
        let mut request = request("/", fields);
        let route = RouteAction { timeout: route_timeout, ..route() };
        let limits = router_request(&mut request, &default, &route);
        (limits.timeout.map(|timeout| timeout.as_millis()), shown(&request.fields))
    };
    let expected = |milliseconds: u128| {
        (Some(milliseconds), vec![format!("x-envoy-expected-rq-timeout-ms: {milliseconds}")])
    };
    assert_eq!(sent(&[], FIFTEEN), expected(15_000));
    assert_eq!(sent(&[], None), (None, vec![]));
    let asked = |value| [("x-envoy-upstream-rq-timeout-ms", value)];
    assert_eq!(sent(&asked("5000"), FIFTEEN), expected(5000));
    assert_eq!(sent(&asked("5000"), None), expected(5000));
    assert_eq!(sent(&asked("0"), FIFTEEN), (None, vec![]));
    for invalid in ["bad", "-5", "5000.5", "100, 5000"] {
        assert_eq!(sent(&asked(invalid), FIFTEEN), expected(15_000), "{invalid}");
    }
    let control = [
        ("x-envoy-expected-rq-timeout-ms", "77"),
        ("x-envoy-max-retries", "3"),
        ("x-envoy-retry-on", "5xx"),
        ("x-envoy-hedge-on-per-try-timeout", "true"),
        ("x-envoy-upstream-alt-stat-name", "q"),
        ("x-envoy-upstream-stream-duration-ms", "5000"),
        ("x-envoy-force-trace", "1"),
        ("x-envoy-ip-tags", "1"),
    ];
    assert_eq!(
        sent(&control, FIFTEEN).1,
        ["x-envoy-force-trace: 1", "x-envoy-ip-tags: 1", "x-envoy-expected-rq-timeout-ms: 15000"]
    );
}

#[test]
fn hosts() {
    let sent = |fields: &[(&str, &str)], append| {
        let mut request = request("/", fields);
        replace_host(&mut request, &http(|_| ()), HeaderValue::from_static("lit"), append);
        assert_eq!(request.authority, "lit");
        shown(&request.fields)
    };
    assert_eq!(sent(&[], false), ["x-envoy-original-host: h.test"]);
    assert_eq!(sent(&[("x-envoy-original-host", "z")], false), ["x-envoy-original-host: h.test"]);
    let mut added = sent(&[], true);
    added.sort();
    assert_eq!(added, ["x-envoy-original-host: h.test", "x-forwarded-host: h.test"]);
    for (before, after) in [
        ("old", "old,h.test"),
        ("a,h.test", "a,h.test"),
        ("h.test,a", "h.test,a,h.test"),
        ("a, h.test", "a, h.test,h.test"),
        ("", "h.test"),
    ] {
        let fields = sent(&[("x-forwarded-host", before)], true);
        assert_eq!(fields[0], format!("x-forwarded-host: {after}"));
    }
}

#[test]
fn paths() {
    let mut changed = request("/pre?a=1", &[("x-envoy-original-path", "/spoof")]);
    replace_path(&mut changed, &http(|_| ()), HeaderValue::from_static("/new?a=1"));
    assert_eq!(changed.path, "/new?a=1");
    assert_eq!(shown(&changed.fields), ["x-envoy-original-path: /pre?a=1"]);
}

#[test]
fn suppressed() {
    let silent = http(|http| http.suppress_envoy_headers = true);
    let mut request = request("/x", &[("x-envoy-upstream-rq-timeout-ms", "5000")]);
    assert_eq!(router_request(&mut request, &silent, &route()).timeout, Some(Duration::from_secs(5)));
    replace_host(&mut request, &silent, HeaderValue::from_static("lit"), true);
    replace_path(&mut request, &silent, HeaderValue::from_static("/n"));
    assert_eq!(shown(&request.fields), ["x-forwarded-host: h.test"]);
}

#[test]
fn tries() {
    let limits = |policy: RetryPolicy, timeout: u64, fields: &[(&str, &str)]| {
        let route = RouteAction {
            timeout: Some(Duration::from_millis(timeout)),
            retry_policy: Some(Arc::new(policy)),
            ..route()
        };
        let mut request = request("/", fields);
        let limits = router_request(&mut request, &http(|_| ()), &route);
        (limits.per_try_timeout.map(|timeout| timeout.as_millis()), shown(&request.fields).join("; "))
    };
    let per_try =
        |timeout| RetryPolicy { per_try_timeout: Some(Duration::from_millis(timeout)), ..Default::default() };
    let expected = |timeout: u128| format!("x-envoy-expected-rq-timeout-ms: {timeout}");
    assert_eq!(limits(per_try(200), 1000, &[]), (Some(200), expected(200)));
    assert_eq!(limits(per_try(1000), 1000, &[]), (None, expected(1000)));
    assert_eq!(limits(RetryPolicy::default(), 1000, &[]), (None, expected(1000)));
    let asked = [("x-envoy-upstream-rq-per-try-timeout-ms", "300")];
    assert_eq!(limits(per_try(200), 1000, &asked), (Some(300), expected(300)));
    let mut request = request("/", &asked);
    assert!(router_request(&mut request, &http(|_| ()), &route()).retry_policy.is_some());
}

#[test]
fn retries_have_less_time() {
    let told = |elapsed| {
        let mut request = request("/", &[("x-envoy-expected-rq-timeout-ms", "15000")]);
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        tell_timeout(
            &mut request,
            &http(|_| ()),
            &route(),
            (seconds(15), seconds(10)),
            Duration::from_millis(elapsed),
        );
        shown(&request.fields).join("; ")
    };
    assert_eq!(told(4999), "x-envoy-expected-rq-timeout-ms: 10000");
    assert_eq!(told(6000), "x-envoy-expected-rq-timeout-ms: 9000");
    assert_eq!(told(20_000), "x-envoy-expected-rq-timeout-ms: 1");
}
