//! Tests of section 6 as a whole; what one part decides is tested beside it.

mod oracle;
mod reference;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::*;
use crate::{
    http_message::{RequestHeaders, ResponseHeaders},
    messages,
};

/// `(name, value, append)`.
type Set<'s> = (&'s str, &'s str, bool);

pub(super) fn mutation(removes: &[&str], sets: &[Set<'_>]) -> messages::HeaderMutation {
    let set = |(key, value, append): &Set<'_>| messages::HeaderValueOption {
        header: Some(messages::HeaderValue {
            key: (*key).to_owned(),
            value: String::new(),
            raw_value: Bytes::copy_from_slice(value.as_bytes()),
        }),
        append: append.then_some(messages::BoolValue { value: true }),
        ..Default::default()
    };
    messages::HeaderMutation {
        set_headers: sets.iter().map(set).collect(),
        remove_headers: removes.iter().map(|name| (*name).to_owned()).collect(),
    }
}

pub(super) fn policy(rules: &MutationRules) -> Policy<'_> {
    Policy {
        rules,
        header_prefix: "x-envoy",
        replace_message: false,
        content_length_removed: false,
        max_count: 100,
        max_bytes: 60 * 1024,
    }
}

fn fields(entries: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in entries {
        map.append(*name, HeaderValue::from_static(value));
    }
    map
}

pub(super) fn request(entries: &[(&'static str, &'static str)]) -> RequestHeaders {
    RequestHeaders {
        method: Method::GET,
        scheme: HeaderValue::from_static("http"),
        authority: HeaderValue::from_static("h"),
        path: HeaderValue::from_static("/"),
        fields: fields(entries),
    }
}

fn list(map: &HeaderMap) -> Vec<String> {
    map.iter().map(|(name, value)| format!("{name}: {}", value.as_bytes().escape_ascii())).collect()
}

/// Applies to a request with a few headers under the default rules and shows what came out of it.
fn applied(removes: &[&str], sets: &[Set<'_>]) -> (Result<Applied, Refused>, RequestHeaders) {
    let mut request = request(&[("a", "1"), ("user-agent", "u"), ("b", "2"), ("b", "3"), ("c", "4")]);
    let rules = MutationRules::default();
    let outcome = apply(&mutation(removes, sets), Target::Request(&mut request), &policy(&rules));
    (outcome, request)
}

/// Operations that were ignored, and whether anything changed.
fn counted(outcome: Result<Applied, Refused>) -> Result<(u32, bool), Refused> {
    outcome.map(|applied| (applied.ignored, applied.changed))
}

fn refusal(removes: &[&str], sets: &[Set<'_>]) -> &'static str {
    applied(removes, sets).0.expect_err("refused").reason.as_str()
}

#[test]
fn m_1_too_many_operations_are_refused() {
    let reason = "header_mutation_operation_count_exceeds_limit";
    assert_eq!(refusal(&["x"; 101], &[]), reason);
    assert_eq!(refusal(&[], &[("x", "1", false); 101]), reason);
    assert!(applied(&["x"; 100], &[("x", "1", false); 100]).0.is_ok());
}

#[test]
fn m_2_removals_come_first() {
    let (outcome, request) = applied(&["b"], &[("b", "new", true), ("b", "newer", true)]);
    assert_eq!(counted(outcome), Ok((0, true)));
    assert_eq!(list(&request.fields), ["a: 1", "user-agent: u", "c: 4", "b: new", "b: newer"]);
}

#[test]
fn m_3_removals() {
    assert_eq!(refusal(&["a b"], &[]), "header_mutation_remove_contains_invalid_character");
    let (outcome, request) = applied(&["A", "", "x-none", ":path", "Host", "x-envoy-a"], &[]);
    assert_eq!(counted(outcome), Ok((3, true)));
    assert_eq!(list(&request.fields), ["user-agent: u", "b: 2", "b: 3", "c: 4"]);
    assert_eq!(counted(applied(&["x-none"], &[]).0), Ok((0, false)));
}

#[test]
fn m_4_an_option_without_a_header_is_skipped() {
    let mut mutation = mutation(&[], &[("x", "1", false)]);
    mutation.set_headers[0].header = None;
    let rules = MutationRules::default();
    let mut request = request(&[]);
    let outcome = apply(&mutation, Target::Request(&mut request), &policy(&rules));
    assert_eq!(outcome, Ok(Applied::default()));
}

#[test]
fn m_4_2_content_length_is_skipped_where_it_is_removed() {
    let rules = MutationRules { disallow_all: true, disallow_is_error: true, ..Default::default() };
    let policy = Policy { content_length_removed: true, ..policy(&rules) };
    let mutation = mutation(&[], &[("Content-Length", "nonsense\n", false)]);
    let outcome = apply(&mutation, Target::Request(&mut request(&[])), &policy);
    assert_eq!(outcome, Ok(Applied::default()));
}

/// M-4.3 and decision 1.
#[test]
fn m_4_3_raw_value_counts_and_value_stands_in() {
    let rules = MutationRules::default();
    let mut mutation = mutation(&[], &[("x", "raw", false), ("y", "", false), ("z", "", false)]);
    for option in &mut mutation.set_headers[..2] {
        option.header.as_mut().expect("set above").value = "text".to_owned();
    }
    let mut request = request(&[]);
    assert!(apply(&mutation, Target::Request(&mut request), &policy(&rules)).is_ok());
    assert_eq!(list(&request.fields), ["x: raw", "y: text", "z: "]);
}

#[test]
fn m_4_4_invalid_characters_are_refused_and_earlier_sets_stay() {
    let reason = "header_mutation_set_contains_invalid_character";
    let (outcome, request) = applied(&[], &[("x", "1", false), ("a b", "2", false), ("y", "3", false)]);
    assert_eq!(outcome.expect_err("refused").effect.code(), 2);
    assert_eq!(request.fields.get("x"), Some(&HeaderValue::from_static("1")));
    assert!(!request.fields.contains_key("y"));
    for value in ["\0", "\r", "\n", "\u{1f}", "\u{7f}"] {
        assert_eq!(refusal(&[], &[("x", value, false)]), reason);
    }
    assert!(applied(&[], &[("x", "\té\u{80}", false)]).0.is_ok());
}

/// M-4.4 and decision 2.
#[test]
fn m_4_4_empty_names_are_ignored() {
    assert_eq!(counted(applied(&[], &[("", "1", false)]).0), Ok((1, false)));
    assert_eq!(refusal(&[], &[("", "\n", false)]), "header_mutation_set_contains_invalid_character");
}

#[test]
fn m_4_5_append_action_is_not_consulted() {
    let rules = MutationRules::default();
    for action in 0..5 {
        let mut mutation = mutation(&[], &[("a", "2", false)]);
        mutation.set_headers[0].append_action = action;
        let mut request = request(&[("a", "1")]);
        assert!(apply(&mutation, Target::Request(&mut request), &policy(&rules)).is_ok());
        assert_eq!(list(&request.fields), ["a: 2"]);
    }
}

#[test]
fn m_4_7_what_is_overwritten_moves_to_the_end() {
    let (_, request) =
        applied(&[], &[("A", "new", false), ("d", "5", false), ("e", "6", false), ("d", "7", false)]);
    let expected = ["user-agent: u", "b: 2", "b: 3", "c: 4", "a: new", "e: 6", "d: 7"];
    assert_eq!(list(&request.fields), expected);
}

#[test]
fn m_6_single_entries_are_joined() {
    let joined = |sets: &[Set<'_>]| list(&applied(&[], sets).1.fields);
    assert_eq!(joined(&[("user-agent", "N", true)])[1], "user-agent: u,N");
    assert_eq!(joined(&[("user-agent", "", true)])[1], "user-agent: u");
    assert_eq!(joined(&[("user-agent", "", false), ("user-agent", "N", true)])[4], "user-agent: N");
    assert_eq!(joined(&[("accept", "x", true), ("accept", "y", true)])[5], "accept: x,y");
    assert_eq!(joined(&[("cookie", "x", true), ("cookie", "y", true)])[5..], ["cookie: x", "cookie: y"]);
    assert_eq!(joined(&[("a", "2", true)])[..2], ["a: 1", "a: 2"]);
}

#[test]
fn m_7_spaces_stay() {
    assert_eq!(list(&applied(&[], &[("x", " 1 ", false)]).1.fields)[5], "x:  1 ");
}

/// Bytes of `GET http h /` with its names.
const PSEUDO_BYTES: usize = 7 + 3 + 7 + 4 + 10 + 1 + 5 + 1;

#[test]
fn m_8_the_result_is_limited() {
    let rules = MutationRules::default();
    let outcome = |length: usize, count: usize| {
        let names: Vec<String> = (0..count).map(|number| format!("{number:03}")).collect();
        let value = "v".repeat(length);
        let mut sets: Vec<Set<'_>> = names.iter().map(|name| (name.as_str(), "", false)).collect();
        sets[0].1 = &value;
        apply(&mutation(&[], &sets), Target::Request(&mut request(&[])), &policy(&rules))
    };
    let most = 60 * 1024 - PSEUDO_BYTES - 3;
    assert!(outcome(most, 1).is_ok());
    let refused = outcome(most + 1, 1).expect_err("too large");
    assert_eq!(refused.reason.as_str(), "header_mutation_result_exceeds_limit");
    assert_eq!(refused.effect.code(), 3);
    assert!(outcome(1, 96).is_ok());
    assert_eq!(outcome(1, 97).expect_err("too many").reason, RefusedReason::ResultExceedsLimit);
}

/// 6.3, M-16 and decision 2.
#[test]
fn m_10_forbidden_sets_are_ignored_and_counted() {
    let sets = [
        (":method", "POST", false),
        (":authority", "x", false),
        (":scheme", "https", false),
        ("host", "x", false),
        (":path", "/a", true),
        (":path", "", false),
        (":path", "/ HTTP/1.1", false),
        (":status", "1", false),
        ("x-envoy-a", "1", false),
    ];
    let (outcome, request) = applied(&[], &sets);
    assert_eq!(counted(outcome), Ok((sets.len() as u32, false)));
    assert_eq!((request.method, request.path), (Method::GET, HeaderValue::from_static("/")));
    let (outcome, request) = applied(&[], &[(":Path", "/new", false), (":other", "x", false)]);
    assert_eq!(counted(outcome), Ok((0, true)));
    assert_eq!(request.path, "/new");
}

#[test]
fn m_11_continue_and_replace_frees_the_method() {
    let rules = MutationRules { disallow_all: true, ..Default::default() };
    let policy = Policy { replace_message: true, ..policy(&rules) };
    let mut request = request(&[]);
    let mutation = mutation(&[], &[(":method", "POST", false), (":method", "a b", false), ("x", "1", false)]);
    let outcome = apply(&mutation, Target::Request(&mut request), &policy);
    assert_eq!(counted(outcome), Ok((2, true)));
    assert_eq!(request.method, Method::POST);
}

/// M-12 and decision 2: a request says only once how long it is.
#[test]
fn m_12_contradicting_lengths_are_ignored() {
    let lengths = |sets: &[Set<'_>]| {
        let (outcome, request) = applied(&[], sets);
        (outcome.expect("not refused").ignored, list(&request.fields).split_off(5))
    };
    let te = ("transfer-encoding", "chunked", false);
    let cl = ("content-length", "3", false);
    assert_eq!(lengths(&[cl, te]), (1, vec!["content-length: 3".to_owned()]));
    assert_eq!(lengths(&[te, cl]), (1, vec!["transfer-encoding: chunked".to_owned()]));
    assert_eq!(lengths(&[cl, ("content-length", "3", true)]), (1, vec!["content-length: 3".to_owned()]));
    assert_eq!(lengths(&[("content-length", "x", false)]), (1, vec![]));
    let mut response = ResponseHeaders { status: StatusCode::OK, fields: HeaderMap::new() };
    let rules = MutationRules::default();
    let outcome = apply(&mutation(&[], &[te, cl]), Target::Response(&mut response), &policy(&rules));
    assert_eq!(counted(outcome), Ok((0, true)));
}

/// M-14 and decision 2.
#[test]
fn m_14_trailers_take_no_pseudo_headers() {
    let mut trailers = fields(&[("a", "1")]);
    let rules = MutationRules { allow_all_routing: true, ..Default::default() };
    let sets = [(":path", "/", false), (":x", "/", false), ("host", "h", false), ("grpc-message", "m", true)];
    let outcome = apply(&mutation(&["a"], &sets), Target::Trailers(&mut trailers), &policy(&rules));
    assert_eq!(counted(outcome), Ok((2, true)));
    assert_eq!(list(&trailers), ["host: h", "grpc-message: m"]);
}

#[test]
fn m_17_forbidden_may_be_an_error() {
    let rules = MutationRules { disallow_is_error: true, ..Default::default() };
    let refused = |removes: &[&str], sets: &[Set<'_>]| {
        let outcome = apply(&mutation(removes, sets), Target::Request(&mut request(&[])), &policy(&rules));
        let refused = outcome.expect_err("forbidden");
        (refused.reason.as_str(), refused.effect.code())
    };
    assert_eq!(refused(&[], &[("host", "x", false)]), ("header_mutation_set_headers_failed", 4));
    assert_eq!(refused(&[], &[("", "x", false)]), ("header_mutation_set_headers_failed", 4));
    assert_eq!(refused(&["host"], &[]), ("header_mutation_remove_headers_failed", 4));
}

#[test]
fn m_18_host_is_the_authority() {
    let rules = MutationRules { allow_all_routing: true, ..Default::default() };
    let mut request = request(&[]);
    let sets =
        [("Host", "new", false), ("host", "b", true), ("host", "no/", false), (":scheme", "ftp", false)];
    let outcome = apply(&mutation(&[], &sets), Target::Request(&mut request), &policy(&rules));
    assert_eq!(counted(outcome), Ok((2, true)));
    assert_eq!(request.authority, "new,b");
    assert!(request.fields.is_empty());
}

/// 6.3 and M-22.
#[test]
fn the_status_of_a_response_may_be_set() {
    let rules = MutationRules::default();
    let mut response = ResponseHeaders { status: StatusCode::OK, fields: HeaderMap::new() };
    let sets = [
        (":status", "404", false),
        (":status", "199", false),
        (":status", "1000", false),
        (":status", "500", true),
    ];
    let outcome = apply(&mutation(&[":status"], &sets), Target::Response(&mut response), &policy(&rules));
    assert_eq!(counted(outcome), Ok((4, true)));
    assert_eq!(response.status, StatusCode::NOT_FOUND);
}

#[test]
fn i_4_a_refused_mutation_leaves_what_was_done() {
    let rules = MutationRules::default();
    let mut reply = ResponseHeaders { status: StatusCode::FORBIDDEN, fields: HeaderMap::new() };
    let sets = [
        ("x", "1", false),
        (":status", "500", false),
        ("content-length", "77", false),
        ("x-envoy-a", "1", false),
        ("content-type", "a/b", false),
        ("y", "\n", false),
        ("z", "1", false),
    ];
    let refused = apply_to_local_reply(&mutation(&[], &sets), &mut reply, &rules, "x-envoy");
    let refused = refused.expect_err("invalid character");
    assert_eq!((refused.reason, refused.ignored_before), (RefusedReason::SetContainsInvalidCharacter, 1));
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    assert_eq!(list(&reply.fields), ["x: 1", "content-type: a/b"]);
    // Envoy has no limits here.
    let names: Vec<String> = (0..101).map(|number| number.to_string()).collect();
    let sets: Vec<Set<'_>> = names.iter().map(|name| (name.as_str(), "", false)).collect();
    assert!(apply_to_local_reply(&mutation(&[], &sets), &mut reply, &rules, "x-envoy").is_ok());
}

fn header_map(entries: &[(&str, &str)]) -> messages::HeaderMap {
    let header = |(key, value): &(&str, &str)| messages::HeaderValue {
        key: (*key).to_owned(),
        value: String::new(),
        raw_value: Bytes::copy_from_slice(value.as_bytes()),
    };
    messages::HeaderMap { headers: entries.iter().map(header).collect() }
}

#[test]
fn s_3_headers_of_a_streamed_immediate_response() {
    let rules = MutationRules { disallow_system: true, ..Default::default() };
    let policy = policy(&rules);
    let headers = header_map(&[
        ("a", "1"),
        ("x-envoy-a", "1"),
        (":status", "201"),
        ("A", "2"),
        ("b", "3"),
        (":path", "/"),
    ]);
    let (response, applied) = streamed_headers(&headers, &policy).expect("valid");
    assert_eq!(response.status, StatusCode::CREATED);
    assert_eq!(list(&response.fields), ["a: 2", "b: 3"]);
    assert_eq!(applied.ignored, 2);
    let error =
        |entries: &[(&str, &str)]| streamed_headers(&header_map(entries), &policy).expect_err("invalid");
    assert_eq!(error(&[("x-envoy-a", "1")]), StreamedHeadersError::MissingStatus { ignored: 1 });
    assert_eq!(
        error(&[]).to_string(),
        "filter_removed_required_response_headers{missing_required_header:_:status}"
    );
    for status in ["x", "199", ""] {
        assert_eq!(error(&[(":status", status)]).to_string(), "header_mutation_set_headers_failed");
    }
    let invalid = error(&[(":status", "200"), ("a b", "")]);
    assert_eq!(invalid.to_string(), "header_mutation_set_contains_invalid_character");
    let (trailers, _) = streamed_trailers(&header_map(&[("t", "1"), ("t", "2")]), &policy).expect("valid");
    assert_eq!(list(&trailers), ["t: 2"]);
    assert!(streamed_trailers(&header_map(&[("t", "1"); 101]), &policy).is_err());
}
