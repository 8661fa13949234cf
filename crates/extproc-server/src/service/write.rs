//! Messages with their gRPC framing.

use bytes::{BufMut, Bytes};
use extproc::messages::{
    CommonResponse, HeaderValueOption, ProcessingResponse, StreamedBodyResponse, body_mutation::Mutation,
    processing_response::Response,
};
use prost::{
    Message,
    encoding::{encode_varint, encoded_len_varint},
};

/// A body of this size is not copied. A smaller one costs less to copy than a frame of its own does.
const LARGE: usize = 8 << 10;

/// Frames a message: its beginning, and a large body that ends it.
pub(crate) fn framed(mut message: ProcessingResponse) -> (Bytes, Option<Bytes>) {
    if let Some((tag, common, body)) = take_large_body(&mut message) {
        return framed_body(&message, tag, &common, body);
    }
    (framed_headers(&message).unwrap_or_else(|| framed_whole(&message)), None)
}

/// Frames a message in one piece.
pub(crate) fn framed_whole(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut out = Vec::with_capacity(5 + length);
    put_prefix(&mut out, length);
    message.encode_raw(&mut out);
    out.into()
}

/// Frames a reply to headers, which is what most messages are: each length is found out once, where encoding in general measures
/// every part again for each part around it. `None` if it says more than what headers become.
fn framed_headers(message: &ProcessingResponse) -> Option<Bytes> {
    let ProcessingResponse {
        dynamic_metadata: None,
        typed_dynamic_metadata,
        mode_override: None,
        request_drain: false,
        request_drain_requests: false,
        request_drain_responses: false,
        override_message_timeout: None,
        server_window_update: None,
        response: Some(response),
    } = message
    else {
        return None;
    };
    let (tag, reply) = match response {
        Response::RequestHeaders(reply) if typed_dynamic_metadata.is_empty() => (1, reply),
        Response::ResponseHeaders(reply) if typed_dynamic_metadata.is_empty() => (2, reply),
        _ => return None,
    };
    let CommonResponse {
        status: 0,
        header_mutation: Some(mutation),
        body_mutation: None,
        trailers: None,
        clear_route_cache,
    } = reply.response.as_ref()?
    else {
        return None;
    };
    let mut fields = 0;
    for option in &mutation.set_headers {
        fields += field(Setting::of(option)?.length());
    }
    for name in &mutation.remove_headers {
        fields += field(name.len());
    }
    let common_length = field(fields) + 2 * usize::from(*clear_route_cache);
    let reply_length = field(common_length);
    let length = field(reply_length);
    let mut out = Vec::with_capacity(5 + length);
    put_prefix(&mut out, length);
    put_field(&mut out, tag, reply_length);
    put_field(&mut out, 1, common_length);
    put_field(&mut out, 2, fields);
    for option in &mutation.set_headers {
        Setting::of(option)?.put(&mut out);
    }
    for name in &mutation.remove_headers {
        put_field(&mut out, 2, name.len());
        out.extend_from_slice(name.as_bytes());
    }
    if *clear_route_cache {
        out.extend_from_slice(&[5 << 3, 1]);
    }
    debug_assert_eq!(out.len(), 5 + length, "a length is wrong");
    Some(out.into())
}

/// A header that is set, as it is written by this crate.
struct Setting<'m> {
    key: &'m [u8],
    value: &'m [u8],
    append: bool,
    action: u8,
}

impl<'m> Setting<'m> {
    fn of(option: &'m HeaderValueOption) -> Option<Self> {
        let header = option.header.as_ref()?;
        let append = option.append.is_some_and(|append| append.value);
        let plain = header.value.is_empty()
            && option.append.is_none_or(|append| append.value)
            && !option.keep_empty_value
            && (0..0x80).contains(&option.append_action);
        plain.then(|| Self {
            key: header.key.as_bytes(),
            value: &header.raw_value,
            append,
            action: option.append_action as u8,
        })
    }

    fn header_length(&self) -> usize {
        bytes_field(self.key) + bytes_field(self.value)
    }

    fn length(&self) -> usize {
        // `append` is a message with a bool in it.
        field(self.header_length()) + 4 * usize::from(self.append) + 2 * usize::from(self.action != 0)
    }

    fn put(&self, out: &mut Vec<u8>) {
        put_field(out, 1, self.length());
        put_field(out, 1, self.header_length());
        put_bytes(out, 1, self.key);
        put_bytes(out, 3, self.value);
        if self.append {
            out.extend_from_slice(&[2 << 3 | 2, 2, 1 << 3, 1]);
        }
        if self.action != 0 {
            out.extend_from_slice(&[3 << 3, self.action]);
        }
    }
}

/// Bytes of a field of bytes, which is not written if there are none.
fn bytes_field(content: &[u8]) -> usize {
    if content.is_empty() { 0 } else { field(content.len()) }
}

fn put_bytes(out: &mut Vec<u8>, tag: u8, content: &[u8]) {
    if !content.is_empty() {
        put_field(out, tag, content.len());
        out.extend_from_slice(content);
    }
}

fn put_prefix(out: &mut Vec<u8>, length: usize) {
    out.put_u8(0);
    out.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
}

/// A large body, and the piece of FULL_DUPLEX_STREAMED that it belongs to, if it does.
struct Large {
    body: Bytes,
    piece: Option<StreamedBodyResponse>,
}

/// Takes the reply to a body out of a message, if it has a large body.
fn take_large_body(message: &mut ProcessingResponse) -> Option<(u8, CommonResponse, Large)> {
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

/// Begins a length-delimited field with a tag below 16.
fn put_field(out: &mut Vec<u8>, tag: u8, content: usize) {
    const DELIMITED: u8 = 2;
    out.push(tag << 3 | DELIMITED);
    match u8::try_from(content) {
        Ok(short @ ..0x80) => out.push(short),
        _ => encode_varint(content as u64, out),
    }
}

/// Fields may come in any order, so each message ends with the one that holds the body.
fn framed_body(
    rest: &ProcessingResponse,
    tag: u8,
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
    let mut out = Vec::with_capacity(5 + length - body.len());
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
    (out.into(), Some(body))
}

#[cfg(test)]
mod tests {
    use extproc::messages::{
        BodyMutation, BodyResponse, BoolValue, HeaderMutation, HeaderValue, HeadersResponse, Struct,
    };
    use proptest::{collection::vec, option, prelude::*};

    use super::*;

    fn set_header() -> impl Strategy<Value = HeaderValueOption> {
        let header =
            ("[a-z:-]{0,200}", "[a-z]{0,1}", vec(any::<u8>(), 0..200)).prop_map(|(key, value, raw)| {
                // Rarely, for it is never written.
                let value = if value == "z" { value } else { String::new() };
                HeaderValue { key, value, raw_value: raw.into() }
            });
        (option::of(header), option::of(any::<bool>()), 0..4_i32).prop_map(
            |(header, append, append_action)| HeaderValueOption {
                header,
                append: append.map(|value| BoolValue { value }),
                append_action,
                ..Default::default()
            },
        )
    }

    proptest! {
        /// Whatever a reply to headers says is what is read.
        #[test]
        fn replies_to_headers_are_read_as_they_were_meant(
            set_headers in vec(set_header(), 0..5),
            remove_headers in vec("[a-z]{0,200}", 0..3),
            (request, clear_route_cache) in any::<(bool, bool)>(),
            (without, status, with_metadata) in any::<(bool, bool, bool)>(),
        ) {
            let mutation = HeaderMutation { set_headers, remove_headers };
            let common = CommonResponse {
                status: i32::from(status),
                header_mutation: (!without).then_some(mutation),
                clear_route_cache,
                ..Default::default()
            };
            let reply = HeadersResponse { response: Some(common) };
            let response =
                if request { Response::RequestHeaders(reply) } else { Response::ResponseHeaders(reply) };
            let message = ProcessingResponse {
                response: Some(response),
                dynamic_metadata: with_metadata.then(Struct::default),
                ..Default::default()
            };
            let (frame, _) = framed(message.clone());
            prop_assert_eq!(&frame[..5], &[&[0][..], &(frame.len() as u32 - 5).to_be_bytes()].concat());
            let read = ProcessingResponse::decode(&frame[5..]).unwrap();
            prop_assert_eq!(read, message);
        }
    }

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
