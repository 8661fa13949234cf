//! Messages with their gRPC framing.

use bytes::{BufMut, Bytes, BytesMut};
use extproc::messages::{
    CommonResponse, ProcessingResponse, StreamedBodyResponse, body_mutation::Mutation,
    processing_response::Response,
};
use prost::{
    Message,
    encoding::{WireType, encode_key, encode_varint, encoded_len_varint},
};

/// A body of this size is not copied. A smaller one costs less to copy than a frame of its own does.
const LARGE: usize = 8 << 10;

/// Frames a message: its beginning, and a large body that ends it.
pub(crate) fn framed(mut message: ProcessingResponse) -> (Bytes, Option<Bytes>) {
    if let Some((tag, common, body)) = take_large_body(&mut message) {
        return framed_body(&message, tag, &common, body);
    }
    (framed_whole(&message), None)
}

/// Frames a message in one piece.
pub(crate) fn framed_whole(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut out = BytesMut::with_capacity(5 + length);
    put_prefix(&mut out, length);
    message.encode_raw(&mut out);
    out.freeze()
}

fn put_prefix(out: &mut BytesMut, length: usize) {
    out.put_u8(0);
    out.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
}

/// A large body, and the piece of FULL_DUPLEX_STREAMED that it belongs to, if it does.
struct Large {
    body: Bytes,
    piece: Option<StreamedBodyResponse>,
}

/// Takes the reply to a body out of a message, if it has a large body.
fn take_large_body(message: &mut ProcessingResponse) -> Option<(u32, CommonResponse, Large)> {
    let (tag, reply) = match message.response.as_mut()? {
        Response::RequestBody(reply) => (3, reply),
        Response::ResponseBody(reply) => (4, reply),
        _ => return None,
    };
    let common = reply.response.as_mut()?;
    let large = match common.body_mutation.as_ref()?.mutation.as_ref()? {
        Mutation::Body(body) => body.len() >= LARGE,
        Mutation::StreamedResponse(piece) => piece.body.len() >= LARGE,
        Mutation::ClearBody(_) => false,
    };
    if !large {
        return None;
    }
    let large = match common.body_mutation.take()?.mutation? {
        Mutation::Body(body) => Large { body, piece: None },
        Mutation::StreamedResponse(mut piece) => {
            Large { body: std::mem::take(&mut piece.body), piece: Some(piece) }
        }
        Mutation::ClearBody(_) => return None,
    };
    let common = std::mem::take(common);
    message.response = None;
    Some((tag, common, large))
}

/// Bytes of a length-delimited field with a tag below 16.
fn field(content: usize) -> usize {
    1 + encoded_len_varint(content as u64) + content
}

fn put_field(out: &mut BytesMut, tag: u32, content: usize) {
    encode_key(tag, WireType::LengthDelimited, out);
    encode_varint(content as u64, out);
}

/// Fields may come in any order, so each message ends with the one that holds the body.
fn framed_body(
    rest: &ProcessingResponse,
    tag: u32,
    common: &CommonResponse,
    large: Large,
) -> (Bytes, Option<Bytes>) {
    let Large { body, piece: streamed } = large;
    let piece = streamed.as_ref().map_or(0, Message::encoded_len);
    // `body` of the mutation or of the piece has the tag 1 in both.
    let mut mutation = field(body.len());
    if streamed.is_some() {
        mutation = field(piece + mutation);
    }
    let reply = field(common.encoded_len() + field(mutation));
    let length = rest.encoded_len() + field(reply);
    let mut out = BytesMut::with_capacity(5 + length - body.len());
    put_prefix(&mut out, length);
    rest.encode_raw(&mut out);
    put_field(&mut out, tag, reply);
    put_field(&mut out, 1, common.encoded_len() + field(mutation));
    common.encode_raw(&mut out);
    put_field(&mut out, 3, mutation);
    if let Some(streamed) = streamed {
        put_field(&mut out, 3, piece + field(body.len()));
        streamed.encode_raw(&mut out);
    }
    put_field(&mut out, 1, body.len());
    (out.freeze(), Some(body))
}

#[cfg(test)]
mod tests {
    use extproc::messages::{BodyMutation, BodyResponse, HeaderMutation, Struct};

    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        let body = Bytes::from(vec![b'a'; 30_000]);
        let piece = StreamedBodyResponse { body: body.clone(), end_of_stream: true, ..Default::default() };
        let header_mutation = Some(HeaderMutation { remove_headers: vec!["x".into()], ..Default::default() });
        for mutation in [Mutation::Body(body), Mutation::StreamedResponse(piece), Mutation::ClearBody(true)] {
            for (header_mutation, metadata) in
                [(None, None), (header_mutation.clone(), Some(Struct::default()))]
            {
                let common = CommonResponse {
                    header_mutation,
                    clear_route_cache: metadata.is_some(),
                    body_mutation: Some(BodyMutation { mutation: Some(mutation.clone()) }),
                    ..Default::default()
                };
                let reply = BodyResponse { response: Some(common) };
                for response in [Response::RequestBody(reply.clone()), Response::ResponseBody(reply)] {
                    let message = ProcessingResponse {
                        response: Some(response),
                        dynamic_metadata: metadata.clone(),
                        ..Default::default()
                    };
                    let (mut frame, payload) = framed(message.clone());
                    assert_eq!(payload.is_some(), !matches!(mutation, Mutation::ClearBody(_)));
                    frame = [frame, payload.unwrap_or_default()].concat().into();
                    assert_eq!(frame[..5], [&[0][..], &(frame.len() as u32 - 5).to_be_bytes()].concat());
                    assert_eq!(ProcessingResponse::decode(&frame[5..]).unwrap(), message);
                }
            }
        }
    }
}
