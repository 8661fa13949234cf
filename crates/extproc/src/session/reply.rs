//! The replies of a direction.

use bytes::Bytes;

use crate::{
    Direction,
    messages::{
        BodyMutation, BodyResponse, CommonResponse, HeaderMutation, HeaderValue, HeaderValueOption,
        HeadersResponse, ProcessingResponse, StreamedBodyResponse, TrailersResponse, append_action,
        body_mutation::Mutation, processing_response::Response, streamed_immediate_response,
    },
};

pub(super) fn headers(direction: Direction, common: CommonResponse) -> Response {
    let reply = HeadersResponse { response: Some(common) };
    match direction {
        Direction::Request => Response::RequestHeaders(reply),
        Direction::Response => Response::ResponseHeaders(reply),
    }
}

fn common_body(direction: Direction, common: CommonResponse) -> Response {
    let reply = BodyResponse { response: Some(common) };
    match direction {
        Direction::Request => Response::RequestBody(reply),
        Direction::Response => Response::ResponseBody(reply),
    }
}

/// To a body or a piece of one: unchanged if there is no `body`.
pub(super) fn body(
    direction: Direction,
    body: Option<Bytes>,
    header_mutation: Option<HeaderMutation>,
    clear_route_cache: bool,
) -> Response {
    let body_mutation = body.map(|body| BodyMutation {
        mutation: Some(if body.is_empty() { Mutation::ClearBody(true) } else { Mutation::Body(body) }),
    });
    let common =
        CommonResponse { body_mutation, header_mutation, clear_route_cache, ..CommonResponse::default() };
    common_body(direction, common)
}

/// A piece in FULL_DUPLEX_STREAMED.
pub(super) fn piece(direction: Direction, body: Bytes, end_of_stream: bool) -> Response {
    let piece = StreamedBodyResponse { body, end_of_stream, ..StreamedBodyResponse::default() };
    let body_mutation = Some(BodyMutation { mutation: Some(Mutation::StreamedResponse(piece)) });
    common_body(direction, CommonResponse { body_mutation, ..CommonResponse::default() })
}

pub(super) fn trailers(direction: Direction, header_mutation: Option<HeaderMutation>) -> Response {
    let reply = TrailersResponse { header_mutation };
    match direction {
        Direction::Request => Response::RequestTrailers(reply),
        Direction::Response => Response::ResponseTrailers(reply),
    }
}

/// Bytes of the body in a message.
pub(super) fn body_length(message: &ProcessingResponse) -> usize {
    let in_common = |common: &Option<CommonResponse>| {
        let body = common.as_ref().and_then(|common| common.body_mutation.as_ref()?.mutation.as_ref());
        match body {
            Some(Mutation::Body(body)) => body.len(),
            Some(Mutation::StreamedResponse(piece)) => piece.body.len(),
            Some(Mutation::ClearBody(_)) | None => 0,
        }
    };
    match &message.response {
        Some(Response::RequestHeaders(reply) | Response::ResponseHeaders(reply)) => {
            in_common(&reply.response)
        }
        Some(Response::RequestBody(reply) | Response::ResponseBody(reply)) => in_common(&reply.response),
        Some(Response::ImmediateResponse(response)) => response.body.len(),
        Some(Response::StreamedImmediateResponse(piece)) => match &piece.response {
            Some(streamed_immediate_response::Response::BodyResponse(piece)) => piece.body.len(),
            _ => 0,
        },
        Some(Response::RequestTrailers(_) | Response::ResponseTrailers(_)) | None => 0,
    }
}

/// Announces the length of a new body.
pub(super) fn set_length(mutation: &mut HeaderMutation, length: usize) {
    mutation.remove_headers.retain(|name| !name.eq_ignore_ascii_case("content-length"));
    let header = HeaderValue {
        key: "content-length".to_owned(),
        raw_value: length.to_string().into(),
        ..HeaderValue::default()
    };
    mutation.set_headers.push(HeaderValueOption {
        header: Some(header),
        append_action: append_action::OVERWRITE_IF_EXISTS_OR_ADD,
        ..HeaderValueOption::default()
    });
}
