//! What expressions give. The values are those that Envoy 1.40.0 showed in its access log.

use std::time::{Duration, SystemTime};

use extproc::{
    Attributes,
    attributes::{AttributePath, AttributeSource, AttributeValue, RequestAttribute, ResponseAttribute},
    messages::{ListValue, Struct, Value as Dynamic, value::Kind},
};

use super::*;

struct Source;

fn object<const N: usize>(entries: [(&str, Dynamic); N]) -> Struct {
    Struct { fields: entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect() }
}

fn metadata() -> Struct {
    let list = ListValue { values: vec![Dynamic::number(1.0), Dynamic::string("a")] };
    let null = Dynamic { kind: Some(Kind::NullValue(0)) };
    let values = object([
        ("b", Dynamic::bool(true)),
        ("k", Dynamic::string("v")),
        ("l", list.into()),
        ("n", Dynamic::number(3.0)),
        ("o", object([("x", null)]).into()),
    ]);
    object([("filter_metadata", object([("ns", values.into())]).into())])
}

impl AttributeSource for Source {
    fn value(&self, path: &AttributePath) -> Option<AttributeValue> {
        Some(match path {
            AttributePath::Request(RequestAttribute::Path) => AttributeValue::Bytes(b"/a/b?q=1&z=2".to_vec()),
            AttributePath::Request(RequestAttribute::Method) => AttributeValue::String("GET".to_owned()),
            AttributePath::Request(RequestAttribute::Headers) => {
                AttributeValue::Map(object([("x-a", Dynamic::string("abc")), ("x-n", Dynamic::string("5"))]))
            }
            AttributePath::RequestHeader(name) => AttributeValue::String(match name.as_str() {
                "x-a" => "abc".to_owned(),
                "x-n" => "5".to_owned(),
                _ => return None,
            }),
            AttributePath::Request(RequestAttribute::Time) => AttributeValue::Timestamp(
                SystemTime::UNIX_EPOCH + Duration::from_micros(1_693_078_740_254_238),
            ),
            AttributePath::Request(RequestAttribute::Duration) => {
                AttributeValue::Duration(Duration::from_nanos(2_760_450))
            }
            AttributePath::Response(ResponseAttribute::Code) => AttributeValue::Int(200),
            AttributePath::Metadata => AttributeValue::Map(metadata()),
            _ => return None,
        })
    }
}

fn text(expression: &str) -> Option<String> {
    let parsed = Expression::parse(expression, Options::default()).expect(expression);
    parsed.evaluate(&Source).map(|value| value.to_text())
}

fn with_all(expression: &str) -> Option<String> {
    let all = Options { string_conversion: true, string_concat: true, string_functions: true };
    Expression::parse(expression, all).expect(expression).evaluate(&Source).map(|value| value.to_text())
}

fn check(cases: &[(&str, &str)]) {
    for (expression, expected) in cases {
        let expected = if *expected == "-" { None } else { Some((*expected).to_owned()) };
        assert_eq!(text(expression), expected, "{expression}");
    }
}

#[test]
fn attributes_have_values() {
    check(&[
        ("request.path", "/a/b?q=1&z=2"),
        ("request['path']", "/a/b?q=1&z=2"),
        ("request[\"headers\"][\"x-a\"]", "abc"),
        ("request.headers", "CelMap value"),
        ("request.headers['X-A']", "abc"),
        ("request.headers.nope", "-"),
        ("request.headers['x-' + 'a']", "-"),
        ("request.headers[request.headers['x-a']]", "-"),
        ("request", "CelMap value"),
        ("nope", "-"),
        ("nope.a.b", "-"),
        ("request.duration", "2.76045ms"),
        ("request.time", "2023-08-26T19:39:00.254238+00:00"),
        ("metadata.filter_metadata['ns']['k']", "v"),
        ("metadata.filter_metadata.ns.n", "3"),
        ("metadata.filter_metadata.ns.l[1]", "a"),
        ("metadata.filter_metadata.ns.l[2]", "-"),
        ("metadata.filter_metadata.ns.nope", "-"),
        ("metadata.filter_metadata.ns", "CelMap value"),
        (
            "metadata",
            "filter_metadata { key: \"ns\" value { fields { key: \"b\" value { bool_value: true } } fields { key: \"k\" \
             value { string_value: \"v\" } } fields { key: \"l\" value { list_value { values { number_value: 1 } values { \
             string_value: \"a\" } } } } fields { key: \"n\" value { number_value: 3 } } fields { key: \"o\" value { \
             struct_value { fields { key: \"x\" value { null_value: NULL_VALUE } } } } } } } ",
        ),
    ]);
}

#[test]
fn presence_is_asked_for() {
    check(&[
        ("has(request.headers.nope)", "false"),
        ("has(request.path)", "true"),
        ("has(request.referer)", "false"),
        ("has(metadata.filter_metadata.ns.k)", "true"),
        ("has(metadata.filter_metadata.ns.z)", "false"),
        ("has(metadata.filter_metadata.zz.k)", "-"),
        ("'x-a' in request.headers", "true"),
        ("'X-A' in request.headers", "true"),
        ("'nope' in request.headers", "false"),
        ("1 in [1, 2]", "true"),
        ("'a' in {'a': 1}", "true"),
        ("'a' in 'abc'", "-"),
    ]);
}

#[test]
fn numbers_are_compared_and_calculated() {
    check(&[
        ("response.code == 200", "true"),
        ("response.code == 200u", "true"),
        ("response.code == 200.0", "true"),
        ("response.code / 3", "66"),
        ("response.code % 7", "4"),
        ("response.code * 1.5", "-"),
        ("1 / 0", "-"),
        ("9223372036854775807 + 1", "-"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("-response.code", "-200"),
        ("1 < 1.5", "true"),
        ("-1 < 1u", "true"),
        ("1 + 2 * 3 - 4", "3"),
        ("(1 + 2) * 3", "9"),
        ("0x10", "16"),
        ("1.5", "1.5"),
        ("2.0", "2"),
        ("1e3", "1000"),
        (".5", "0.5"),
        ("1 + 'a'", "-"),
        ("'a' == 1", "false"),
        ("'a' < 'b'", "true"),
        ("[1] == [1.0]", "true"),
        ("{'a': 1} == {'a': 1u}", "true"),
        ("null == null", "true"),
        ("type(1) == int", "true"),
        ("int('5') + int(request.headers['x-n'])", "10"),
        ("int(1.9)", "1"),
        ("uint(-1)", "-"),
        ("int('x')", "-"),
        ("bool('true')", "true"),
        ("double('1.5')", "1.5"),
    ]);
}

/// One side that decides is enough, whatever the other is.
#[test]
fn what_is_missing_is_forgiven_where_the_other_side_decides() {
    check(&[
        ("true || nope", "true"),
        ("nope || true", "true"),
        ("false && nope", "false"),
        ("nope && false", "false"),
        ("nope || false", "-"),
        ("nope && true", "-"),
        ("1 || true", "true"),
        ("1 || false", "-"),
        ("true ? 'a' : nope", "a"),
        ("nope ? 'a' : 'b'", "-"),
        ("!nope", "-"),
        ("false || false || true", "true"),
        ("true && true && false", "false"),
    ]);
}

#[test]
fn text_is_looked_at() {
    check(&[
        ("request.path.contains('b?')", "true"),
        ("request.path.startsWith('/a')", "true"),
        ("request.path.endsWith('2')", "true"),
        ("request.path.matches('^/a/[b-c]')", "true"),
        ("matches(request.path, 'zz')", "false"),
        ("request.path.matches(request.headers['x-a'])", "false"),
        ("size('é')", "1"),
        ("size(b'é')", "2"),
        ("'a'.size()", "1"),
        ("size([1, 2])", "2"),
        ("size(request.headers)", "2"),
        (r"'a\n\x41\u00e9\101'", "a\nA\u{e9}A"),
        ("r'a\\n'", "a\\n"),
        ("'''a'b'''", "a'b"),
        ("b'abc'", "abc"),
        ("'a' + 'b'", "-"),
        ("[1] + [2]", "-"),
        ("re.capture('foobar', 'foo(bar)')", "bar"),
        (r"re.extract('foobar', 'foo(bar)', '<\\1>')", "<bar>"),
        ("re.extract('a', 'b', 'c')", "-"),
        ("re.captureN('foobar', 'foo(?P<x>bar)').x", "bar"),
        ("// a remark\n1", "1"),
    ]);
}

#[test]
fn times_are_calculated() {
    check(&[
        ("duration('1h30m')", "1h30m"),
        ("duration('-1.5s')", "-1.5s"),
        ("duration('0')", "0"),
        ("duration('1.5')", "-"),
        ("duration('1s') < duration('2s')", "true"),
        ("timestamp('2023-08-26T12:39:00-07:00')", "2023-08-26T19:39:00+00:00"),
        ("timestamp('2023-08-26T12:39:00-07:00') + duration('1.5s')", "2023-08-26T19:39:01.5+00:00"),
        ("timestamp('2023-08-26T12:39:00-07:00').getHours()", "19"),
        ("timestamp('2023-08-26T12:39:00-07:00').getHours('-05:00')", "14"),
        ("timestamp('2023-08-26T12:39:00-07:00').getMonth()", "7"),
        ("timestamp('2023-08-26T12:39:00-07:00').getDayOfWeek()", "6"),
        ("timestamp('nope')", "-"),
        ("timestamp(1)", "1970-01-01T00:00:01+00:00"),
        ("int(timestamp('2023-08-26T12:39:00-07:00'))", "1693078740"),
        ("duration('90m').getHours()", "1"),
        ("request.time > timestamp('2000-01-01T00:00:00Z')", "true"),
        ("timestamp(2) - timestamp(1)", "1s"),
    ]);
}

#[test]
fn strings_have_functions_for_who_asks_for_them() {
    for (expression, expected) in [
        ("'a' + 'b'", "ab"),
        ("b'a' + b'b'", "ab"),
        ("string(1.5)", "1.5"),
        ("string(request.time)", "2023-08-26T19:39:00.254238Z"),
        ("string(duration('1.5s'))", "1.500s"),
        ("'ABC'.lowerAscii()", "abc"),
        ("'a,b,c'.split(',', 2)[1]", "b,c"),
        ("['a', 'b'].join('-')", "a-b"),
        ("'abcb'.replace('b', 'x', 1)", "axcb"),
        ("' a '.trim()", "a"),
        ("'abc'.substring(1)", "bc"),
        ("'abc'.substring(0, 2)", "ab"),
        ("'abc'.charAt(1)", "b"),
        ("'abcb'.indexOf('b')", "1"),
        ("'abc'.indexOf('b', 2)", "-1"),
        ("'abcb'.lastIndexOf('b')", "3"),
        ("'abc'.reverse()", "cba"),
    ] {
        assert_eq!(with_all(expression).as_deref(), Some(expected), "{expression}");
    }
    for missing in [
        "'abc'.substring(2, 1)",
        "'abc'.substring(4)",
        "'abc'.charAt(9)",
        "'a'.indexOf('abc', 5)",
        "string(null)",
    ] {
        assert_eq!(with_all(missing), None, "{missing}");
    }
}

#[test]
fn json_has_types() {
    let json = |expression: &str| {
        let parsed = Expression::parse(expression, Options::default()).expect(expression);
        parsed.evaluate(&Source).and_then(Value::into_json)
    };
    assert_eq!(json("response.code"), Some(Dynamic::number(200.0)));
    assert_eq!(json("true"), Some(Dynamic::bool(true)));
    assert_eq!(json("b'abc'"), Some(Dynamic::string("YWJj")));
    assert_eq!(json("b'ab'"), Some(Dynamic::string("YWI=")));
    assert_eq!(json("duration('1h30m')"), Some(Dynamic::string("5400s")));
    assert_eq!(json("request.duration"), Some(Dynamic::string("0.002760450s")));
    assert_eq!(json("request.time"), Some(Dynamic::string("2023-08-26T19:39:00.254238Z")));
    assert_eq!(json("9223372036854775807"), Some(Dynamic::number(9_223_372_036_854_775_808.0)));
    assert_eq!(json("{1: 2}"), Some(object([("1", Dynamic::number(2.0))]).into()));
    assert_eq!(json("request"), None);
    assert_eq!(json("type(1)"), None);
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    for (expression, position, problem) in [
        ("", 0, "the expression ends where a value should be"),
        ("request.path ==", 15, "the expression ends where a value should be"),
        ("1 +", 3, "the expression ends where a value should be"),
        ("(1", 2, "the expression ends where `)` should be"),
        ("1 2", 2, "there is a number where an operator or the end should be"),
        ("a = b", 2, "`=` is no operator; `==` compares"),
        ("'abc", 0, "the string has no end"),
        ("'\\z'", 1, "no escape sequence"),
        ("9223372036854775808", 0, "no whole number of 64 bits"),
        ("request.?path", 8, "there is `?` where a name should be"),
        ("if", 0, "`if` is a word of CEL"),
        ("true && request.nope", 8, "there is no attribute `request.nope`"),
        ("has(request)", 0, "has() takes a member, such as `has(request.headers.name)`"),
        ("[1].all(x, x > 0)", 0, "`all` is a comprehension, which Envoy has not either"),
        ("nope(1)", 0, "there is no function `nope`"),
        ("1 == string(1)", 5, "`string` is there only with enable_string_conversion"),
        ("'A'.lowerAscii()", 0, "`lowerAscii` is there only with enable_string_functions"),
        ("request.path.matches('(')", 21, "unclosed group"),
        ("Foo{a: 1}", 0, "messages cannot be made here"),
        ("request.path.x", 0, "there is no `x` inside of this attribute"),
        ("request[request.path]", 8, "the name of an attribute of `request` has to be said here"),
    ] {
        let error = Expression::parse(expression, Options::default()).expect_err(expression);
        assert!(error.problem.contains(problem), "{expression}: {error}");
        assert_eq!(error.position, position, "{expression}: {error}");
    }
}

/// Neither reading nor dropping goes down too far.
#[test]
fn expressions_are_not_nested_without_a_bound() {
    for (before, after) in
        [("(", ")"), ("[", "]"), ("!", ""), ("- ", ""), ("{1:", "}"), ("a[", "]"), ("size(", ")")]
    {
        let deep = format!("{}1{}", before.repeat(20_000), after.repeat(20_000));
        assert!(Expression::parse(&deep, Options::default()).is_err(), "{before}");
        let flat = format!("{}1{}", before.repeat(10), after.repeat(10));
        assert!(Expression::parse(&flat, Options::default()).is_ok(), "{before}");
    }
    for (first, more) in [("1", "+1"), ("a", ".b"), ("a", "[0]"), ("a", " == a"), ("a", " ? 1 : a")] {
        let deep = format!("{first}{}", more.repeat(20_000));
        assert!(Expression::parse(&deep, Options::default()).is_err(), "{more}");
    }
    let wide = format!("a{}", " || a".repeat(5_000));
    assert!(Expression::parse(&wide, Options::default()).is_ok());
}

/// A-1: paths need no evaluation, everything else is computed.
#[test]
fn attributes_of_processors_are_expressions() {
    let attributes = Attributes::parse_with(
        [
            "request.path",
            "response.code + 1",
            "request.method == 'GET'",
            "null",
            "[1, 'a']",
            "nope == 1",
            "b'x'",
            "1.5",
        ],
        computed_attribute,
    )
    .unwrap();
    let values = attributes.evaluate(&Source).fields;
    let list = ListValue { values: vec![Dynamic::number(1.0), Dynamic::string("a")] };
    assert_eq!(values["request.path"], Dynamic::string("/a/b?q=1&z=2"));
    assert_eq!(values["response.code + 1"], Dynamic::number(201.0));
    assert_eq!(values["request.method == 'GET'"], Dynamic::bool(true));
    assert_eq!(values["null"], Dynamic::string("NULL"));
    assert_eq!(values["[1, 'a']"], list.into());
    assert_eq!(values["b'x'"], Dynamic::string("x"));
    assert_eq!(values["1.5"], Dynamic::string("1.5"));
    assert!(!values.contains_key("nope == 1"));
    let error = Attributes::parse_with(["request.path =="], computed_attribute).unwrap_err();
    assert_eq!(
        error.to_string(),
        "attribute expression \"request.path ==\" is no expression: at character 15: the expression ends where a value \
         should be"
    );
}
