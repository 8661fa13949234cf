//! From HTTP/2 requests to the methods of the server.

use std::{
    future::{Ready, ready},
    pin::Pin,
    sync::Arc,
};

use extproc::messages::{ProcessingRequest, ProcessingResponse};
use futures_util::{Stream, stream};
use http::{Request, Response};
use hyper::body::Incoming;
use tonic::{
    Status, Streaming,
    body::Body,
    metadata::MetadataMap,
    server::{Grpc, StreamingService},
};

use crate::{
    Processor,
    codec::ProstCodec,
    health::{CHECK, Check},
};

/// Path of the one method a processor has.
const PROCESS: &str = "/envoy.service.ext_proc.v3.ExternalProcessor/Process";

/// What answers the requests of every connection.
#[derive(Debug)]
pub(crate) struct Service<F> {
    pub(crate) new_processor: Arc<F>,
    pub(crate) max_message_size: usize,
}

/// Starts one exchange.
struct Process<F>(Arc<F>);

/// Answers of one exchange, in the order of its messages.
type Replies = Pin<Box<dyn Stream<Item = Result<ProcessingResponse, Status>> + Send>>;

impl<F> Clone for Service<F> {
    fn clone(&self) -> Self {
        Self { new_processor: Arc::clone(&self.new_processor), max_message_size: self.max_message_size }
    }
}

impl<F, P> Service<F>
where
    F: Fn(&MetadataMap) -> P + Send + Sync + 'static,
    P: Processor,
{
    /// Answers one request. A path that is no method of ours gets the status UNIMPLEMENTED.
    pub(crate) async fn call(self, request: Request<Incoming>) -> Response<Body> {
        match request.uri().path() {
            PROCESS => {
                Grpc::new(ProstCodec::default())
                    .max_decoding_message_size(self.max_message_size)
                    .max_encoding_message_size(self.max_message_size)
                    .streaming(Process(self.new_processor), request)
                    .await
            }
            CHECK => Grpc::new(ProstCodec::default()).unary(Check, request).await,
            path => Status::unimplemented(format!("no method {path}")).into_http(),
        }
    }
}

impl<F, P> StreamingService<ProcessingRequest> for Process<F>
where
    F: Fn(&MetadataMap) -> P,
    P: Processor,
{
    type Response = ProcessingResponse;
    type ResponseStream = Replies;
    type Future = Ready<Result<tonic::Response<Replies>, Status>>;

    fn call(&mut self, request: tonic::Request<Streaming<ProcessingRequest>>) -> Self::Future {
        let processor = (self.0)(request.metadata());
        ready(Ok(tonic::Response::new(Box::pin(replies(processor, request.into_inner())))))
    }
}

/// Takes a message when the gateway has room for the answer: no queue, and no task beside the stream's own.
fn replies<P: Processor>(
    processor: P,
    messages: Streaming<ProcessingRequest>,
) -> impl Stream<Item = Result<ProcessingResponse, Status>> + Send {
    stream::unfold(Some((processor, messages)), async |exchange| {
        let (mut processor, mut messages) = exchange?;
        let request = match messages.message().await {
            Ok(Some(request)) => request,
            Ok(None) => return None,
            // The gateway reset the stream, or sent what is no message: nobody waits for an answer.
            Err(status) => return Some((Err(status), None)),
        };
        match processor.process(request).await {
            Ok(reply) => Some((Ok(reply), Some((processor, messages)))),
            Err(status) => Some((Err(status), None)),
        }
    })
}
