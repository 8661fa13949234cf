//! Format strings with `%OPERATOR%`s: access logs, header values, processor metadata.
//!
//! A [`Format`] is parsed once, when the configuration is read, and says exactly which facts of a request it needs.
//! The syntax is Envoy's: `%NAME%`, `%NAME(arguments)%`, `%NAME(arguments):length%`, and `%%` for a percent sign.

mod operator;
mod parse;
mod time;

use serde::{Serialize, Serializer};
use tollgate_cel::{ExpressionError, Options};

pub use operator::{
    AddressPart, AttemptPart, ByteCount, ByteKind, CertificateFact, CertificateOwner, DurationPrecision,
    FilterStateForm, Fingerprint, GrpcStatusForm, HeaderOperand, HostSource, MetadataOwner, Operator,
    PathSource, ServerNameSource, TimePoint,
};
pub use time::{TimePattern, Zone};

/// A compiled format string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    source: String,
    parts: Box<[FormatPart]>,
}

/// A piece of a format string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FormatPart {
    /// Fixed text; never empty, never next to another text.
    Text(String),
    /// A fact of the request.
    Operator(Operator),
}

/// Extensions (`formatters`) that bring operators of their own. Default none.
#[derive(Clone, Copy, Default)]
pub struct Formatters<'a> {
    /// `envoy.formatter.req_without_query`: `REQ_WITHOUT_QUERY`.
    pub req_without_query: bool,
    /// `envoy.formatter.cel`: what expressions may use. They are there without it, too.
    pub cel: Options,
    /// `envoy.formatter.file_content`: reads the file that a `FILE_CONTENT` names.
    pub file_content: Option<ReadFile<'a>>,
}

/// Reads a file, or says why that is not possible.
pub type ReadFile<'a> = &'a dyn Fn(&str) -> Result<Vec<u8>, String>;

impl std::fmt::Debug for Formatters<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Formatters")
            .field("req_without_query", &self.req_without_query)
            .field("cel", &self.cel)
            .field("file_content", &self.file_content.is_some())
            .finish()
    }
}

/// Why a format string was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at character {position}: {problem}")]
pub struct FormatError {
    /// Where, in characters from the start of the string, counted from zero.
    pub position: usize,
    /// What is wrong.
    pub problem: FormatProblem,
}

/// What is wrong with a format string.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatProblem {
    /// A percent sign that begins no operator.
    #[error("'%' begins no operator (write '%%' for a percent sign)")]
    NotAnOperator,
    /// An operator that does not exist, or that this gateway does not have.
    #[error("unknown operator {name}")]
    UnknownOperator {
        /// The operator.
        name: String,
    },
    /// An operator of Envoy that this gateway does not have.
    #[error("the operator {name} is not supported: {reason}")]
    UnsupportedOperator {
        /// The operator.
        name: String,
        /// Why.
        reason: &'static str,
    },
    /// An operator that needs arguments has none.
    #[error("{name} needs arguments in parentheses: {expected}")]
    MissingArguments {
        /// The operator.
        name: String,
        /// What they look like.
        expected: &'static str,
    },
    /// An operator without arguments has some.
    #[error("{name} takes no arguments")]
    UnexpectedArguments {
        /// The operator.
        name: String,
    },
    /// An operator that cannot be shortened has a length.
    #[error("{name} takes no length")]
    UnexpectedLength {
        /// The operator.
        name: String,
    },
    /// An argument has a value that is not allowed.
    #[error("{name}: {argument:?} is not {expected}")]
    InvalidArgument {
        /// The operator.
        name: String,
        /// The argument as written.
        argument: String,
        /// What it may be.
        expected: &'static str,
    },
    /// An expression that cannot be evaluated.
    #[error("{name}: {error}")]
    InvalidExpression {
        /// The operator.
        name: String,
        /// What is wrong with it.
        error: ExpressionError,
    },
    /// A file that cannot be read.
    #[error("FILE_CONTENT: the file {path:?} cannot be read: {reason}")]
    UnreadableFile {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
}

impl Format {
    /// Compiles `source`. `%ENVIRONMENT(X)%` is replaced now by the variable of this process.
    ///
    /// # Errors
    /// When an operator is unknown or used wrongly; the error names it and its position.
    pub fn parse(source: &str) -> Result<Self, FormatError> {
        Self::parse_with(source, Formatters::default())
    }

    /// The same with operators that a configuration has to ask for.
    ///
    /// # Errors
    /// Those of [`parse`](Self::parse).
    pub fn parse_with(source: &str, formatters: Formatters<'_>) -> Result<Self, FormatError> {
        Ok(Self { source: source.to_owned(), parts: parse::parse(source, formatters)?.into() })
    }

    /// A format that is `text` as it stands: nothing in it is an operator.
    #[must_use]
    pub fn literal(text: &str) -> Self {
        let parts = if text.is_empty() { Vec::new() } else { vec![FormatPart::Text(text.to_owned())] };
        Self { source: text.replace('%', "%%"), parts: parts.into() }
    }

    /// The string as written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The pieces in order.
    #[must_use]
    pub fn parts(&self) -> &[FormatPart] {
        &self.parts
    }

    /// Whether one of its operators passes a test; those inside of another one count.
    #[must_use]
    pub fn any(&self, test: &dyn Fn(&Operator) -> bool) -> bool {
        fn passes(operator: &Operator, test: &dyn Fn(&Operator) -> bool) -> bool {
            let inner =
                if let Operator::Coalesce { operators, .. } = operator { operators.as_slice() } else { &[] };
            test(operator) || inner.iter().any(|operator| passes(operator, test))
        }
        self.parts.iter().any(|part| matches!(part, FormatPart::Operator(operator) if passes(operator, test)))
    }

    /// The text when there is no operator in it.
    #[must_use]
    pub fn as_literal(&self) -> Option<&str> {
        match &*self.parts {
            [] => Some(""),
            [FormatPart::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The operator when it stands alone; only then JSON logs keep its type.
    #[must_use]
    pub fn as_operator(&self) -> Option<&Operator> {
        match &*self.parts {
            [FormatPart::Operator(operator)] => Some(operator),
            _ => None,
        }
    }
}

impl Serialize for Format {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.source)
    }
}
