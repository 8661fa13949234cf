//! `telemetry` of an EnvoyProxy: its access logs.

use std::sync::Arc;

use tollgate_model::{
    access_log::{AccessLog, JsonFormat, LogFormat, LogSink},
    format::{Format, Formatters},
};

use crate::{
    options::AccessLogForm,
    schema::{Enumeration, Message, Schema, Value, harmless, read, unimplemented},
    translation::default_format,
};

pub(super) static TELEMETRY: Schema = Schema {
    name: "ProxyTelemetry",
    title: "",
    fields: &[
        read("accessLog", "JSON lines on standard output", "Access logs."),
        unimplemented("tracing", "there are no traces"),
        harmless("metrics", "they are at /metrics of the admin server"),
        harmless("requestID", "each request has one"),
    ],
    unsupported: &[],
};

static ACCESS_LOG: Schema = Schema {
    name: "ProxyAccessLog",
    title: "",
    fields: &[
        read("disable", "false", "No access log."),
        read("settings", "one with the default format to standard output", "The logs."),
    ],
    unsupported: &[],
};

static SETTING: Schema = Schema {
    name: "ProxyAccessLogSetting",
    title: "",
    fields: &[
        read("format", "JSON with Envoy Gateway's fields", "What lines look like."),
        read("sinks", "[]", "Where they go."),
        unimplemented("matches", "every request is logged: expressions are not evaluated"),
        unimplemented("type", "requests are logged, connections are not"),
    ],
    unsupported: &[],
};

static FORMAT: Schema = Schema {
    name: "ProxyAccessLogFormat",
    title: "",
    fields: &[
        read("type", "", "Text or JSON."),
        read("text", "Envoy's with response code details", "Text with operators; a line break follows."),
        read("json", "Envoy Gateway's fields", "Strings with operators, by key."),
    ],
    unsupported: &[],
};

static SINK: Schema = Schema {
    name: "ProxyAccessLogSink",
    title: "",
    fields: &[
        read("type", "", "File; ALS and OpenTelemetry have no effect."),
        read("file", "", "A file."),
        unimplemented("als", "logs go to files and standard streams"),
        unimplemented("openTelemetry", "logs go to files and standard streams"),
    ],
    unsupported: &[],
};

static FILE: Schema = Schema {
    name: "FileEnvoyProxyAccessLog",
    title: "",
    fields: &[read(
        "path",
        "",
        "The file, appended to; /dev/stdout and /dev/stderr are the standard streams.",
    )],
    unsupported: &[],
};

/// Which kind a format is of.
static FORMAT_TYPE: Enumeration<AccessLogForm> =
    Enumeration { values: &[("Text", 0, Some(AccessLogForm::Text)), ("JSON", 1, Some(AccessLogForm::Json))] };

/// Whether a sink is a file.
static SINK_TYPE: Enumeration<bool> = Enumeration {
    values: &[("File", 0, Some(true)), ("ALS", 1, Some(false)), ("OpenTelemetry", 2, Some(false))],
};

/// The access logs of `telemetry`; `None` where it says nothing about them.
pub(super) fn read_access_logs(telemetry: &Message<'_>) -> Option<Vec<Arc<AccessLog>>> {
    let logs = telemetry.message("accessLog", &ACCESS_LOG)?;
    if logs.boolean("disable", false) {
        return Some(Vec::new());
    }
    let settings = logs.list("settings");
    if settings.is_empty() {
        return None;
    }
    Some(settings.iter().flat_map(read_setting).collect())
}

fn read_setting(value: &Value<'_>) -> Vec<Arc<AccessLog>> {
    let Some(setting) = value.message(&SETTING) else { return Vec::new() };
    let format = setting.message("format", &FORMAT);
    let sinks = setting.list("sinks");
    sinks
        .iter()
        .filter_map(|sink| {
            let sink = read_sink(sink)?;
            let format = match &format {
                None => default_format(AccessLogForm::Json)?,
                Some(format) => read_format(format)?,
            };
            Some(Arc::new(AccessLog { filter: None, sink, format }))
        })
        .collect()
}

fn read_sink(value: &Value<'_>) -> Option<LogSink> {
    let sink = value.message(&SINK)?;
    if !sink.required("type")?.enumeration(&SINK_TYPE)? {
        return None;
    }
    let path = sink.required("file")?.message(&FILE)?.required("path")?.non_empty_string()?;
    Some(match path.as_str() {
        "/dev/stdout" => LogSink::Stdout,
        "/dev/stderr" => LogSink::Stderr,
        _ => LogSink::File(path.into()),
    })
}

fn read_format(message: &Message<'_>) -> Option<LogFormat> {
    let form = match message.get("type") {
        Some(value) => value.enumeration(&FORMAT_TYPE)?,
        None if message.get("text").is_some() => AccessLogForm::Text,
        None => AccessLogForm::Json,
    };
    match form {
        AccessLogForm::Text => match message.get("text") {
            Some(value) => parse(&value, &(value.string()? + "\n")).map(LogFormat::Text),
            None => default_format(form),
        },
        _ => {
            let mut fields = message.map("json");
            if fields.is_empty() {
                return default_format(form);
            }
            fields.sort_by_key(|(key, _)| *key);
            let fields = fields.iter().map(|(key, value)| {
                Some(((*key).to_owned(), JsonFormat::Format(parse(value, &value.string()?)?)))
            });
            Some(LogFormat::Json(JsonFormat::Object(fields.collect::<Option<_>>()?)))
        }
    }
}

fn parse(value: &Value<'_>, text: &str) -> Option<Format> {
    // Envoy Gateway adds the extensions that a format needs.
    match Format::parse_with(text, Formatters { req_without_query: true, ..Formatters::default() }) {
        Ok(format) => Some(format),
        Err(error) => {
            value.error(format!("not a format string: {error}"));
            None
        }
    }
}
