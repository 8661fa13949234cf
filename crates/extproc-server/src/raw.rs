//! The messages of the protocol themselves, for what the model of handlers does not cover.
//!
//! A [`Raw`] processor takes messages and sends others, as many and when it likes. What is right in which mode is its own
//! business; the rules are in the documentation of the crate `extproc`, and `extproc::lint` reads along in tests.
//!
//! A [`Processor`] is one that answers each message with exactly one.

mod exchange;

use extproc::messages::{
    BodyResponse, CommonResponse, HeadersResponse, ProcessingRequest, ProcessingResponse, TrailersResponse,
    processing_request::Request, processing_response::Response,
};
pub use extproc::{BodySendMode, Direction, HeaderSendMode, ProcessingMode, messages, session};

pub(crate) use self::exchange::RawDriver;
pub use self::exchange::{Gone, RawExchange};
use crate::Status;

/// The processor's side of one exchange, message by message.
pub trait Raw: Send + 'static {
    /// Handles one exchange. The stream ends when it returns. It is dropped when the gateway ends the stream.
    ///
    /// # Errors
    ///
    /// An error ends the exchange with that gRPC status; the gateway then does as its failure mode says.
    fn run(self, exchange: RawExchange) -> impl Future<Output = Result<(), Status>> + Send;
}

/// A processor that answers each message with exactly one.
pub trait Processor: Send + 'static {
    /// Answers one message. Messages come one at a time, in the order the gateway sent them; the next one is read when
    /// the answer to this one is on its way.
    ///
    /// The kind of the answer must be that of the message (request headers are answered by request headers, and so on)
    /// or an immediate response; [`continue_with`] makes one.
    ///
    /// # Errors
    /// An error ends the exchange with that gRPC status; the gateway then does as its failure mode says.
    fn process(
        &mut self,
        request: ProcessingRequest,
    ) -> impl Future<Output = Result<ProcessingResponse, Status>> + Send;
}

impl<P: Processor> Raw for P {
    async fn run(mut self, exchange: RawExchange) -> Result<(), Status> {
        while let Some(request) = exchange.next().await {
            let reply = self.process(request).await?;
            if exchange.send(reply).await.is_err() {
                break;
            }
        }
        Ok(())
    }
}

/// The answer of the right kind that lets the HTTP message go on, changed as `response` says.
///
/// Trailers take the header mutation and have no use for the rest.
///
/// # Errors
/// `INVALID_ARGUMENT` if the message has no part this protocol version knows; there is no answer to it.
pub fn continue_with(
    request: &ProcessingRequest,
    response: CommonResponse,
) -> Result<ProcessingResponse, Status> {
    let headers = |response| HeadersResponse { response: Some(response) };
    let body = |response| BodyResponse { response: Some(response) };
    let trailers = |response: CommonResponse| TrailersResponse { header_mutation: response.header_mutation };
    let reply = match &request.request {
        Some(Request::RequestHeaders(_)) => Response::RequestHeaders(headers(response)),
        Some(Request::ResponseHeaders(_)) => Response::ResponseHeaders(headers(response)),
        Some(Request::RequestBody(_)) => Response::RequestBody(body(response)),
        Some(Request::ResponseBody(_)) => Response::ResponseBody(body(response)),
        Some(Request::RequestTrailers(_)) => Response::RequestTrailers(trailers(response)),
        Some(Request::ResponseTrailers(_)) => Response::ResponseTrailers(trailers(response)),
        None => return Err(Status::invalid_argument("the message has no known part")),
    };
    Ok(ProcessingResponse { response: Some(reply), ..Default::default() })
}
