//! Messages of the processor, decoded without copying the large bodies in them.

use bytes::{Buf, Bytes};
use prost::{DecodeError, Message};

use crate::{
    messages::{ProcessingResponse, body_mutation::Mutation, processing_response::Response},
    slices::Slices,
};

/// A field of at least this size is not copied together.
const LARGE: usize = 16 * 1024;

/// Stands for the field that was not copied; told by its address.
static MARKER: [u8; 1] = [0];

/// Decodes a message. The bytes of the body mutation in the reply to a body are moved out of it and stand beside it: in a
/// message that arrived in several slices they are in several slices, too.
pub(crate) fn decode_reply(message: Slices) -> Result<(ProcessingResponse, Slices), DecodeError> {
    let mut reader = Reader::new(&message);
    let mut reply = ProcessingResponse::decode(&mut reader)?;
    if let Some(taken) = reader.taken {
        if let Some(body) = body_mut(&mut reply)
            && body.as_ptr() == MARKER.as_ptr()
        {
            *body = Bytes::new();
            return Ok((reply, taken));
        }
        // Another large field, or one that was overwritten by a later one.
        reply = ProcessingResponse::decode(message.into_bytes())?;
    }
    let body = body_mut(&mut reply).map(std::mem::take).unwrap_or_default();
    Ok((reply, body.into()))
}

/// The bytes of the mutation in the reply to a body.
fn body_mut(reply: &mut ProcessingResponse) -> Option<&mut Bytes> {
    let (Response::RequestBody(reply) | Response::ResponseBody(reply)) = reply.response.as_mut()? else {
        return None;
    };
    match reply.response.as_mut()?.body_mutation.as_mut()?.mutation.as_mut()? {
        Mutation::Body(body) => Some(body),
        Mutation::StreamedResponse(piece) => Some(&mut piece.body),
        Mutation::ClearBody(_) => None,
    }
}

/// Reads slices one after the other. The first large field that lies in several is taken out instead of being copied.
struct Reader<'a> {
    current: Bytes,
    rest: std::slice::Iter<'a, Bytes>,
    remaining: usize,
    taken: Option<Slices>,
}

impl<'a> Reader<'a> {
    fn new(message: &'a Slices) -> Self {
        let (first, rest) = message.split_first();
        Self { current: first.clone(), rest: rest.iter(), remaining: message.len(), taken: None }
    }

    /// The next bytes as they lie.
    fn take_slices(&mut self, mut count: usize) -> Slices {
        let mut slices = Slices::new();
        while count > 0 {
            let slice = self.current.split_to(count.min(self.current.len()));
            count -= slice.len();
            self.advance_over(slice.len());
            slices.push(slice);
        }
        slices
    }

    /// `count` bytes of the current slice were read.
    fn advance_over(&mut self, count: usize) {
        self.remaining -= count;
        if self.current.is_empty()
            && let Some(next) = self.rest.next()
        {
            self.current = next.clone();
        }
    }
}

impl Buf for Reader<'_> {
    fn remaining(&self) -> usize {
        self.remaining
    }

    fn chunk(&self) -> &[u8] {
        &self.current
    }

    fn advance(&mut self, mut count: usize) {
        assert!(count <= self.remaining, "advanced beyond the message");
        while count > 0 {
            let step = count.min(self.current.len());
            self.current.advance(step);
            self.advance_over(step);
            count -= step;
        }
    }

    fn copy_to_bytes(&mut self, length: usize) -> Bytes {
        assert!(length <= self.remaining, "read beyond the message");
        if length <= self.current.len() {
            let bytes = self.current.split_to(length);
            self.advance_over(length);
            return bytes;
        }
        let field = self.take_slices(length);
        if length >= LARGE && self.taken.is_none() {
            self.taken = Some(field);
            return Bytes::from_static(&MARKER);
        }
        field.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::{
        BodyMutation, BodyResponse, CommonResponse, HeaderMutation, HeaderValue, HeaderValueOption,
        HeadersResponse, StreamedBodyResponse,
    };

    fn cut(bytes: &[u8], size: usize) -> Slices {
        let mut slices = Slices::new();
        bytes.chunks(size).for_each(|chunk| slices.push(Bytes::copy_from_slice(chunk)));
        slices
    }

    fn common(mutation: Mutation) -> CommonResponse {
        CommonResponse {
            body_mutation: Some(BodyMutation { mutation: Some(mutation) }),
            ..Default::default()
        }
    }

    fn reply(response: Response) -> ProcessingResponse {
        ProcessingResponse { response: Some(response), ..Default::default() }
    }

    fn body(length: usize) -> Bytes {
        (0..length).map(|index| (index % 251) as u8).collect()
    }

    /// Wherever a message is cut, its content is the same.
    #[test]
    fn bodies_stand_beside_their_message() {
        for length in [0, 1, 100, LARGE - 1, LARGE, 5 * LARGE] {
            for streamed in [false, true] {
                let mutation = |body| {
                    if streamed {
                        let end_of_stream = true;
                        let piece = StreamedBodyResponse { body, end_of_stream, ..Default::default() };
                        Mutation::StreamedResponse(piece)
                    } else {
                        Mutation::Body(body)
                    }
                };
                let whole = |body| {
                    reply(Response::ResponseBody(BodyResponse { response: Some(common(mutation(body))) }))
                };
                let bytes = whole(body(length)).encode_to_vec();
                for size in [1, 7, 1000, LARGE, usize::MAX] {
                    let (decoded, found) = decode_reply(cut(&bytes, size)).expect("valid");
                    assert_eq!(decoded, whole(Bytes::new()), "{length} bytes cut to {size}");
                    assert_eq!(found.into_bytes(), body(length), "{length} bytes cut to {size}");
                }
            }
        }
    }

    /// Bodies in place of a message that is continued, and large fields that are no bodies, stay where they are.
    #[test]
    fn other_large_fields_are_joined() {
        let replaced = reply(Response::RequestHeaders(HeadersResponse {
            response: Some(common(Mutation::Body(body(3 * LARGE)))),
        }));
        let header = HeaderValueOption {
            header: Some(HeaderValue {
                key: "x-large".into(),
                raw_value: body(2 * LARGE),
                ..Default::default()
            }),
            ..Default::default()
        };
        let mutation = HeaderMutation { set_headers: vec![header], ..Default::default() };
        let beside = |body| {
            let common =
                CommonResponse { header_mutation: Some(mutation.clone()), ..common(Mutation::Body(body)) };
            reply(Response::RequestBody(BodyResponse { response: Some(common) }))
        };
        for size in [1000, LARGE] {
            let (decoded, found) = decode_reply(cut(&replaced.encode_to_vec(), size)).expect("valid");
            assert_eq!((decoded, found), (replaced.clone(), Slices::new()));
            let bytes = beside(body(4 * LARGE)).encode_to_vec();
            let (decoded, found) = decode_reply(cut(&bytes, size)).expect("valid");
            assert_eq!((decoded, found.into_bytes()), (beside(Bytes::new()), body(4 * LARGE)));
        }
    }

    /// What is announced and does not come is an error (F-12), as in one slice.
    #[test]
    fn truncated_messages_are_refused() {
        let whole = reply(Response::RequestBody(BodyResponse {
            response: Some(common(Mutation::Body(body(2 * LARGE)))),
        }));
        let bytes = whole.encode_to_vec();
        for length in [1, 5, 10, LARGE, bytes.len() - 1] {
            assert!(decode_reply(cut(&bytes[..length], 4096)).is_err(), "{length}");
        }
    }
}
