//! Access logs: to a file, standard output or standard error, as text or JSON.

use std::{path::Path, sync::Arc};

use tollgate_model::{
    access_log::{AccessLog, JsonFormat, LogFormat, LogSink},
    format::{Format, Formatters, ReadFile},
};

use super::{
    access_log_filter::read_filter, cel::read_cel_options, data_source::read_data_source,
    format::parse_format,
};
use crate::schema::{Json, Message, Schema, Value, harmless, read, refused};

pub(super) static ACCESS_LOG: Schema = Schema {
    name: "envoy.config.accesslog.v3.AccessLog",
    title: "",
    fields: &[
        read("name", "", "Any name."),
        read("typed_config", "", "FileAccessLog, StdoutAccessLog or StderrAccessLog. Required."),
        read("filter", "every request", "Which requests are logged."),
    ],
    unsupported: &[],
};

pub(super) static FILE_ACCESS_LOG: Schema = Schema {
    name: "envoy.extensions.access_loggers.file.v3.FileAccessLog",
    title: "",
    fields: &[
        read(
            "path",
            "",
            "The file, appended to; `/dev/stdout` and `/dev/stderr` are the standard streams. Required.",
        ),
        read("log_format", "Envoy's default text format", "The format of lines."),
        read("format", "", "Old form of log_format.text_format."),
        read("json_format", "", "Old form of log_format.json_format, every value a string."),
        read("typed_json_format", "", "Old form of log_format.json_format."),
    ],
    unsupported: &[],
};

pub(super) static STDOUT_ACCESS_LOG: Schema = Schema {
    name: "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
    title: "",
    fields: &[read("log_format", "Envoy's default text format", "The format of lines.")],
    unsupported: &[],
};

pub(super) static STDERR_ACCESS_LOG: Schema = Schema {
    name: "envoy.extensions.access_loggers.stream.v3.StderrAccessLog",
    title: "",
    fields: &[read("log_format", "Envoy's default text format", "The format of lines.")],
    unsupported: &[],
};

pub(super) static SUBSTITUTION_FORMAT_STRING: Schema = Schema {
    name: "envoy.config.core.v3.SubstitutionFormatString",
    title: "",
    fields: &[
        read("text_format", "", "Text with `%OPERATOR%`s; a line ends where the text says so."),
        read("text_format_source", "", "The same, from a DataSource."),
        read("json_format", "", "A JSON object with operators in its strings, a line each."),
        harmless("content_type", "log lines have none"),
        harmless("json_format_options", "properties are always sorted"),
        refused("omit_empty_values", "what is missing is written as \"-\" or null"),
        read(
            "formatters",
            "[]",
            "Extensions with operators of their own: ReqWithoutQuery, FileContent, Cel; Metadata changes nothing.",
        ),
    ],
    unsupported: &[],
};

pub(super) static FORMATTER: Schema = Schema {
    name: "envoy.config.core.v3.TypedExtensionConfig",
    title: "Formatters",
    fields: &[
        read("name", "", "Any name."),
        read("typed_config", "", "ReqWithoutQuery, FileContent, Cel or Metadata. Required."),
    ],
    unsupported: &[],
};

pub(super) static REQ_WITHOUT_QUERY: Schema = Schema {
    name: "envoy.extensions.formatter.req_without_query.v3.ReqWithoutQuery",
    title: "",
    fields: &[],
    unsupported: &[],
};

pub(super) static METADATA_FORMATTER: Schema = Schema {
    name: "envoy.extensions.formatter.metadata.v3.Metadata",
    title: "",
    fields: &[],
    unsupported: &[],
};

pub(super) static FILE_CONTENT: Schema = Schema {
    name: "envoy.extensions.formatter.file_content.v3.FileContent",
    title: "",
    fields: &[],
    unsupported: &[],
};

pub(super) static CEL_FORMATTER: Schema = Schema {
    name: "envoy.extensions.formatter.cel.v3.Cel",
    title: "",
    fields: &[read("cel_config", "{}", "What expressions may use.")],
    unsupported: &[],
};

/// The schemas of this module.
pub(super) static SCHEMAS: [&Schema; 10] = [
    &FILE_CONTENT,
    &CEL_FORMATTER,
    &ACCESS_LOG,
    &FILE_ACCESS_LOG,
    &STDOUT_ACCESS_LOG,
    &STDERR_ACCESS_LOG,
    &SUBSTITUTION_FORMAT_STRING,
    &FORMATTER,
    &REQ_WITHOUT_QUERY,
    &METADATA_FORMATTER,
];

/// What Envoy writes when no format is configured.
const DEFAULT_FORMAT: &str = "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" \
     %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% \
     %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" \
     \"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\"\n";

/// Reads `access_log`.
pub(super) fn read_access_logs(values: &[Value<'_>]) -> Vec<Arc<AccessLog>> {
    values.iter().filter_map(|value| read_access_log(value).map(Arc::new)).collect()
}

fn read_access_log(value: &Value<'_>) -> Option<AccessLog> {
    let message = value.message(&ACCESS_LOG)?;
    message.string("name");
    let any = message.required("typed_config")?.any()?;
    let (sink, config) = match any.type_name.as_str() {
        name if name == FILE_ACCESS_LOG.name => {
            let config = any.value.message(&FILE_ACCESS_LOG)?;
            (read_path(&config), config)
        }
        name if name == STDOUT_ACCESS_LOG.name => {
            (Some(LogSink::Stdout), any.value.message(&STDOUT_ACCESS_LOG)?)
        }
        name if name == STDERR_ACCESS_LOG.name => {
            (Some(LogSink::Stderr), any.value.message(&STDERR_ACCESS_LOG)?)
        }
        _ => {
            let supported = [FILE_ACCESS_LOG.name, STDOUT_ACCESS_LOG.name, STDERR_ACCESS_LOG.name];
            any.unsupported("access log", &supported);
            return None;
        }
    };
    let fields: &[&'static str] = if any.type_name == FILE_ACCESS_LOG.name {
        &["log_format", "format", "json_format", "typed_json_format"]
    } else {
        &["log_format"]
    };
    let format = match config.one_of(fields) {
        None => default_format(value),
        Some(("log_format", value)) => read_log_format(&value),
        Some(("format", value)) => read_text_format(&value, Formatters::default()),
        Some((_, value)) => read_json_format(&value, Formatters::default()).map(LogFormat::Json),
    };
    let filter = match message.get("filter") {
        Some(filter) => Some(read_filter(&filter)?),
        None => None,
    };
    Some(AccessLog { filter, sink: sink?, format: format? })
}

fn read_path(config: &Message<'_>) -> Option<LogSink> {
    let path = config.required("path")?.non_empty_string()?;
    Some(match path.as_str() {
        "/dev/stdout" => LogSink::Stdout,
        "/dev/stderr" => LogSink::Stderr,
        _ => LogSink::File(path.into()),
    })
}

fn default_format(value: &Value<'_>) -> Option<LogFormat> {
    parse_format(value, DEFAULT_FORMAT, Formatters::default()).map(LogFormat::Text)
}

/// Reads a `SubstitutionFormatString`.
fn read_log_format(value: &Value<'_>) -> Option<LogFormat> {
    let message = value.message(&SUBSTITUTION_FORMAT_STRING)?;
    let files = |path: &str| value.context.files.read(Path::new(path)).map_err(|error| error.to_string());
    let formatters = read_formatters(&message.list("formatters"), &files);
    match message.required_one_of(&["text_format", "text_format_source", "json_format"])? {
        ("text_format", value) => read_text_format(&value, formatters),
        ("json_format", value) => read_json_format(&value, formatters).map(LogFormat::Json),
        (_, value) => match String::from_utf8(read_data_source(&value)?) {
            Ok(text) => parse_format(&value, &text, formatters).map(LogFormat::Text),
            Err(_) => {
                value.error("not UTF-8");
                None
            }
        },
    }
}

/// Which extensions a format may use.
pub(super) fn read_formatters<'a>(values: &[Value<'_>], files: ReadFile<'a>) -> Formatters<'a> {
    let mut formatters = Formatters::default();
    for value in values {
        let Some(message) = value.message(&FORMATTER) else { continue };
        message.string("name");
        let Some(any) = message.required("typed_config").and_then(|config| config.any()) else { continue };
        match any.type_name.as_str() {
            name if name == REQ_WITHOUT_QUERY.name => {
                any.value.message(&REQ_WITHOUT_QUERY);
                formatters.req_without_query = true;
            }
            name if name == FILE_CONTENT.name => {
                any.value.message(&FILE_CONTENT);
                formatters.file_content = Some(files);
            }
            name if name == CEL_FORMATTER.name => {
                let message = any.value.message(&CEL_FORMATTER);
                formatters.cel = message.map(|message| read_cel_options(&message)).unwrap_or_default();
            }
            // Its operators are there without it.
            name if name == METADATA_FORMATTER.name => drop(any.value.message(&METADATA_FORMATTER)),
            _ => {
                let supported =
                    [REQ_WITHOUT_QUERY.name, FILE_CONTENT.name, CEL_FORMATTER.name, METADATA_FORMATTER.name];
                any.unsupported("formatter", &supported);
            }
        }
    }
    formatters
}

/// Empty stands for the default, as in Envoy.
fn read_text_format(value: &Value<'_>, formatters: Formatters<'_>) -> Option<LogFormat> {
    let text = value.string()?;
    if text.is_empty() {
        return default_format(value);
    }
    parse_format(value, &text, formatters).map(LogFormat::Text)
}

pub(super) fn read_json_format(value: &Value<'_>, formatters: Formatters<'_>) -> Option<JsonFormat> {
    Some(match value.json() {
        Json::Null => JsonFormat::Literal("null".into()),
        Json::Bool(value) => JsonFormat::Literal(value.to_string()),
        Json::Number(number) => JsonFormat::Literal(number.to_string()),
        Json::String(text) => {
            JsonFormat::Format(parse_format(value, &text, formatters).unwrap_or_else(|| Format::literal("")))
        }
        Json::List(values) => {
            JsonFormat::Array(values.iter().filter_map(|value| read_json_format(value, formatters)).collect())
        }
        Json::Object(entries) => {
            let mut object: Vec<(String, JsonFormat)> = entries
                .iter()
                .filter_map(|(key, value)| Some(((*key).to_owned(), read_json_format(value, formatters)?)))
                .collect();
            object.sort_by(|(left, _), (right, _)| left.cmp(right));
            JsonFormat::Object(object)
        }
    })
}
