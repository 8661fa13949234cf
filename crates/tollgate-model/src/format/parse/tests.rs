use tollgate_cel::Options;

use super::*;
use crate::format::{CertificateFact, CertificateOwner, Format};

/// With every extension.
const ALL: Formatters<'_> = Formatters { req_without_query: true, cel: Options::NONE, file_content: None };

fn parts(source: &str) -> Vec<FormatPart> {
    parse(source, ALL).unwrap_or_else(|error| panic!("{source}: {error}"))
}

fn only(source: &str) -> Operator {
    match parts(source).as_slice() {
        [FormatPart::Operator(operator)] => operator.clone(),
        other => panic!("{source}: {other:?}"),
    }
}

fn error(source: &str) -> String {
    parse(source, ALL).expect_err(source).to_string()
}

fn text(text: &str) -> FormatPart {
    FormatPart::Text(text.to_owned())
}

#[test]
fn text_and_operators() {
    assert_eq!(parts(""), []);
    assert_eq!(parts("%%"), [text("%")]);
    assert_eq!(parts("100%% é"), [text("100% é")]);
    assert_eq!(parts("é%PROTOCOL%b"), [text("é"), FormatPart::Operator(Operator::Protocol), text("b")]);
    assert_eq!(parts("%%REQ(A)%%"), [text("%REQ(A)%")]);
    let two = [FormatPart::Operator(Operator::BytesSent), FormatPart::Operator(Operator::BytesReceived)];
    assert_eq!(parts("%BYTES_SENT%%BYTES_RECEIVED%"), two);
}

#[test]
fn header_operands() {
    let field = |name: &str| FieldName::parse(name).unwrap();
    let operand = |names: &[&str], max_length| HeaderOperand {
        names: names.iter().map(|name| field(name)).collect(),
        max_length,
    };
    assert_eq!(only("%REQ(X-A)%"), Operator::RequestHeader(operand(&["x-a"], None)));
    assert_eq!(only("%REQ(:METHOD)%"), Operator::RequestHeader(operand(&[":method"], None)));
    assert_eq!(only("%REQ(HOST)%"), Operator::RequestHeader(operand(&[":authority"], None)));
    assert_eq!(only("%REQ(A?B):7%"), Operator::RequestHeader(operand(&["a", "b"], Some(7))));
    assert_eq!(only("%REQUEST_HEADER(A?):0%"), Operator::RequestHeader(operand(&["a"], Some(0))));
    assert_eq!(only("%RESP(?B)%"), Operator::ResponseHeader(operand(&["b"], None)));
    assert_eq!(only("%TRAILER(grpc-status)%"), Operator::ResponseTrailer(operand(&["grpc-status"], None)));
    assert_eq!(
        only("%REQ_WITHOUT_QUERY(:PATH)%"),
        Operator::RequestHeaderWithoutQuery(operand(&[":path"], None))
    );
}

#[test]
fn arguments_may_contain_parentheses_and_percent_signs() {
    let pattern = TimePattern::parse("a)b %Y", Zone::Utc).unwrap();
    assert_eq!(only("%START_TIME(a)b %Y)%"), Operator::StartTime(pattern));
    assert_eq!(only("%START_TIME()%"), Operator::StartTime(TimePattern::default()));
}

#[test]
fn other_operands() {
    use AddressPart::{Network, Port, Whole, WithoutPort};
    assert_eq!(only("%DOWNSTREAM_REMOTE_ADDRESS%"), Operator::DownstreamRemoteAddress(Whole));
    assert_eq!(only("%DOWNSTREAM_REMOTE_PORT%"), Operator::DownstreamRemoteAddress(Port));
    assert_eq!(
        only("%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%"),
        Operator::DownstreamDirectRemoteAddress(WithoutPort)
    );
    assert_eq!(
        only("%UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT(16)%"),
        Operator::UpstreamLocalAddress(Network(16))
    );
    assert_eq!(
        only("%COMMON_DURATION(DS_RX_BEG:US_TX_END:us)%"),
        Operator::CommonDuration {
            from: TimePoint::DownstreamRxBegin,
            to: TimePoint::UpstreamTxEnd,
            precision: DurationPrecision::Microseconds,
        }
    );
    assert_eq!(
        only("%DYNAMIC_METADATA(ns:a:b):5%"),
        Operator::DynamicMetadata {
            namespace: "ns".into(),
            path: vec!["a".into(), "b".into()],
            max_length: Some(5)
        }
    );
    let state = |form| Operator::FilterState { name: "ext".into(), form, max_length: None };
    assert_eq!(only("%FILTER_STATE(ext)%"), state(FilterStateForm::Typed));
    assert_eq!(only("%FILTER_STATE(ext:PLAIN)%"), state(FilterStateForm::Plain));
    assert_eq!(
        only("%FILTER_STATE(ext:FIELD:bytes_sent)%"),
        state(FilterStateForm::Field("bytes_sent".into()))
    );
    assert_eq!(only("%GRPC_STATUS_NUMBER%"), Operator::GrpcStatus(GrpcStatusForm::Number));
    assert_eq!(
        only("%PATH(NQ:ORIG):4%"),
        Operator::Path { with_query: false, source: PathSource::Original, max_length: Some(4) }
    );
    assert_eq!(
        only("%RESPONSE_CODE_DETAILS(FOO)%"),
        Operator::ResponseCodeDetails { allow_whitespaces: false }
    );
}

#[test]
fn certificates() {
    let certificate = |owner, fact| Operator::Certificate { owner, fact };
    for (source, owner, fact) in [
        ("DOWNSTREAM_PEER_SUBJECT", CertificateOwner::DownstreamPeer, CertificateFact::Subject),
        ("DOWNSTREAM_LOCAL_IP_SAN", CertificateOwner::DownstreamLocal, CertificateFact::IpAddresses),
        ("UPSTREAM_PEER_ISSUER", CertificateOwner::UpstreamPeer, CertificateFact::Issuer),
        ("UPSTREAM_LOCAL_URI_SAN", CertificateOwner::UpstreamLocal, CertificateFact::UriNames),
        (
            "UPSTREAM_PEER_CERT_V_END(%Y)",
            CertificateOwner::UpstreamPeer,
            CertificateFact::ValidUntil(TimePattern::parse("%Y", Zone::Utc).unwrap()),
        ),
    ] {
        assert_eq!(only(&format!("%{source}%")), certificate(owner, fact), "{source}");
    }
    assert!(error("%DOWNSTREAM_PEER_SUBJECT(x)%").contains("takes no arguments"));
    // Envoy does not have every fact of every certificate either.
    for source in ["UPSTREAM_PEER_SERIAL", "UPSTREAM_LOCAL_SUBJECT", "DOWNSTREAM_LOCAL_ISSUER"] {
        assert_eq!(error(&format!("%{source}%")), format!("at character 0: unknown operator {source}"));
    }
}

#[test]
fn the_first_of_several() {
    let source =
        r#"%COALESCE({"operators":["PROTOCOL",{"command":"REQ","param":":authority","max_length":3}]}):7%"#;
    let host = HeaderOperand { names: vec![FieldName::parse(":authority").unwrap()], max_length: Some(3) };
    assert_eq!(
        only(source),
        Operator::Coalesce {
            operators: vec![Operator::Protocol, Operator::RequestHeader(host)],
            max_length: Some(7)
        }
    );
    for wrong in [
        "",
        "PROTOCOL",
        r#"{"operators":[]}"#,
        r#"{"operators":[1]}"#,
        r#"{"operators":[{"param":"x"}]}"#,
        r#"{"operators":[{"command":"PROTOCOL","size":1}]}"#,
        r#"{"operators":["COALESCE"]}"#,
    ] {
        let said = error(&format!("%COALESCE({wrong})%"));
        assert!(said.contains("JSON object"), "{wrong}: {said}");
    }
    assert!(error(r#"%COALESCE({"operators":["NOTHING"]})%"#).ends_with("unknown operator NOTHING"));
}

/// Without its extension an operator is not there.
#[test]
fn extensions_bring_operators() {
    let said = parse("%REQ_WITHOUT_QUERY(:PATH)%", Formatters::default()).unwrap_err().to_string();
    assert!(said.contains("it needs the formatter envoy.formatter.req_without_query"), "{said}");
}

/// What cannot be done says why.
#[test]
fn operators_that_are_not_supported() {
    for (source, reason) in [
        ("DOWNSTREAM_CX_RTT", "unsafe"),
        ("FILE_CONTENT(/etc/hostname)", "envoy.formatter.file_content"),
        ("SECRET(a)", "secrets"),
    ] {
        let said = error(&format!("%{source}%"));
        assert!(said.contains("is not supported") && said.contains(reason), "{said}");
    }
}

#[test]
fn expressions_are_read_with_the_format() {
    let [FormatPart::Operator(Operator::Cel { expression, typed: false, max_length: Some(3) })] =
        &parts("%CEL(request.headers['a'].startsWith('x')):3%")[..]
    else {
        panic!("an expression")
    };
    assert_eq!(expression.source(), "request.headers['a'].startsWith('x')");
    assert_eq!(
        error("a %CEL(request.path ==)%"),
        "at character 2: CEL: at character 15: the expression ends where a value should be"
    );
    assert!(error("%TYPED_CEL%").contains("TYPED_CEL: at character 0: the expression ends"));
}

/// Points of time that no filter sets are known to be missing.
#[test]
fn time_points_of_filters_are_absent() {
    assert_eq!(parts("%COMMON_DURATION(DS_RX_BEG:of_a_filter)%"), [FormatPart::Operator(Operator::Absent)]);
}

#[test]
fn files_are_fixed_text() {
    let read = |path: &str| match path {
        "/there" => Ok(b"content\n".to_vec()),
        _ => Err("it is not there".to_owned()),
    };
    let formatters = Formatters { file_content: Some(&read), ..Formatters::default() };
    let parse = |source: &str| parse(source, formatters).map_err(|error| error.to_string());
    assert_eq!(parse("<%FILE_CONTENT(/there)%>").unwrap(), [text("<content\n>")]);
    assert_eq!(parse("%FILE_CONTENT(/there:/watched):3%").unwrap(), [text("con")]);
    assert_eq!(
        parse("%FILE_CONTENT(/other)%").unwrap_err(),
        "at character 0: FILE_CONTENT: the file \"/other\" cannot be read: it is not there"
    );
    for wrong in ["%FILE_CONTENT%", "%FILE_CONTENT(a:b:c)%"] {
        assert!(parse(wrong).unwrap_err().contains("is not a file, or a file and the directory"), "{wrong}");
    }
}

/// The variable is read when the configuration is; a missing one is `-` whatever the log says about missing values.
#[test]
fn environment_is_fixed_text() {
    assert_eq!(parts("a%ENVIRONMENT(TOLLGATE_NO_SUCH_VARIABLE)%"), [text("a-")]);
    let path = std::env::var("PATH").unwrap();
    assert_eq!(parts("%ENVIRONMENT(PATH):3%"), [text(&path[..3])]);
}

/// EN-3: an operator that is not there is an error that names it and its place.
#[test]
fn errors_say_what_and_where() {
    assert_eq!(error("é %FOO(x)%"), "at character 2: unknown operator FOO");
    assert_eq!(error("100%"), "at character 3: '%' begins no operator (write '%%' for a percent sign)");
    for source in
        ["%", "a%b", "%%%", "%REQ(A):x%", "%REQ(A%", "%REQ(A)", "%REQ(A):%", "%req(a)%", "% %", "%REQ (a)%"]
    {
        assert!(error(source).ends_with("begins no operator (write '%%' for a percent sign)"), "{source}");
    }
    for source in ["%START_TIME(\n)%", "%REQ(A):99999999999999999999%"] {
        assert!(error(source).contains("begins no operator"), "{source}");
    }
    assert_eq!(
        error("%REQ%"),
        "at character 0: REQ needs arguments in parentheses: (name) or (name?alternative)"
    );
    assert!(error("%REQ()%").contains("needs arguments"));
    assert_eq!(error("%REQ(a b)%"), "at character 0: REQ: \"a b\" is not a header name");
    assert!(error("%REQ(A?B?C)%").contains("at most one alternative"));
    assert_eq!(error("%PROTOCOL(x)%"), "at character 0: PROTOCOL takes no arguments");
    assert_eq!(error("%PROTOCOL:3%"), "at character 0: PROTOCOL takes no length");
    assert_eq!(error("%START_TIME(%s):3%"), "at character 0: START_TIME takes no length");
    assert!(error("%START_TIME(%n)%").contains("\"%n\" is not a time specifier"));
    for source in [
        "%COMMON_DURATION(DS_RX_BEG)%",
        "%COMMON_DURATION(DS_RX_BEG:DS_RX_END:s)%",
        "%COMMON_DURATION(DS_RX_BEG:DS_RX_END:ms:x)%",
        "%FILTER_STATE(:PLAIN)%",
        "%FILTER_STATE(a:FOO)%",
        "%FILTER_STATE(a:FIELD)%",
        "%FILTER_STATE(a:PLAIN:x)%",
        "%PATH(X)%",
        "%PATH(NQ:FOO)%",
        "%QUERY_PARAMS(X)%",
        "%REQUESTED_SERVER_NAME(X)%",
        "%REQUESTED_SERVER_NAME(SNI_FIRST:X)%",
        "%GRPC_STATUS(X)%",
        "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(MASK)%",
    ] {
        assert!(error(source).contains("is not"), "{source}: {}", error(source));
    }
}

#[test]
fn literals() {
    let literal = Format::literal("50%");
    assert_eq!(literal.as_literal(), Some("50%"));
    assert_eq!(Format::parse(literal.source()).unwrap().as_literal(), Some("50%"));
    assert_eq!(Format::parse("").unwrap().as_literal(), Some(""));
    assert_eq!(Format::parse("%PROTOCOL%").unwrap().as_operator(), Some(&Operator::Protocol));
    assert_eq!(Format::parse("a%PROTOCOL%").unwrap().as_operator(), None);
}
