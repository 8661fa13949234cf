use super::*;
use crate::{
    header::FieldName,
    matching::{HeaderMatcher, HeaderValueMatch, QueryParameterMatcher, StringMatcher},
};

fn applies(route_match: &RouteMatch, request: &RequestHeaders) -> bool {
    route_match.matches(&MatchedRequest::new(request, PathParameters::Kept, RequestFacts::default()))
}

fn matches(path_match: PathMatch, path: &str) -> bool {
    applies(&on_path(path_match), &request("h", path))
}

/// EN-11: the query is no part of the path.
#[test]
fn paths() {
    let path = |path: &str, case_sensitive| PathMatch::Path { path: path.to_owned(), case_sensitive };
    assert!(matches(path("/exact", true), "/exact"));
    assert!(matches(path("/exact", true), "/exact?a=1"));
    assert!(!matches(path("/exact", true), "/exact/"));
    assert!(!matches(path("/exact", true), "/Exact"));
    assert!(matches(path("/CaSe", false), "/case?x"));

    assert!(matches(prefix("/pre"), "/prefix"));
    assert!(!matches(prefix("/pre"), "/PRE"));
    assert!(!matches(prefix("/pre"), "/pr?/pre"));
    assert!(matches(PathMatch::Prefix { prefix: "/CI".into(), case_sensitive: false }, "/cixx"));

    let separated = |case_sensitive| PathMatch::PathSeparatedPrefix { prefix: "/sep".into(), case_sensitive };
    for (path, expected) in
        [("/sep", true), ("/sep/", true), ("/sep/a?b", true), ("/sep?x", true), ("/sepa", false)]
    {
        assert_eq!(matches(separated(true), path), expected, "{path}");
    }
    assert!(matches(separated(false), "/sEp/x"));
    assert!(!matches(separated(true), "/sEp/x"));

    for (path, expected) in
        [("/re/12", true), ("/re/12?z", true), ("/re/12x", false), ("/alt", true), ("/altx", false)]
    {
        assert_eq!(matches(regex("/re/[0-9]+|/alt"), path), expected, "{path}");
    }
}

/// EN-11.
#[test]
fn first_route_wins() {
    let routes = vec![
        route("first", on_path(prefix("/a/b"))),
        route("second", on_path(prefix("/a"))),
        route("third", on_path(prefix("/a/b/c"))),
    ];
    let table = table(vec![virtual_host("v", &["*"], routes)], false);
    let chosen = |path| {
        table.find(&request("h", path), RequestFacts::default()).map(|found| found.route.name.as_str())
    };
    assert_eq!(chosen("/a/b/c"), Some("first"));
    assert_eq!(chosen("/a/c"), Some("second"));
    assert_eq!(chosen("/"), None);
}

#[test]
fn every_condition_must_hold() {
    let route_match = RouteMatch {
        path: prefix("/a"),
        headers: vec![HeaderMatcher {
            name: FieldName::Method,
            value: HeaderValueMatch::String(StringMatcher::Exact("GET".into())),
            invert_match: false,
            treat_missing_header_as_empty: false,
        }],
        query_parameters: vec![QueryParameterMatcher { name: "q".into(), value: None }],
        grpc: true,
        more: None,
    };
    let grpc = [("content-type", "application/grpc")];
    assert!(applies(&route_match, &with(request("h", "/a?q"), &grpc)));
    assert!(!applies(&route_match, &with(request("h", "/b?q"), &grpc)));
    assert!(!applies(&route_match, &with(request("h", "/a"), &grpc)));
    assert!(!applies(&route_match, &request("h", "/a?q")));
    let mut post = with(request("h", "/a?q"), &grpc);
    post.method = Method::POST;
    assert!(!applies(&route_match, &post));
}

#[test]
fn grpc_content_types() {
    for (content_type, expected) in [
        ("application/grpc", true),
        ("application/grpc+proto", true),
        ("application/grpc-web", false),
        ("application/grpc;x", false),
        ("Application/grpc", false),
    ] {
        let request = with(request("h", "/"), &[("content-type", content_type)]);
        assert_eq!(is_grpc(&request), expected, "{content_type}");
    }
    assert!(!is_grpc(&request("h", "/")));
}

/// A table that ignores path parameters finds other routes; header conditions see the path as it is.
#[test]
fn path_parameters_do_not_count() {
    let host = virtual_host("all", &["*"], vec![route("exact", on_path(prefix("/a/b")))]);
    let mut table = table(vec![host], false);
    let request = request("h", "/a;x/b;y?q=;z");
    assert!(table.find(&request, RequestFacts::default()).is_none());
    table.path_parameters = PathParameters::Ignored;
    assert_eq!(table.find(&request, RequestFacts::default()).unwrap().route.name, "exact");
    table.path_parameters = PathParameters::EndThePath;
    assert!(table.find(&request, RequestFacts::default()).is_none());
}
