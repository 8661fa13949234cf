//! Expected values are what Envoy 1.39.3 logged for the same formats and requests, unless said otherwise.

use std::{
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use extproc::{
    Direction,
    log::{ProcessingEffect, Step},
    messages::{ListValue, Struct, Value as DynamicValue, value::Kind},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::*;
use crate::{
    connection_manager::testing::{chain, connection, request, response},
    stream_info::{Protocol, ResponseFlags, TlsInfo},
};

/// With every extension.
fn all() -> tollgate_model::format::Formatters<'static> {
    tollgate_model::format::Formatters { req_without_query: true, ..Default::default() }
}

/// A request and everything about it.
struct Case {
    info: StreamInfo,
    messages: Messages,
    logs: Vec<(&'static str, LoggingInfo)>,
}

impl Case {
    fn new(path: &str, fields: &[(&str, &str)]) -> Self {
        let mut info =
            StreamInfo::new(Rc::new(connection("127.0.0.1")), chain(), Protocol::Http11, Instant::now());
        info.start_time = UNIX_EPOCH + Duration::from_micros(1_795_219_843_128_105);
        let mut request = request(path, fields);
        request.scheme = HeaderValue::from_static("http");
        let messages = Messages { request, request_trailers: None, response: None, response_trailers: None };
        Self { info, messages, logs: Vec::new() }
    }

    fn with(&self, write: impl FnOnce(&FormatContext<'_>, &mut Vec<u8>)) -> Vec<u8> {
        let logs: Vec<_> =
            self.logs.iter().map(|(name, info)| FilterLog { name, info, destination: "a \"b\"" }).collect();
        let mut out = Vec::new();
        write(&FormatContext { info: &self.info, messages: &self.messages, logs: &logs }, &mut out);
        out
    }

    fn bytes(&self, format: &str) -> Vec<u8> {
        self.with(|context, out| write_text(&Format::parse_with(format, all()).unwrap(), context, out))
    }

    fn text(&self, format: &str) -> String {
        String::from_utf8(self.bytes(format)).unwrap()
    }

    fn json(&self, format: &str) -> String {
        let format = JsonFormat::Format(Format::parse_with(format, all()).unwrap());
        String::from_utf8(self.with(|context, out| write_json(&format, context, out))).unwrap()
    }

    /// Text and JSON of one operator.
    fn both(&self, operator: &str) -> (String, String) {
        let format = format!("%{operator}%");
        (self.text(&format), self.json(&format))
    }
}

#[track_caller]
fn check(case: &Case, operator: &str, text: &str, json: &str) {
    assert_eq!(case.both(operator), (text.to_owned(), json.to_owned()), "{operator}");
}

#[test]
fn headers() {
    let mut case = Case::new("/new?a=1", &[("x-m", "first"), ("x-m", "second")]);
    case.messages.response = Some(response(&[("x-r", "1"), ("x-r", "2"), ("server", "envoy")]));
    for (operator, text) in [
        ("REQ(HOST)", "h.test"),
        ("REQ(:authority)", "h.test"),
        ("REQ(:scheme)", "http"),
        ("REQ(:METHOD):2", "GE"),
        ("REQ(:PATH)", "/new?a=1"),
        ("REQ_WITHOUT_QUERY(:PATH)", "/new"),
        ("REQ_WITHOUT_QUERY(:PATH):3", "/ne"),
        ("REQ(x-m)", "first"),
        ("REQ(X-M):2", "fi"),
        ("REQ(x-m):0", ""),
        ("REQ(nope?x-m)", "first"),
        ("REQ(?x-m)", "first"),
        ("RESP(:status)", "200"),
        ("RESP(x-r?server)", "1"),
        ("RESP(nope?server)", "envoy"),
    ] {
        check(&case, operator, text, &format!("\"{text}\""));
    }
    for operator in
        ["REQ(nope)", "REQ(x-m-?)", "RESP(content-length)", "TRAILER(x-t)", "REQ(:status)", "RESP(:path)"]
    {
        check(&case, operator, "-", "null");
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("x-t", HeaderValue::from_static("t"));
    case.messages.response_trailers = Some(trailers);
    check(&case, "TRAILER(x-t)", "t", "\"t\"");
    check(&case, "RESPONSE_TRAILERS_BYTES", "4", "4");
}

/// Header values may be any bytes: they pass text as they are, and JSON as characters of the same number.
#[test]
fn any_bytes() {
    let mut case = Case::new("/", &[]);
    for (name, value) in
        [("x-bin", &b"a\xff\xc3b"[..]), ("x-esc", b"q\"\\/<>&\tz"), ("x-utf", b"\xc3\xa9\xe2\x82\xac")]
    {
        case.messages
            .request
            .fields
            .insert(HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap());
    }
    assert_eq!(case.bytes("%REQ(x-bin)%|%REQ(x-bin):2%|%REQ(x-utf):1%"), b"a\xff\xc3b|a\xff|\xc3");
    assert_eq!(case.json("%REQ(x-bin)%"), r#""a\u00ff\u00c3b""#);
    assert_eq!(case.json("%REQ(x-utf)%"), "\"\u{e9}\u{20ac}\"");
    assert_eq!(case.json("%REQ(x-utf):1%"), r#""\u00c3""#);
    assert_eq!(case.json("%REQ(x-bin)%/%REQ(x-esc)%\u{e9}"), "\"a\\u00ff\\u00c3b/q\\\"\\\\/<>&\\tz\u{e9}\"");
}

#[test]
fn paths_and_queries() {
    let original = [("x-envoy-original-path", "/a%20b?a=1&enc=%41%20b&x")];
    let mut case = Case::new("/new/a%20b?a=1&enc=%41%20b&x", &original);
    for (operator, text) in [
        ("PATH", "/a%20b?a=1&enc=%41%20b&x"),
        ("PATH(NQ)", "/a%20b"),
        ("PATH(WQ)", "/a%20b?a=1&enc=%41%20b&x"),
        ("PATH(NQ:PATH)", "/new/a%20b"),
        ("PATH(NQ:ORIG)", "/a%20b"),
        ("PATH(NQ:ORIG_OR_PATH):3", "/a%"),
        ("QUERY_PARAM(a)", "1"),
        ("QUERY_PARAM(enc):2", "A "),
        ("QUERY_PARAM(x)", ""),
        ("QUERY_PARAMS", "a=1&enc=%41%20b&x"),
        ("QUERY_PARAMS(DECODED)", "a=1&enc=A%20b&x"),
        ("QUERY_PARAMS(DECODED):5", "a=1&e"),
    ] {
        check(&case, operator, text, &format!("\"{text}\""));
    }
    check(&case, "QUERY_PARAM(A)", "-", "null");
    case.messages.request = request("/p?a=%41%zz&%62=x&c=d+e&y=%ff%41%C3%A9%2", &[]);
    assert_eq!(case.text("%QUERY_PARAM(a)%|%QUERY_PARAM(b)%|%QUERY_PARAM(c)%"), "A%zz|x|d+e");
    case.messages.request = request("/p?y=%ff%41%C3%A9%2", &[]);
    check(&case, "QUERY_PARAMS(DECODED)", "y=%ffA%C3%A9%2", "\"y=%ffA%C3%A9%2\"");
    case.messages.request = request("/d?", &[]);
    check(&case, "QUERY_PARAMS", "", "\"\"");
    case.messages.request = request("/d", &[]);
    check(&case, "QUERY_PARAMS", "-", "null");
    check(&case, "PATH(NQ:ORIG)", "-", "null");
}

#[test]
fn numbers_and_times() {
    let mut case = Case::new("/", &[]);
    let at = |millis| Some(case.info.start + Duration::from_micros(millis));
    (case.info.last_downstream_rx, case.info.first_upstream_tx) = (at(1100), at(1200));
    (case.info.last_upstream_tx, case.info.first_upstream_rx) = (at(1300), at(2400));
    (case.info.last_upstream_rx, case.info.first_downstream_tx) = (at(2450), at(2500));
    case.info.last_downstream_tx = at(4400);
    (case.info.bytes_received, case.info.bytes_sent) = (3, 2);
    case.info.response_code = Some(StatusCode::OK);
    for (operator, number) in [
        ("BYTES_RECEIVED", "3"),
        ("BYTES_SENT", "2"),
        ("RESPONSE_CODE", "200"),
        ("DURATION", "4"),
        ("REQUEST_DURATION", "1"),
        ("REQUEST_TX_DURATION", "1"),
        ("RESPONSE_DURATION", "2"),
        ("RESPONSE_TX_DURATION", "2"),
        ("COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)", "4400"),
        ("COMMON_DURATION(US_TX_BEG:US_RX_BEG:ns)", "1200000"),
        ("COMMON_DURATION(US_TX_END:DS_TX_BEG)", "1"),
        ("COMMON_DURATION(DS_RX_END:US_RX_END:us)", "1350"),
        ("UPSTREAM_REQUEST_ATTEMPT_COUNT", "0"),
        ("UPSTREAM_CONNECTION_ID", "0"),
        ("CONNECTION_ID", "1"),
    ] {
        check(&case, operator, number, number);
    }
    check(&case, "COMMON_DURATION(DS_TX_END:DS_RX_BEG)", "-", "null");
    assert_eq!(case.text("%START_TIME%"), "2026-11-21T00:10:43.128Z");
    assert_eq!(case.json("%START_TIME(%s.%3f)%"), "\"1795219843.128\"");
    let emitted: u64 = case.text("%EMIT_TIME(%s)%").parse().unwrap();
    assert!(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() - emitted < 60);

    let answered_locally = Case::new("/", &[]);
    for operator in ["REQUEST_TX_DURATION", "RESPONSE_DURATION", "RESPONSE_TX_DURATION"] {
        check(&answered_locally, operator, "-", "null");
    }
    check(&answered_locally, "RESPONSE_CODE", "0", "0");
}

/// Names and values, pseudo-headers included.
#[test]
fn header_sizes() {
    let fields = [
        ("x-forwarded-for", "10.1.2.3"),
        ("x-request-id", "1"),
        ("x-forwarded-proto", "http"),
        ("x-envoy-expected-rq-timeout-ms", "15000"),
        ("x-envoy-original-host", "h.test:80"),
    ];
    let mut case = Case::new("/abc", &fields);
    case.messages.request.authority = HeaderValue::from_static("new.host:9");
    check(&case, "REQUEST_HEADERS_BYTES", "172", "172");
    check(&case, "RESPONSE_HEADERS_BYTES", "0", "0");
    case.messages.response = Some(response(&[
        ("content-length", "2"),
        ("x-envoy-upstream-service-time", "0"),
        ("date", "Sat, 21 Nov 2026 00:10:43 GMT"),
        ("server", "envoy"),
    ]));
    check(&case, "RESPONSE_HEADERS_BYTES", "99", "99");
}

#[test]
fn addresses() {
    let mut case = Case::new("/", &[]);
    let info = &mut case.info;
    info.remote_address = Some("10.1.2.3:0".parse().unwrap());
    info.upstream.address = Some(Rc::from("127.0.0.1:34497"));
    info.upstream.local_address = Some("127.0.0.1:49352".parse().unwrap());
    check(&case, "UPSTREAM_REMOTE_ADDRESS", "-", "null");
    check(&case, "UPSTREAM_HOSTS_ATTEMPTED", "-", "null");
    connect(&mut case.info);
    for (operator, text) in [
        ("DOWNSTREAM_REMOTE_ADDRESS", "10.1.2.3:0"),
        ("DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", "10.1.2.3"),
        ("DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(24)", "10.1.2.0/24"),
        ("DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(33)", "10.1.2.3/32"),
        ("DOWNSTREAM_DIRECT_REMOTE_ADDRESS", "127.0.0.1:5000"),
        ("DOWNSTREAM_LOCAL_ADDRESS", "127.0.0.1:10000"),
        ("DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT", "127.0.0.1"),
        ("UPSTREAM_HOST", "127.0.0.1:34497"),
        ("UPSTREAM_HOST_NAME", "127.0.0.1:34497"),
        ("UPSTREAM_HOST_NAME_WITHOUT_PORT", "127.0.0.1"),
        ("UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(8)", "127.0.0.0/8"),
        ("UPSTREAM_LOCAL_ADDRESS", "127.0.0.1:49352"),
        ("UPSTREAM_HOSTS_ATTEMPTED", "127.0.0.1:34497"),
        ("UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT", "127.0.0.1"),
        ("UPSTREAM_HOST_NAMES_ATTEMPTED", "127.0.0.1:34497"),
        ("UPSTREAM_CONNECTION_IDS_ATTEMPTED", "7"),
        ("UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID", ""),
    ] {
        check(&case, operator, text, &format!("\"{text}\""));
    }
    check(&case, "DOWNSTREAM_LOCAL_PORT", "10000", "10000");
    check(&case, "DOWNSTREAM_REMOTE_PORT", "0", "0");
    check(&case, "UPSTREAM_REMOTE_PORT", "34497", "34497");
    case.info.remote_address = Some("[2001:db8:1:2::5]:0".parse::<SocketAddr>().unwrap());
    case.info.upstream.host_name = Some(Rc::from("ep.host"));
    case.info.upstream.address = Some(Rc::from("/run/up.sock"));
    assert_eq!(
        case.text("%DOWNSTREAM_REMOTE_ADDRESS%|%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(24)%"),
        "[2001:db8:1:2::5]:0|2001:d00::/24"
    );
    assert_eq!(
        case.text(
            "%UPSTREAM_HOST%|%UPSTREAM_REMOTE_PORT%|%UPSTREAM_HOST_NAME%|%UPSTREAM_HOST_NAME_WITHOUT_PORT%"
        ),
        "/run/up.sock|-|ep.host|ep.host"
    );
    let without = Case::new("/", &[]);
    for operator in [
        "UPSTREAM_HOST",
        "UPSTREAM_HOST_NAME",
        "UPSTREAM_LOCAL_PORT",
        "UPSTREAM_CLUSTER",
        "UPSTREAM_PROTOCOL",
    ] {
        check(&without, operator, "-", "null");
    }
}

fn connect(info: &mut StreamInfo) {
    let now = Instant::now();
    info.upstream.connection_id = 7;
    info.upstream.connect =
        Some(crate::stream_info::ConnectTimes { began: now, connected: now, handshake: None });
}

/// A port is whatever is behind the last colon, as in Envoy 1.40.
#[test]
fn host_names_without_ports() {
    let mut case = Case::new("/", &[]);
    case.info.upstream.address = Some(Rc::from("127.0.0.1:80"));
    for (name, without_port) in [
        ("named.test:81", "named.test"),
        ("named.test", "named.test"),
        ("[::1]:99", "[::1]"),
        ("::1", ":"),
        ("", "127.0.0.1"),
    ] {
        case.info.upstream.host_name = Some(Rc::from(name));
        assert_eq!(case.text("%UPSTREAM_HOST_NAME_WITHOUT_PORT%"), without_port, "{name}");
    }
}

/// Empty strings count as values in Envoy 1.40.
#[test]
fn the_first_value_of_several() {
    let case = Case::new("/", &[("user-agent", "agent")]);
    let first = |operators: &str| case.both(&format!("COALESCE({{\"operators\":[{operators}]}})"));
    let agent = r#"{"command":"REQ","param":"user-agent"}"#;
    assert_eq!(first(&format!("\"ROUTE_NAME\",{agent}")).1, "\"agent\"");
    assert_eq!(first(&format!("\"CUSTOM_FLAGS\",{agent}")).1, "\"\"");
    assert_eq!(first("\"BYTES_SENT\"").1, "0");
    assert_eq!(first("\"ROUTE_NAME\""), ("-".to_owned(), "null".to_owned()));
    let short = format!(r#"%COALESCE({{"operators":["ROUTE_NAME",{agent}]}}):2%"#);
    assert_eq!(case.text(&short), "ag");
}

#[test]
fn facts() {
    let mut case = Case::new("/", &[("x-request-id", "id-1")]);
    case.info.response_code_details = Some("two words".into());
    case.info.upstream.cluster = Some(Rc::from("up"));
    case.info.upstream.protocol = Some(Protocol::Http2);
    case.info.upstream.transport_failure_reason = Some("delayed connect error: Connection refused".into());
    for (operator, text) in [
        ("PROTOCOL", "HTTP/1.1"),
        ("UPSTREAM_PROTOCOL", "HTTP/2"),
        ("UPSTREAM_CLUSTER", "up"),
        ("UPSTREAM_CLUSTER_RAW", "up"),
        ("CUSTOM_FLAGS", ""),
        ("DOWNSTREAM_DETECTED_CLOSE_TYPE", "Normal"),
        ("UPSTREAM_TRANSPORT_FAILURE_REASON", "delayed_connect_error:_Connection_refused"),
        ("RESPONSE_CODE_DETAILS", "two_words"),
        ("RESPONSE_CODE_DETAILS(ALLOW_WHITESPACES)", "two words"),
        ("RESPONSE_FLAGS", "-"),
        ("STREAM_ID", "id-1"),
        ("ACCESS_LOG_TYPE", "DownstreamEnd"),
        ("LOCAL_REPLY_BODY", ""),
    ] {
        check(&case, operator, text, &format!("\"{text}\""));
    }
    case.info.upstream.stat_name = Some(Rc::from("other"));
    assert_eq!(case.text("%UPSTREAM_CLUSTER% %UPSTREAM_CLUSTER_RAW% %BYTES_RETRANSMITTED%"), "other up 0");
    case.info.response_flags.insert(ResponseFlags::NO_ROUTE_FOUND);
    assert_eq!(case.text("%RESPONSE_FLAGS% %RESPONSE_FLAGS_LONG%"), "NR NoRouteFound");
    for operator in ["TRACE_ID", "SPAN_ID", "DOWNSTREAM_LOCAL_CLOSE_REASON", "UPSTREAM_DETECTED_CLOSE_TYPE"] {
        check(&case, operator, "-", "null");
    }
    for operator in ["ROUTE_NAME", "FILTER_CHAIN_NAME", "DOWNSTREAM_TLS_VERSION", "DOWNSTREAM_TLS_CIPHER"] {
        check(&case, operator, "-", "null");
    }
    let without = Case::new("/", &[]);
    for operator in ["STREAM_ID", "RESPONSE_CODE_DETAILS", "UPSTREAM_TRANSPORT_FAILURE_REASON"] {
        check(&without, operator, "-", "null");
    }
    let unique = case.text("%UNIQUE_ID%");
    assert_eq!(unique.len(), 36);
    assert_ne!(unique, case.text("%UNIQUE_ID%"));
    assert!(!case.text("%HOSTNAME%").contains('\n'));
}

#[test]
fn server_names() {
    let mut case = Case::new("/", &[("x-envoy-original-host", "h.test:80")]);
    case.messages.request.authority = HeaderValue::from_static("new.host:9");
    for (operator, text) in [
        ("REQUESTED_SERVER_NAME(SNI_FIRST)", "h.test:80"),
        ("REQUESTED_SERVER_NAME(HOST_FIRST:HOST)", "new.host:9"),
        ("REQUESTED_SERVER_NAME(HOST_FIRST:ORIG)", "h.test:80"),
        ("REQUESTED_SERVER_NAME(HOST_FIRST:ORIG_OR_HOST)", "h.test:80"),
        ("REQUESTED_SERVER_NAME", "-"),
    ] {
        assert_eq!(case.both(operator).0, text, "{operator}");
    }
    let tls =
        TlsInfo { server_name: Some("sni".into()), version: "TLSv1.3", cipher: "AES", ..TlsInfo::default() };
    case.info.connection =
        Rc::new(crate::stream_info::ConnectionInfo { tls: Some(tls), ..connection("127.0.0.1") });
    assert_eq!(
        case.text("%REQUESTED_SERVER_NAME% %REQUESTED_SERVER_NAME(HOST_FIRST)% %DOWNSTREAM_TLS_VERSION%"),
        "sni h.test:80 TLSv1.3"
    );
    assert_eq!(case.text("%DOWNSTREAM_TLS_CIPHER%"), "AES");
}

#[test]
fn grpc_status() {
    let ask = |status: Option<&str>, code: u16| {
        let mut case = Case::new("/", &[("content-type", "application/grpc")]);
        case.info.response_code = StatusCode::from_u16(code).ok();
        let fields: Vec<_> = status.map(|status| ("grpc-status", status)).into_iter().collect();
        case.messages.response = Some(response(&fields));
        case
    };
    let text = |case: &Case| case.text("%GRPC_STATUS% %GRPC_STATUS(SNAKE_STRING)% %GRPC_STATUS_NUMBER%");
    for (status, expected) in [
        ("0", "OK OK 0"),
        ("1", "Canceled CANCELLED 1"),
        ("5", "NotFound NOT_FOUND 5"),
        ("16", "Unauthenticated UNAUTHENTICATED 16"),
        ("17", "17 17 17"),
        ("-1", "-1 -1 -1"),
        ("abc", "-1 -1 -1"),
        ("", "Unknown UNKNOWN 2"),
    ] {
        assert_eq!(text(&ask(Some(status), 200)), expected, "{status}");
    }
    assert_eq!(text(&ask(None, 503)), "Unavailable UNAVAILABLE 14");
    let mut case = ask(Some("5"), 200);
    check(&case, "GRPC_STATUS(NUMBER)", "5", "5");
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("7"));
    case.messages.response_trailers = Some(trailers);
    check(&case, "GRPC_STATUS", "PermissionDenied", "\"PermissionDenied\"");
    case.messages.request = request("/", &[]);
    check(&case, "GRPC_STATUS", "-", "null");
}

fn object(members: &[(&str, Kind)]) -> Struct {
    let member =
        |(name, kind): &(&str, Kind)| ((*name).to_owned(), DynamicValue { kind: Some(kind.clone()) });
    Struct { fields: members.iter().map(member).collect() }
}

#[test]
fn dynamic_metadata() {
    let inner = object(&[("d", Kind::NumberValue(1.0))]);
    let list = [Kind::NumberValue(1.0), Kind::StringValue("a".into()), Kind::NullValue(0)];
    let values = list.into_iter().map(|kind| DynamicValue { kind: Some(kind) }).collect();
    let namespace = object(&[
        ("s", Kind::StringValue("str\"q\\".into())),
        ("n", Kind::NumberValue(5.0)),
        ("f", Kind::NumberValue(1.5)),
        ("neg", Kind::NumberValue(-3.0)),
        ("b", Kind::BoolValue(true)),
        ("z", Kind::NullValue(0)),
        ("l", Kind::ListValue(ListValue { values })),
        (
            "o",
            Kind::StructValue(object(&[
                ("k", Kind::StructValue(inner)),
                ("a", Kind::StringValue("x".into())),
            ])),
        ),
        ("e", Kind::StringValue(String::new())),
        ("eo", Kind::StructValue(Struct::default())),
    ]);
    let mut case = Case::new("/", &[]);
    assert!(case.info.metadata.merge(object(&[("ns", Kind::StructValue(namespace))]), &["ns".to_owned()]));
    for (key, text, json) in [
        ("ns:s", "str\"q\\", r#""str\"q\\""#),
        ("ns:n", "5", "5"),
        ("ns:f", "1.5", "1.5"),
        ("ns:neg", "-3", "-3"),
        ("ns:b", "true", "true"),
        ("ns:z", "-", "null"),
        ("ns:l", "[1,\"a\",null]", "[1,\"a\",null]"),
        ("ns:o", "{\"a\":\"x\",\"k\":{\"d\":1}}", "{\"a\":\"x\",\"k\":{\"d\":1}}"),
        ("ns:o:k", "{\"d\":1}", "{\"d\":1}"),
        ("ns:o:k:d", "1", "1"),
        ("ns:e", "", "\"\""),
        ("ns:eo", "{}", "{}"),
        ("ns:s:x", "-", "null"),
        ("ns:l:0", "-", "null"),
        ("ns:nope", "-", "null"),
        ("nope", "-", "null"),
    ] {
        check(&case, &format!("DYNAMIC_METADATA({key})"), text, json);
    }
    check(&case, "DYNAMIC_METADATA(ns:s):2", "st", "\"st\"");
    check(&case, "DYNAMIC_METADATA(ns:o):5", "{\"a\":", "{\"a\":\"x\",\"k\":{\"d\":1}}");
    assert_eq!(
        case.text("%DYNAMIC_METADATA(ns)%"),
        "{\"b\":true,\"e\":\"\",\"eo\":{},\"f\":1.5,\"l\":[1,\"a\",null],\"n\":5,\"neg\":-3,\
         \"o\":{\"a\":\"x\",\"k\":{\"d\":1}},\"s\":\"str\\\"q\\\\\",\"z\":null}"
    );
}

/// G-1 to G-3.
#[test]
fn filter_state() {
    let mut case = Case::new("/", &[]);
    let failed =
        LoggingInfo { failed_open: true, grpc_status_before_first_call: 14, ..LoggingInfo::default() };
    case.logs.push(("ext", failed));
    check(
        &case,
        "FILTER_STATE(ext:PLAIN)",
        "bs:0,br:0,os:14,ds:a \"b\"",
        "\"bs:0,br:0,os:14,ds:a \\\"b\\\"\"",
    );
    check(&case, "FILTER_STATE(ext:PLAIN):4", "bs:0", "\"bs:0\"");
    let typed = "{\"bytes_received\":0,\"bytes_sent\":0,\"destination\":\"a \\\"b\\\"\",\"failed_open\":true,\"grpc_status_before_first_call\":14,\
                 \"received_immediate_response\":false,\"request_body_processing_effect\":0,\
                 \"request_header_processing_effect\":0,\"request_trailer_processing_effect\":0,\
                 \"response_body_processing_effect\":0,\"response_header_processing_effect\":0,\
                 \"response_trailer_processing_effect\":0}";
    check(&case, "FILTER_STATE(ext)", typed, typed);
    check(&case, "FILTER_STATE(ext:TYPED):10", &typed[..10], typed);
    check(&case, "FILTER_STATE(ext:FIELD:failed_open)", "1", "\"1\"");
    check(&case, "FILTER_STATE(ext:FIELD:grpc_status_before_first_call)", "14", "\"14\"");
    check(&case, "FILTER_STATE(ext:FIELD:bytes_sent)", "0", "\"0\"");
    for operator in ["FILTER_STATE(ext:FIELD:nope)", "FILTER_STATE(nope)", "FILTER_STATE(nope:PLAIN)"] {
        check(&case, operator, "-", "null");
    }

    let mut log = LoggingInfo { bytes_sent: 295, bytes_received: 80, ..LoggingInfo::default() };
    let micros = Duration::from_micros;
    log.record_call(Direction::Request, Step::Headers, micros(1179), 0);
    log.record_call(Direction::Request, Step::Body, micros(1067), 0);
    log.record_call(Direction::Request, Step::Trailers, micros(676), 0);
    log.record_effect(Direction::Request, Step::Headers, ProcessingEffect::MutationApplied);
    case.logs[0].1 = log;
    assert_eq!(
        case.text("%FILTER_STATE(ext:PLAIN)%"),
        "rh:1179:0,rb:1:1067:0,rt:676:0,bs:295,br:80,os:0,ds:a \"b\""
    );
    case.logs[0].1.record_call(Direction::Response, Step::Body, micros(3), 0);
    case.logs[0].1.record_call(Direction::Response, Step::Body, micros(5), 9);
    assert_eq!(
        case.text("%FILTER_STATE(ext:PLAIN)%"),
        "rh:1179:0,rb:1:1067:0,rt:676:0,sb:2:8:9,bs:295,br:80,os:0,ds:a \"b\""
    );
    for (field, value) in [
        ("request_header_latency_us", "1179"),
        ("request_header_call_status", "0"),
        ("request_trailer_latency_us", "676"),
        ("request_header_processing_effect", "1"),
        ("response_body_call_count", "2"),
        ("response_body_total_latency_us", "8"),
        ("response_body_max_latency_us", "5"),
        ("response_body_last_call_status", "9"),
    ] {
        assert_eq!(case.text(&format!("%FILTER_STATE(ext:FIELD:{field})%")), value, "{field}");
    }
}

#[test]
fn json_formats() {
    let mut case = Case::new("/", &[]);
    case.info.response_code = Some(StatusCode::OK);
    let format = |text: &str| JsonFormat::Format(Format::parse(text).unwrap());
    let whole = JsonFormat::Object(vec![
        ("k\"".into(), format("%REQ(:METHOD)%")),
        (
            "list".into(),
            JsonFormat::Array(vec![
                format("%BYTES_SENT%"),
                format("x"),
                JsonFormat::Object(vec![("z".into(), format("%REQ(nope)%"))]),
            ]),
        ),
        ("mix".into(), format("a%PROTOCOL%b%RESPONSE_CODE%")),
        ("missing".into(), format("a%REQ(nope)%b")),
        ("lit".into(), format("a\"b\n\u{e9}/")),
        ("nul".into(), JsonFormat::Literal("null".into())),
        ("pct".into(), format("%%")),
        ("empty".into(), format("")),
    ]);
    assert_eq!(
        String::from_utf8(case.with(|context, out| write_json(&whole, context, out))).unwrap(),
        "{\"k\\\"\":\"GET\",\"list\":[0,\"x\",{\"z\":null}],\"mix\":\"aHTTP/1.1b200\",\"missing\":\"a-b\",\
         \"lit\":\"a\\\"b\\n\u{e9}/\",\"nul\":null,\"pct\":\"%\",\"empty\":\"\"}"
    );
}

/// Headers and metadata leave out what is missing; bytes pass as they are.
#[test]
fn header_values() {
    let mut case = Case::new("/", &[]);
    let bytes = HeaderValue::from_bytes(b"a\xff").unwrap();
    case.messages.request.fields.insert(HeaderName::from_static("x-bin"), bytes);
    let format = Format::parse("[%REQ(nope)%|%REQ(x-bin)%]").unwrap();
    assert_eq!(case.with(|context, out| out.extend(evaluate_header(&format, context))), b"[|a\xff]");
}

/// A client must not forge lines of a log.
#[test]
fn control_characters_are_escaped_in_text() {
    let case = Case::new("/p?a=1%0d%0aforged%00%7f%09end", &[]);
    assert_eq!(case.text("[%QUERY_PARAM(a)%]\n"), "[1\\x0d\\x0aforged\\x00\\x7f\tend]\n");
    assert_eq!(case.text("%QUERY_PARAMS(DECODED)%"), "a=1%0d%0aforged%00%7f%09end");
    assert_eq!(case.json("%QUERY_PARAM(a)%"), "\"1\\r\\nforged\\u0000\\u007f\\tend\"");
}
