//! From HTTP/2 requests to exchanges.

mod inbound;
mod reply;
mod write;

use std::{
    convert::Infallible,
    future::{Ready, ready},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use extproc::messages::{ProcessingRequest, ProcessingResponse};
use http::{HeaderMap, HeaderValue, Request, Response, header::CONTENT_TYPE};
use http_body::{Body, Frame};

pub(crate) use self::inbound::{Inbound, decoded};
use self::reply::Replies;
use crate::{
    BoxError, Code, Status,
    health::{CHECK, Health, HealthReply, WATCH},
    limits::Limits,
};

/// Path of the one method a processor has.
pub(crate) const PROCESS: &str = "/envoy.service.ext_proc.v3.ExternalProcessor/Process";
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");

/// One exchange without its transport.
pub(crate) trait Exchanger: Send {
    /// Whether it takes another message.
    fn wants_input(&self) -> bool;

    /// A message of the gateway. An answer is to be asked for after it.
    fn receive(&mut self, message: ProcessingRequest) -> Result<(), Status>;

    /// As [`receive`](Self::receive), of a message as it came.
    fn receive_encoded(&mut self, message: Bytes) -> Result<(), Status> {
        self.receive(decoded(message)?)
    }

    /// The gateway sends nothing more.
    fn close(&mut self);

    /// The next message to the gateway, the status that the stream ends with, or nothing: it ends with OK.
    fn poll_reply(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<ProcessingResponse, Status>>>;

    /// Bytes of messages that it holds.
    fn buffered(&self) -> usize;
}

/// Makes the exchanges of a server, from the metadata of their calls.
pub(crate) type Make = dyn Fn(&HeaderMap) -> Box<dyn Exchanger> + Send + Sync;

/// A server without its connections: a service of HTTP requests. Clones are the same service. With feature `tower` it is a
/// `tower::Service`, and always one of hyper's: mount it where requests to
/// `/envoy.service.ext_proc.v3.ExternalProcessor/Process` and `/grpc.health.v1.Health/*` arrive.
#[derive(Clone)]
pub struct ProcessorService {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) make: Box<Make>,
    pub(crate) max_message_size: usize,
    pub(crate) limits: Arc<Limits>,
    pub(crate) health: Health,
}

impl std::fmt::Debug for ProcessorService {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("ProcessorService").finish_non_exhaustive()
    }
}

impl ProcessorService {
    /// Answers one request. A path that is no method of ours gets the status UNIMPLEMENTED.
    pub(crate) fn answer<B>(&self, request: Request<B>) -> Response<ResponseBody>
    where
        B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
    {
        let Inner { make, max_message_size, limits, health } = &*self.inner;
        match request.uri().path() {
            PROCESS => match limits.enter() {
                Ok(place) => {
                    let (head, body) = request.into_parts();
                    let exchange = make(&head.headers);
                    let inbound = Inbound::new(body, *max_message_size);
                    let replies = Replies::new(exchange, inbound, place, *max_message_size);
                    answer(Kind::Replies(Box::new(replies)))
                }
                Err(status) => refused(&status),
            },
            CHECK => {
                let inbound = Inbound::new(request.into_body(), *max_message_size);
                answer(Kind::Health(Box::new(HealthReply::check(health, inbound))))
            }
            WATCH => {
                let inbound = Inbound::new(request.into_body(), *max_message_size);
                answer(Kind::Health(Box::new(HealthReply::watch(health, inbound))))
            }
            path => refused(&Status::new(Code::Unimplemented, format!("no method {path}"))),
        }
    }
}

fn answer(kind: Kind) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody(kind));
    response.headers_mut().insert(CONTENT_TYPE, GRPC);
    response
}

fn refused(status: &Status) -> Response<ResponseBody> {
    let mut response = answer(Kind::Nothing);
    status.write(response.headers_mut());
    response
}

/// The body of an answer to the gateway.
pub struct ResponseBody(Kind);

enum Kind {
    Nothing,
    Replies(Box<Replies>),
    Health(Box<HealthReply>),
}

impl std::fmt::Debug for ResponseBody {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("ResponseBody")
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = match &mut self.0 {
            Kind::Nothing => return Poll::Ready(None),
            Kind::Replies(replies) => replies.poll_frame(context),
            Kind::Health(reply) => reply.poll_frame(context),
        };
        frame.map(|frame| frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.0, Kind::Nothing)
    }
}

/// The trailers that end a stream.
pub(crate) fn trailers(status: &Status) -> Frame<Bytes> {
    let mut trailers = HeaderMap::new();
    status.write(&mut trailers);
    Frame::trailers(trailers)
}

pub(crate) use self::write::{framed, framed_whole};

impl<B> hyper::service::Service<Request<B>> for ProcessorService
where
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn call(&self, request: Request<B>) -> Self::Future {
        ready(Ok(self.answer(request)))
    }
}

#[cfg(feature = "tower")]
impl<B> tower_service::Service<Request<B>> for ProcessorService
where
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ready(Ok(self.answer(request)))
    }
}
