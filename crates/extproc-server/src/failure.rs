//! Handlers that fail: why, and what becomes of their exchanges.

use std::{
    any::Any,
    error::Error as StdError,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use http::StatusCode;

use crate::{Body, Code, NotPossible, Response, Status, TooLarge};

/// Any error. A handler may use `?` on everything.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// What handlers return.
pub type Result<T, E = BoxError> = std::result::Result<T, E>;

/// The gateway has ended the exchange, to which a task of the handler's still belongs. The handler itself is dropped then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the gateway has ended the exchange")]
#[non_exhaustive]
pub struct Ended;

/// Why a handler gave no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// It returned this error.
    #[error("the handler failed: {0}")]
    Error(BoxError),
    /// It panicked, with this message.
    #[error("the handler panicked: {0}")]
    Panicked(String),
    /// It let the gateway wait longer than the [`Server::handler_timeout`](crate::Server::handler_timeout), which is this
    /// long.
    #[error("the handler did not answer within {0:?}")]
    TimedOut(Duration),
}

impl Failure {
    /// The error that the handler returned, if it is one of this type.
    #[must_use]
    pub fn error<E: StdError + 'static>(&self) -> Option<&E> {
        match self {
            Self::Error(error) => error.downcast_ref(),
            Self::Panicked(_) | Self::TimedOut(_) => None,
        }
    }
}

/// What becomes of an exchange whose handler failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// The stream ends with this status, and the gateway does as its failure mode says.
    Status(Status),
    /// The client gets this response. If the head of another one is on the way to it already, its stream is reset.
    Respond(Response),
}

impl Outcome {
    /// A response without a body.
    #[must_use]
    pub fn respond(status: StatusCode) -> Self {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        Self::Respond(response)
    }
}

impl From<&Failure> for Outcome {
    /// A body that is too large: 413. Otherwise a status: the one that the handler returned, `FAILED_PRECONDITION` for what
    /// the mode cannot give, `DEADLINE_EXCEEDED` for time, `INTERNAL` for all else.
    fn from(failure: &Failure) -> Self {
        if failure.error::<TooLarge>().is_some() {
            return Self::respond(StatusCode::PAYLOAD_TOO_LARGE);
        }
        Self::Status(if let Some(status) = failure.error::<Status>() {
            status.clone()
        } else if failure.error::<NotPossible>().is_some() {
            Status::new(Code::FailedPrecondition, failure.to_string())
        } else {
            // What an error or a panic says is for the log of this process, not for its peers.
            match failure {
                Failure::Error(_) => Status::internal("the handler failed"),
                Failure::Panicked(_) => Status::internal("the handler panicked"),
                Failure::TimedOut(_) => Status::new(Code::DeadlineExceeded, failure.to_string()),
            }
        })
    }
}

/// Decides what becomes of an exchange whose handler failed.
pub(crate) struct OnError(Box<Decide>);

type Decide = dyn Fn(&Failure) -> Outcome + Send + Sync;

impl OnError {
    pub(crate) fn new(decide: impl Fn(&Failure) -> Outcome + Send + Sync + 'static) -> Self {
        Self(Box::new(decide))
    }

    pub(crate) fn decide(&self, failure: &Failure) -> Outcome {
        caught(|| (self.0)(failure)).unwrap_or_else(|_| failure.into())
    }
}

impl Default for OnError {
    fn default() -> Self {
        Self::new(|failure| failure.into())
    }
}

impl fmt::Debug for OnError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("OnError")
    }
}

/// Runs code of the author.
///
/// # Errors
/// It panicked. Then nothing of it may be used any more.
pub(crate) fn caught<T>(run: impl FnOnce() -> T) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| Failure::Panicked(text(&*panic)))
}

/// What a panic said.
fn text(panic: &(dyn Any + Send)) -> String {
    if let Some(text) = panic.downcast_ref::<&str>() {
        (*text).to_owned()
    } else {
        panic.downcast_ref::<String>().cloned().unwrap_or_else(|| "no message".to_owned())
    }
}
