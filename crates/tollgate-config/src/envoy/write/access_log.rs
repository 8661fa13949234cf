//! Access logs.

use std::cell::Cell;

use serde_json::{Map, Value, json};
use tollgate_cel::Options;
use tollgate_model::{
    access_log::{AccessLog, Comparison, JsonFormat, LogFilter, LogFormat, LogSink},
    format::Operator,
    matching::{MetadataMatcher, ValueMatcher},
    route::Fraction,
};

use super::{
    cel::cel_options,
    matchers::{header_matcher, string_matcher},
    out::{Out, extension, wide},
};
use crate::envoy::{
    access_log::{
        ACCESS_LOG, CEL_FORMATTER, FILE_ACCESS_LOG, FILE_CONTENT, FORMATTER, REQ_WITHOUT_QUERY,
        STDERR_ACCESS_LOG, STDOUT_ACCESS_LOG, SUBSTITUTION_FORMAT_STRING,
    },
    access_log_filter::{
        ACCESS_LOG_FILTER, COMPARISON_FILTER, COMPARISON_HOLDER, EXPRESSION_FILTER, EXTENSION_FILTER,
        GRPC_STATUS, GRPC_STATUS_FILTER, HEADER_FILTER, LOG_TYPE, LOG_TYPE_FILTER, METADATA_FILTER,
        OPERATION, RESPONSE_FLAG_FILTER, RUNTIME_FILTER, RUNTIME_UINT32, SEVERAL_FILTERS,
    },
    metadata_matcher::{
        DOUBLE_MATCHER, DOUBLE_RANGE, LIST_MATCHER, METADATA_MATCHER, NULL_MATCH, OR_MATCHER, PATH_SEGMENT,
        VALUE_MATCHER,
    },
    route::FRACTIONAL_PERCENT,
};
use crate::schema::Schema;

pub(super) fn access_log(log: &AccessLog) -> Value {
    let (name, mut sink) = match &log.sink {
        LogSink::Stdout => ("stdout", Out::new(&STDOUT_ACCESS_LOG)),
        LogSink::Stderr => ("stderr", Out::new(&STDERR_ACCESS_LOG)),
        LogSink::File(path) => {
            let mut out = Out::new(&FILE_ACCESS_LOG);
            out.set("path", path.display().to_string());
            ("file", out)
        }
    };
    sink.set("log_format", format_string(&SUBSTITUTION_FORMAT_STRING, &log.format).done());
    let mut out = Out::new(&ACCESS_LOG);
    out.set("name", name);
    out.some("filter", log.filter.as_ref().map(filter));
    out.set("typed_config", sink.any());
    out.done()
}

/// A `SubstitutionFormatString`.
pub(super) fn format_string(schema: &'static Schema, format: &LogFormat) -> Out {
    let mut out = Out::new(schema);
    match format {
        LogFormat::Text(text) => out.set("text_format", text.source()),
        LogFormat::Json(json) => out.set("json_format", json_format(json)),
    }
    out.list("formatters", formatters(format));
    out
}

/// The extensions that a format needs.
fn formatters(format: &LogFormat) -> Vec<Value> {
    let mut formatters = Vec::new();
    if format.any(&|operator| matches!(operator, Operator::RequestHeaderWithoutQuery(_))) {
        let formatter = Out::new(&REQ_WITHOUT_QUERY).any();
        formatters.push(extension(&FORMATTER, "envoy.formatter.req_without_query", formatter));
    }
    if format.any_source(&|source| source.contains("%FILE_CONTENT(")) {
        let formatter = Out::new(&FILE_CONTENT).any();
        formatters.push(extension(&FORMATTER, "envoy.formatter.file_content", formatter));
    }
    // One formatter is for all of them.
    let options = Cell::new(Options::default());
    format.any(&|operator| {
        if let Operator::Cel { expression, .. } = operator {
            options.set(expression.options());
        }
        false
    });
    if options.get() != Options::default() {
        let mut formatter = Out::new(&CEL_FORMATTER);
        formatter.set("cel_config", cel_options(options.get()));
        formatters.push(extension(&FORMATTER, "envoy.formatter.cel", formatter.any()));
    }
    formatters
}

fn json_format(format: &JsonFormat) -> Value {
    match format {
        JsonFormat::Object(members) => {
            let members = members.iter().map(|(name, member)| (name.clone(), json_format(member)));
            Value::Object(members.collect::<Map<_, _>>())
        }
        JsonFormat::Array(items) => items.iter().map(json_format).collect(),
        JsonFormat::Format(format) => Value::from(format.source()),
        JsonFormat::Literal(text) => serde_json::from_str(text).unwrap_or_else(|_| Value::from(&**text)),
    }
}

pub(super) fn filter(filter: &LogFilter) -> Value {
    let mut out = Out::new(&ACCESS_LOG_FILTER);
    let several = |filters: &[LogFilter]| {
        let mut out = Out::new(&SEVERAL_FILTERS);
        out.list("filters", filters.iter().map(self::filter).collect());
        out.done()
    };
    match filter {
        LogFilter::StatusCode(one) => out.set("status_code_filter", comparison(*one)),
        LogFilter::Duration(one) => out.set("duration_filter", comparison(*one)),
        LogFilter::Share(share) => {
            let mut runtime = Out::new(&RUNTIME_FILTER);
            runtime.set("runtime_key", "tollgate.access_log");
            runtime.set("percent_sampled", fractional_percent(*share));
            out.set("runtime_filter", runtime.done());
        }
        LogFilter::And(filters) => out.set("and_filter", several(filters)),
        LogFilter::Or(filters) => out.set("or_filter", several(filters)),
        LogFilter::Header(matcher) => {
            let mut header = Out::new(&HEADER_FILTER);
            header.set("header", header_matcher(matcher));
            out.set("header_filter", header.done());
        }
        LogFilter::ResponseFlags(flags) => {
            let mut message = Out::new(&RESPONSE_FLAG_FILTER);
            message.list("flags", flags.iter().map(|flag| Value::from(&**flag)).collect());
            out.set("response_flag_filter", message.done());
        }
        LogFilter::GrpcStatus { statuses, exclude } => {
            let mut message = Out::new(&GRPC_STATUS_FILTER);
            let names = statuses.iter().filter_map(|status| GRPC_STATUS.name_of(status));
            message.list("statuses", names.map(Value::from).collect());
            message.unless("exclude", *exclude, false);
            out.set("grpc_status_filter", message.done());
        }
        LogFilter::Kind { kinds, exclude } => {
            let mut message = Out::new(&LOG_TYPE_FILTER);
            let mut names: Vec<_> = kinds.iter().filter_map(|kind| LOG_TYPE.name_of(&Some(*kind))).collect();
            if names.is_empty() {
                // Entries of another kind, which are never written.
                names.push("UpstreamEnd");
            }
            message.list("types", names.into_iter().map(Value::from).collect());
            message.unless("exclude", *exclude, false);
            out.set("log_type_filter", message.done());
        }
        LogFilter::Metadata { matcher, if_absent } => {
            let mut message = Out::new(&METADATA_FILTER);
            message.some("matcher", matcher.as_ref().map(metadata_matcher));
            message.unless("match_if_key_not_found", *if_absent, true);
            out.set("metadata_filter", message.done());
        }
        LogFilter::Expression(expression) => {
            let mut message = Out::new(&EXPRESSION_FILTER);
            message.set("expression", expression.source());
            if expression.options() != Options::default() {
                message.set("cel_config", cel_options(expression.options()));
            }
            let filter = message.any();
            out.set(
                "extension_filter",
                extension(&EXTENSION_FILTER, "envoy.access_loggers.extension_filters.cel", filter),
            );
        }
        LogFilter::NotHealthCheck => out.set("not_health_check_filter", json!({})),
        LogFilter::Never => out.set("traceable_filter", json!({})),
    }
    out.done()
}

pub(super) fn metadata_matcher(matcher: &MetadataMatcher) -> Value {
    let mut out = Out::new(&METADATA_MATCHER);
    out.set("filter", &*matcher.namespace);
    let segment = |key: &String| {
        let mut segment = Out::new(&PATH_SEGMENT);
        segment.set("key", &**key);
        segment.done()
    };
    out.list("path", matcher.path.iter().map(segment).collect());
    out.set("value", value_matcher(&matcher.value));
    out.done()
}

/// What a value must be.
pub(super) fn value_matcher(matcher: &ValueMatcher) -> Value {
    let mut out = Out::new(&VALUE_MATCHER);
    match matcher {
        ValueMatcher::Null => out.set("null_match", Out::new(&NULL_MATCH).done()),
        ValueMatcher::Number(number) => {
            let mut double = Out::new(&DOUBLE_MATCHER);
            double.set("exact", *number);
            out.set("double_match", double.done());
        }
        ValueMatcher::Range(numbers) => {
            let mut range = Out::new(&DOUBLE_RANGE);
            range.set("start", numbers.start);
            range.set("end", numbers.end);
            let mut double = Out::new(&DOUBLE_MATCHER);
            double.set("range", range.done());
            out.set("double_match", double.done());
        }
        ValueMatcher::String(matcher) => out.set("string_match", string_matcher(matcher)),
        ValueMatcher::Bool(value) => out.set("bool_match", *value),
        ValueMatcher::Present(wanted) => out.set("present_match", *wanted),
        ValueMatcher::OneOfList(element) => {
            let mut list = Out::new(&LIST_MATCHER);
            list.set("one_of", value_matcher(element));
            out.set("list_match", list.done());
        }
        ValueMatcher::Or(matchers) => {
            let mut several = Out::new(&OR_MATCHER);
            several.list("value_matchers", matchers.iter().map(value_matcher).collect());
            out.set("or_match", several.done());
        }
    }
    out.done()
}

fn comparison(comparison: Comparison) -> Value {
    let mut number = Out::new(&RUNTIME_UINT32);
    number.set("default_value", wide(comparison.value));
    number.set("runtime_key", "tollgate.access_log");
    let mut inner = Out::new(&COMPARISON_FILTER);
    inner.some("op", OPERATION.name_of(&comparison.operation));
    inner.set("value", number.done());
    let mut out = Out::new(&COMPARISON_HOLDER);
    out.set("comparison", inner.done());
    out.done()
}

/// A share; of a whole that Envoy does not know it is rounded.
pub(super) fn fractional_percent(fraction: Fraction) -> Value {
    let (numerator, denominator) = match fraction.denominator {
        100 => (fraction.numerator, "HUNDRED"),
        10_000 => (fraction.numerator, "TEN_THOUSAND"),
        1_000_000 => (fraction.numerator, "MILLION"),
        whole => {
            let millionths = u64::from(fraction.numerator) * 1_000_000 / u64::from(whole.max(1));
            (u32::try_from(millionths).unwrap_or(1_000_000), "MILLION")
        }
    };
    let mut out = Out::new(&FRACTIONAL_PERCENT);
    out.set("numerator", numerator);
    out.unless("denominator", denominator, "HUNDRED");
    out.done()
}
