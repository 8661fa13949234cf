//! Any mutation gives what the slow reference gives, and stays within the limits.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use proptest::{collection::vec, option, prelude::*};

use super::{
    super::{MutationRules, Policy, Target, apply},
    reference::{self, Entry, Kind},
};
use crate::{
    http_message::{RequestHeaders, ResponseHeaders},
    matching::FullRegex,
    messages,
};

const NAMES: &[&str] = &[
    "a",
    "A",
    "b",
    "c",
    "x-envoy-a",
    "user-agent",
    "User-Agent",
    "host",
    ":path",
    ":Path",
    ":method",
    ":scheme",
    ":authority",
    ":status",
    ":x",
    "content-length",
    "transfer-encoding",
    "",
    "a b",
    ":",
    "é",
];
const VALUES: &[&str] = &[
    "", "1", "22", "POST", "http", "HTTPS", "h:80", "/p", "/ p", "200", "199", "999", "1000", "\n", "é", "h/",
];
const FIELDS: &[&str] = &["a", "b", "c", "x-envoy-a", "user-agent", "content-length"];

fn message_fields() -> impl Strategy<Value = Vec<Entry>> {
    let field = (proptest::sample::select(FIELDS), proptest::sample::select(&["1", "2", ""][..]));
    vec(field, 0..6).prop_map(|fields| {
        let mut fields: Vec<Entry> =
            fields.into_iter().map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).collect();
        // No message with an empty one arrives.
        fields.retain(|(name, value)| name != "content-length" || !value.is_empty());
        // Grouped by name, as a header map keeps them.
        let names: Vec<String> = fields.iter().map(|(name, _)| name.clone()).collect();
        fields.sort_by_key(|(name, _)| names.iter().position(|other| other == name));
        fields
    })
}

fn option() -> impl Strategy<Value = messages::HeaderValueOption> {
    let header = (
        proptest::sample::select(NAMES),
        prop_oneof![4 => Just(""), 1 => proptest::sample::select(VALUES)],
        proptest::sample::select(VALUES),
    );
    (option::weighted(0.95, header), any::<Option<bool>>()).prop_map(|(header, append)| {
        messages::HeaderValueOption {
            header: header.map(|(key, value, raw_value)| messages::HeaderValue {
                key: key.to_owned(),
                value: value.to_owned(),
                raw_value: Bytes::from_static(raw_value.as_bytes()),
            }),
            append: append.map(|value| messages::BoolValue { value }),
            ..Default::default()
        }
    })
}

fn mutation() -> impl Strategy<Value = messages::HeaderMutation> {
    let name = prop_oneof![8 => proptest::sample::select(FIELDS), 2 => proptest::sample::select(NAMES)];
    (vec(option(), 0..8), vec(name.prop_map(str::to_owned), 0..4))
        .prop_map(|(set_headers, remove_headers)| messages::HeaderMutation { set_headers, remove_headers })
}

fn rules() -> impl Strategy<Value = MutationRules> {
    let regex = || {
        option::weighted(0.3, proptest::sample::select(&["a|:method", "x-.*|:path|host", ".*"][..]))
            .prop_map(|pattern| pattern.and_then(|pattern| FullRegex::new(pattern).ok()))
    };
    (any::<[bool; 4]>(), proptest::bool::weighted(0.2), regex(), regex()).prop_map(
        |(flags, disallow_is_error, allow_expression, disallow_expression)| MutationRules {
            allow_all_routing: flags[0],
            allow_envoy: flags[1],
            disallow_system: flags[2],
            disallow_all: flags[3],
            allow_expression,
            disallow_expression,
            disallow_is_error,
        },
    )
}

fn header_map(fields: &[Entry]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("valid name");
        map.append(name, HeaderValue::from_bytes(value).expect("valid value"));
    }
    map
}

fn entries(map: &HeaderMap) -> Vec<Entry> {
    map.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect()
}

/// The fields of a list in the order of a header map: grouped by name at the place of the first.
fn grouped(message: &[Entry]) -> Vec<Entry> {
    entries(&header_map(
        &message.iter().filter(|(name, _)| !name.starts_with(':')).cloned().collect::<Vec<_>>(),
    ))
}

fn pseudo<'m>(message: &'m [Entry], name: &str) -> &'m [u8] {
    message.iter().find(|(other, _)| other == name).map_or(b"", |(_, value)| value)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn mutations_do_what_the_reference_does(
        fields in message_fields(),
        mutation in mutation(),
        rules in rules(),
        kind in proptest::sample::select(&[Kind::Request, Kind::Response, Kind::Trailers][..]),
        (replace_message, content_length_removed) in any::<(bool, bool)>(),
        (max_count, max_bytes) in (6..12_usize, 40..100_usize),
    ) {
        let policy = Policy {
            rules: &rules, header_prefix: "x-envoy", replace_message, content_length_removed, max_count, max_bytes,
        };
        let pseudo_headers: &[(&str, &str)] = match kind {
            Kind::Request => &[(":method", "GET"), (":scheme", "http"), (":authority", "h"), (":path", "/")],
            Kind::Response => &[(":status", "200")],
            Kind::Trailers => &[],
        };
        let mut expected: Vec<Entry> =
            pseudo_headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect();
        expected.extend(fields.iter().cloned());
        let (ignored, refused) = reference::apply(&mutation, kind, &mut expected, &policy);

        let mut request = RequestHeaders {
            method: Method::GET,
            scheme: HeaderValue::from_static("http"),
            authority: HeaderValue::from_static("h"),
            path: HeaderValue::from_static("/"),
            fields: header_map(&fields),
        };
        let mut response = ResponseHeaders { status: StatusCode::OK, fields: header_map(&fields) };
        let mut trailers = header_map(&fields);
        let target = match kind {
            Kind::Request => Target::Request(&mut request),
            Kind::Response => Target::Response(&mut response),
            Kind::Trailers => Target::Trailers(&mut trailers),
        };
        let outcome = apply(&mutation, target, &policy);

        let counted = outcome.as_ref().map_or_else(|refused| refused.ignored_before, |applied| applied.ignored);
        prop_assert_eq!((counted, outcome.as_ref().err().map(|refused| refused.reason)), (ignored, refused));
        let map = match kind {
            Kind::Request => {
                prop_assert_eq!(request.method.as_str().as_bytes(), pseudo(&expected, ":method"));
                prop_assert_eq!(request.scheme.as_bytes(), pseudo(&expected, ":scheme"));
                prop_assert_eq!(request.authority.as_bytes(), pseudo(&expected, ":authority"));
                prop_assert_eq!(request.path.as_bytes(), pseudo(&expected, ":path"));
                &request.fields
            }
            Kind::Response => {
                prop_assert_eq!(response.status.as_str().as_bytes(), pseudo(&expected, ":status"));
                &response.fields
            }
            Kind::Trailers => &trailers,
        };
        prop_assert_eq!(entries(map), grouped(&expected));
        if outcome.is_ok() {
            prop_assert!(map.len() + pseudo_headers.len() <= max_count);
        } else {
            prop_assert!(outcome.is_err_and(|refused| (2..=4).contains(&refused.effect.code())));
        }
    }
}
