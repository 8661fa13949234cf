//! Replies that follow from the message, and gRPC framing.

use bytes::{BufMut, Bytes, BytesMut};
use envoy_types::pb::envoy::service::ext_proc::v3::{
    BodyMutation, BodyResponse, CommonResponse, HeadersResponse, ProcessingResponse, StreamedBodyResponse,
    TrailersResponse, body_mutation::Mutation, processing_response::Response,
};
use prost::Message as _;
use serde_json::Value;

use crate::message::Message;

/// "Continue unchanged" for a message; `first` is the first message of the stream, which names the body modes.
pub(crate) fn unchanged(message: &Message, first: &Message) -> ProcessingResponse {
    let response = match message.kind.as_str() {
        "request_headers" => Some(Response::RequestHeaders(HeadersResponse::default())),
        "response_headers" => Some(Response::ResponseHeaders(HeadersResponse::default())),
        "request_body" => Some(Response::RequestBody(body(message, full_duplex(first, "request_body_mode")))),
        "response_body" => {
            Some(Response::ResponseBody(body(message, full_duplex(first, "response_body_mode"))))
        }
        "request_trailers" => Some(Response::RequestTrailers(TrailersResponse::default())),
        "response_trailers" => Some(Response::ResponseTrailers(TrailersResponse::default())),
        _ => None,
    };
    ProcessingResponse { response, ..ProcessingResponse::default() }
}

fn full_duplex(first: &Message, direction: &str) -> bool {
    let mode = first.context.get("protocol_config").and_then(|config| config.get(direction));
    mode.and_then(Value::as_str) == Some("FULL_DUPLEX_STREAMED")
}

/// In full duplex there is no "unchanged": the bytes have to be sent back (B-6.6).
fn body(message: &Message, full_duplex: bool) -> BodyResponse {
    let response = full_duplex.then(|| CommonResponse {
        body_mutation: Some(BodyMutation {
            mutation: Some(Mutation::StreamedResponse(StreamedBodyResponse {
                body: message.body.clone(),
                end_of_stream: message.end_of_stream,
                ..StreamedBodyResponse::default()
            })),
        }),
        ..CommonResponse::default()
    });
    BodyResponse { response }
}

/// Messages in gRPC's length-prefixed framing, one after the other.
pub(crate) fn frame(replies: &[ProcessingResponse]) -> Bytes {
    let mut bytes = BytesMut::new();
    for reply in replies {
        bytes.put_u8(0);
        bytes.put_u32(u32::try_from(reply.encoded_len()).unwrap_or(u32::MAX));
        bytes.extend_from_slice(&reply.encode_to_vec());
    }
    bytes.freeze()
}

/// Takes the next whole gRPC message off a buffer.
///
/// # Errors
/// A compressed or malformed frame.
pub(crate) fn unframe(buffer: &mut BytesMut) -> Result<Option<Bytes>, String> {
    let [flag, a, b, c, d, ..] = buffer[..] else { return Ok(None) };
    if flag != 0 {
        return Err(format!("a gRPC message with flags {flag}"));
    }
    let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).map_err(|error| error.to_string())?;
    if buffer.len() < 5 + length {
        return Ok(None);
    }
    let mut message = buffer.split_to(5 + length);
    Ok(Some(message.split_off(5).freeze()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_split_and_join() {
        let replies = [ProcessingResponse::default(), unchanged(&message("request_headers"), &message("x"))];
        let wire = frame(&replies);
        let mut buffer = BytesMut::new();
        let mut seen = Vec::new();
        for byte in wire {
            buffer.put_u8(byte);
            while let Some(bytes) = unframe(&mut buffer).expect("frame") {
                seen.push(ProcessingResponse::decode(bytes).expect("message"));
            }
        }
        assert_eq!(seen, replies);
    }

    fn message(kind: &str) -> Message {
        Message { kind: kind.to_owned(), ..Message::default() }
    }
}
