//! Client connections: TLS, the choice of the protocol, HTTP/1 and HTTP/2.

mod client_stream;
mod establish;
mod filter_chain;
mod http1;
mod http2;
#[cfg(test)]
mod tests;

use std::{rc::Rc, sync::Arc};

use tollgate_model::listener::Listener;

use crate::{handler::Handler, listener::Socket, worker::Worker};
use establish::{Established, HttpVersion, establish};

/// Serves a connection to its end.
pub(crate) async fn serve<H: Handler>(
    worker: Rc<Worker>,
    handler: Rc<H>,
    listener: Arc<Listener>,
    socket: Socket,
) {
    // Each phase is boxed: the task of an idle connection holds the state of its present phase and no more.
    let Some(established) = Box::pin(establish(&worker, listener, socket)).await else { return };
    let Established { stream, first, connection, version } = established;
    match version {
        HttpVersion::Http1 => Box::pin(http1::serve(worker, handler, connection, stream, first)).await,
        HttpVersion::Http2 => Box::pin(http2::serve(worker, handler, connection, stream, first)).await,
    }
}
