//! The expectations are what Envoy 1.39.3 does with the same configuration.

use std::{rc::Rc, time::Instant};

use extproc::ResponseHeaders;
use http::StatusCode;
use tollgate_model::{
    format::Format,
    route::{Action, RouteMatch},
};

use super::*;
use crate::{
    connection_manager::testing::{chain, connection, request, response, shown},
    stream_info::Protocol,
};

fn addition(name: &'static str, value: &str, append_action: AppendAction) -> HeaderAddition {
    let name = HeaderName::from_static(name);
    HeaderAddition { name, value: Format::parse(value).unwrap(), append_action, keep_empty_value: false }
}

fn append(name: &'static str, value: &str) -> HeaderAddition {
    addition(name, value, AppendAction::AppendIfExistsOrAdd)
}

fn names(names: &[&'static str]) -> Vec<HeaderName> {
    names.iter().map(|name| HeaderName::from_static(name)).collect()
}

fn route(headers: HeaderMutations) -> Route {
    Route { name: "r1".to_owned(), headers, ..Route::new(RouteMatch::any(), Action::NonForwarding) }
}

fn virtual_host(headers: HeaderMutations) -> VirtualHost {
    VirtualHost { headers, ..VirtualHost::new("v".to_owned(), Vec::new(), Vec::new()) }
}

fn messages(path: &str, fields: &[(&str, &str)], answer: Option<ResponseHeaders>) -> Messages {
    Messages {
        request: request(path, fields),
        request_trailers: None,
        response: answer,
        response_trailers: None,
    }
}

fn info() -> StreamInfo {
    StreamInfo::new(Rc::new(connection("127.0.0.1")), chain(), Protocol::Http11, Instant::now())
}

fn levels<'a>(table: &'a RouteConfiguration, host: &'a VirtualHost, route: &'a Route) -> HeaderLevels<'a> {
    HeaderLevels::new(table, host, route, None, "x-envoy")
}

/// Removal comes before addition, setting before adding; what was there keeps its order, single-entry headers are joined
/// in their place; later levels see what earlier ones did; empty values add nothing.
#[test]
fn requests() {
    let route = route(HeaderMutations {
        request_remove: names(&["x-gone"]),
        request_add: vec![
            append("x-lvl", "rt"),
            addition("x-over", "new", AppendAction::OverwriteIfExistsOrAdd),
            addition("x-over2", "new", AppendAction::OverwriteIfExists),
            addition("x-abs", "new", AppendAction::AddIfAbsent),
            append("x-in", "more"),
            append("x-gone", "back"),
            append("x-path", "%REQ(:path)%"),
            append("x-seq", "%REQ(x-over)%|%REQ(x-gone)%"),
        ],
        ..HeaderMutations::default()
    });
    let host = virtual_host(HeaderMutations {
        request_add: vec![
            append("x-lvl", "vh-%REQ(missing)%-%REQ(x-in)%"),
            append("x-empty", "%REQ(missing)%"),
            append("user-agent", "added"),
            append("x-num", "%BYTES_RECEIVED%/%PROTOCOL%/%UPSTREAM_HOST%/%RESPONSE_CODE%"),
        ],
        ..HeaderMutations::default()
    });
    let fields = [
        ("x-in", "in"),
        ("x-over", "1"),
        ("x-over", "2"),
        ("x-gone", "1"),
        ("x-abs", "0"),
        ("user-agent", "ua"),
        ("x-after", "z"),
    ];
    let mut messages = messages("/q", &fields, None);
    levels(&RouteConfiguration::default(), &host, &route).change_request(&mut messages, &info());
    let mut expected = vec![
        "x-in: in",
        "x-in: more",
        "x-abs: 0",
        "user-agent: ua,added",
        "x-after: z",
        "x-over: new",
        "x-lvl: rt",
        "x-lvl: vh--in",
        "x-gone: back",
        "x-path: /q",
        "x-seq: 1|",
        "x-num: 0/HTTP/1.1//0",
    ];
    let mut seen = shown(&messages.request.fields);
    let without_repeats = |list: &[String]| -> Vec<String> {
        list.iter()
            .filter(|line| !line.starts_with("x-in: more") && !line.starts_with("x-lvl: vh"))
            .cloned()
            .collect()
    };
    // The map keeps values of one name together, so only the order of names is compared.
    assert_eq!(
        without_repeats(&seen),
        without_repeats(&expected.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>())
    );
    seen.sort();
    expected.sort_unstable();
    assert_eq!(seen, expected);
}

/// A header that is absent: overwriting adds only where it may, and two additions "if absent" see the same message.
#[test]
fn absent_headers() {
    let route = route(HeaderMutations {
        request_add: vec![
            addition("x-over", "new", AppendAction::OverwriteIfExistsOrAdd),
            addition("x-over2", "new", AppendAction::OverwriteIfExists),
            addition("x-abs", "new", AppendAction::AddIfAbsent),
            addition("x-abs", "new2", AppendAction::AddIfAbsent),
            HeaderAddition { keep_empty_value: true, ..append("x-empty", "%REQ(missing)%") },
        ],
        ..HeaderMutations::default()
    });
    let host = virtual_host(HeaderMutations::default());
    let mut messages = messages("/", &[], None);
    levels(&RouteConfiguration::default(), &host, &route).change_request(&mut messages, &info());
    assert_eq!(shown(&messages.request.fields), ["x-over: new", "x-abs: new", "x-abs: new2", "x-empty: "]);
}

/// Route, virtual host, table; the other way round where the most specific one is to win.
#[test]
fn order_of_levels() {
    let overwrite = |value| HeaderMutations {
        response_add: vec![addition("x-lvl", value, AppendAction::OverwriteIfExistsOrAdd)],
        ..HeaderMutations::default()
    };
    let (host, route) = (virtual_host(overwrite("host")), route(overwrite("route")));
    for (most_specific_header_mutations_wins, last) in [(false, "x-lvl: table"), (true, "x-lvl: route")] {
        let table = RouteConfiguration {
            headers: overwrite("table"),
            most_specific_header_mutations_wins,
            ..RouteConfiguration::default()
        };
        let mut messages = messages("/", &[], Some(response(&[])));
        levels(&table, &host, &route).change_response(&mut messages, &info());
        assert_eq!(shown(&messages.response.unwrap().fields), [last]);
    }
}

/// Values may show the response itself.
#[test]
fn responses() {
    let host = virtual_host(HeaderMutations {
        response_remove: names(&["server"]),
        response_add: vec![append("x-code", "%RESPONSE_CODE%/%RESP(x-r)%/%RESP(:status)%/%REQ(:path)%")],
        ..HeaderMutations::default()
    });
    let route = route(HeaderMutations::default());
    let mut info = info();
    info.response_code = Some(StatusCode::OK);
    let mut messages = messages("/pq", &[], Some(response(&[("server", "s"), ("x-r", "R")])));
    levels(&RouteConfiguration::default(), &host, &route).change_response(&mut messages, &info);
    assert_eq!(shown(&messages.response.unwrap().fields), ["x-r: R", "x-code: 200/R/200//pq"]);
}

/// What cannot be a header value adds nothing.
#[test]
fn impossible_values() {
    let route = route(HeaderMutations {
        request_add: vec![append("x-a", "%QUERY_PARAM(a)%"), append("x-b", "%QUERY_PARAM(a):2%")],
        ..HeaderMutations::default()
    });
    let host = virtual_host(HeaderMutations::default());
    let mut messages = messages("/?a=b%0Ac", &[], None);
    levels(&RouteConfiguration::default(), &host, &route).change_request(&mut messages, &info());
    assert!(messages.request.fields.is_empty());
}
