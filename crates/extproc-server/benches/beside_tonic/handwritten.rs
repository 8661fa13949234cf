//! The processor by hand: it knows the modes, and answers each message when it comes, without a task of its own.

use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use extproc_server::raw::messages::{
    BodyMutation, BodyResponse, CommonResponse, HeaderMutation, HeaderValue, HeaderValueOption,
    HeadersResponse, HttpBody, ProcessingRequest, ProcessingResponse, StreamedBodyResponse, TrailersResponse,
    body_mutation::Mutation, processing_request::Request, processing_response::Response,
};
use futures_util::{Stream, StreamExt, future::BoxFuture, stream::BoxStream};
use tonic::{
    Status, Streaming,
    body::Body,
    server::{Grpc, StreamingService},
};

use self::codec::ProstCodec;
use super::handler::{NAME, VALUE, change};

#[path = "../../src/server/tests/codec.rs"]
mod codec;

const FULL_DUPLEX_STREAMED: i32 = 4;

/// The service.
#[derive(Debug, Clone)]
pub(crate) struct Handwritten;

struct Process;

impl StreamingService<ProcessingRequest> for Process {
    type Response = ProcessingResponse;
    type ResponseStream = BoxStream<'static, Result<ProcessingResponse, Status>>;
    type Future = BoxFuture<'static, Result<tonic::Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: tonic::Request<Streaming<ProcessingRequest>>) -> Self::Future {
        Box::pin(async { Ok(tonic::Response::new(replies(request.into_inner()).boxed())) })
    }
}

fn replies(
    messages: Streaming<ProcessingRequest>,
) -> impl Stream<Item = Result<ProcessingResponse, Status>> + Send {
    let mut duplex = false;
    messages.map(move |message| {
        let message = message?;
        if let Some(config) = &message.protocol_config {
            duplex = config.request_body_mode == FULL_DUPLEX_STREAMED;
        }
        let response = match message.request {
            Some(Request::RequestHeaders(_)) => Response::RequestHeaders(mark()),
            Some(Request::ResponseHeaders(_)) => Response::ResponseHeaders(mark()),
            Some(Request::RequestBody(body)) => Response::RequestBody(changed(body, duplex)),
            Some(Request::ResponseBody(body)) => Response::ResponseBody(changed(body, duplex)),
            Some(Request::RequestTrailers(_)) => Response::RequestTrailers(TrailersResponse::default()),
            Some(Request::ResponseTrailers(_)) => Response::ResponseTrailers(TrailersResponse::default()),
            None => return Err(Status::invalid_argument("no known part")),
        };
        Ok(ProcessingResponse { response: Some(response), ..Default::default() })
    })
}

fn mark() -> HeadersResponse {
    let header = HeaderValue { key: NAME.to_owned(), raw_value: VALUE.into(), ..Default::default() };
    let option = HeaderValueOption { header: Some(header), ..Default::default() };
    let header_mutation = Some(HeaderMutation { set_headers: vec![option], ..Default::default() });
    HeadersResponse { response: Some(CommonResponse { header_mutation, ..Default::default() }) }
}

fn changed(body: HttpBody, duplex: bool) -> BodyResponse {
    let (end_of_stream, body) = (body.end_of_stream, change(body.body));
    let mutation = match duplex {
        true => {
            Mutation::StreamedResponse(StreamedBodyResponse { body, end_of_stream, ..Default::default() })
        }
        false => Mutation::Body(body),
    };
    let body_mutation = Some(BodyMutation { mutation: Some(mutation) });
    BodyResponse { response: Some(CommonResponse { body_mutation, ..Default::default() }) }
}

impl tonic::server::NamedService for Handwritten {
    const NAME: &'static str = "envoy.service.ext_proc.v3.ExternalProcessor";
}

impl tower_service::Service<http::Request<Body>> for Handwritten {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async {
            let mut grpc = Grpc::new(ProstCodec::default());
            Ok(grpc.streaming(Process, request).await)
        })
    }
}
