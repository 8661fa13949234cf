//! Which requests an access log is about.

use tollgate_model::{
    access_log::{Comparison, ComparisonOperation, LogFilter, LogKind},
    route::Fraction,
};

use super::{
    cel::{read_cel_options, read_expression},
    matchers::read_header_matcher,
    metadata_matcher::read_metadata_matcher,
    route::{FRACTION_DENOMINATORS, FRACTIONAL_PERCENT},
};
use crate::schema::{Enumeration, Message, Schema, Value, harmless, read, unimplemented};

pub(super) static ACCESS_LOG_FILTER: Schema = Schema {
    name: "envoy.config.accesslog.v3.AccessLogFilter",
    title: "",
    fields: &[
        read("status_code_filter", "", "On the status of the response."),
        read("duration_filter", "", "On the time the request took, milliseconds."),
        read("not_health_check_filter", "", "No request is a health check here: every request is logged."),
        read("traceable_filter", "", "No request is traced here: none is logged."),
        read("runtime_filter", "", "A share of the requests."),
        read("and_filter", "", "All of several."),
        read("or_filter", "", "One of several."),
        read("header_filter", "", "On a header of the request."),
        read("response_flag_filter", "", "On response flags."),
        read("grpc_status_filter", "", "On the gRPC status."),
        read("extension_filter", "", "An ExpressionFilter: a CEL expression is true."),
        read("metadata_filter", "", "On the dynamic metadata of the request."),
        read(
            "log_type_filter",
            "",
            "On the kind of log entry: DownstreamEnd for requests, NotSet for connections.",
        ),
    ],
    unsupported: &[],
};

pub(super) static COMPARISON_HOLDER: Schema = Schema {
    name: "envoy.config.accesslog.v3.StatusCodeFilter",
    title: "",
    fields: &[read("comparison", "", "Required.")],
    unsupported: &[],
};

pub(super) static COMPARISON_FILTER: Schema = Schema {
    name: "envoy.config.accesslog.v3.ComparisonFilter",
    title: "",
    fields: &[read("op", "EQ", "EQ, GE, LE or NE."), read("value", "", "The number. Required.")],
    unsupported: &[],
};

pub(super) static RUNTIME_UINT32: Schema = Schema {
    name: "envoy.config.core.v3.RuntimeUInt32",
    title: "",
    fields: &[
        read("default_value", "0", "The number."),
        unimplemented("runtime_key", "runtime keys other than those of features are not looked up"),
    ],
    unsupported: &[],
};

pub(super) static RUNTIME_FILTER: Schema = Schema {
    name: "envoy.config.accesslog.v3.RuntimeFilter",
    title: "",
    fields: &[
        unimplemented("runtime_key", "runtime keys other than those of features are not looked up"),
        read("percent_sampled", "0 of 100", "The share that is logged."),
        harmless("use_independent_randomness", "it always is"),
    ],
    unsupported: &[],
};

pub(super) static SEVERAL_FILTERS: Schema = Schema {
    name: "envoy.config.accesslog.v3.AndFilter",
    title: "",
    fields: &[read("filters", "", "At least two.")],
    unsupported: &[],
};

pub(super) static HEADER_FILTER: Schema = Schema {
    name: "envoy.config.accesslog.v3.HeaderFilter",
    title: "",
    fields: &[read("header", "", "The condition. Required.")],
    unsupported: &[],
};

pub(super) static RESPONSE_FLAG_FILTER: Schema = Schema {
    name: "envoy.config.accesslog.v3.ResponseFlagFilter",
    title: "",
    fields: &[read("flags", "any flag", "Short names; one of them is set.")],
    unsupported: &[],
};

pub(super) static GRPC_STATUS_FILTER: Schema = Schema {
    name: "envoy.config.accesslog.v3.GrpcStatusFilter",
    title: "",
    fields: &[
        read("statuses", "[]", "Names such as NOT_FOUND, or numbers."),
        read("exclude", "false", "All but these."),
    ],
    unsupported: &[],
};

pub(super) static LOG_TYPE_FILTER: Schema = Schema {
    name: "envoy.config.accesslog.v3.LogTypeFilter",
    title: "",
    fields: &[read("types", "[]", "Kinds of log entries."), read("exclude", "false", "All but these.")],
    unsupported: &[],
};

pub(super) static EXTENSION_FILTER: Schema = Schema {
    name: "envoy.config.accesslog.v3.ExtensionFilter",
    title: "",
    fields: &[read("name", "", "Any name."), read("typed_config", "", "ExpressionFilter. Required.")],
    unsupported: &[],
};

pub(super) static EXPRESSION_FILTER: Schema = Schema {
    name: "envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter",
    title: "",
    fields: &[
        read("expression", "", "A CEL expression over attributes. What is not true is not logged."),
        read("cel_config", "{}", "What the expression may use."),
    ],
    unsupported: &[],
};

pub(super) static METADATA_FILTER: Schema = Schema {
    name: "envoy.config.accesslog.v3.MetadataFilter",
    title: "",
    fields: &[
        read("matcher", "no value is looked for", "The condition."),
        read("match_if_key_not_found", "true", "Whether requests without the value are logged."),
    ],
    unsupported: &[],
};

/// The schemas of this module.
pub(super) static SCHEMAS: [&Schema; 13] = [
    &EXTENSION_FILTER,
    &EXPRESSION_FILTER,
    &METADATA_FILTER,
    &ACCESS_LOG_FILTER,
    &COMPARISON_HOLDER,
    &COMPARISON_FILTER,
    &RUNTIME_UINT32,
    &RUNTIME_FILTER,
    &SEVERAL_FILTERS,
    &HEADER_FILTER,
    &RESPONSE_FLAG_FILTER,
    &GRPC_STATUS_FILTER,
    &LOG_TYPE_FILTER,
];

pub(in crate::envoy) static OPERATION: Enumeration<ComparisonOperation> = Enumeration {
    values: &[
        ("EQ", 0, Some(ComparisonOperation::Equal)),
        ("GE", 1, Some(ComparisonOperation::GreaterOrEqual)),
        ("LE", 2, Some(ComparisonOperation::LessOrEqual)),
        ("NE", 3, Some(ComparisonOperation::NotEqual)),
    ],
};

pub(in crate::envoy) static GRPC_STATUS: Enumeration<u32> = Enumeration {
    values: &[
        ("OK", 0, Some(0)),
        ("CANCELED", 1, Some(1)),
        ("UNKNOWN", 2, Some(2)),
        ("INVALID_ARGUMENT", 3, Some(3)),
        ("DEADLINE_EXCEEDED", 4, Some(4)),
        ("NOT_FOUND", 5, Some(5)),
        ("ALREADY_EXISTS", 6, Some(6)),
        ("PERMISSION_DENIED", 7, Some(7)),
        ("RESOURCE_EXHAUSTED", 8, Some(8)),
        ("FAILED_PRECONDITION", 9, Some(9)),
        ("ABORTED", 10, Some(10)),
        ("OUT_OF_RANGE", 11, Some(11)),
        ("UNIMPLEMENTED", 12, Some(12)),
        ("INTERNAL", 13, Some(13)),
        ("UNAVAILABLE", 14, Some(14)),
        ("DATA_LOSS", 15, Some(15)),
        ("UNAUTHENTICATED", 16, Some(16)),
    ],
};

/// Kinds of log entries; those that are never written here have no value.
pub(in crate::envoy) static LOG_TYPE: Enumeration<Option<LogKind>> = Enumeration {
    values: &[
        ("NotSet", 0, Some(Some(LogKind::NotSet))),
        ("TcpUpstreamConnected", 1, Some(None)),
        ("TcpPeriodic", 2, Some(None)),
        ("TcpConnectionEnd", 3, Some(None)),
        ("DownstreamStart", 4, Some(None)),
        ("DownstreamPeriodic", 5, Some(None)),
        ("DownstreamEnd", 6, Some(Some(LogKind::DownstreamEnd))),
        ("UpstreamPoolReady", 7, Some(None)),
        ("UpstreamPeriodic", 8, Some(None)),
        ("UpstreamEnd", 9, Some(None)),
        ("DownstreamTunnelSuccessfullyEstablished", 10, Some(None)),
        ("UdpTunnelUpstreamConnected", 11, Some(None)),
        ("UdpPeriodic", 12, Some(None)),
        ("UdpSessionEnd", 13, Some(None)),
    ],
};

/// Response flags that are set here, and those that belong to what is not here.
const FLAGS: [&str; 30] = [
    "LH", "UH", "UT", "LR", "UR", "UF", "UC", "UO", "NR", "DI", "FI", "RL", "UAEX", "RLSE", "DC", "URX",
    "SI", "IH", "DPE", "UMSDR", "RFCF", "NFCF", "DT", "UPE", "NC", "OM", "DF", "DO", "DR", "UDO",
];

/// Reads an `AccessLogFilter`.
pub(super) fn read_filter(value: &Value<'_>) -> Option<LogFilter> {
    let message = value.message(&ACCESS_LOG_FILTER)?;
    let kinds = &[
        "status_code_filter",
        "duration_filter",
        "not_health_check_filter",
        "runtime_filter",
        "and_filter",
        "or_filter",
        "header_filter",
        "response_flag_filter",
        "grpc_status_filter",
        "log_type_filter",
        "metadata_filter",
        "traceable_filter",
        "extension_filter",
    ];
    let (kind, value) = message.required_one_of(kinds)?;
    Some(match kind {
        "status_code_filter" => LogFilter::StatusCode(read_comparison(&value)?),
        "duration_filter" => LogFilter::Duration(read_comparison(&value)?),
        "runtime_filter" => LogFilter::Share(read_share(&value)?),
        "and_filter" => LogFilter::And(read_several(&value)?),
        "or_filter" => LogFilter::Or(read_several(&value)?),
        "header_filter" => {
            LogFilter::Header(read_header_matcher(&value.message(&HEADER_FILTER)?.required("header")?)?)
        }
        "response_flag_filter" => LogFilter::ResponseFlags(read_flags(&value)?),
        "grpc_status_filter" => {
            let message = value.message(&GRPC_STATUS_FILTER)?;
            let statuses = message.list("statuses");
            let statuses = statuses.iter().map(|status| status.enumeration(&GRPC_STATUS));
            LogFilter::GrpcStatus {
                statuses: statuses.collect::<Option<_>>()?,
                exclude: message.boolean("exclude", false),
            }
        }
        "log_type_filter" => {
            let message = value.message(&LOG_TYPE_FILTER)?;
            let types = message.list("types");
            let kinds: Option<Vec<_>> = types.iter().map(|one| one.enumeration(&LOG_TYPE)).collect();
            let kinds = kinds?.into_iter().flatten().collect();
            LogFilter::Kind { kinds, exclude: message.boolean("exclude", false) }
        }
        "metadata_filter" => {
            let message = value.message(&METADATA_FILTER)?;
            let matcher = match message.get("matcher") {
                Some(matcher) => Some(read_metadata_matcher(&matcher)?),
                None => None,
            };
            LogFilter::Metadata { matcher, if_absent: message.boolean("match_if_key_not_found", true) }
        }
        "traceable_filter" => LogFilter::Never,
        "extension_filter" => {
            let message = value.message(&EXTENSION_FILTER)?;
            message.string("name");
            let any = message.required("typed_config")?.any()?;
            if any.type_name != EXPRESSION_FILTER.name {
                any.unsupported("filter of access logs", &[EXPRESSION_FILTER.name]);
                return None;
            }
            let message = any.value.message(&EXPRESSION_FILTER)?;
            let options = read_cel_options(&message);
            LogFilter::Expression(read_expression(&message.required("expression")?, options)?)
        }
        _ => LogFilter::NotHealthCheck,
    })
}

fn read_comparison(value: &Value<'_>) -> Option<Comparison> {
    let comparison =
        value.message(&COMPARISON_HOLDER)?.required("comparison")?.message(&COMPARISON_FILTER)?;
    let number = comparison.required("value")?.message(&RUNTIME_UINT32)?;
    Some(Comparison {
        operation: comparison.enumeration("op", &OPERATION, ComparisonOperation::Equal),
        value: number.u32("default_value").unwrap_or(0).into(),
    })
}

fn read_share(value: &Value<'_>) -> Option<Fraction> {
    let message = value.message(&RUNTIME_FILTER)?;
    let Some(percent) = message.message("percent_sampled", &FRACTIONAL_PERCENT) else {
        return Some(Fraction { numerator: 0, denominator: 100 });
    };
    Some(fraction(&percent))
}

fn fraction(percent: &Message<'_>) -> Fraction {
    Fraction {
        numerator: percent.u32("numerator").unwrap_or(0),
        denominator: percent.enumeration("denominator", &FRACTION_DENOMINATORS, 100),
    }
}

fn read_several(value: &Value<'_>) -> Option<Vec<LogFilter>> {
    let message = value.message(&SEVERAL_FILTERS)?;
    let filters = message.list("filters");
    if filters.len() < 2 {
        value.error("at least two filters are combined");
        return None;
    }
    filters.iter().map(read_filter).collect()
}

fn read_flags(value: &Value<'_>) -> Option<Vec<String>> {
    let message = value.message(&RESPONSE_FLAG_FILTER)?;
    message
        .list("flags")
        .iter()
        .map(|flag| {
            let name = flag.string()?;
            if FLAGS.contains(&name.as_str()) {
                return Some(name);
            }
            flag.error_with_help(
                format!("{name} is no response flag"),
                format!("there is {}", FLAGS.join(", ")),
            );
            None
        })
        .collect()
}
