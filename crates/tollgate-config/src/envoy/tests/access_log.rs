//! Access logs.

use tollgate_model::access_log::{
    AccessLog, Comparison, ComparisonOperation, LogFilter, LogFormat, LogKind, LogSink,
};

use super::*;

fn with(kind: &str, fields: &str) -> Gateway {
    let manager = format!(
        "access_log: [{{name: log, typed_config: {{\"@type\": type.googleapis.com/envoy.extensions.access_loggers.{kind}, {fields}}}}}],"
    );
    Gateway { manager, ..Gateway::default() }
}

fn read(gateway: &Gateway) -> std::sync::Arc<AccessLog> {
    std::sync::Arc::clone(&gateway.snapshot().listeners[0].filter_chains[0].http.access_log[0])
}

const FILE: &str = "file.v3.FileAccessLog";
const STDOUT: &str = "stream.v3.StdoutAccessLog";

#[test]
fn a_log_goes_to_a_file_or_a_standard_stream() {
    assert_eq!(read(&with(FILE, "path: /tmp/a.log")).sink, LogSink::File("/tmp/a.log".into()));
    assert_eq!(read(&with(FILE, "path: /dev/stderr, format: x")).sink, LogSink::Stderr);
    assert_eq!(read(&with(STDOUT, "")).sink, LogSink::Stdout);
    assert_eq!(read(&with("stream.v3.StderrAccessLog", "")).sink, LogSink::Stderr);
}

#[test]
fn without_a_format_it_is_envoys() {
    let source = |fields: &str| match &read(&with(FILE, fields)).format {
        LogFormat::Text(format) => format.source().to_owned(),
        LogFormat::Json(_) => panic!(),
    };
    let default = source("path: /tmp/a");
    assert!(
        default.starts_with("[%START_TIME%] \"%REQ(:METHOD)% ") && default.ends_with("\"%UPSTREAM_HOST%\"\n")
    );
    assert_eq!(source("path: /tmp/a, log_format: {text_format: ''}"), default);
    assert_eq!(source("path: /tmp/a, log_format: {text_format: \"%PROTOCOL%\\n\"}"), "%PROTOCOL%\n");
    assert_eq!(source("path: /tmp/a, format: x"), "x");
    assert_eq!(source("path: /tmp/a, log_format: {text_format_source: {inline_string: z}}"), "z");
}

#[test]
fn json_keeps_its_shape_and_sorts_its_keys() {
    let log = read(&with(
        STDOUT,
        "log_format: {json_format: {b: [1, true, ~, '1'], a: {c: '%PROTOCOL%'}, d: 1.5}}",
    ));
    assert_eq!(
        serde_json::to_string(&log.format).unwrap(),
        r#"{"Json":{"Object":[["a",{"Object":[["c",{"Format":"%PROTOCOL%"}]]}],["b",{"Array":[{"Literal":"1"},{"Literal":"true"},{"Literal":"null"},{"Format":"1"}]}],["d",{"Format":"1.5"}]]}}"#
    );
}

#[test]
fn logs_that_cannot_be_written_are_refused() {
    let refused = |kind: &str, fields: &str| {
        let said = with(kind, fields).said();
        assert_eq!(said.len(), 1, "{said:?}");
        said[0].clone()
    };
    assert_eq!(refused(FILE, "log_format: {text_format: a}"), "error: \"path\" is missing");
    assert_eq!(
        refused(STDOUT, "log_format: {}"),
        "error: one of \"text_format\", \"text_format_source\", \"json_format\" is missing"
    );
    assert_eq!(
        refused(STDOUT, "log_format: {text_format: '%NOTHING%'}"),
        "error: not a format string: unknown operator NOTHING"
    );
    assert_eq!(
        refused(STDOUT, "log_format: {json_format: {a: {b: '%NOTHING%'}}}"),
        "error: not a format string: unknown operator NOTHING"
    );
    assert_eq!(
        refused(FILE, "path: /tmp/a, format: x, json_format: {}"),
        "error: \"format\" and \"json_format\" cannot be given together"
    );
    assert_eq!(refused(STDOUT, "log_format: {text_format_source: {filename: binary}}"), "error: not UTF-8");
    assert!(refused("grpc.v3.HttpGrpcAccessLogConfig", "").starts_with("error: unsupported access log"));
}

fn filtered(filter: &str) -> Gateway {
    let manager = format!(
        "access_log: [{{name: log, filter: {filter}, typed_config: {{\"@type\": type.googleapis.com/envoy.extensions.access_loggers.{STDOUT}}}}}],"
    );
    Gateway { manager, ..Gateway::default() }
}

#[test]
fn a_filter_says_which_requests_are_logged() {
    let read_filter = |filter: &str| read(&filtered(filter)).filter.clone().unwrap();
    let comparison = |operation, value| Comparison { operation, value };
    assert_eq!(
        read_filter(
            "{status_code_filter: {comparison: {op: GE, value: {default_value: 500, runtime_key: k}}}}"
        ),
        LogFilter::StatusCode(comparison(ComparisonOperation::GreaterOrEqual, 500))
    );
    assert_eq!(
        read_filter("{duration_filter: {comparison: {op: LE, value: {default_value: 10, runtime_key: k}}}}"),
        LogFilter::Duration(comparison(ComparisonOperation::LessOrEqual, 10))
    );
    assert_eq!(read_filter("{not_health_check_filter: {}}"), LogFilter::NotHealthCheck);
    assert_eq!(
        read_filter(
            "{runtime_filter: {runtime_key: k, percent_sampled: {numerator: 5, denominator: MILLION}}}"
        ),
        LogFilter::Share(tollgate_model::route::Fraction { numerator: 5, denominator: 1_000_000 })
    );
    assert_eq!(
        read_filter(
            "{and_filter: {filters: [{not_health_check_filter: {}}, {response_flag_filter: {flags: [NR]}}]}}"
        ),
        LogFilter::And(vec![LogFilter::NotHealthCheck, LogFilter::ResponseFlags(vec!["NR".into()])])
    );
    assert_eq!(
        read_filter("{or_filter: {filters: [{response_flag_filter: {}}, {not_health_check_filter: {}}]}}"),
        LogFilter::Or(vec![LogFilter::ResponseFlags(Vec::new()), LogFilter::NotHealthCheck])
    );
    let header = read_filter("{header_filter: {header: {name: x-log, string_match: {exact: a}}}}");
    assert!(matches!(header, LogFilter::Header(_)), "{header:?}");
    assert_eq!(
        read_filter("{grpc_status_filter: {statuses: [NOT_FOUND, 14], exclude: true}}"),
        LogFilter::GrpcStatus { statuses: vec![5, 14], exclude: true }
    );
    assert_eq!(
        read_filter("{log_type_filter: {types: [DownstreamStart, NotSet], exclude: true}}"),
        LogFilter::Kind { kinds: vec![LogKind::NotSet], exclude: true }
    );
    assert_eq!(
        read_filter("{log_type_filter: {types: [DownstreamEnd]}}"),
        LogFilter::Kind { kinds: vec![LogKind::DownstreamEnd], exclude: false }
    );
    assert_eq!(read_filter("{traceable_filter: {}}"), LogFilter::Never);
    assert_eq!(read_filter("{metadata_filter: {}}"), LogFilter::Metadata { matcher: None, if_absent: true });
}

#[test]
fn filters_that_cannot_be_applied_are_refused() {
    for filter in [
        "{}",
        "{metadata_filter: {matcher: {filter: ns, value: {null_match: {}}}}}",
        "{metadata_filter: {matcher: {filter: ns, path: [{key: a}]}}}",
        "{metadata_filter: {matcher: {filter: ns, path: [{key: a}], value: {or_match: {value_matchers: [{bool_match: true}]}}}}}",
        "{extension_filter: {}}",
        "{and_filter: {filters: [{not_health_check_filter: {}}]}}",
        "{response_flag_filter: {flags: [XX]}}",
        "{status_code_filter: {}}",
        "{status_code_filter: {comparison: {op: EQ}}}",
        "{header_filter: {}}",
    ] {
        assert!(!filtered(filter).said().is_empty(), "{filter}");
    }
}
