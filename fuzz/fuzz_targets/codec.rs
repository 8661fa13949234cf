//! gRPC framing cut at random points, replies from random bytes, and requests written by hand against the generated
//! decoder.

#![no_main]

use arbitrary::Arbitrary;
use bytes::{Bytes, BytesMut};
use extproc::{
    Direction, ForwardRules, RequestHeaders,
    codec::{DecodeError, Decoder, Envelope, HeadersRef, encode_body, encode_headers},
    messages::{ProcessingRequest, ProcessingResponse, processing_request::Request},
    metadata::MetadataContext,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use libfuzzer_sys::fuzz_target;
use prost::Message;

/// Small enough that random lengths exceed it.
const LIMIT: usize = 4096;

#[derive(Debug, Arbitrary)]
struct Input {
    stream: Vec<u8>,
    cuts: Vec<u8>,
    fields: Vec<(String, Vec<u8>)>,
    body_length: u16,
    end_of_stream: bool,
}

fuzz_target!(|input: Input| {
    let whole = decode(std::iter::once(Bytes::copy_from_slice(&input.stream)));
    let cut = decode(cut(&input.stream, &input.cuts).into_iter());
    assert_eq!(whole, cut);
    for message in whole.0 {
        if let Ok(reply) = ProcessingResponse::decode(message) {
            let bytes = reply.encode_to_vec();
            let again = ProcessingResponse::decode(bytes.as_slice()).expect("own encoding");
            assert_eq!(again.encode_to_vec(), bytes);
        }
    }
    request_headers(&input);
    request_body(&input);
});

/// The messages, and how the stream ended.
fn decode(chunks: impl Iterator<Item = Bytes>) -> (Vec<Bytes>, Result<(), DecodeError>) {
    let mut decoder = Decoder::new(LIMIT);
    let mut messages = Vec::new();
    for chunk in chunks {
        decoder.push(chunk);
        loop {
            match decoder.next() {
                Ok(Some(message)) => messages.push(message.into_bytes()),
                Ok(None) => break,
                Err(error) => return (messages, Err(error)),
            }
        }
    }
    (messages, decoder.finish())
}

fn cut(bytes: &[u8], cuts: &[u8]) -> Vec<Bytes> {
    let mut rest = bytes;
    let mut chunks = Vec::new();
    for length in cuts {
        let (chunk, behind) = rest.split_at(rest.len().min(usize::from(*length)));
        chunks.push(Bytes::copy_from_slice(chunk));
        rest = behind;
    }
    chunks.push(Bytes::copy_from_slice(rest));
    chunks
}

/// The one message in `bytes`, as the generated decoder reads it.
fn read(bytes: Bytes) -> Request {
    let mut decoder = Decoder::new(1 << 20);
    decoder.push(bytes);
    let message = decoder.next().expect("framed").expect("whole");
    assert_eq!(decoder.finish(), Ok(()));
    ProcessingRequest::decode(message.into_bytes()).expect("a message").request.expect("a request")
}

fn request_headers(input: &Input) {
    let mut fields = HeaderMap::new();
    for (name, value) in &input.fields {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_bytes(value)) {
            fields.append(name, value);
        }
    }
    let request = RequestHeaders {
        method: Method::GET,
        scheme: HeaderValue::from_static("http"),
        authority: HeaderValue::from_static("h"),
        path: HeaderValue::from_static("/"),
        fields,
    };
    let mut out = BytesMut::new();
    let head = HeadersRef::Request(&request);
    let envelope = envelope();
    encode_headers(
        &mut out,
        Direction::Request,
        head,
        input.end_of_stream,
        &ForwardRules::default(),
        &envelope,
    );
    let Request::RequestHeaders(headers) = read(out.freeze()) else { panic!("wrong kind") };
    assert_eq!(headers.end_of_stream, input.end_of_stream);
    let entries = headers.headers.expect("headers").headers;
    let sent = entries.iter().skip(4).map(|entry| (entry.key.as_str(), entry.raw_value.as_ref()));
    assert!(sent.eq(request.fields.iter().map(|(name, value)| (name.as_str(), value.as_bytes()))));
}

fn request_body(input: &Input) {
    let body = Bytes::from(vec![7; input.body_length.into()]);
    let mut out = BytesMut::new();
    let envelope = envelope();
    let behind =
        encode_body(&mut out, Direction::Request, body.clone().into(), input.end_of_stream, &envelope);
    out.extend_from_slice(&behind.into_bytes());
    let Request::RequestBody(sent) = read(out.freeze()) else { panic!("wrong kind") };
    assert_eq!((sent.body, sent.end_of_stream), (body, input.end_of_stream));
}

fn envelope() -> Envelope<'static> {
    Envelope {
        protocol_config: None,
        attributes: None,
        metadata_context: MetadataContext::default(),
        observability_mode: false,
    }
}
