//! Which requests and connections a log is about.

use extproc::metadata::DynamicMetadata;
use http::StatusCode;
use tollgate_cel::Expression;
use tollgate_model::{
    access_log::{LogFilter, LogKind},
    format::{GrpcStatusForm, Operator},
    matching::HeaderMatcher,
};

use crate::{
    attributes::with_attributes,
    format::{ConnectionEnd, Facts, FormatContext, evaluate_number},
    stream_info::ResponseFlags,
};

/// What filters look at.
pub(crate) trait Subject {
    /// Which kind of entry it makes.
    fn kind(&self) -> LogKind;
    /// The status of the response; `None` when there was none.
    fn status(&self) -> Option<StatusCode>;
    /// What went wrong.
    fn flags(&self) -> ResponseFlags;
    /// Whether a condition on the head of the request is met. A connection has a head without fields.
    fn matches(&self, matcher: &HeaderMatcher) -> bool;
    /// Whether it is a health check.
    fn is_health_check(&self) -> bool;
    /// Dynamic metadata; `None` for connections.
    fn metadata(&self) -> Option<&DynamicMetadata>;
    /// Whether an expression is true.
    fn holds(&self, expression: &Expression) -> bool;
}

impl Subject for FormatContext<'_> {
    fn kind(&self) -> LogKind {
        LogKind::DownstreamEnd
    }

    fn status(&self) -> Option<StatusCode> {
        self.info.response_code
    }

    fn flags(&self) -> ResponseFlags {
        self.info.response_flags
    }

    fn matches(&self, matcher: &HeaderMatcher) -> bool {
        matcher.matches(&self.messages.request)
    }

    fn is_health_check(&self) -> bool {
        self.info.is_health_check
    }

    fn metadata(&self) -> Option<&DynamicMetadata> {
        Some(&self.info.metadata)
    }

    fn holds(&self, expression: &Expression) -> bool {
        with_attributes(self.info, self.messages, |attributes| expression.holds(attributes))
    }
}

impl Subject for ConnectionEnd<'_> {
    fn kind(&self) -> LogKind {
        LogKind::NotSet
    }

    fn status(&self) -> Option<StatusCode> {
        None
    }

    fn flags(&self) -> ResponseFlags {
        self.flags
    }

    fn matches(&self, matcher: &HeaderMatcher) -> bool {
        matcher.matches_nothing()
    }

    fn is_health_check(&self) -> bool {
        false
    }

    fn metadata(&self) -> Option<&DynamicMetadata> {
        None
    }

    fn holds(&self, expression: &Expression) -> bool {
        expression.holds(self)
    }
}

/// Whether a request or connection that is over is logged.
pub(crate) fn admits<S: Facts + Subject>(filter: &LogFilter, subject: &S) -> bool {
    let status = || subject.status().map_or(0, |code| code.as_u16());
    match filter {
        LogFilter::StatusCode(comparison) => comparison.holds(status().into()),
        LogFilter::Duration(comparison) => {
            evaluate_number(&Operator::Duration, subject).is_some_and(|took| comparison.holds(took))
        }
        LogFilter::Share(fraction) => fraction.includes(fastrand::u64(..)),
        LogFilter::And(filters) => filters.iter().all(|filter| admits(filter, subject)),
        LogFilter::Or(filters) => filters.iter().any(|filter| admits(filter, subject)),
        LogFilter::Header(matcher) => subject.matches(matcher),
        LogFilter::ResponseFlags(names) if names.is_empty() => subject.flags() != ResponseFlags::default(),
        LogFilter::ResponseFlags(names) => {
            names.iter().any(|name| subject.flags().contains(ResponseFlags::from_short_name(name)))
        }
        LogFilter::GrpcStatus { statuses, exclude } => {
            let operator = Operator::GrpcStatus(GrpcStatusForm::Number);
            let known = evaluate_number(&operator, subject).and_then(|status| u32::try_from(status).ok());
            statuses.contains(&known.unwrap_or_else(|| grpc_status_of(status()))) != *exclude
        }
        LogFilter::Metadata { matcher, if_absent } => {
            let found = matcher.as_ref().zip(subject.metadata());
            let found = found.and_then(|(matcher, metadata)| {
                Some(matcher.matches(matcher.find(|name| metadata.namespace(name))?))
            });
            found.unwrap_or(*if_absent)
        }
        LogFilter::Kind { kinds, exclude } => kinds.contains(&subject.kind()) != *exclude,
        LogFilter::Expression(expression) => subject.holds(expression),
        LogFilter::NotHealthCheck => !subject.is_health_check(),
        LogFilter::Never => false,
    }
}

/// A response without a gRPC status has that of its HTTP status, as in Envoy.
fn grpc_status_of(status: u16) -> u32 {
    match status {
        200 => 0,
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => 2,
    }
}
