//! Messages of processors, for tests.

use bytes::Bytes;

use crate::{
    Direction,
    messages::{
        BodyMutation, BodyResponse, CommonResponse, HeaderMap, HeaderValue, HeadersResponse, HttpHeaders,
        StreamedBodyResponse, StreamedImmediateResponse, TrailersResponse, body_mutation::Mutation,
        processing_request::Request, processing_response::Response, streamed_immediate_response,
    },
};

/// The reply to headers.
#[must_use]
pub fn headers_reply(direction: Direction, common: CommonResponse) -> Response {
    let reply = HeadersResponse { response: Some(common) };
    match direction {
        Direction::Request => Response::RequestHeaders(reply),
        Direction::Response => Response::ResponseHeaders(reply),
    }
}

/// The reply to headers that changes nothing.
#[must_use]
pub fn continue_headers(direction: Direction) -> Response {
    headers_reply(direction, CommonResponse::default())
}

/// The reply to a body, or to a piece of one in STREAMED.
#[must_use]
pub fn body_reply(direction: Direction, mutation: Option<Mutation>) -> Response {
    let body_mutation = mutation.map(|mutation| BodyMutation { mutation: Some(mutation) });
    let reply = BodyResponse { response: Some(CommonResponse { body_mutation, ..Default::default() }) };
    match direction {
        Direction::Request => Response::RequestBody(reply),
        Direction::Response => Response::ResponseBody(reply),
    }
}

/// Another body.
#[must_use]
pub fn body(bytes: &'static str) -> Option<Mutation> {
    Some(Mutation::Body(Bytes::from_static(bytes.as_bytes())))
}

/// A piece of a body that is given back in FULL_DUPLEX_STREAMED.
#[must_use]
pub fn duplex_reply(direction: Direction, body: &[u8], end_of_stream: bool) -> Response {
    let body = Bytes::copy_from_slice(body);
    let piece = StreamedBodyResponse { body, end_of_stream, ..Default::default() };
    body_reply(direction, Some(Mutation::StreamedResponse(piece)))
}

/// The reply to trailers that changes nothing.
#[must_use]
pub fn trailers_reply(direction: Direction) -> Response {
    match direction {
        Direction::Request => Response::RequestTrailers(TrailersResponse::default()),
        Direction::Response => Response::ResponseTrailers(TrailersResponse::default()),
    }
}

/// The head of a response that the processor gives itself, piece by piece.
#[must_use]
pub fn streamed_head(status: &'static str, end_of_stream: bool) -> Response {
    let status = HeaderValue {
        key: ":status".into(),
        raw_value: Bytes::from_static(status.as_bytes()),
        ..Default::default()
    };
    let headers = Some(HeaderMap { headers: vec![status] });
    let head = HttpHeaders { headers, end_of_stream, ..Default::default() };
    streamed(streamed_immediate_response::Response::HeadersResponse(head))
}

/// A piece of such a response.
#[must_use]
pub fn streamed_piece(body: &[u8], end_of_stream: bool) -> Response {
    let body = Bytes::copy_from_slice(body);
    let piece = StreamedBodyResponse { body, end_of_stream, ..Default::default() };
    streamed(streamed_immediate_response::Response::BodyResponse(piece))
}

fn streamed(response: streamed_immediate_response::Response) -> Response {
    Response::StreamedImmediateResponse(StreamedImmediateResponse { response: Some(response) })
}

/// The name of the field that says what a message to a processor is.
#[must_use]
pub fn kind_of(request: Option<&Request>) -> &'static str {
    match request {
        Some(Request::RequestHeaders(_)) => "request_headers",
        Some(Request::ResponseHeaders(_)) => "response_headers",
        Some(Request::RequestBody(_)) => "request_body",
        Some(Request::ResponseBody(_)) => "response_body",
        Some(Request::RequestTrailers(_)) => "request_trailers",
        Some(Request::ResponseTrailers(_)) => "response_trailers",
        None => "nothing",
    }
}
