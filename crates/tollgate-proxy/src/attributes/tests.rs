//! The expectations are what Envoy 1.39.3 sends (A-4), except for maps (decision 7).

use std::{rc::Rc, sync::Arc};

use extproc::{Attributes, messages::value::Kind};
use http::StatusCode;

use super::*;
use crate::{
    connection_manager::testing::{chain, connection, request, response},
    stream_info::{Protocol, ResponseFlags},
};

const ALL: [&str; 22] = [
    "connection.id",
    "connection.mtls",
    "connection.requested_server_name",
    "connection.tls_version",
    "connection.subject_peer_certificate",
    "destination.port",
    "request.duration",
    "request.protocol",
    "request.size",
    "request.total_size",
    "response.code",
    "response.code_details",
    "response.flags",
    "response.size",
    "source.address",
    "source.port",
    "upstream.address",
    "upstream.request_attempt_count",
    "xds.cluster_name",
    "xds.filter_chain_name",
    "xds.listener_direction",
    "xds.route_name",
];

struct World {
    info: StreamInfo,
    messages: Messages,
    snapshot: Snapshot,
}

impl World {
    fn new(fields: &[(&str, &str)]) -> Self {
        Self {
            info: StreamInfo::new(
                Rc::new(connection("127.0.0.1")),
                chain(),
                Protocol::Http11,
                Instant::now(),
            ),
            messages: Messages {
                request: request("/", fields),
                request_trailers: None,
                response: None,
                response_trailers: None,
            },
            snapshot: Snapshot::default(),
        }
    }

    fn evaluate(&self, expressions: &[&str], response_headers_shown: bool) -> Vec<(String, Value)> {
        let source = RequestAttributes {
            info: &self.info,
            messages: &self.messages,
            response_headers_shown,
            snapshot: &self.snapshot,
        };
        Attributes::parse(expressions).unwrap().evaluate(&source).fields.into_iter().collect()
    }

    fn one(&self, expression: &str) -> Option<Value> {
        self.evaluate(&[expression], true).pop().map(|(_, value)| value)
    }
}

fn number(number: f64) -> Value {
    Value::number(number)
}

fn string(text: &str) -> Value {
    Value::string(text)
}

/// On the way in there is no response, no upstream and no end; without TLS there is no name but an empty one.
#[test]
fn on_the_way_in() {
    let mut world = World::new(&[]);
    world.info.remote_address = Some("1.2.3.4:0".parse().unwrap());
    world.info.bytes_received = 5;
    let head = ":authority:path:method:schemeh.test/GET".len() as f64;
    let expected = [
        ("connection.id", number(1.0)),
        ("connection.mtls", Value::bool(false)),
        ("connection.requested_server_name", string("")),
        ("destination.port", number(10_000.0)),
        ("request.protocol", string("HTTP/1.1")),
        ("request.size", number(5.0)),
        ("request.total_size", number(head + 5.0)),
        ("response.flags", number(0.0)),
        ("response.size", number(0.0)),
        ("source.address", string("1.2.3.4:0")),
        ("source.port", number(0.0)),
        ("upstream.request_attempt_count", number(0.0)),
        ("xds.filter_chain_name", string("")),
        ("xds.listener_direction", number(0.0)),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value));
    assert_eq!(world.evaluate(&ALL, false), expected);
}

#[test]
fn content_length_is_the_size() {
    let mut world = World::new(&[("content-length", "12")]);
    world.info.bytes_received = 5;
    assert_eq!(world.one("request.size"), Some(number(12.0)));
    let mut world = World::new(&[("content-length", "many")]);
    world.info.bytes_received = 5;
    assert_eq!(world.one("request.size"), Some(number(5.0)));
}

#[test]
fn on_the_way_out() {
    let mut world = World::new(&[]);
    let start = world.info.start;
    world.messages.response = Some(response(&[("x-r", "r1")]));
    world.info.response_code = Some(StatusCode::OK);
    world.info.response_code_details = Some("via_upstream".into());
    world.info.response_flags.insert(ResponseFlags::from_short_name("UC"));
    world.info.first_upstream_tx = Some(start);
    world.info.last_upstream_rx = Some(start + Duration::from_micros(1_500));
    world.info.bytes_sent = 4;
    world.info.upstream = UpstreamInfo {
        cluster: Some("app".into()),
        address: Some("127.0.0.1:8080".into()),
        local_address: Some("127.0.0.1:4000".parse().unwrap()),
        attempt_count: 1,
        pool_ready_duration: Some(Duration::from_nanos(370_192)),
        ..UpstreamInfo::default()
    };
    for (name, value) in [
        ("response.code", number(200.0)),
        ("response.code_details", string("via_upstream")),
        ("response.flags", number(64.0)),
        ("response.backend_latency", string("1.5ms")),
        ("response.headers['x-r']", string("r1")),
        ("response.total_size", number((":status200x-rr1".len() + 4) as f64)),
        ("upstream.address", string("127.0.0.1:8080")),
        ("upstream.port", number(8080.0)),
        ("upstream.local_address", string("127.0.0.1:4000")),
        ("upstream.request_attempt_count", number(1.0)),
        ("upstream.transport_failure_reason", string("")),
        ("upstream.cx_pool_ready_duration", string("370.192us")),
        ("xds.cluster_name", string("app")),
        ("xds.upstream_host_metadata", string("NULL")),
    ] {
        assert_eq!(world.one(name), Some(value), "{name}");
    }
    for name in ["upstream.tls_version", "request.duration", "upstream.subject_peer_certificate"] {
        assert_eq!(world.one(name), None, "{name}");
    }
}

/// A-5: the head of the response has a value only for processors that were shown it; the code always.
#[test]
fn response_headers_that_were_not_shown() {
    let mut world = World::new(&[]);
    world.messages.response = Some(response(&[("x-r", "r1")]));
    world.info.response_code = Some(StatusCode::OK);
    let expressions = ["response.headers['x-r']", "response.headers", "response.code", "response.total_size"];
    let expected = [
        ("response.code".to_owned(), number(200.0)),
        ("response.headers".to_owned(), Struct::default().into()),
        ("response.total_size".to_owned(), number(0.0)),
    ];
    assert_eq!(world.evaluate(&expressions, false), expected);
}

#[test]
fn tls() {
    let mut world = World::new(&[]);
    let mut connection = connection("127.0.0.1");
    connection.tls = Some(TlsInfo {
        server_name: Some("a.example".to_owned()),
        version: "TLSv1.3",
        peer_certificate_verified: true,
        peer_certificate: Some(Vec::new()),
        ..TlsInfo::default()
    });
    world.info.connection = Rc::new(connection);
    let digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(world.one("connection.mtls"), Some(Value::bool(true)));
    assert_eq!(world.one("connection.tls_version"), Some(string("TLSv1.3")));
    assert_eq!(world.one("connection.requested_server_name"), Some(string("a.example")));
    assert_eq!(world.one("connection.sha256_peer_certificate_digest"), Some(string(digest)));
    assert_eq!(world.one("connection.subject_local_certificate"), None);
}

/// Decision 7: metadata is an object.
#[test]
fn metadata_is_an_object() {
    let mut world = World::new(&[]);
    let values = object([("key", Value::bool(true))]);
    assert!(world.info.metadata.merge(object([("ns", values.into())]), &["ns".to_owned()]));
    assert_eq!(world.one("metadata.filter_metadata.ns.key"), Some(Value::bool(true)));
    world.snapshot.node.id = "node-id".to_owned();
    assert_eq!(world.one("xds.node.id"), Some(string("node-id")));

    let namespaces = [("ns".to_owned(), object([("team", string("a"))]))].into();
    let chain = Rc::get_mut(&mut world.info.chain).unwrap();
    let listener = Arc::get_mut(&mut chain.listener).unwrap();
    listener.metadata = Metadata { filter_metadata: namespaces, ..Metadata::default() };
    assert_eq!(world.one("xds.listener_metadata.filter_metadata['ns'].team"), Some(string("a")));
    let whole = world.one("xds.listener_metadata").unwrap();
    assert!(matches!(whole.kind, Some(Kind::StructValue(_))));
}
