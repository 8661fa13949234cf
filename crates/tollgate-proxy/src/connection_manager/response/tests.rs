//! Expected values are what clients of Envoy 1.39.3 got for the same responses.

use super::*;
use crate::connection_manager::testing::{http, request, response, shown};

const DATE_VALUE: HeaderValue = HeaderValue::from_static("Sat, 21 Nov 2026 00:06:17 GMT");

fn finished(http: &HttpConnectionManager, fields: &[(&str, &str)]) -> Vec<String> {
    let mut response = response(fields);
    finish_response(&mut response, &request("/", &[("x-request-id", "me")]), http, DATE_VALUE);
    shown(&response.fields)
}

const DATE_LINE: &str = "date: Sat, 21 Nov 2026 00:06:17 GMT";

/// Only the fields of the connection go; what `connection` names stays.
#[test]
fn hop_by_hop() {
    let fields = [
        ("server", "upsrv"),
        ("date", "update"),
        ("connection", "close, x-h"),
        ("x-h", "1"),
        ("keep-alive", "3"),
        ("proxy-connection", "z"),
        ("upgrade", "foo"),
        ("te", "1"),
        ("trailer", "x"),
        ("proxy-authenticate", "q"),
        ("transfer-encoding", "chunked"),
        ("x-envoy-attempt-count", "3"),
    ];
    assert_eq!(
        finished(&http(|_| ()), &fields),
        [
            "server: envoy",
            "date: update",
            "x-h: 1",
            "keep-alive: 3",
            "te: 1",
            "trailer: x",
            "proxy-authenticate: q",
            "x-envoy-attempt-count: 3"
        ]
    );
}

#[test]
fn additions() {
    assert_eq!(finished(&http(|_| ()), &[]), [DATE_LINE, "server: envoy"]);
    assert_eq!(finished(&http(|_| ()), &[("date", "")]), ["date: ", "server: envoy"]);
    let silent = http(|http| http.server_header_transformation = ServerHeaderTransformation::PassThrough);
    assert_eq!(finished(&silent, &[]), [DATE_LINE]);
    let more = http(|http| {
        http.server_header_transformation = ServerHeaderTransformation::AppendIfAbsent;
        http.server_name = "nm".to_owned();
        http.via = "gw".to_owned();
        http.always_set_request_id_in_response = true;
    });
    assert_eq!(
        finished(&more, &[("via", "x"), ("server", "s"), ("x-request-id", "1")]),
        ["via: x, gw", "server: s", "x-request-id: me", DATE_LINE]
    );
    assert_eq!(finished(&more, &[]), [DATE_LINE, "server: nm", "x-request-id: me", "via: gw"]);
}

/// L-14: the fields of an upgrade pass when both sides agreed on it.
#[test]
fn upgrades() {
    let switched = |asked: &[(&str, &str)]| {
        let mut response = response(&[("connection", "upgrade"), ("upgrade", "websocket"), ("x-s", "1")]);
        response.status = http::StatusCode::SWITCHING_PROTOCOLS;
        finish_response(&mut response, &request("/", asked), &http(|_| ()), DATE_VALUE);
        shown(&response.fields)
    };
    let asked = [("connection", "Upgrade"), ("upgrade", "websocket")];
    assert_eq!(switched(&asked)[..3], ["connection: upgrade", "upgrade: websocket", "x-s: 1"]);
    assert_eq!(switched(&[])[0], "x-s: 1");
}

#[test]
fn service_time() {
    let time = |http: &HttpConnectionManager, service_time| {
        let mut response = response(&[("x-envoy-upstream-service-time", "99"), ("vary", "a"), ("vary", "b")]);
        router_response(&mut response, http, service_time);
        shown(&response.fields)
    };
    let default = http(|_| ());
    assert_eq!(
        time(&default, Some(Duration::from_micros(1999))),
        ["x-envoy-upstream-service-time: 1", "vary: a,b"]
    );
    assert_eq!(time(&default, None)[0], "x-envoy-upstream-service-time: 99");
    let silent = http(|http| http.suppress_envoy_headers = true);
    assert_eq!(time(&silent, Some(Duration::ZERO))[0], "x-envoy-upstream-service-time: 99");
}
