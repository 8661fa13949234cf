//! Expected values are what Envoy 1.39.3 showed its filters for the same requests.

use super::*;
use crate::connection_manager::testing::{OWN_ADDRESS, connection, http, request, shown};

/// Prepares a request from `peer` and shows its fields, ids as `x-request-id: *`.
fn prepared(http: &HttpConnectionManager, peer: &str, fields: &[(&str, &str)]) -> Vec<String> {
    let mut request = request("/", fields);
    prepare_request(&mut request, http, &connection(peer), OWN_ADDRESS, |_| None)
        .unwrap_or_else(|reply| panic!("{fields:?}: {}", reply.details));
    let generated = |line: &String| line.strip_prefix("x-request-id: ").is_some_and(|id| id.len() == 36);
    shown(&request.fields)
        .into_iter()
        .map(|line| if generated(&line) { "x-request-id: *".to_owned() } else { line })
        .collect()
}

fn by_default(fields: &[(&str, &str)]) -> Vec<String> {
    prepared(&http(|_| ()), "127.0.0.1", fields)
}

fn refused(http: &HttpConnectionManager, mut request: RequestHeaders) -> (u16, String) {
    let reply =
        prepare_request(&mut request, http, &connection("127.0.0.1"), OWN_ADDRESS, |_| None).unwrap_err();
    (reply.status.as_u16(), reply.details.into_owned())
}

const ADDED: [&str; 2] = ["x-forwarded-proto: http", "x-request-id: *"];

/// E-2, E-3: what the proxy adds comes behind the client's own fields.
#[test]
fn additions() {
    assert_eq!(by_default(&[]), ADDED);
    assert_eq!(by_default(&[("x-a", "1")]), ["x-a: 1", ADDED[0], ADDED[1]]);
    let kept =
        [("x-forwarded-for", "1.2.3.4, 5.6.7.8"), ("x-forwarded-proto", "ftp"), ("x-request-id", "abc")];
    assert_eq!(
        by_default(&kept),
        ["x-forwarded-for: 1.2.3.4, 5.6.7.8", "x-forwarded-proto: ftp", "x-request-id: abc"]
    );
    assert_eq!(by_default(&[("x-request-id", "")]), ["x-request-id: *", ADDED[0]]);
}

#[test]
fn hop_by_hop() {
    let check = |fields: &[(&str, &str)], expected: &[&str]| {
        let mut all = expected.to_vec();
        all.extend(ADDED);
        assert_eq!(by_default(fields), all, "{fields:?}");
    };
    check(&[("connection", "close")], &[]);
    check(&[("connection", "x-a, x-b"), ("x-a", "1"), ("x-b", "2"), ("x-c", "3")], &["x-c: 3"]);
    check(&[("connection", "x-a"), ("connection", "x-b"), ("x-a", "1"), ("x-b", "2")], &[]);
    check(&[("connection", ", x-a,,"), ("x-a", "1")], &[]);
    check(&[("connection", "te"), ("te", "trailers")], &["te: trailers"]);
    check(&[("te", "gzip")], &[]);
    check(&[("te", "trailers;q=0.5, deflate")], &[]);
    check(&[("te", "gzip, trailers")], &["te: trailers"]);
    check(&[("upgrade", "h2c")], &[]);
    check(&[("connection", "upgrade, http2-settings"), ("upgrade", "h2c"), ("http2-settings", "A")], &[]);
    check(&[("connection", "keep-alive"), ("upgrade", "websocket")], &[]);
    check(
        &[
            ("proxy-connection", "keep-alive"),
            ("keep-alive", "1"),
            ("proxy-authorization", "q"),
            ("trailer", "x"),
        ],
        &["proxy-authorization: q", "trailer: x"],
    );
    check(&[("connection", "connection"), ("transfer-encoding", "chunked")], &[]);
    check(&[("connection", "cookie"), ("cookie", "a")], &[]);
    check(&[("connection", "x-request-id"), ("x-request-id", "1")], &[]);
    check(&[("x_under", "1"), ("expect", "foo")], &["x_under: 1", "expect: foo"]);
    check(
        &[("user-agent", "a"), ("cookie", "a=1"), ("user-agent", "b"), ("cookie", "b=2")],
        &["user-agent: a,b", "cookie: a=1", "cookie: b=2"],
    );
}

/// RFC 9110, 7.6.1: `connection` must not hide where a request comes from.
#[test]
fn connection_cannot_name_everything() {
    let tokens = |count| (0..count).map(|number| format!("x-{number}")).collect::<Vec<_>>().join(",");
    let long_te = "a".repeat(256);
    for fields in [
        vec![("connection", "x-forwarded-for"), ("x-forwarded-for", "1.1.1.1")],
        vec![("connection", "x-forwarded-host")],
        vec![("connection", "X-Forwarded-Proto")],
        vec![("connection", ":path")],
        vec![("connection", tokens(10).leak() as &str)],
        vec![("connection", "te"), ("te", long_te.as_str())],
    ] {
        let details = "http1.connection_header_rejected".to_owned();
        assert_eq!(refused(&http(|_| ()), request("/", &fields)), (400, details), "{fields:?}");
    }
    assert_eq!(by_default(&[("connection", &tokens(9))]), ADDED);
    let names_host = request("/", &[("connection", "host")]);
    assert_eq!(refused(&http(|_| ()), names_host), (400, "missing_host_header".to_owned()));
}

#[test]
fn control_headers_of_clients() {
    let control = [
        ("x-envoy-expected-rq-timeout-ms", "1"),
        ("x-envoy-force-trace", "1"),
        ("x-envoy-hedge-on-per-try-timeout", "1"),
        ("x-envoy-internal", "true"),
        ("x-envoy-ip-tags", "1"),
        ("x-envoy-max-retries", "1"),
        ("x-envoy-retriable-header-names", "1"),
        ("x-envoy-retriable-status-codes", "1"),
        ("x-envoy-retry-grpc-on", "1"),
        ("x-envoy-retry-on", "1"),
        ("x-envoy-upstream-alt-stat-name", "1"),
        ("x-envoy-upstream-rq-per-try-timeout-ms", "1"),
        ("x-envoy-upstream-rq-timeout-alt-response", "1"),
        ("x-envoy-upstream-rq-timeout-ms", "1"),
        ("x-forwarded-client-cert", "1"),
    ];
    assert_eq!(by_default(&control), ADDED);
    let edge = [
        ("x-envoy-decorator-operation", "d"),
        ("x-envoy-downstream-service-cluster", "c"),
        ("x-envoy-downstream-service-node", "n"),
        ("x-envoy-original-path", "p"),
        ("x-envoy-original-host", "h"),
        ("x-envoy-upstream-stream-duration-ms", "9"),
    ];
    assert_eq!(by_default(&edge).len(), edge.len() + ADDED.len());
    let kept = [("x-envoy-attempt-count", "2"), ("x-envoy-is-timeout-retry", "true"), ("x-envoy-foo", "1")];
    let both: Vec<_> = edge.iter().chain(&kept).copied().collect();
    assert_eq!(
        prepared(&http(|http| http.use_remote_address = true), "8.8.8.8", &both),
        [
            "x-envoy-attempt-count: 2",
            "x-envoy-is-timeout-retry: true",
            "x-envoy-foo: 1",
            "x-forwarded-for: 8.8.8.8",
            "x-forwarded-proto: http",
            "x-envoy-external-address: 8.8.8.8",
            "x-request-id: *",
        ]
    );
}

/// EN (bootstrap `header_prefix`): the proxy's headers have another name, Envoy's are nothing special.
#[test]
fn other_header_prefix() {
    let other = http(|http| http.header_prefix = "x-my".to_owned());
    let fields = [("x-envoy-retry-on", "a"), ("x-my-retry-on", "b")];
    assert_eq!(prepared(&other, "127.0.0.1", &fields), ["x-envoy-retry-on: a", ADDED[0], ADDED[1]]);
}

#[test]
fn remote_address() {
    let own = http(|http| http.use_remote_address = true);
    let spoofed = [
        ("x-forwarded-for", "1.2.3.4"),
        ("x-forwarded-proto", "https"),
        ("x-request-id", "abc"),
        ("x-envoy-external-address", "9.9.9.9"),
    ];
    assert_eq!(
        prepared(&own, "127.0.0.1", &spoofed),
        [
            "x-forwarded-for: 1.2.3.4,192.0.2.2",
            "x-forwarded-proto: http",
            "x-request-id: *",
            "x-envoy-external-address: 127.0.0.1",
        ]
    );
    let one_hop = http(|http| {
        http.use_remote_address = true;
        http.xff_num_trusted_hops = 1;
    });
    assert_eq!(
        prepared(&one_hop, "127.0.0.1", &spoofed),
        [
            "x-forwarded-for: 1.2.3.4,192.0.2.2",
            "x-forwarded-proto: https",
            "x-request-id: *",
            "x-envoy-external-address: 1.2.3.4",
        ]
    );
    let careful = http(|http| {
        http.use_remote_address = true;
        http.skip_xff_append = true;
        http.preserve_external_request_id = true;
    });
    assert_eq!(
        prepared(&careful, "127.0.0.1", &spoofed),
        [
            "x-forwarded-for: 1.2.3.4",
            "x-forwarded-proto: http",
            "x-request-id: abc",
            "x-envoy-external-address: 127.0.0.1",
        ]
    );
}

/// The address for logs and attributes.
#[test]
fn trusted_address() {
    let seen = |http: &HttpConnectionManager, xff: &str| {
        let fields: &[(&str, &str)] = if xff.is_empty() { &[] } else { &[("x-forwarded-for", xff)] };
        let mut request = request("/", fields);
        let prepared =
            prepare_request(&mut request, http, &connection("127.0.0.1"), OWN_ADDRESS, |_| None).unwrap();
        prepared.remote_address.unwrap().to_string()
    };
    let default = http(|_| ());
    for (xff, expected) in [
        ("", "127.0.0.1:5000"),
        ("1.2.3.4", "1.2.3.4:0"),
        ("2001:DB8::1", "[2001:db8::1]:0"),
        ("1.2.3.4, 5.6.7.8", "5.6.7.8:0"),
        ("bad", "127.0.0.1:5000"),
        ("1.2.3.4:99", "127.0.0.1:5000"),
        ("[::1]", "127.0.0.1:5000"),
        ("1.1.1.1,", "127.0.0.1:5000"),
    ] {
        assert_eq!(seen(&default, xff), expected, "{xff}");
    }
    let one_hop = http(|http| http.xff_num_trusted_hops = 1);
    assert_eq!(seen(&one_hop, "1.2.3.4, 5.6.7.8"), "1.2.3.4:0");
    assert_eq!(seen(&one_hop, "1.2.3.4"), "127.0.0.1:5000");
    let own = http(|http| http.use_remote_address = true);
    assert_eq!(seen(&own, "1.2.3.4"), "127.0.0.1:5000");
}

#[test]
fn via_port_and_no_id() {
    let more = http(|http| {
        http.generate_request_id = false;
        http.via = "gw".to_owned();
        http.append_x_forwarded_port = true;
    });
    assert_eq!(
        prepared(&more, "127.0.0.1", &[]),
        ["x-forwarded-proto: http", "x-forwarded-port: 10000", "via: gw"]
    );
    assert_eq!(
        prepared(&more, "127.0.0.1", &[("via", "a"), ("x-forwarded-port", "7")]),
        ["via: a, gw", "x-forwarded-port: 7", "x-forwarded-proto: http"]
    );
    let edge = http(|http| {
        http.use_remote_address = true;
        http.generate_request_id = false;
        http.append_x_forwarded_port = true;
    });
    assert_eq!(
        prepared(&edge, "127.0.0.1", &[("x-request-id", "keep"), ("x-forwarded-port", "7")]),
        [
            "x-request-id: keep",
            "x-forwarded-port: 10000",
            "x-forwarded-for: 192.0.2.2",
            "x-forwarded-proto: http",
            "x-envoy-external-address: 127.0.0.1"
        ]
    );
}

#[test]
fn schemes() {
    let scheme = |given: &'static str, fields: &[(&str, &str)]| {
        let mut request = request("/", fields);
        request.scheme = HeaderValue::from_static(given);
        prepare_request(&mut request, &http(|_| ()), &connection("127.0.0.1"), OWN_ADDRESS, |_| None)
            .unwrap();
        request.scheme.to_str().unwrap().to_owned()
    };
    assert_eq!(scheme("", &[]), "http");
    assert_eq!(scheme("", &[("x-forwarded-proto", "https")]), "https");
    assert_eq!(scheme("", &[("x-forwarded-proto", "HTTPS")]), "https");
    assert_eq!(scheme("", &[("x-forwarded-proto", "ftp")]), "http");
    assert_eq!(scheme("https", &[("x-forwarded-proto", "http")]), "https");
    assert_eq!(scheme("HTTPS", &[]), "https");
}

#[test]
fn paths() {
    let default = http(|_| ());
    let not_normal = || (400, "path_normalization_failed".to_owned());
    assert_eq!(refused(&default, request("/a#b", &[])), not_normal());
    assert_eq!(refused(&default, request("*", &[])), (404, "absolute_path_rejected".to_owned()));
    assert_eq!(refused(&default, request("?x", &[])), (404, "absolute_path_rejected".to_owned()));
    let uniform = http(|http| {
        http.normalize_path = true;
        http.merge_slashes = true;
    });
    assert_eq!(refused(&uniform, request("/a%00", &[])), not_normal());
    let mut twice = request("/a/..//b", &[]);
    prepare_request(&mut twice, &uniform, &connection("127.0.0.1"), OWN_ADDRESS, |_| None).unwrap();
    assert_eq!(twice.path, "/b");
}

#[test]
fn query_names_its_content_type() {
    let default = http(|_| ());
    let query = |path: &'static str, fields: &[(&'static str, &'static str)]| {
        let mut query = request(path, fields);
        query.method = Method::from_bytes(b"QUERY").unwrap();
        query
    };
    let missing = || (400, "query_missing_content_type".to_owned());
    assert_eq!(refused(&default, query("/a#b", &[])), missing());
    assert_eq!(refused(&default, query("/", &[("content-type", "")])), missing());
    let mut named = query("/", &[("content-type", "a/b")]);
    prepare_request(&mut named, &default, &connection("127.0.0.1"), OWN_ADDRESS, |_| None).unwrap();
}

#[test]
fn host_ports() {
    let host = |http: &HttpConnectionManager, host: &'static str| {
        let mut request = request("/", &[]);
        request.authority = HeaderValue::from_static(host);
        prepare_request(&mut request, http, &connection("127.0.0.1"), OWN_ADDRESS, |_| None).unwrap();
        request.authority.to_str().unwrap().to_owned()
    };
    let any = http(|http| http.strip_any_host_port = true);
    let matching = http(|http| http.strip_matching_host_port = true);
    assert_eq!((host(&any, "a:80"), host(&matching, "a:80")), ("a".into(), "a:80".into()));
    assert_eq!((host(&any, "[::1]:5"), host(&matching, "[::1]:10000")), ("[::1]".into(), "[::1]".into()));
    assert_eq!(host(&any, "a:"), "a:");
}

#[test]
fn underscores() {
    let reject =
        http(|http| http.headers_with_underscores_action = HeadersWithUnderscoresAction::RejectRequest);
    assert_eq!(
        refused(&reject, request("/", &[("x_u", "1")])),
        (400, "http1.unexpected_underscore".to_owned())
    );
    let drop = http(|http| http.headers_with_underscores_action = HeadersWithUnderscoresAction::DropHeader);
    assert_eq!(prepared(&drop, "127.0.0.1", &[("x_u", "1"), ("x-ok", "1")]), ["x-ok: 1", ADDED[0], ADDED[1]]);
}

/// L-14: of `connection` an upgrade passes on its own option only, and what it names besides is removed.
#[test]
fn upgrades() {
    let allowed = http(|http| http.upgrade_types = vec!["websocket".to_owned()]);
    let mut upgrade = request(
        "/",
        &[
            ("connection", "keep-alive, upgrade, x-n"),
            ("upgrade", "WebSocket"),
            ("x-n", "1"),
            ("keep-alive", "1"),
        ],
    );
    let prepared =
        prepare_request(&mut upgrade, &allowed, &connection("127.0.0.1"), OWN_ADDRESS, |_| None).unwrap();
    assert!(prepared.upgrade);
    assert_eq!(shown(&upgrade.fields)[..2], ["connection: upgrade", "upgrade: WebSocket"]);
    let ask = |upgrade| request("/", &[("connection", "upgrade"), ("upgrade", upgrade)]);
    for (http, upgrade) in [(&allowed, "foo"), (&allowed, "websocket, foo"), (&http(|_| ()), "websocket")] {
        assert_eq!(refused(http, ask(upgrade)), (403, "upgrade_failed".to_owned()), "{upgrade}");
    }
}

#[test]
fn escaped_slashes() {
    use PathWithEscapedSlashesAction::{
        KeepUnchanged, RejectRequest, UnescapeAndForward, UnescapeAndRedirect,
    };
    let outcome = |action, path: &str, content_type: &str| {
        let http = http(|http| http.path_with_escaped_slashes_action = action);
        let mut request = request(path, &[("content-type", content_type)]);
        let reply =
            prepare_request(&mut request, &http, &connection("127.0.0.1"), OWN_ADDRESS, |_| None).err();
        let location = reply.as_ref().and_then(|reply| reply.fields.get("location")).cloned();
        let text = |value: HeaderValue| value.to_str().unwrap().to_owned();
        (reply.map(|reply| reply.status.as_u16()), location.map(text), text(request.path))
    };
    let passed = |path: &str| (None, None, path.to_owned());
    assert_eq!(outcome(KeepUnchanged, "/a%2Fb", "a/b"), passed("/a%2Fb"));
    assert_eq!(outcome(UnescapeAndForward, "/a%2f%2Fb%5C?c=%2F", "a/b"), passed("/a//b\\?c=%2F"));
    assert_eq!(outcome(UnescapeAndForward, "/a%2/%252F", "a/b"), passed("/a%2/%252F"));
    assert_eq!(outcome(RejectRequest, "/a/b", "a/b"), passed("/a/b"));
    // What is refused is logged as what it comes to.
    assert_eq!(outcome(RejectRequest, "/a%2Fb", "a/b"), (Some(400), None, "/a/b".to_owned()));
    let redirected = (Some(307), Some("/a/b?c".to_owned()), "/a/b?c".to_owned());
    assert_eq!(outcome(UnescapeAndRedirect, "/a%2Fb?c", "a/b"), redirected);
    assert_eq!(
        outcome(UnescapeAndRedirect, "/a%2Fb", "application/grpc"),
        (Some(400), None, "/a/b".to_owned())
    );
}
