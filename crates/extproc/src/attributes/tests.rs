use std::time::{Duration, UNIX_EPOCH};

use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::*;
use crate::{
    http_message::{Messages, RequestHeaders, ResponseHeaders},
    messages::Value,
};

/// A request as the data plane would show it.
struct Transaction(Messages);

impl AttributeSource for Transaction {
    fn value(&self, path: &AttributePath) -> Option<AttributeValue> {
        match path {
            AttributePath::Request(RequestAttribute::Time) => {
                Some(AttributeValue::Timestamp(UNIX_EPOCH + Duration::from_millis(1_500)))
            }
            AttributePath::Connection(ConnectionAttribute::Mtls) => Some(AttributeValue::Bool(false)),
            AttributePath::Metadata => {
                let team = Struct { fields: [("name".to_owned(), Value::string("a"))].into() };
                let namespaces = Struct { fields: [("team".to_owned(), team.into())].into() };
                let metadata = Struct { fields: [("filter_metadata".to_owned(), namespaces.into())].into() };
                Some(AttributeValue::Map(metadata))
            }
            path => of_messages(path, &self.0),
        }
    }
}

fn fields(entries: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in entries {
        map.append(*name, HeaderValue::from_static(value));
    }
    map
}

fn transaction() -> Transaction {
    let request = RequestHeaders {
        method: Method::GET,
        scheme: HeaderValue::from_static("http"),
        authority: HeaderValue::from_static("h.example"),
        path: HeaderValue::from_static("/p?q=1"),
        fields: fields(&[
            ("x-in", "in"),
            ("x-dup", "1"),
            ("x-dup", "2"),
            ("user-agent", "u"),
            ("referer", "r"),
        ]),
    };
    Transaction(Messages { request, request_trailers: None, response: None, response_trailers: None })
}

fn evaluate(transaction: &Transaction, expressions: &[&str]) -> Vec<(String, Value)> {
    let attributes = Attributes::parse(expressions).expect("known attributes");
    attributes.evaluate(transaction).fields.into_iter().collect()
}

fn one(transaction: &Transaction, expression: &str) -> Option<Value> {
    evaluate(transaction, &[expression]).pop().map(|(_, value)| value)
}

/// A-3: values by expression as configured; A-4: what has no value is left out.
#[test]
fn values_by_expression() {
    let values = evaluate(&transaction(), &["request.path", "request.headers['x-none']", "response.code"]);
    assert_eq!(values, [("request.path".to_owned(), Value::string("/p?q=1"))]);
}

/// A-4, as Envoy 1.39.3 sends them.
#[test]
fn requests() {
    let transaction = transaction();
    for (expression, value) in [
        ("request.url_path", "/p"),
        ("request.query", "q=1"),
        ("request.host", "h.example"),
        ("request.scheme", "http"),
        ("request.method", "GET"),
        ("request.referer", "r"),
        ("request.useragent", "u"),
        ("request.time", "1970-01-01T00:00:01.5+00:00"),
        ("request.headers['X-In']", "in"),
        ("request.headers['x-dup']", "1,2"),
        ("request.headers.host", "h.example"),
        ("request.headers[':path']", "/p?q=1"),
        ("metadata.filter_metadata['team'].name", "a"),
    ] {
        assert_eq!(one(&transaction, expression), Some(Value::string(value)), "{expression}");
    }
    assert_eq!(one(&transaction, "connection.mtls"), Some(Value::bool(false)));
    for absent in
        ["request.id", "request.duration", "metadata.filter_metadata['other'].name", "upstream.address"]
    {
        assert_eq!(one(&transaction, absent), None, "{absent}");
    }
    assert_eq!(header_bytes(&transaction.0.request), 7 + 3 + 7 + 4 + 10 + 9 + 5 + 6 + 6 + 12 + 11 + 8);
}

/// Decision 7: maps are structs.
#[test]
fn headers_are_maps() {
    let headers = one(&transaction(), "request.headers").expect("a map");
    let Some(crate::messages::value::Kind::StructValue(headers)) = headers.kind else { panic!("not a map") };
    assert_eq!(headers.fields.get("x-dup"), Some(&Value::string("1,2")));
    assert_eq!(headers.fields.get(":method"), Some(&Value::string("GET")));
}

/// A-5.
#[test]
fn responses() {
    let mut transaction = transaction();
    let response = fields(&[("content-length", "2")]);
    transaction.0.response = Some(ResponseHeaders { status: StatusCode::FORBIDDEN, fields: response });
    assert_eq!(one(&transaction, "response.code"), Some(Value::number(403.0)));
    assert_eq!(one(&transaction, "response.grpc_status"), Some(Value::number(7.0)));
    assert_eq!(one(&transaction, "response.headers['content-length']"), Some(Value::string("2")));
    assert_eq!(one(&transaction, "response.headers[':status']"), Some(Value::string("403")));
    assert_eq!(one(&transaction, "request.method"), Some(Value::string("GET")));
    transaction.0.response_trailers = Some(fields(&[("grpc-status", "5")]));
    assert_eq!(one(&transaction, "response.grpc_status"), Some(Value::number(5.0)));
    assert_eq!(one(&transaction, "response.trailers['grpc-status']"), Some(Value::string("5")));
}

#[test]
fn the_first_bad_expression_is_named() {
    let error = Attributes::parse(["request.path", "request.nosuch"]).expect_err("unknown");
    assert_eq!(
        error.to_string(),
        "attribute expression \"request.nosuch\" is not known: there is no attribute `request.nosuch`"
    );
}
