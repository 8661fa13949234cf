//! What connections hand their requests to.

use std::{future::Future, rc::Rc};

use extproc::RequestHeaders;
use http::StatusCode;

use crate::{
    configuration::ChainConfiguration,
    http1::CodecError,
    overload::Overload,
    stream::Downstream,
    stream_info::{ConnectionInfo, Protocol},
    worker::Worker,
};

/// Where a request came from, and what it is served by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin<'a> {
    /// The worker, which never changes.
    pub(crate) worker: &'a Rc<Worker>,
    /// The connection.
    pub(crate) connection: &'a Rc<ConnectionInfo>,
    /// Version the client speaks.
    pub(crate) protocol: Protocol,
    /// The configuration in force when the request began.
    pub(crate) configuration: &'a Rc<ChainConfiguration>,
}

impl<'a> Origin<'a> {
    /// The overload actions, if they concern the listener.
    pub(crate) fn overload(&self) -> Option<&'a Overload> {
        (!self.configuration.chain.listener.limits.bypass_overload_manager).then(|| &*self.worker.overload)
    }
}

/// Answers requests. Connections know nothing else of what happens behind them.
pub(crate) trait Handler: 'static {
    /// Serves one request completely: when the future ends, the response was queued to its end, or `downstream` was
    /// reset. A response that is neither complete nor reset then is reset by the connection.
    fn handle<D: Downstream>(
        &self,
        origin: Origin<'_>,
        request: RequestHeaders,
        end_stream: bool,
        downstream: &mut D,
    ) -> impl Future<Output = ()>;

    /// Answers a request that did not get as far as [`handle`](Self::handle), and logs it. Ends as that does.
    fn reject<D: Downstream>(
        &self,
        origin: Origin<'_>,
        rejection: Rejection,
        downstream: &mut D,
    ) -> impl Future<Output = ()>;
}

/// Why a request is answered by its connection, and with what.
#[derive(Debug)]
pub(crate) struct Rejection {
    /// The status of the answer.
    pub(crate) status: StatusCode,
    /// The body, `text/plain`; empty = none.
    pub(crate) body: &'static str,
    /// `%RESPONSE_CODE_DETAILS%`.
    pub(crate) details: &'static str,
    /// The client broke the protocol: response flag `DPE`.
    pub(crate) protocol_error: bool,
    /// The head of the request, when there is one.
    pub(crate) request: Option<RequestHeaders>,
}

impl Rejection {
    /// A request without a host (400).
    pub(crate) fn missing_host(request: RequestHeaders) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            body: "",
            details: "missing_host_header",
            protocol_error: false,
            request: Some(request),
        }
    }

    /// A request that an overload action turns away (503).
    pub(crate) fn overload(request: RequestHeaders) -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            body: "envoy overloaded",
            details: "overload",
            protocol_error: false,
            request: Some(request),
        }
    }

    /// Whatever arrives on an HTTP/1 connection while a load shed point turns it away (500).
    pub(crate) fn abort_dispatch() -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            body: "Internal Server Error",
            details: "overload",
            // Envoy logs it as such.
            protocol_error: true,
            request: None,
        }
    }

    /// A head that did not arrive within `request_headers_timeout` (408).
    pub(crate) fn request_header_timeout() -> Self {
        Self {
            status: StatusCode::REQUEST_TIMEOUT,
            body: "request header timeout",
            details: "request_header_timeout",
            protocol_error: false,
            request: None,
        }
    }

    /// A head that did not arrive within `request_timeout` (408).
    pub(crate) fn request_timeout() -> Self {
        Self {
            status: StatusCode::REQUEST_TIMEOUT,
            body: "request timeout",
            details: "request_overall_timeout",
            protocol_error: false,
            request: None,
        }
    }

    /// A head that did not arrive within `stream_idle_timeout` (408).
    pub(crate) fn stream_idle_timeout() -> Self {
        Self {
            status: StatusCode::REQUEST_TIMEOUT,
            body: "stream timeout",
            details: "stream_idle_timeout",
            protocol_error: false,
            request: None,
        }
    }
}

impl From<CodecError> for Rejection {
    fn from(error: CodecError) -> Self {
        Self {
            status: error.status(),
            body: crate::http1::reason_phrase(error.status()),
            details: error.details(),
            protocol_error: true,
            request: None,
        }
    }
}
