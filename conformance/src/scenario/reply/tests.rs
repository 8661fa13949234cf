//! Replies as they are written.

use serde_json::json;

use super::*;

fn message(value: Value) -> ProcessingResponse {
    match serde_json::from_value::<Reply>(value).expect("reply") {
        Reply::Message(message) => *message,
        Reply::Continue => panic!("not a message"),
    }
}

#[test]
fn short_and_long_forms_are_equal() {
    let short = message(json!({"request_headers": {"set": {"x-a": "b"}, "remove": ["x-c"]}}));
    let long = message(json!({"request_headers": {"response": {"header_mutation": {
        "set_headers": [{"header": {"key": "x-a", "raw_value": "b"}}], "remove_headers": ["x-c"]}}}}));
    assert_eq!(short, long);
    let short = message(json!({"request_body": {"body": "x"}}));
    let long = message(json!({"request_body": {"response": {"body_mutation": {"body": "x"}}}}));
    assert_eq!(short, long);
}

#[test]
fn empty_members_stay_apart_from_absent_ones() {
    let bare = message(json!("request_headers"));
    assert!(matches!(bare.response, Some(Response::RequestHeaders(HeadersResponse { response: None }))));
    let with = message(json!({"request_headers": {"response": {}}}));
    assert!(matches!(with.response, Some(Response::RequestHeaders(HeadersResponse { response: Some(_) }))));
    assert!(message(json!({})).response.is_none());
}

#[test]
fn mistakes_are_refused() {
    for bad in [
        json!({"request_headers": {}, "request_body": {}}),
        json!({"request_headers": {"sets": {}}}),
        json!({"request_body": {"body": "x", "clear_body": true}}),
        json!({"request_headers": {"status": "NO"}}),
        json!("nonsense"),
    ] {
        assert!(serde_json::from_value::<Reply>(bad.clone()).is_err(), "{bad}");
    }
}

#[test]
fn durations() {
    assert_eq!(duration("0.2s"), Ok(Duration { seconds: 0, nanos: 200_000_000 }));
    assert_eq!(duration("-0.5s"), Ok(Duration { seconds: 0, nanos: -500_000_000 }));
    assert!(duration("2").is_err());
}
