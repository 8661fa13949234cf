//! Access logs.

use std::path::PathBuf;

use serde::Serialize;

use crate::format::Format;

/// One access log: where lines go and what they look like.
#[derive(Debug, PartialEq, Serialize)]
pub struct AccessLog {
    /// Destination.
    pub sink: LogSink,
    /// Line format.
    pub format: LogFormat,
}

/// Destination of log lines.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub enum LogSink {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file, appended to.
    File(PathBuf),
}

/// Line format.
#[derive(Debug, PartialEq, Serialize)]
pub enum LogFormat {
    /// Text with operators; ends as the format says (Envoy's default format ends with a newline).
    Text(Format),
    /// A JSON object, one line each.
    Json(JsonFormat),
}

/// A JSON value with operators in its strings.
#[derive(Debug, PartialEq, Serialize)]
pub enum JsonFormat {
    /// Object, keys in order of the configuration sorted by name.
    Object(Vec<(String, Self)>),
    /// Array.
    Array(Vec<Self>),
    /// A string with operators; a lone operator keeps its type (number, object, null).
    Format(Format),
    /// A number, boolean or null as written.
    Literal(String),
}
