use super::*;

fn rewritten(path_match: &PathMatch, rewrite: &PathRewrite, path: &str) -> Option<String> {
    let path = HeaderValue::from_str(path).unwrap();
    rewrite.rewrite(path_match, &path).map(|path| path.to_str().unwrap().to_owned())
}

#[test]
fn prefixes() {
    let separated =
        |prefix: &str| PathMatch::PathSeparatedPrefix { prefix: prefix.into(), case_sensitive: true };
    let exact = PathMatch::Path { path: "/exact".into(), case_sensitive: true };
    let insensitive = PathMatch::Prefix { prefix: "/CI".into(), case_sensitive: false };
    for (path_match, replacement, path, expected) in [
        (prefix("/pre"), "/new", "/pre?a=1", "/new?a=1"),
        (prefix("/pre"), "/new", "/prefoo/x?a=1", "/newfoo/x?a=1"),
        (prefix("/pslash/"), "/", "/pslash/a", "/a"),
        (exact, "/newexact", "/exact?x", "/newexact?x"),
        (regex("/re/.*"), "/rx", "/re/a/b?c=1", "/rx?c=1"),
        (separated("/sep"), "/s2", "/sep/a?b", "/s2/a?b"),
        (separated("/sep"), "/s2", "/sep", "/s2"),
        (separated("/seproot"), "/", "/seproot/a", "//a"),
        (insensitive, "/ci2", "/ci/x", "/ci2/x"),
    ] {
        let rewrite = PathRewrite::Prefix(replacement.into());
        assert_eq!(rewritten(&path_match, &rewrite, path).as_deref(), Some(expected), "{path}");
    }
    assert_eq!(rewritten(&prefix("/empty"), &PathRewrite::Prefix(String::new()), "/empty/a"), None);
}

/// Dialects 9.6, with the Gateway API's own examples.
#[test]
fn path_elements() {
    let separated =
        |prefix: &str| PathMatch::PathSeparatedPrefix { prefix: prefix.into(), case_sensitive: true };
    for (path_match, replacement, path, expected) in [
        (separated("/foo"), "/xyz", "/foo/bar", "/xyz/bar"),
        (separated("/foo"), "/xyz/", "/foo/bar", "/xyz/bar"),
        (separated("/foo"), "/xyz", "/foo", "/xyz"),
        (separated("/foo"), "/xyz", "/foo/", "/xyz/"),
        (separated("/foo"), "", "/foo/bar", "/bar"),
        (separated("/foo"), "", "/foo/", "/"),
        (separated("/foo"), "", "/foo", "/"),
        (separated("/foo"), "/", "/foo/", "/"),
        (separated("/foo"), "/", "/foo", "/"),
        (separated("/foo"), "/", "/foo/bar/?q=/foo", "/bar/?q=/foo"),
        (separated("/foo"), "/", "/foo?q", "/?q"),
        (separated("/foo"), "/", "/foo//bar", "/bar"),
        (separated("/foo"), "/xyz/", "/foo?q", "/xyz/?q"),
        (prefix("/"), "/xyz", "/bar", "/xyz/bar"),
        (prefix("/"), "/xyz", "/", "/xyz"),
    ] {
        let rewrite = PathRewrite::PathElements(replacement.into());
        assert_eq!(rewritten(&path_match, &rewrite, path).as_deref(), Some(expected), "{path} {replacement}");
    }
}

#[test]
fn whole_paths() {
    let rewrite = PathRewrite::Full("/one".into());
    assert_eq!(rewritten(&prefix("/"), &rewrite, "/a/b?c").as_deref(), Some("/one?c"));
}

/// M-19: the path may have been changed after the match.
#[test]
fn a_path_without_the_prefix_is_not_rewritten() {
    for rewrite in [PathRewrite::Prefix("/new".into()), PathRewrite::PathElements("/new".into())] {
        assert_eq!(rewritten(&prefix("/long-prefix"), &rewrite, "/x?q"), None);
        assert_eq!(rewritten(&prefix("/a/b"), &rewrite, "/a;x/b/c"), None);
        assert_eq!(rewritten(&prefix("/a/b"), &rewrite, "/A/b/c").as_deref(), Some("/new/c"));
    }
}

#[test]
fn regular_expressions() {
    for (pattern, substitution, path, expected) in [
        ("^/rr/([^/]+)(/.*)$", "${2}/i/${1}", "/rr/a/b?c=/rr/d/e", "/b/i/a?c=/rr/d/e"),
        ("one", "two", "/ra/one/one?one", "/ra/two/two?one"),
        ("/r0", "<${0}>$$1", "/r0/x", "</r0>$1/x"),
        ("x=1", "x=2", "/rq?x=1", "/rq?x=1"),
        ("x*", "-", "/re0x", "-/-r-e-0-"),
    ] {
        let rewrite = PathRewrite::Regex {
            pattern: ::regex::bytes::Regex::new(pattern).unwrap(),
            written: pattern.to_owned(),
            substitution: substitution.into(),
        };
        assert_eq!(rewritten(&prefix("/"), &rewrite, path).as_deref(), Some(expected), "{path}");
    }
}

#[test]
fn hosts() {
    let literal = HostRewrite::Literal("lit.host".into());
    assert_eq!(literal.rewrite(&request("h", "/")).unwrap(), "lit.host");
    let header = HostRewrite::Header(FieldName::parse("x-newhost").unwrap());
    let named = with(request("h", "/"), &[("x-newhost", "nh:1"), ("x-newhost", "b")]);
    assert_eq!(header.rewrite(&named).unwrap(), "nh:1");
    assert_eq!(header.rewrite(&request("h", "/")), None);
    assert_eq!(header.rewrite(&with(request("h", "/"), &[("x-newhost", "")])), None);
    assert_eq!(HostRewrite::Auto.rewrite(&request("h", "/")), None);
}
