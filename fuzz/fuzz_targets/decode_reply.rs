//! Messages of a processor that lie in pieces, decoded with the body of the mutation beside them: the same as when they are
//! decoded in one piece by the generated code.

#![no_main]

use arbitrary::Arbitrary;
use bytes::Bytes;
use extproc::{
    Slices,
    codec::split_reply,
    messages::{
        BodyMutation, BodyResponse, CommonResponse, ProcessingResponse, StreamedBodyResponse,
        body_mutation::Mutation, processing_response::Response,
    },
};
use libfuzzer_sys::fuzz_target;
use prost::Message;

/// Around the size from which a field is not copied together.
const LARGE: usize = 16 * 1024;

#[derive(Debug, Arbitrary)]
enum Input {
    /// Any bytes.
    Raw { message: Vec<u8>, cuts: Vec<u16> },
    /// Messages behind each other, which protobuf merges.
    Built { parts: Vec<Part>, cuts: Vec<u16> },
}

#[derive(Debug, Arbitrary)]
struct Part {
    response: bool,
    kind: u8,
    /// Added to a size near the limit.
    size: i8,
    small: bool,
    end_of_stream: bool,
    /// An unknown field, as large.
    unknown: bool,
    tail: Vec<u8>,
}

impl Part {
    fn encode(&self, bytes: &mut Vec<u8>) {
        let size = if self.small {
            usize::from(self.size.unsigned_abs())
        } else {
            LARGE.saturating_add_signed(self.size.into())
        };
        let body = Bytes::from(vec![b'b'; size]);
        let mutation = match self.kind % 4 {
            0 => Some(Mutation::Body(body.clone())),
            1 => Some(Mutation::StreamedResponse(StreamedBodyResponse {
                body: body.clone(),
                end_of_stream: self.end_of_stream,
                ..StreamedBodyResponse::default()
            })),
            2 => Some(Mutation::ClearBody(true)),
            _ => None,
        };
        let common = CommonResponse {
            body_mutation: mutation.map(|mutation| BodyMutation { mutation: Some(mutation) }),
            ..CommonResponse::default()
        };
        let reply = BodyResponse { response: Some(common) };
        let response =
            if self.response { Response::ResponseBody(reply) } else { Response::RequestBody(reply) };
        let message = ProcessingResponse { response: Some(response), ..ProcessingResponse::default() };
        message.encode(bytes).expect("room");
        if self.unknown {
            // Field 1000, length-delimited.
            prost::encoding::encode_key(1000, prost::encoding::WireType::LengthDelimited, bytes);
            prost::encoding::encode_varint(body.len() as u64, bytes);
            bytes.extend_from_slice(&body);
        }
        bytes.extend_from_slice(&self.tail);
    }
}

fuzz_target!(|input: Input| {
    let (message, cuts) = match input {
        Input::Raw { message, cuts } => (message, cuts),
        Input::Built { parts, cuts } => {
            let mut message = Vec::new();
            parts.iter().take(4).for_each(|part| part.encode(&mut message));
            (message, cuts)
        }
    };
    let message = Bytes::from(message);
    let mut rest = message.clone();
    let mut slices = Slices::new();
    for cut in cuts {
        slices.push(rest.split_to(rest.len().min(cut.into())));
    }
    slices.push(rest);
    let whole = ProcessingResponse::decode(message);
    match (split_reply(slices), whole) {
        (Ok((mut reply, body)), Ok(whole)) => {
            put_back(&mut reply, body.into_bytes());
            assert_eq!(reply, whole);
        }
        (Err(_), Err(_)) => {}
        (split, whole) => panic!("{split:?} and {whole:?}"),
    }
});

/// Puts a body where it was.
fn put_back(reply: &mut ProcessingResponse, bytes: Bytes) {
    let mutation = match reply.response.as_mut() {
        Some(Response::RequestBody(reply) | Response::ResponseBody(reply)) => reply
            .response
            .as_mut()
            .and_then(|response| response.body_mutation.as_mut())
            .and_then(|mutation| mutation.mutation.as_mut()),
        _ => None,
    };
    match mutation {
        Some(Mutation::Body(body)) => *body = bytes,
        Some(Mutation::StreamedResponse(piece)) => piece.body = bytes,
        _ => assert!(bytes.is_empty(), "a body of nothing"),
    }
}
