//! What is asked for and answered.

use std::collections::BTreeMap;

use super::{delta::Delta, sotw::Sotw, *};
use crate::Kind;

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn set(names: &[&str]) -> Wanted {
    Wanted::Names(self::names(names).into_iter().collect())
}

#[test]
fn a_state_of_the_world_is_accepted_with_its_version_and_refused_with_the_one_before() {
    let mut state = Sotw::new(Kind::Cluster);
    state.opened();
    assert_eq!(state.next_request(), None, "nothing is wanted");
    *state.wanted_mut() = Wanted::All;
    let first = state.next_request().unwrap();
    assert_eq!((&*first.version_info, &*first.response_nonce), ("", ""));
    assert_eq!(first.type_url, "type.googleapis.com/envoy.config.cluster.v3.Cluster");
    assert_eq!(state.next_request(), None);

    state.answer("1".into(), "a".into(), None);
    let accepted = state.next_request().unwrap();
    assert_eq!((&*accepted.version_info, &*accepted.response_nonce), ("1", "a"));
    assert_eq!(accepted.error_detail, None);

    state.answer("2".into(), "b".into(), Some("bad".into()));
    let refused = state.next_request().unwrap();
    assert_eq!((&*refused.version_info, &*refused.response_nonce), ("1", "b"));
    assert_eq!(refused.error_detail.unwrap().message, "bad");
    assert_eq!(state.next_request(), None);

    // The next stream begins with what was accepted.
    state.opened();
    let again = state.next_request().unwrap();
    assert_eq!((&*again.version_info, &*again.response_nonce), ("1", ""));
}

#[test]
fn what_a_response_brought_while_it_was_not_wanted_is_asked_for_anew() {
    let mut state = Sotw::new(Kind::Secret);
    *state.wanted_mut() = set(&["a"]);
    state.opened();
    assert_eq!(state.next_request().unwrap().resource_names, ["a"]);
    // The response comes while nothing is wanted; what is in it is left out.
    *state.wanted_mut() = set(&[]);
    state.answer("1".into(), "x".into(), None);
    *state.wanted_mut() = set(&["a"]);
    // With the names that the server knows already, it would take the request for a mere answer.
    let answer = state.next_request().unwrap();
    assert_eq!((answer.resource_names, &*answer.response_nonce), (names(&[]), "x"));
    let request = state.next_request().unwrap();
    assert_eq!((request.resource_names, &*request.response_nonce), (names(&["a"]), "x"));
    assert_eq!(state.next_request(), None);
}

#[test]
fn a_change_that_came_while_it_was_not_wanted_is_asked_for_anew() {
    let mut state = Delta::new(Kind::Secret);
    *state.wanted_mut() = set(&["a"]);
    state.opened();
    assert_eq!(state.next_request().unwrap().resource_names_subscribe, ["a"]);
    *state.wanted_mut() = set(&[]);
    state.left_out("a".into());
    state.answer("x".into(), None);
    *state.wanted_mut() = set(&["a"]);
    let request = state.next_request().unwrap();
    assert_eq!((request.resource_names_subscribe, &*request.response_nonce), (names(&["a"]), "x"));
    assert_eq!(state.next_request(), None);
}

#[test]
fn other_names_are_asked_for_with_the_last_nonce() {
    let mut state = Sotw::new(Kind::Routes);
    *state.wanted_mut() = set(&["a"]);
    state.opened();
    assert_eq!(state.next_request().unwrap().resource_names, ["a"]);
    state.answer("1".into(), "x".into(), None);
    *state.wanted_mut() = set(&["a", "b"]);
    // The answer says what was wanted when the response came.
    assert_eq!(state.next_request().unwrap().resource_names, ["a"]);
    let request = state.next_request().unwrap();
    assert_eq!((&*request.version_info, &*request.response_nonce), ("1", "x"));
    assert_eq!(request.resource_names, ["a", "b"]);
    assert_eq!(state.next_request(), None);
    *state.wanted_mut() = set(&["b", "a"]);
    assert_eq!(state.next_request(), None, "the same names");
    *state.wanted_mut() = set(&[]);
    assert_eq!(state.next_request().unwrap().resource_names, names(&[]));
}

#[test]
fn changes_are_asked_for_name_by_name() {
    let mut state = Delta::new(Kind::Endpoints);
    state.opened();
    assert_eq!(state.next_request(), None, "nothing is wanted");
    *state.wanted_mut() = set(&["a", "b"]);
    let first = state.next_request().unwrap();
    assert_eq!(first.resource_names_subscribe, ["a", "b"]);
    assert_eq!(first.initial_resource_versions, BTreeMap::new());
    state.accepted("a".into(), "1".into());
    state.answer("x".into(), None);
    state.answer("y".into(), Some("bad".into()));
    *state.wanted_mut() = set(&["a", "c"]);
    let request = state.next_request().unwrap();
    assert_eq!(request.resource_names_subscribe, ["c"]);
    assert_eq!(request.resource_names_unsubscribe, ["b"]);
    assert_eq!((&*request.response_nonce, request.error_detail), ("x", None));
    // Every response has an answer of its own.
    let request = state.next_request().unwrap();
    assert_eq!(request.resource_names_subscribe, names(&[]));
    assert_eq!(request.response_nonce, "y");
    assert_eq!(request.error_detail.unwrap().message, "bad");
    assert_eq!(state.next_request(), None);
}

#[test]
fn a_stream_is_resumed_with_what_was_accepted() {
    let mut state = Delta::new(Kind::Listener);
    *state.wanted_mut() = Wanted::All;
    state.opened();
    let first = state.next_request().unwrap();
    assert_eq!(first.resource_names_subscribe, names(&[]), "everything");
    for (name, version) in [("a", "1"), ("b", "1"), ("a", "2")] {
        state.accepted(name.into(), version.into());
    }
    state.removed("b");
    state.answer("lost".into(), None);
    state.opened();
    let again = state.next_request().unwrap();
    assert_eq!(again.initial_resource_versions, BTreeMap::from([("a".to_owned(), "2".to_owned())]));
    assert_eq!(again.response_nonce, "", "a nonce belongs to its stream");
    assert_eq!(state.next_request(), None);
}

#[test]
fn what_is_given_back_is_not_resumed() {
    let mut state = Delta::new(Kind::Secret);
    *state.wanted_mut() = set(&["a"]);
    state.opened();
    state.next_request().unwrap();
    state.accepted("a".into(), "1".into());
    state.accepted("unasked".into(), "1".into());
    *state.wanted_mut() = set(&["b"]);
    assert_eq!(state.next_request().unwrap().resource_names_unsubscribe, ["a"]);
    state.opened();
    assert_eq!(state.next_request().unwrap().initial_resource_versions, BTreeMap::new());
}

#[test]
fn reasons_are_not_longer_than_servers_take() {
    let reason = "\u{e9}".repeat(5000);
    assert_eq!(status(&reason).message.len(), 4096);
}
