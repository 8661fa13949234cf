//! Processors that do not answer: what becomes of their exchanges.

use std::{
    any::Any,
    fmt,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::Poll,
    time::Duration,
};

use extproc::messages::ProcessingResponse;
use tokio::time::timeout;
use tonic::Status;

/// Why a processor gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// It panicked, with this message.
    #[error("the processor panicked: {0}")]
    Panicked(String),
    /// It took longer than the [`Server::handler_timeout`](crate::Server::handler_timeout), which is this long.
    #[error("the processor did not answer within {0:?}")]
    TimedOut(Duration),
}

impl From<&Failure> for Status {
    fn from(failure: &Failure) -> Self {
        // What a panic says is for the log of this process, not for its peers.
        match failure {
            Failure::Panicked(_) => Self::internal("the processor panicked"),
            Failure::TimedOut(_) => Self::deadline_exceeded(failure.to_string()),
        }
    }
}

/// What becomes of an exchange whose processor failed.
pub(crate) struct OnFailure(Box<Decide>);

type Decide = dyn Fn(&Failure) -> Result<ProcessingResponse, Status> + Send + Sync;

impl OnFailure {
    pub(crate) fn new(
        decide: impl Fn(&Failure) -> Result<ProcessingResponse, Status> + Send + Sync + 'static,
    ) -> Self {
        Self(Box::new(decide))
    }

    /// The last answer of the exchange, or its status.
    pub(crate) fn decide(&self, failure: &Failure) -> Result<ProcessingResponse, Status> {
        catch_unwind(AssertUnwindSafe(|| (self.0)(failure))).unwrap_or_else(|_| Err(failure.into()))
    }
}

impl Default for OnFailure {
    fn default() -> Self {
        Self::new(|failure| Err(failure.into()))
    }
}

impl fmt::Debug for OnFailure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("OnFailure")
    }
}

/// Runs something that must be over after `limit`.
///
/// # Errors
/// It was not, or it panicked. Then nothing of it may be used any more.
pub(crate) async fn guarded<F: Future>(future: F, limit: Duration) -> Result<F::Output, Failure> {
    let mut future = pin!(future);
    let caught = poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
        Err(panic) => Poll::Ready(Err(Failure::Panicked(text(&*panic)))),
    });
    timeout(limit, caught).await.unwrap_or(Err(Failure::TimedOut(limit)))
}

/// Runs something that must not panic.
///
/// # Errors
/// It did.
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
