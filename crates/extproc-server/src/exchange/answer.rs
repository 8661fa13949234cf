//! Answers of the processor's own.

use bytes::Bytes;
use extproc::messages::{self, HttpStatus, ImmediateResponse, ProcessingResponse, processing_response};
use http::response;

use super::head;

/// In the extensions of a response of the processor's own: the gRPC status of clients that speak gRPC. Without it the gateway
/// derives one from the HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct GrpcStatus(pub u32);

/// In the extensions of a response of the processor's own: why, for the access log of the gateway (response code details).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Details(pub String);

/// In the extensions of a response of the processor's own: send its body as it comes instead of collecting it. The gateway must
/// be able to (Envoy since 1.37), and the body of the request in NONE or FULL_DUPLEX_STREAMED.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct InPieces;

pub(crate) fn immediate(head: &response::Parts, body: Bytes) -> ImmediateResponse {
    ImmediateResponse {
        status: Some(HttpStatus { code: i32::from(head.status.as_u16()) }),
        headers: head::answer(&head.headers),
        body,
        grpc_status: head.extensions.get().map(|GrpcStatus(status)| messages::GrpcStatus { status: *status }),
        details: head.extensions.get().map(|Details(text)| text.clone()).unwrap_or_default(),
    }
}

/// An answer of the processor's own as a message.
pub(crate) fn message(head: &response::Parts, body: Bytes) -> ProcessingResponse {
    let response = Some(processing_response::Response::ImmediateResponse(immediate(head, body)));
    ProcessingResponse { response, ..ProcessingResponse::default() }
}
