//! Random mutations of random messages: never a panic, never a message that could not be sent.

#![no_main]

use arbitrary::Arbitrary;
use bytes::Bytes;
use extproc::{
    RequestHeaders, ResponseHeaders,
    messages::{
        BoolValue, HeaderMap as WireHeaders, HeaderMutation, HeaderValue as WireHeader, HeaderValueOption,
    },
    mutation::{
        MutationRules, Policy, Target, apply, apply_to_local_reply, streamed_headers, streamed_trailers,
    },
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use libfuzzer_sys::fuzz_target;

const MAX_COUNT: usize = 12;
const MAX_BYTES: usize = 256;

#[derive(Debug, Arbitrary)]
struct Input {
    fields: Vec<(Name, Vec<u8>)>,
    sets: Vec<(Name, Vec<u8>, Option<bool>)>,
    removes: Vec<Name>,
    rules: [bool; 5],
    replace_message: bool,
    content_length_removed: bool,
}

/// A name that matters, or any.
#[derive(Debug, Clone, Arbitrary)]
enum Name {
    Path,
    Method,
    Scheme,
    Authority,
    Status,
    Host,
    ContentLength,
    TransferEncoding,
    UserAgent,
    Envoy,
    Any(String),
}

impl Name {
    fn as_str(&self) -> &str {
        match self {
            Self::Path => ":path",
            Self::Method => ":method",
            Self::Scheme => ":scheme",
            Self::Authority => ":authority",
            Self::Status => ":status",
            Self::Host => "host",
            Self::ContentLength => "content-length",
            Self::TransferEncoding => "transfer-encoding",
            Self::UserAgent => "user-agent",
            Self::Envoy => "x-envoy-a",
            Self::Any(name) => name,
        }
    }
}

fuzz_target!(|input: Input| {
    let [allow_all_routing, allow_envoy, disallow_system, disallow_all, disallow_is_error] = input.rules;
    let rules = MutationRules {
        allow_all_routing,
        allow_envoy,
        disallow_system,
        disallow_all,
        disallow_is_error,
        ..Default::default()
    };
    let policy = Policy {
        rules: &rules,
        header_prefix: "x-envoy",
        replace_message: input.replace_message,
        content_length_removed: input.content_length_removed,
        max_count: MAX_COUNT,
        max_bytes: MAX_BYTES,
    };
    let fields = fields(&input.fields);
    let mutation = mutation(&input);
    request(&mutation, fields.clone(), &policy);
    response(&mutation, fields.clone(), &policy);
    trailers(&mutation, fields, &policy);
    local_reply(&mutation, &policy);
});

fn fields(entries: &[(Name, Vec<u8>)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in entries {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name.as_str()), HeaderValue::from_bytes(value)) {
            // What a request never has among its fields, or not together.
            if ![header::HOST, header::CONTENT_LENGTH, header::TRANSFER_ENCODING].contains(&name) {
                map.append(name, value);
            }
        }
    }
    map
}

fn mutation(input: &Input) -> HeaderMutation {
    let set = |(name, value, append): &(Name, Vec<u8>, Option<bool>)| HeaderValueOption {
        header: Some(WireHeader {
            key: name.as_str().to_owned(),
            value: String::new(),
            raw_value: Bytes::copy_from_slice(value),
        }),
        append: append.map(|value| BoolValue { value }),
        ..Default::default()
    };
    HeaderMutation {
        set_headers: input.sets.iter().map(set).collect(),
        remove_headers: input.removes.iter().map(|name| name.as_str().to_owned()).collect(),
    }
}

fn bytes(map: &HeaderMap) -> usize {
    map.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

fn request(mutation: &HeaderMutation, fields: HeaderMap, policy: &Policy<'_>) {
    let mut request = RequestHeaders {
        method: Method::GET,
        scheme: HeaderValue::from_static("http"),
        authority: HeaderValue::from_static("h"),
        path: HeaderValue::from_static("/"),
        fields,
    };
    let outcome = apply(mutation, Target::Request(&mut request), policy);
    assert!(!request.path.is_empty() && !request.path.as_bytes().contains(&b' '));
    assert!(!request.fields.contains_key(header::HOST));
    let lengths = request.fields.get_all(header::CONTENT_LENGTH).iter().count();
    assert!(lengths <= 1 && (lengths == 0 || !request.fields.contains_key(header::TRANSFER_ENCODING)));
    if !policy.rules.allow_all_routing && !policy.replace_message {
        assert_eq!((request.method, &request.authority), (Method::GET, &HeaderValue::from_static("h")));
    }
    if let Ok(applied) = outcome {
        assert!(request.fields.len() + 4 <= policy.max_count && bytes(&request.fields) <= policy.max_bytes);
        assert!(applied.ignored as usize <= mutation.set_headers.len() + mutation.remove_headers.len());
        assert!(!policy.rules.disallow_is_error || applied.ignored == 0);
    }
}

fn response(mutation: &HeaderMutation, fields: HeaderMap, policy: &Policy<'_>) {
    let mut response = ResponseHeaders { status: StatusCode::OK, fields };
    let outcome = apply(mutation, Target::Response(&mut response), policy);
    assert!(response.status.as_u16() >= 200);
    if outcome.is_ok() {
        assert!(response.fields.len() < policy.max_count && bytes(&response.fields) <= policy.max_bytes);
    }
}

fn trailers(mutation: &HeaderMutation, mut trailers: HeaderMap, policy: &Policy<'_>) {
    if apply(mutation, Target::Trailers(&mut trailers), policy).is_ok() {
        assert!(trailers.len() <= policy.max_count && bytes(&trailers) <= policy.max_bytes);
    }
}

fn local_reply(mutation: &HeaderMutation, policy: &Policy<'_>) {
    let mut reply = ResponseHeaders { status: StatusCode::FORBIDDEN, fields: HeaderMap::new() };
    let _ = apply_to_local_reply(mutation, &mut reply, policy.rules, policy.header_prefix);
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    assert!(!reply.fields.contains_key(header::CONTENT_LENGTH));
    let headers = WireHeaders {
        headers: mutation.set_headers.iter().filter_map(|option| option.header.clone()).collect(),
    };
    if let Ok((response, _)) = streamed_headers(&headers, policy) {
        assert!(response.status.as_u16() >= 200 && response.fields.len() < policy.max_count);
        assert_eq!(response.fields.len(), response.fields.keys_len());
    }
    if let Ok((trailers, _)) = streamed_trailers(&headers, policy) {
        assert!(trailers.len() <= policy.max_count);
    }
}
