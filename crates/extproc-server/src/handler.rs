//! What a handler is.

use std::{future::Future, pin::Pin};

use crate::{Next, Request, Response, Result};

/// Handles the exchanges of a server: an `async fn(Request, Next) -> Result<Response>`.
///
/// It gets a request, passes it on with [`Next::run`], perhaps changed, gets the response, and returns that, perhaps changed.
/// What it does not touch passes untouched. Without a call of `next` its response answers the client, and the request goes no
/// further. It is dropped when the gateway ends the exchange.
pub trait Handler: Send + Sync + 'static {
    /// Handles one exchange.
    fn handle(&self, request: Request, next: Next)
    -> impl Future<Output = Result<Response>> + Send + 'static;
}

impl<F, R> Handler for F
where
    F: Fn(Request, Next) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Response>> + Send + 'static,
{
    fn handle(
        &self,
        request: Request,
        next: Next,
    ) -> impl Future<Output = Result<Response>> + Send + 'static {
        self(request, next)
    }
}

pub(crate) type HandlerFuture = Pin<Box<dyn Future<Output = Result<Response>> + Send>>;

/// A handler whose type does not matter any more.
pub(crate) type BoxHandler = dyn Fn(Request, Next) -> HandlerFuture + Send + Sync;

pub(crate) fn boxed(handler: impl Handler) -> Box<BoxHandler> {
    Box::new(move |request, next| Box::pin(handler.handle(request, next)))
}
