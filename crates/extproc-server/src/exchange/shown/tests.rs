use extproc::messages::{
    HeaderMap, HeaderValue, HttpBody, HttpHeaders, Metadata, ProtocolConfiguration, Struct, Value,
    processing_request::Request, value::Kind,
};
use proptest::{collection::vec, option, prelude::*};

use super::*;

/// What the ordinary way of reading it comes to.
fn decoded(bytes: &Bytes) -> Option<(Direction, Shown, bool, ProcessingRequest)> {
    let mut message = ProcessingRequest::decode(bytes.clone()).ok()?;
    let (direction, head) = match message.request.take()? {
        Request::RequestHeaders(head) => (Direction::Request, head),
        Request::ResponseHeaders(head) => (Direction::Response, head),
        _ => return None,
    };
    Some((direction, Shown::from(&head.headers.unwrap_or_default()), head.end_of_stream, message))
}

fn fields(shown: &Shown) -> Vec<(Bytes, Bytes)> {
    shown.iter().map(|field| (Bytes::copy_from_slice(field.name()), field.shared_value())).collect()
}

fn is_read_as_decoded(bytes: &Bytes) {
    if let Some(read) = HeadMessage::read(bytes) {
        let (direction, shown, end_stream, rest) = decoded(bytes).expect("what is read is valid");
        assert_eq!(
            (read.direction, fields(&read.shown), read.end_stream, read.rest),
            (direction, fields(&shown), end_stream, rest)
        );
    }
}

fn header() -> impl Strategy<Value = HeaderValue> {
    let value = vec(any::<u8>(), 0..200).prop_map(Bytes::from);
    (":?[a-zA-Zä-]{0,20}", "[ -~]{0,5}", value).prop_map(|(key, value, raw_value)| HeaderValue {
        key,
        value,
        raw_value,
    })
}

fn attributes() -> impl Strategy<Value = Struct> {
    ("[a-z.]{1,20}", "[ -~]{0,20}").prop_map(|(name, text)| Struct {
        fields: [(name, Value { kind: Some(Kind::StringValue(text)) })].into(),
    })
}

prop_compose! {
    fn message()(
        headers in option::of(vec(header(), 0..40)),
        (request, end_of_stream) in any::<(bool, bool)>(),
        attributes in option::of(attributes()),
        (observability_mode, with_config, with_metadata) in any::<(bool, bool, bool)>(),
    ) -> ProcessingRequest {
        let headers = headers.map(|headers| HeaderMap { headers });
        let head = HttpHeaders { headers, end_of_stream, ..Default::default() };
        ProcessingRequest {
            request: Some(if request { Request::RequestHeaders(head) } else { Request::ResponseHeaders(head) }),
            attributes: attributes.map(|attributes| ("filter".to_owned(), attributes)).into_iter().collect(),
            observability_mode,
            protocol_config: with_config
                .then(|| ProtocolConfiguration { request_body_mode: 4, ..Default::default() }),
            metadata_context: with_metadata.then(Metadata::default),
            ..Default::default()
        }
    }
}

proptest! {
    /// Every head that a gateway writes is read without decoding it, and as it would be decoded.
    #[test]
    fn heads_are_read_as_they_would_be_decoded(message in message()) {
        let bytes = Bytes::from(message.encode_to_vec());
        prop_assert!(HeadMessage::read(&bytes).is_some());
        is_read_as_decoded(&bytes);
    }

    /// Nor is anything else read in another way, however it is broken.
    #[test]
    fn broken_heads_are_not_read_otherwise(
        message in message(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        length in any::<prop::sample::Index>(),
        twice in any::<bool>(),
    ) {
        let mut bytes = message.encode_to_vec();
        for (index, byte) in changes {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        let length = length.index(bytes.len() + 1);
        bytes.truncate(length.max(bytes.len() / 2));
        if twice {
            bytes.extend_from_within(..);
        }
        is_read_as_decoded(&Bytes::from(bytes));
    }
}

#[test]
fn nothing_is_copied() {
    let headers = vec![HeaderValue {
        key: "accept".to_owned(),
        raw_value: Bytes::from_static(b"*/*"),
        ..Default::default()
    }];
    let head = HttpHeaders { headers: Some(HeaderMap { headers }), ..Default::default() };
    let message = ProcessingRequest { request: Some(Request::ResponseHeaders(head)), ..Default::default() };
    let bytes = Bytes::from(message.encode_to_vec());
    let read = HeadMessage::read(&bytes).unwrap();
    let value = read.shown.iter().next().unwrap().shared_value();
    assert!(bytes.as_ptr_range().contains(&value.as_ptr()));
}

/// Old gateways write `value`.
#[test]
fn values_that_are_text_count_where_there_is_no_other() {
    let headers = [("a", "text", &b""[..]), ("b", "text", b"raw")].map(|(key, value, raw)| HeaderValue {
        key: key.to_owned(),
        value: value.to_owned(),
        raw_value: Bytes::from_static(raw),
    });
    let head = HttpHeaders { headers: Some(HeaderMap { headers: headers.into() }), ..Default::default() };
    let message = ProcessingRequest { request: Some(Request::RequestHeaders(head)), ..Default::default() };
    let read = HeadMessage::read(&message.encode_to_vec().into()).unwrap();
    assert_eq!(read.shown.iter().map(|field| field.value()).collect::<Vec<_>>(), [&b"text"[..], b"raw"]);
}

#[test]
fn other_messages_are_not_for_this() {
    let body = HttpBody { body: Bytes::from_static(b"a"), ..Default::default() };
    let message = ProcessingRequest { request: Some(Request::RequestBody(body)), ..Default::default() };
    assert!(HeadMessage::read(&message.encode_to_vec().into()).is_none());
    assert!(HeadMessage::read(&Bytes::new()).is_none());
}
