//! The transaction as the connections' handler.

use extproc::RequestHeaders;

use super::serve;
use crate::{
    handler::{Handler, Origin, Rejection},
    stream::Downstream,
};

/// Serves requests by their filter chain's configuration.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Transactions;

impl Handler for Transactions {
    async fn handle<D: Downstream>(
        &self,
        origin: Origin<'_>,
        request: RequestHeaders,
        end_stream: bool,
        downstream: &mut D,
    ) {
        serve(origin, request, end_stream, downstream).await;
    }

    fn reject<D: Downstream>(&self, origin: Origin<'_>, rejection: Rejection, downstream: &mut D) {
        super::reject(origin, rejection, downstream);
    }
}
