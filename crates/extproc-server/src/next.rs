//! What comes after a handler.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use extproc::Direction;

use crate::{
    BoxError, Ended, Exchange, Request, Response, Result,
    body::{Kind, Reader},
    exchange::{Passing, head, shared::Shared},
};

/// The rest of the way of a request: other filters of the gateway, the upstream, and back. With feature `tower` it is a
/// `tower::Service`.
#[derive(Debug, Clone)]
pub struct Next {
    shared: Arc<Shared>,
}

impl Next {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The exchange.
    #[must_use]
    pub fn exchange(&self) -> Exchange {
        Exchange { shared: self.shared.clone() }
    }

    /// Passes the request on, and waits for the head of the response. If the gateway shows nothing of the response, the handler
    /// ends here: it is dropped when the gateway ends the exchange.
    ///
    /// Differences of the head to the one that was given are sent to the gateway. A body that was not touched passes
    /// untouched. Another one is sent while the handler works on.
    ///
    /// # Errors
    ///
    /// [`NotPossible`](crate::NotPossible), immediately, if the gateway's mode cannot give what the request asks for.
    pub async fn run(self, request: Request) -> Result<Response> {
        self.call(request).await
    }

    pub(crate) fn call(&self, request: Request) -> Running {
        let (parts, body) = request.into_parts();
        let passed = Passing::Request(&parts).pass(&self.shared, body);
        let failed = match passed {
            Ok(pump) => {
                let mut state = self.shared.lock();
                state.pumps.extend(pump);
                state.wake_driver();
                None
            }
            Err(error) => Some(error.into()),
        };
        Running { shared: self.shared.clone(), failed }
    }
}

/// A request that was passed on.
#[derive(Debug)]
pub struct Running {
    shared: Arc<Shared>,
    failed: Option<BoxError>,
}

impl Future for Running {
    type Output = Result<Response>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<Response>> {
        if let Some(error) = self.failed.take() {
            return Poll::Ready(Err(error));
        }
        let mut state = self.shared.lock();
        if state.gone {
            return Poll::Ready(Err(Ended.into()));
        }
        let side = state.side(Direction::Response);
        if !side.arrived || side.given {
            side.waker = Some(context.waker().clone());
            state.waits = true;
            return Poll::Pending;
        }
        let hidden;
        let map = match &side.head {
            Some(head) => head,
            None => {
                hidden = head::hidden(Direction::Response);
                &hidden
            }
        };
        let parts = head::response(map);
        side.given = true;
        drop(state);
        let reader = Reader::new(self.shared.clone(), Direction::Response);
        Poll::Ready(parts.map(|parts| {
            let mut response = Response::from_parts(parts, Kind::Reader(reader).into());
            response.extensions_mut().insert(Exchange { shared: self.shared.clone() });
            response
        }))
    }
}
