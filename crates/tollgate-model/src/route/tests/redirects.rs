use super::*;

const NONE: RedirectAction = RedirectAction {
    scheme: None,
    host: None,
    port: RedirectPort::OfRequest,
    path: None,
    response_code: StatusCode::MOVED_PERMANENTLY,
    strip_query: false,
};

fn redirected(
    action: &RedirectAction,
    path_match: &PathMatch,
    authority: &str,
    path: &str,
    scheme: &'static str,
) -> String {
    let mut request = request(authority, path);
    request.scheme = HeaderValue::from_static(scheme);
    if let Some(path) = action.rewritten_path(path_match, &request) {
        request.path = path;
    }
    action.location(&request, scheme.as_bytes()).unwrap().to_str().unwrap().to_owned()
}

#[test]
fn schemes_hosts_and_ports() {
    let to = |scheme: &str, host: &str, port: Option<u16>| RedirectAction {
        scheme: Some(scheme.to_owned()).filter(|scheme| !scheme.is_empty()),
        host: Some(host.to_owned()).filter(|host| !host.is_empty()),
        port: port.map_or(RedirectPort::OfRequest, RedirectPort::Always),
        ..NONE
    };
    for (action, authority, scheme, expected) in [
        (to("https", "", None), "h.test", "http", "https://h.test/p?a=1"),
        (to("https", "", None), "h.test:80", "http", "https://h.test/p?a=1"),
        (to("https", "", None), "h.test:8080", "http", "https://h.test:8080/p?a=1"),
        (to("https", "", None), "[::1]:80", "http", "https://[::1]/p?a=1"),
        (to("https", "", None), "h.test:443", "http", "https://h.test:443/p?a=1"),
        (to("https", "", None), "h.test:443", "https", "https://h.test:443/p?a=1"),
        (to("ftp", "", None), "h.test:80", "http", "ftp://h.test/p?a=1"),
        (to("http", "", None), "h:443", "https", "http://h/p?a=1"),
        (to("http", "", None), "h:80", "https", "http://h:80/p?a=1"),
        (to("http", "", None), "h:80", "http", "http://h:80/p?a=1"),
        (to("HTTPS", "", None), "h:80", "http", "HTTPS://h/p?a=1"),
        (to("", "NEW.host", None), "h.test:8080", "http", "http://NEW.host/p?a=1"),
        (to("", "new.host", None), "h.test:8080", "https", "https://new.host/p?a=1"),
        (to("", "new.host", Some(8443)), "h.test:8080", "http", "http://new.host:8443/p?a=1"),
        (to("https", "h:80", None), "h", "http", "https://h:80/p?a=1"),
        (to("https", "x.y:99", None), "h.test:8080", "http", "https://x.y:99/p?a=1"),
        (to("", "", Some(8443)), "h.test", "http", "http://h.test:8443/p?a=1"),
        (to("", "", Some(80)), "h.test:8", "http", "http://h.test:80/p?a=1"),
        (to("https", "", Some(443)), "h.test:80", "http", "https://h.test:443/p?a=1"),
        (to("", "", Some(99)), "[::1]:80", "http", "http://[::1]:99/p?a=1"),
        (to("", "", Some(99)), "[::1]", "http", "http://[::1]:99/p?a=1"),
    ] {
        assert_eq!(redirected(&action, &prefix("/"), authority, "/p?a=1", scheme), expected);
    }
}

#[test]
fn paths_and_queries() {
    let path = |path: &str, strip_query| RedirectAction {
        path: Some(RedirectPath::Path(path.to_owned())),
        strip_query,
        ..NONE
    };
    let rewrite = |prefix: &str, strip_query| RedirectAction {
        path: Some(RedirectPath::Prefix(prefix.to_owned())),
        strip_query,
        ..NONE
    };
    let exact = PathMatch::Path { path: "/expre".into(), case_sensitive: true };
    let elements =
        |path: &str| RedirectAction { path: Some(RedirectPath::PathElements(path.to_owned())), ..NONE };
    let separated =
        |prefix: &str| PathMatch::PathSeparatedPrefix { prefix: prefix.into(), case_sensitive: true };
    for (action, path_match, path, expected) in [
        (path("/np", false), prefix("/"), "/path?a=1", "http://h/np?a=1"),
        (path("/np", false), prefix("/"), "/path", "http://h/np"),
        (path("/np?own=1", false), prefix("/"), "/pq?a=1", "http://h/np?own=1"),
        (path("/np", true), prefix("/"), "/strip?a=1", "http://h/np"),
        (path("/np?own=1", true), prefix("/"), "/sqo?a=1", "http://h/np?own=1"),
        (path("np", false), prefix("/"), "/x?a=1", "http://h/np?a=1"),
        (rewrite("/newp", false), prefix("/pre"), "/prefoo/x?a=1", "http://h/newpfoo/x?a=1"),
        (rewrite("/newp", true), prefix("/A"), "/A/x?a=1", "http://h/newp/x"),
        (rewrite("/newp", false), exact, "/expre?a=1", "http://h/newp?a=1"),
        (rewrite("/newp", false), separated("/sep"), "/sep/x?a=1", "http://h/newp/x?a=1"),
        (rewrite("/newp", false), regex("/re.*"), "/rex?a=1", "http://h/newp?a=1"),
        (rewrite("/", false), prefix("/8"), "/8/a?b", "http://h//a?b"),
        (rewrite("noslash", false), prefix("/C"), "/C/x?a=1", "http://h/noslash/x?a=1"),
        (rewrite("/q?w=1", false), prefix("/D"), "/D/x?a=1", "http://h/q?w=1/x?a=1"),
        (RedirectAction { strip_query: true, ..NONE }, prefix("/"), "/5?a=1", "http://h/5"),
        (elements("/xyz/"), separated("/foo"), "/foo/bar?a=1", "http://h/xyz/bar?a=1"),
        (elements(""), separated("/foo"), "/foo", "http://h/"),
    ] {
        assert_eq!(redirected(&action, &path_match, "h", path, "http"), expected);
    }
}

/// Dialects 9.6: the port of a scheme is not shown, whoever says it.
#[test]
fn ports_of_the_gateway_api() {
    let to = |scheme: Option<&str>, port| RedirectAction {
        scheme: scheme.map(str::to_owned),
        port: RedirectPort::UnlessDefault(port),
        ..NONE
    };
    for (action, scheme, expected) in [
        (to(None, 8080), "http", "http://h.test:8080/p"),
        (to(None, 80), "http", "http://h.test/p"),
        (to(None, 443), "http", "http://h.test:443/p"),
        (to(None, 443), "https", "https://h.test/p"),
        (to(Some("https"), 443), "http", "https://h.test/p"),
        (to(Some("https"), 80), "http", "https://h.test:80/p"),
        (to(Some("http"), 80), "https", "http://h.test/p"),
        (to(Some("https"), 8443), "http", "https://h.test:8443/p"),
    ] {
        assert_eq!(redirected(&action, &prefix("/"), "h.test:9999", "/p", scheme), expected);
    }
}
