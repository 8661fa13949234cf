//! Access logs.

use std::path::PathBuf;

use serde::Serialize;
use tollgate_cel::Expression;

use crate::{
    format::{Format, Operator},
    matching::{HeaderMatcher, MetadataMatcher},
    route::Fraction,
};

/// One access log: which requests it is about, where lines go and what they look like.
#[derive(Debug, PartialEq, Serialize)]
pub struct AccessLog {
    /// Which requests are logged. `None` = all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<LogFilter>,
    /// Destination.
    pub sink: LogSink,
    /// Line format.
    pub format: LogFormat,
}

/// A condition on a request that is over.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum LogFilter {
    /// On the status of the response; 0 when there was none.
    StatusCode(Comparison),
    /// On the time the request took, milliseconds.
    Duration(Comparison),
    /// One of so many.
    Share(Fraction),
    /// All of these hold.
    And(Vec<Self>),
    /// One of these holds.
    Or(Vec<Self>),
    /// On a header of the request.
    Header(HeaderMatcher),
    /// One of these response flags is set; any flag if there are none here. Short names.
    ResponseFlags(Vec<String>),
    /// The gRPC status is one of these; with `exclude` it is none of them.
    GrpcStatus {
        /// gRPC codes.
        statuses: Vec<u32>,
        /// All but these.
        exclude: bool,
    },
    /// The dynamic metadata of the request has a value that passes.
    Metadata {
        /// The condition; `None` = no value is looked for.
        matcher: Option<MetadataMatcher>,
        /// What holds when there is no such value. Default true.
        if_absent: bool,
    },
    /// The entry is of one of these kinds; with `exclude` it is of none of them.
    Kind {
        /// Kinds.
        kinds: Vec<LogKind>,
        /// All but these.
        exclude: bool,
    },
    /// A CEL expression is true.
    Expression(Expression),
    /// The request is no health check: no `health_check` filter took it for one.
    NotHealthCheck,
    /// None: no request is traced.
    Never,
}

/// The kind of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum LogKind {
    /// A connection that has ended; Envoy has no name for it.
    NotSet,
    /// A request that is over.
    DownstreamEnd,
}

/// A comparison with a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// How.
    pub operation: ComparisonOperation,
    /// With what.
    pub value: u64,
}

/// How numbers are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum ComparisonOperation {
    /// `EQ`.
    Equal,
    /// `GE`.
    GreaterOrEqual,
    /// `LE`.
    LessOrEqual,
    /// `NE`.
    NotEqual,
}

impl Comparison {
    /// Whether it holds for a number.
    #[must_use]
    pub fn holds(self, number: u64) -> bool {
        match self.operation {
            ComparisonOperation::Equal => number == self.value,
            ComparisonOperation::GreaterOrEqual => number >= self.value,
            ComparisonOperation::LessOrEqual => number <= self.value,
            ComparisonOperation::NotEqual => number != self.value,
        }
    }
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

impl LogFormat {
    /// Whether one of its operators passes a test.
    pub fn any(&self, test: &dyn Fn(&Operator) -> bool) -> bool {
        match self {
            Self::Text(format) => format.any(test),
            Self::Json(format) => format.any(test),
        }
    }

    /// Whether one of its strings, as written, passes a test.
    pub fn any_source(&self, test: &dyn Fn(&str) -> bool) -> bool {
        match self {
            Self::Text(format) => test(format.source()),
            Self::Json(format) => format.any_source(test),
        }
    }
}

impl JsonFormat {
    fn any(&self, test: &dyn Fn(&Operator) -> bool) -> bool {
        match self {
            Self::Object(members) => members.iter().any(|(_, value)| value.any(test)),
            Self::Array(elements) => elements.iter().any(|element| element.any(test)),
            Self::Format(format) => format.any(test),
            Self::Literal(_) => false,
        }
    }

    fn any_source(&self, test: &dyn Fn(&str) -> bool) -> bool {
        match self {
            Self::Object(members) => members.iter().any(|(_, value)| value.any_source(test)),
            Self::Array(elements) => elements.iter().any(|element| element.any_source(test)),
            Self::Format(format) => test(format.source()),
            Self::Literal(_) => false,
        }
    }
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
