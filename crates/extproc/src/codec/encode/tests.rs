//! The encoder against the message structs.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use proptest::prelude::*;

use super::*;
use crate::matching::StringMatcher;
use crate::messages::{
    self, Any, HttpBody, HttpHeaders, HttpTrailers, Metadata, ProcessingRequest, ProtocolConfiguration,
    Value, processing_request::Request,
};

fn fields() -> impl Strategy<Value = HeaderMap> {
    let name = "[a-z][a-z0-9-]{0,20}".prop_map(|name| HeaderName::try_from(name).expect("a name"));
    let value = proptest::collection::vec(prop_oneof![0x20..0x7f_u8, 0x80..=0xff_u8], 0..200)
        .prop_map(|bytes| HeaderValue::from_bytes(&bytes).expect("a value"));
    proptest::collection::vec((name, value), 0..20).prop_map(|entries| {
        let mut map = HeaderMap::new();
        for (name, value) in entries {
            map.append(name, value);
        }
        map
    })
}

fn entry(name: &str, value: &[u8]) -> messages::HeaderValue {
    messages::HeaderValue {
        key: name.to_owned(),
        raw_value: Bytes::copy_from_slice(value),
        ..Default::default()
    }
}

fn entries(fields: &HeaderMap) -> Vec<messages::HeaderValue> {
    fields.iter().map(|(name, value)| entry(name.as_str(), value.as_bytes())).collect()
}

fn decode(frame: &[u8]) -> ProcessingRequest {
    assert_eq!(frame[0], 0, "not compressed");
    let length = u32::from_be_bytes([frame[1], frame[2], frame[3], frame[4]]);
    assert_eq!(length as usize, frame.len() - PREFIX);
    ProcessingRequest::decode(&frame[PREFIX..]).expect("a message")
}

fn envelope_parts() -> impl Strategy<Value = (Option<ProtocolConfig>, Option<Struct>, Metadata, bool)> {
    let text = "[a-z.]{0,12}";
    let config = (any::<bool>(), any::<bool>()).prop_map(|(duplex, wait)| ProtocolConfig {
        request_body_mode: if duplex { BodySendMode::FullDuplexStreamed } else { BodySendMode::None },
        response_body_mode: BodySendMode::Buffered,
        send_body_without_waiting_for_header_response: wait,
    });
    let values = proptest::collection::btree_map(text, text.prop_map(Value::string), 0..4)
        .prop_map(|fields| Struct { fields });
    let value = (text, text).prop_map(|(type_url, value)| Any { type_url, value: value.into() });
    let untyped = proptest::collection::btree_map(text, values.clone(), 0..7);
    let metadata = (untyped, proptest::collection::btree_map(text, value, 0..7)).prop_map(
        |(filter_metadata, typed_filter_metadata)| Metadata { filter_metadata, typed_filter_metadata },
    );
    (proptest::option::of(config), proptest::option::of(values), metadata, any::<bool>())
}

/// The message struct with the same envelope.
fn expected(envelope: &Envelope<'_>, metadata: &Metadata, request: Request) -> ProcessingRequest {
    let attributes = envelope
        .attributes
        .map(|attributes| BTreeMap::from([(ATTRIBUTES_KEY.to_owned(), attributes.clone())]))
        .unwrap_or_default();
    ProcessingRequest {
        request: Some(request),
        metadata_context: Some(metadata.clone()),
        attributes,
        observability_mode: envelope.observability_mode,
        protocol_config: envelope.protocol_config.map(|config| ProtocolConfiguration {
            request_body_mode: config.request_body_mode as i32,
            response_body_mode: config.response_body_mode as i32,
            send_body_without_waiting_for_header_response: config
                .send_body_without_waiting_for_header_response,
        }),
        ..Default::default()
    }
}

proptest! {
    /// E-1, E-2, L-3, L-4: the bytes decode to what the structs say, and the buffer is filled exactly.
    #[test]
    fn headers_and_trailers(
        fields in fields(),
        end_of_stream in any::<bool>(),
        (protocol_config, attributes, metadata, observability_mode) in envelope_parts(),
    ) {
        let envelope = Envelope {
            protocol_config,
            attributes: attributes.as_ref(),
            metadata_context: MetadataContext::from(&metadata),
            observability_mode,
        };
        let rules = ForwardRules::default();
        let request = RequestHeaders {
            method: Method::PATCH,
            scheme: HeaderValue::from_static("https"),
            authority: HeaderValue::from_static("a.example:8080"),
            path: HeaderValue::from_static("/x?y"),
            fields: fields.clone(),
        };
        let mut headers = vec![
            entry(":authority", b"a.example:8080"),
            entry(":path", b"/x?y"),
            entry(":method", b"PATCH"),
            entry(":scheme", b"https"),
        ];
        headers.extend(entries(&fields));
        let headers = Some(messages::HeaderMap { headers });
        let mut out = BytesMut::new();
        encode_headers(&mut out, Direction::Request, HeadersRef::Request(&request), end_of_stream, &rules, &envelope);
        let wanted = HttpHeaders { headers, end_of_stream, ..Default::default() };
        prop_assert_eq!(decode(&out), expected(&envelope, &metadata, Request::RequestHeaders(wanted)));

        let response = ResponseHeaders { status: StatusCode::IM_A_TEAPOT, fields: fields.clone() };
        let mut headers = vec![entry(":status", b"418")];
        headers.extend(entries(&fields));
        let headers = Some(messages::HeaderMap { headers });
        let mut out = BytesMut::new();
        encode_headers(&mut out, Direction::Response, HeadersRef::Response(&response), end_of_stream, &rules, &envelope);
        let wanted = HttpHeaders { headers, end_of_stream, ..Default::default() };
        prop_assert_eq!(decode(&out), expected(&envelope, &metadata, Request::ResponseHeaders(wanted)));

        let mut out = BytesMut::new();
        encode_trailers(&mut out, Direction::Request, &fields, &rules, &envelope);
        let trailers = Some(messages::HeaderMap { headers: entries(&fields) });
        prop_assert_eq!(decode(&out), expected(&envelope, &metadata, Request::RequestTrailers(HttpTrailers { trailers })));
    }

    #[test]
    fn bodies(
        length in prop_oneof![0..300_usize, Just(SEPARATE_PAYLOAD - 1), SEPARATE_PAYLOAD..70_000],
        pieces in 1..5_usize,
        end_of_stream in any::<bool>(),
        (protocol_config, attributes, metadata, observability_mode) in envelope_parts(),
    ) {
        let envelope = Envelope {
            protocol_config,
            attributes: attributes.as_ref(),
            metadata_context: MetadataContext::from(&metadata),
            observability_mode,
        };
        let body: Bytes = (0..length).map(|index| index as u8).collect();
        let mut out = BytesMut::new();
        let payload = encode_body(&mut out, Direction::Response, cut(&body, pieces), end_of_stream, &envelope);
        prop_assert_eq!(payload.len(), if length >= SEPARATE_PAYLOAD { length } else { 0 });
        out.extend_from_slice(&payload.into_bytes());
        let wanted = HttpBody { body, end_of_stream, ..Default::default() };
        prop_assert_eq!(decode(&out), expected(&envelope, &metadata, Request::ResponseBody(wanted)));
    }
}

/// The body in about as many slices.
fn cut(body: &Bytes, pieces: usize) -> Slices {
    let mut slices = Slices::new();
    body.chunks(body.len() / pieces + 1).for_each(|piece| slices.push(body.slice_ref(piece)));
    slices
}

proptest! {
    /// Byte for byte what the message struct is on the wire.
    #[test]
    fn metadata_is_written_as_the_struct((_, _, metadata, _) in envelope_parts()) {
        let context = MetadataContext::from(&metadata);
        let mut out = BytesMut::new();
        put_metadata(&mut out, &context);
        prop_assert_eq!(metadata_len(&context), out.len());
        prop_assert_eq!(out, metadata.encode_to_vec());
    }
}

/// Matching may be expensive, and it has the same result for the size and for the bytes.
#[test]
fn the_rules_are_asked_once_a_header() {
    let fields: HeaderMap = [("x-a", "1"), ("b", "2"), ("c", "3")]
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .into_iter()
        .collect();
    let response = ResponseHeaders { status: StatusCode::OK, fields };
    let rules = ForwardRules::default();
    let envelope = Envelope {
        protocol_config: None,
        attributes: None,
        metadata_context: MetadataContext::default(),
        observability_mode: false,
    };
    let asked = crate::forward::asked();
    let head = HeadersRef::Response(&response);
    encode_headers(&mut BytesMut::new(), Direction::Response, head, true, &rules, &envelope);
    assert_eq!(crate::forward::asked() - asked, 1 + 3);
    encode_trailers(&mut BytesMut::new(), Direction::Response, &response.fields, &rules, &envelope);
    assert_eq!(crate::forward::asked() - asked, 1 + 3 + 3);
}

/// E-6: filtered are pseudo-headers, fields and trailers, and only in the copy.
#[test]
fn forward_rules_apply_to_everything() {
    let rules = ForwardRules {
        allowed_headers: None,
        disallowed_headers: vec![
            StringMatcher::Exact(":path".to_owned()),
            StringMatcher::Exact(":status".to_owned()),
            StringMatcher::Prefix("x-".to_owned(), false),
        ],
    };
    let envelope = Envelope {
        protocol_config: None,
        attributes: None,
        metadata_context: MetadataContext::default(),
        observability_mode: false,
    };
    let fields: HeaderMap = [("x-a", "1"), ("b", "2")]
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .into_iter()
        .collect();
    let request = RequestHeaders {
        method: Method::GET,
        scheme: HeaderValue::from_static("http"),
        authority: HeaderValue::from_static("h"),
        path: HeaderValue::from_static("/"),
        fields: fields.clone(),
    };
    let response = ResponseHeaders { status: StatusCode::OK, fields: fields.clone() };
    let sent = |encode: &dyn Fn(&mut BytesMut)| {
        let mut out = BytesMut::new();
        encode(&mut out);
        let headers = match decode(&out).request {
            Some(Request::RequestHeaders(headers) | Request::ResponseHeaders(headers)) => headers.headers,
            Some(Request::ResponseTrailers(trailers)) => trailers.trailers,
            _ => None,
        };
        headers.expect("headers").headers.into_iter().map(|header| header.key).collect::<Vec<_>>()
    };
    let head = HeadersRef::Request(&request);
    let names = sent(&|out| encode_headers(out, Direction::Request, head, true, &rules, &envelope));
    assert_eq!(names, [":authority", ":method", ":scheme", "b"]);
    let head = HeadersRef::Response(&response);
    let names = sent(&|out| encode_headers(out, Direction::Response, head, true, &rules, &envelope));
    assert_eq!(names, ["b"]);
    let names = sent(&|out| encode_trailers(out, Direction::Response, &fields, &rules, &envelope));
    assert_eq!(names, ["b"]);
    assert_eq!(request.fields, fields);
}
