//! The transaction as the connections' handler.

use extproc::RequestHeaders;
use tollgate_model::overload::OverloadActionKind;

use super::serve;
use crate::{
    handler::{Handler, Origin, Rejection},
    stats::HttpMetric,
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
        if is_turned_away(&origin) {
            origin.configuration.stats.http.increment(HttpMetric::DownstreamRqOverloadClose);
            // Nothing is spent on it: no filter sees it.
            super::reject(origin, Rejection::overload(request), downstream);
            return;
        }
        serve(origin, request, end_stream, downstream).await;
    }

    async fn reject<D: Downstream>(&self, origin: Origin<'_>, rejection: Rejection, downstream: &mut D) {
        // L-11: filters see an answer like any other response, but for one to what was no HTTP.
        if rejection.protocol_error || origin.configuration.http().http_filters.is_empty() {
            super::reject(origin, rejection, downstream);
        } else {
            super::answer_rejected(origin, rejection, downstream).await;
        }
    }
}

/// Whether an overload action asks for this request to be turned away.
fn is_turned_away(origin: &Origin<'_>) -> bool {
    origin.overload().is_some_and(|overload| {
        overload.applies(OverloadActionKind::StopAcceptingRequests)
            || overload.sheds(OverloadActionKind::HttpConnectionManagerDecodeHeaders)
    })
}
