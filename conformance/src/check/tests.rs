//! What must not pass.

use std::time::Instant;

use serde_json::{Value, json};

use super::*;
use crate::board::{ProcessorSeen, RequestSeen};

/// The differences of a scenario for a request that ended so at the upstream, and a complete answer of status 200.
fn differences(scenario: Value, end: Option<End>, left: bool) -> Vec<String> {
    let scenario: Scenario = serde_json::from_value(scenario).expect("a scenario");
    let mut state = State::default();
    state.client.head = Some((200, Vec::new()));
    state.client.end = Some((End::Complete, Instant::now()));
    let request = RequestSeen { end, left, ..RequestSeen::default() };
    state.upstreams.insert("upstream".to_owned(), UpstreamSeen { connections: 1, requests: vec![request] });
    all(&scenario, &state, Instant::now())
}

#[test]
fn a_request_ends_unless_said_otherwise() {
    let cut = || Some(End::Cut("reset".to_owned()));
    for expect in [json!({}), json!({"upstream": {"path": ""}}), json!({"upstream": {"end": "complete"}})] {
        let scenario = json!({"name": "a", "expect": expect});
        assert!(differences(scenario.clone(), Some(End::Complete), false).is_empty());
        assert_eq!(differences(scenario.clone(), cut(), false).len(), 1, "{scenario}");
        assert_eq!(differences(scenario.clone(), None, false).len(), 1, "{scenario}");
    }
    let said = |end: &str| json!({"name": "a", "expect": {"upstream": {"end": end}}});
    assert!(differences(said("cut"), cut(), false).is_empty());
    assert_eq!(differences(said("cut"), Some(End::Complete), false).len(), 1);
    assert!(differences(said("open"), None, false).is_empty());
    assert!(differences(said("any"), cut(), false).is_empty());
    // The script of the upstream did it.
    assert!(differences(json!({"name": "a"}), cut(), true).is_empty());
}

#[test]
fn a_processor_that_must_not_be_asked() {
    let scenario: Scenario =
        serde_json::from_value(json!({"name": "a", "processor": "never"})).expect("a scenario");
    let mut state = State::default();
    state.processors.push(ProcessorSeen::default());
    state.client.head = Some((200, Vec::new()));
    state.client.end = Some((End::Complete, Instant::now()));
    assert!(all(&scenario, &state, Instant::now()).is_empty());
    let stream = StreamSeen { end: Some(SideEnd::HalfClosed), script_done: true, ..StreamSeen::default() };
    state.processors[0].streams.push(stream);
    assert_eq!(all(&scenario, &state, Instant::now()).len(), 1);
}
