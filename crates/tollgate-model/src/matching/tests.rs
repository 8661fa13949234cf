//! Expected values are what Envoy 1.39.3 did with the same matcher and request.

use http::{HeaderMap, HeaderName, Method};

use super::*;

fn request(path: &str, fields: &[(&str, &str)]) -> RequestHeaders {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        map.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    RequestHeaders {
        method: Method::PUT,
        scheme: HeaderValue::from_static("http"),
        authority: HeaderValue::from_static("h.test"),
        path: HeaderValue::from_str(path).unwrap(),
        fields: map,
    }
}

fn on(name: &str, value: HeaderValueMatch) -> HeaderMatcher {
    HeaderMatcher {
        name: FieldName::parse(name).unwrap(),
        value,
        invert_match: false,
        treat_missing_header_as_empty: false,
    }
}

fn exact(text: &str) -> HeaderValueMatch {
    HeaderValueMatch::String(StringMatcher::Exact(text.to_owned()))
}

fn check(matcher: &HeaderMatcher, values: &[&str], expected: bool) {
    let fields: Vec<_> = values.iter().map(|value| ("x", *value)).collect();
    assert_eq!(matcher.matches(&request("/", &fields)), expected, "{matcher:?} {values:?}");
}

#[test]
fn strings() {
    use StringMatcher::{Contains, Exact, ExactIgnoreCase, Prefix, SafeRegex, Suffix};
    for (matcher, text, expected) in [
        (Exact("a".into()), "a", true),
        (Exact("a".into()), "A", false),
        (ExactIgnoreCase("a".into()), "A", true),
        (Prefix("AB".into(), true), "abz", true),
        (Prefix("AB".into(), false), "abz", false),
        (Prefix("AB".into(), true), "a", false),
        (Suffix("end".into(), false), "theend", true),
        (Suffix("END".into(), true), "theend", true),
        (Suffix("end".into(), false), "nd", false),
        (Contains("Mid".into(), true), "amIdb", true),
        (Contains("Mid".into(), false), "amidb", false),
        (Contains("Mid".into(), false), "Mi", false),
        (SafeRegex(FullRegex::new("a|bc").unwrap()), "bc", true),
        (SafeRegex(FullRegex::new("a|bc").unwrap()), "abc", false),
        (SafeRegex(FullRegex::new("").unwrap()), "", true),
    ] {
        assert_eq!(matcher.matches(text.as_bytes()), expected, "{matcher:?} {text}");
    }
    assert!(SafeRegex(FullRegex::new("a.*").unwrap()).matches(b"ab"));
    assert!(Prefix("a".into(), false).matches(b"a\xff"));
}

/// The pattern must be valid by itself, not by the parentheses around it.
#[test]
fn patterns_cannot_break_out() {
    assert!(FullRegex::new("a)|(b").is_err());
    assert!(FullRegex::new("(").is_err());
}

#[test]
fn one_of_several_values_is_enough() {
    check(&on("x", exact("a")), &["a", "b"], true);
    check(&on("x", exact("b")), &["c", "b"], true);
    check(&on("x", exact("a,b")), &["a", "b"], false);
    check(&on("x", exact("a,b")), &["a,b"], true);
    check(&on("x", exact("a")), &[], false);
}

#[test]
fn inverted() {
    let inverted = HeaderMatcher { invert_match: true, ..on("x", exact("v")) };
    check(&inverted, &["w"], true);
    check(&inverted, &["v"], false);
    check(&inverted, &["w", "v"], false);
    check(&inverted, &[], false);
}

#[test]
fn presence() {
    let present =
        |present, invert_match| HeaderMatcher { invert_match, ..on("x", HeaderValueMatch::Present(present)) };
    check(&present(true, false), &[""], true);
    check(&present(true, false), &[], false);
    check(&present(true, true), &[], true);
    check(&present(true, true), &["v"], false);
    check(&present(false, false), &[], true);
    check(&present(false, false), &["v"], false);
    check(&present(false, true), &[], false);
    check(&present(false, true), &["v"], true);
}

#[test]
fn missing_as_empty() {
    let as_empty = |matcher| HeaderMatcher { treat_missing_header_as_empty: true, ..matcher };
    check(&as_empty(on("x", exact(""))), &[], true);
    check(&as_empty(on("x", exact(""))), &["a"], false);
    let inverted = HeaderMatcher { invert_match: true, ..on("x", exact("a")) };
    check(&as_empty(inverted.clone()), &[], true);
    check(&as_empty(inverted), &["a"], false);
    check(&as_empty(on("x", HeaderValueMatch::Present(true))), &[], true);
}

#[test]
fn ranges() {
    let range = on("x", HeaderValueMatch::Range { start: -5, end: 10 });
    for (value, expected) in
        [("-5", true), ("9", true), ("10", false), ("+9", true), ("09", true), ("9x", false)]
    {
        check(&range, &[value], expected);
    }
    check(&range, &["99", "9"], true);
    let outside = HeaderMatcher { invert_match: true, ..range };
    check(&outside, &["5"], false);
    check(&outside, &["15"], true);
    check(&outside, &[], false);
}

#[test]
fn pseudo_headers() {
    assert!(on(":method", exact("PUT")).matches(&request("/", &[])));
    assert!(on("Host", exact("h.test")).matches(&request("/", &[])));
    let suffix = HeaderValueMatch::String(StringMatcher::Suffix("?x=1".into(), false));
    assert!(on(":path", suffix).matches(&request("/hp?x=1", &[])));
}

#[test]
fn query_parameters() {
    let present = |name: &str| QueryParameterMatcher { name: name.into(), value: None };
    let equal = |name: &str, value: &str| QueryParameterMatcher {
        name: name.into(),
        value: Some(StringMatcher::Exact(value.into())),
    };
    for (matcher, query, expected) in [
        (present("qp"), "qp", true),
        (present("qp"), "qp=", true),
        (present("qp"), "a=1&qp=2", true),
        (present("qp"), "&&qp&&", true),
        (present("qp"), "QP=2", false),
        (present("qp"), "a;qp", false),
        (present("qp"), "a?qp=1", false),
        (present("qp"), "%71p=1", false),
        (present("qp"), "", false),
        (present("q d"), "q%20d=1", false),
        (equal("q", "a b"), "q=a%20b", false),
        (equal("q", "a+b"), "q=a+b", true),
        (equal("q", "a+b"), "q=a%2Bb", false),
        (equal("q", "a%20b"), "q=a%20b", true),
        (equal("q", "2"), "q=1&q=2", false),
        (equal("q", "2"), "q=2&q=1", true),
        (equal("q", ""), "q", true),
        (equal("q", ""), "", false),
    ] {
        assert_eq!(matcher.matches(query.as_bytes()), expected, "{matcher:?} {query}");
    }
}
