//! The transaction as the connections' handler.

use std::rc::Rc;

use extproc::RequestHeaders;

use super::serve;
use crate::{
    handler::{Handler, Rejection},
    stream::Downstream,
    stream_info::{ConnectionInfo, Protocol},
    worker::Worker,
};

/// Serves requests by their filter chain's configuration.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Transactions;

impl Handler for Transactions {
    async fn handle<D: Downstream>(
        &self,
        worker: &Rc<Worker>,
        connection: &Rc<ConnectionInfo>,
        protocol: Protocol,
        request: RequestHeaders,
        end_stream: bool,
        downstream: &mut D,
    ) {
        serve(worker, connection, protocol, request, end_stream, downstream).await;
    }

    fn reject<D: Downstream>(
        &self,
        worker: &Rc<Worker>,
        connection: &Rc<ConnectionInfo>,
        protocol: Protocol,
        rejection: Rejection,
        downstream: &mut D,
    ) {
        super::reject(worker, connection, protocol, rejection, downstream);
    }
}
