//! From HTTP/2 requests to the methods of the server.

use std::{
    future::{Ready, ready},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use extproc::messages::{ProcessingRequest, ProcessingResponse};
use futures_util::{Stream, stream};
use http::{Request, Response};
use hyper::body::Incoming;
use prost::Message;
use tonic::{
    Status, Streaming,
    body::Body,
    metadata::MetadataMap,
    server::{Grpc, StreamingService},
};

use crate::{
    Processor,
    codec::ProstCodec,
    counters::count,
    failure::{Failure, OnFailure, caught, guarded},
    health::{CHECK, Check},
    limits::{Limits, Metered, Place},
};

/// Path of the one method a processor has.
const PROCESS: &str = "/envoy.service.ext_proc.v3.ExternalProcessor/Process";

/// What answers the requests of every connection.
#[derive(Debug)]
pub(crate) struct Service<F> {
    pub(crate) new_processor: F,
    pub(crate) max_message_size: usize,
    pub(crate) handler_timeout: Duration,
    pub(crate) on_failure: OnFailure,
    pub(crate) limits: Arc<Limits>,
}

/// Starts one exchange.
struct Process<F> {
    service: Arc<Service<F>>,
    place: Arc<Place>,
}

/// Answers of one exchange, in the order of its messages.
type Replies = Pin<Box<dyn Stream<Item = Result<ProcessingResponse, Status>> + Send>>;

impl<F, P> Service<F>
where
    F: Fn(&MetadataMap) -> P + Send + Sync + 'static,
    P: Processor,
{
    /// Answers one request. A path that is no method of ours gets the status UNIMPLEMENTED.
    pub(crate) async fn call(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        match request.uri().path() {
            PROCESS => match self.limits.enter() {
                Ok(place) => self.process(request, Arc::new(place)).await,
                Err(status) => status.into_http(),
            },
            CHECK => Grpc::new(ProstCodec::default()).unary(Check, request).await,
            path => Status::unimplemented(format!("no method {path}")).into_http(),
        }
    }

    async fn process(self: Arc<Self>, request: Request<Incoming>, place: Arc<Place>) -> Response<Body> {
        let request = request.map(|body| Metered::new(body, place.clone()));
        Grpc::new(ProstCodec::of(place.clone()))
            .max_decoding_message_size(self.max_message_size)
            .max_encoding_message_size(self.max_message_size)
            .streaming(Process { service: self, place }, request)
            .await
    }

    /// The last answer of an exchange whose processor failed, or its status.
    fn failed(&self, failure: &Failure) -> Result<ProcessingResponse, Status> {
        let counters = &self.limits.counters;
        count(match failure {
            Failure::Panicked(_) => &counters.panics,
            Failure::TimedOut(_) => &counters.timeouts,
        });
        if let Some(suppressed) = self.limits.warnings.pass() {
            tracing::error!(suppressed, "{failure}");
        }
        self.on_failure.decide(failure)
    }
}

impl<F, P> StreamingService<ProcessingRequest> for Process<F>
where
    F: Fn(&MetadataMap) -> P + Send + Sync + 'static,
    P: Processor,
{
    type Response = ProcessingResponse;
    type ResponseStream = Replies;
    type Future = Ready<Result<tonic::Response<Replies>, Status>>;

    fn call(&mut self, request: tonic::Request<Streaming<ProcessingRequest>>) -> Self::Future {
        let (service, place) = (self.service.clone(), self.place.clone());
        let replies: Replies = match caught(|| (service.new_processor)(request.metadata())) {
            Ok(processor) => {
                Box::pin(replies(Exchange { processor, messages: request.into_inner(), service, place }))
            }
            Err(failure) => Box::pin(stream::iter([service.failed(&failure)])),
        };
        ready(Ok(tonic::Response::new(replies)))
    }
}

/// One exchange and all that belongs to it.
struct Exchange<F, P> {
    processor: P,
    messages: Streaming<ProcessingRequest>,
    service: Arc<Service<F>>,
    place: Arc<Place>,
}

/// Takes a message when the gateway has room for the answer: no queue, and no task beside the stream's own.
fn replies<F, P>(exchange: Exchange<F, P>) -> impl Stream<Item = Result<ProcessingResponse, Status>> + Send
where
    F: Fn(&MetadataMap) -> P + Send + Sync + 'static,
    P: Processor,
{
    stream::unfold(Some(exchange), async |exchange| {
        let mut exchange = exchange?;
        // Whoever asks for the next answer has taken the last.
        exchange.place.done();
        let request = match exchange.messages.message().await {
            Ok(Some(request)) => request,
            Ok(None) => return None,
            // The gateway reset the stream, or sent what is no message: nobody waits for an answer.
            Err(status) => return Some((Err(status), None)),
        };
        let answer = guarded(exchange.processor.process(request), exchange.service.handler_timeout).await;
        match answer {
            Ok(Ok(reply)) => match exchange.place.answered(reply.encoded_len()) {
                Ok(()) => Some((Ok(reply), Some(exchange))),
                Err(status) => Some((Err(status), None)),
            },
            Ok(Err(status)) => Some((Err(status), None)),
            Err(failure) => Some((exchange.service.failed(&failure), None)),
        }
    })
}
