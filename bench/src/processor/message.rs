//! The few fields of ext_proc messages that the processor reads and writes, by hand and without copies.

use super::Behavior;
use crate::Result;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Request,
    Response,
}

impl Direction {
    pub(super) fn is_response(self) -> bool {
        self == Self::Response
    }
}

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part<'a> {
    Headers(Direction),
    Body(Direction, &'a [u8]),
    Trailers(Direction),
}

/// A `ProcessingRequest`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request<'a> {
    pub(super) part: Part<'a>,
    pub(super) observability: bool,
    end_of_stream: bool,
}

impl<'a> Request<'a> {
    pub(super) fn parse(message: &'a [u8]) -> Result<Self> {
        let mut part = None;
        let mut observability = false;
        let mut end_of_stream = false;
        for field in Fields(message) {
            let (number, value) = field?;
            let direction =
                if matches!(number, 2 | 4 | 6) { Direction::Request } else { Direction::Response };
            match number {
                2 | 3 => part = Some(Part::Headers(direction)),
                4 | 5 => {
                    let mut body: &[u8] = &[];
                    for field in Fields(value.bytes()) {
                        match field? {
                            (1, value) => body = value.bytes(),
                            (2, value) => end_of_stream = value.is_true(),
                            _ => {}
                        }
                    }
                    part = Some(Part::Body(direction, body));
                }
                6 | 7 => part = Some(Part::Trailers(direction)),
                10 => observability = value.is_true(),
                _ => {}
            }
        }
        Ok(Self { part: part.ok_or("a message about nothing")?, observability, end_of_stream })
    }
}

/// The framed `ProcessingResponse`, its body apart.
#[derive(Debug)]
pub(super) struct Reply<'a> {
    number: u8,
    content: Content<'a>,
}

#[derive(Debug)]
enum Content<'a> {
    Constant(&'static [u8]),
    Streamed { body: &'a [u8], end_of_stream: bool },
}

/// `HeadersResponse { response: { header_mutation: { set_headers: [...] } } }` with two headers to overwrite.
const SET_TWO: &[u8] = b"\x0a\x3b\x12\x39\
    \x0a\x18\x0a\x14\x0a\x0ex-bench-tenant\x1a\x0242\x18\x02\
    \x0a\x1d\x0a\x19\x0a\x0dx-bench-class\x1a\x08standard\x18\x02";
/// `ImmediateResponse { status: { code: 403 } }`.
const FORBIDDEN: &[u8] = b"\x0a\x03\x08\x93\x03";

impl<'a> Reply<'a> {
    pub(super) fn to(request: &Request<'a>, behavior: Behavior) -> Self {
        match request.part {
            Part::Headers(Direction::Request) if behavior == Behavior::Immediate => {
                Self { number: 7, content: Content::Constant(FORBIDDEN) }
            }
            Part::Headers(Direction::Request) => Self { number: 1, content: Content::Constant(SET_TWO) },
            Part::Headers(Direction::Response) => Self { number: 2, content: Content::Constant(&[]) },
            Part::Body(direction, body) => Self {
                number: if direction.is_response() { 4 } else { 3 },
                content: if behavior == Behavior::Echo {
                    Content::Streamed { body, end_of_stream: request.end_of_stream }
                } else {
                    Content::Constant(&[])
                },
            },
            Part::Trailers(direction) => {
                Self { number: if direction.is_response() { 6 } else { 5 }, content: Content::Constant(&[]) }
            }
        }
    }

    /// Appends everything before the body.
    pub(super) fn head(&self, out: &mut Vec<u8>) {
        let tag = self.number << 3 | 2;
        match self.content {
            Content::Constant(content) => {
                prefix(out, 1 + varint_len(content.len()) + content.len());
                out.push(tag);
                put_varint(out, content.len());
                out.extend_from_slice(content);
            }
            // BodyResponse { 1: CommonResponse { 3: BodyMutation { 3: StreamedBodyResponse { 2: end, 1: body } } } }
            Content::Streamed { body, end_of_stream } => {
                let flag = if end_of_stream { 2 } else { 0 };
                let streamed = flag + 1 + varint_len(body.len()) + body.len();
                let mutation = 1 + varint_len(streamed) + streamed;
                let common = 1 + varint_len(mutation) + mutation;
                let response = 1 + varint_len(common) + common;
                prefix(out, 1 + varint_len(response) + response);
                for (tag, length) in [(tag, response), (0x0a, common), (0x1a, mutation), (0x1a, streamed)] {
                    out.push(tag);
                    put_varint(out, length);
                }
                if end_of_stream {
                    out.extend_from_slice(&[0x10, 1]);
                }
                out.push(0x0a);
                put_varint(out, body.len());
            }
        }
    }

    pub(super) fn body(&self) -> &'a [u8] {
        match self.content {
            Content::Constant(_) => &[],
            Content::Streamed { body, .. } => body,
        }
    }
}

fn prefix(out: &mut Vec<u8>, length: usize) {
    out.push(0);
    out.extend((length as u32).to_be_bytes());
}

fn varint_len(value: usize) -> usize {
    (usize::BITS - (value | 1).leading_zeros()).div_ceil(7) as usize
}

fn put_varint(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The fields of an encoded message.
struct Fields<'a>(&'a [u8]);

#[derive(Debug, Clone, Copy)]
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    fn bytes(self) -> &'a [u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Number(_) => &[],
        }
    }

    fn is_true(self) -> bool {
        matches!(self, Self::Number(number) if number != 0)
    }
}

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn field(&mut self) -> Option<(u64, Value<'a>)> {
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Value::Number(self.varint()?),
            1 => Value::Bytes(self.take(8)?),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Bytes(self.take(4)?),
            _ => return None,
        };
        Some((key >> 3, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field.ok_or_else(|| "not a protobuf message".into()))
    }
}

#[cfg(test)]
mod tests {
    use extproc::messages::{
        HttpBody, HttpHeaders, ProcessingRequest, ProcessingResponse, body_mutation, processing_request,
        processing_response,
    };
    use prost::Message;

    use super::*;

    fn reply(request: processing_request::Request, behavior: Behavior) -> processing_response::Response {
        let request = ProcessingRequest { request: Some(request), ..Default::default() }.encode_to_vec();
        let request = Request::parse(&request).expect("valid");
        let reply = Reply::to(&request, behavior);
        let mut bytes = Vec::new();
        reply.head(&mut bytes);
        bytes.extend_from_slice(reply.body());
        let length = u32::from_be_bytes([bytes[1], bytes[2], bytes[3], bytes[4]]) as usize;
        assert_eq!(length, bytes.len() - 5);
        ProcessingResponse::decode(&bytes[5..]).expect("valid").response.expect("a reply")
    }

    #[test]
    fn request_headers_are_answered_with_two_headers() {
        let headers = HttpHeaders::default();
        let answer = reply(processing_request::Request::RequestHeaders(headers.clone()), Behavior::Continue);
        let processing_response::Response::RequestHeaders(answer) = answer else {
            panic!("{answer:?}");
        };
        let set = answer.response.and_then(|common| common.header_mutation).expect("a mutation").set_headers;
        let set: Vec<_> = set.into_iter().filter_map(|option| option.header).collect();
        assert_eq!(set.len(), 2);
        assert_eq!((&*set[0].key, &*set[0].raw_value), ("x-bench-tenant", &b"42"[..]));
        assert_eq!((&*set[1].key, &*set[1].raw_value), ("x-bench-class", &b"standard"[..]));
        let answer = reply(processing_request::Request::RequestHeaders(headers), Behavior::Immediate);
        let processing_response::Response::ImmediateResponse(answer) = answer else {
            panic!("{answer:?}");
        };
        assert_eq!(answer.status.map(|status| status.code), Some(403));
    }

    #[test]
    fn bodies_come_back() {
        for size in [0, 1, 200, 70_000] {
            let body =
                HttpBody { body: vec![7; size].into(), end_of_stream: size == 200, ..Default::default() };
            let answer = reply(processing_request::Request::ResponseBody(body.clone()), Behavior::Echo);
            let processing_response::Response::ResponseBody(answer) = answer else {
                panic!("{answer:?}");
            };
            let mutation = answer.response.and_then(|common| common.body_mutation).and_then(|it| it.mutation);
            let Some(body_mutation::Mutation::StreamedResponse(streamed)) = mutation else {
                panic!("{mutation:?}");
            };
            assert_eq!((streamed.body, streamed.end_of_stream), (body.body, body.end_of_stream));
        }
    }
}
