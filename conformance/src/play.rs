//! Plays one scenario against a running gateway.

use std::{path::PathBuf, sync::Arc, time::Duration};

use serde_json::Value;
use tokio::task::JoinSet;

use crate::{
    actors::{client, processor, upstream},
    board::{Board, State},
    check,
    gateway::admin,
    prepare::{Early, Prepared, Server},
    scenario::{
        Scenario,
        expect::{StreamEnd, UpstreamEnd, UpstreamExpect},
    },
};

/// What came of a scenario.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// Name of the scenario.
    pub name: String,
    /// The file it is in.
    pub file: PathBuf,
    /// What was not as expected; empty = passed.
    pub differences: Vec<String>,
    /// What happened, line by line.
    pub transcript: Vec<String>,
}

/// Plays a scenario.
pub(crate) async fn play(prepared: Prepared, admin_port: u16) -> Outcome {
    let Prepared { id, scenario, file, port, upstreams, processors, early, .. } = prepared;
    let Prepared { log_file, unfiltered_log_file, connection_log_file, .. } = prepared;
    let Early { board, mut servers } = early.unwrap_or_else(|| Early {
        board: Arc::new(Board::new(processors.len(), scenario.deadline.0)),
        servers: JoinSet::new(),
    });
    let mut kept = Vec::new();
    for (name, answers, server) in upstreams {
        match server {
            Server::Listening(listener) => {
                servers.spawn(upstream::run(Arc::clone(&board), name, answers, listener));
            }
            Server::Refusing { socket } => kept.push(socket),
        }
    }
    for (number, (script, server)) in processors.into_iter().enumerate() {
        match server {
            Server::Listening(listener) => {
                servers.spawn(processor::run(Arc::clone(&board), number, script, listener));
            }
            Server::Refusing { socket } => kept.push(socket),
        }
    }
    for request in &scenario.before {
        client::run(&board, &scenario, request, port).await;
        board.note("client", "goes on to its next request", |state| {
            let seen = std::mem::take(&mut state.client);
            state.before.push(seen.head.map_or(0, |(status, _)| status));
        });
    }
    client::run(&board, &scenario, &scenario.request, port).await;
    board.until(scenario.deadline.0, |state| settled(&scenario, state)).await;
    let mut differences = check::all(&scenario, &board.snapshot(), board.started());
    if differences.is_empty() {
        if scenario.log_filter.is_some() {
            differences.extend(logged(&unfiltered_log_file).await);
        }
        differences.extend(log(&scenario, &log_file).await);
        differences.extend(connection_log(&scenario, &connection_log_file).await);
        differences.extend(counters(&scenario, admin_port, &id).await);
        differences.extend(stats(&scenario, admin_port, &id).await);
    }
    drop(kept);
    Outcome { name: scenario.name, file, differences, transcript: board.transcript() }
}

/// Whether all that the gateway still does after the client is done has been seen.
fn settled(scenario: &Scenario, state: &State) -> bool {
    if !state.failures.is_empty() {
        return true;
    }
    let expect = &scenario.expect;
    let open = |number: usize, index: usize| {
        let listed = if number == 0 { expect.processor.as_ref() } else { None };
        let Some(processor) = expect.processors.get(number).or(listed) else { return false };
        let end = processor.each.get(index).map_or(processor.end, |stream| stream.end);
        end == Some(StreamEnd::Open)
    };
    let streams_ended = state.processors.iter().enumerate().all(|(number, processor)| {
        let mut streams = processor.streams.iter().enumerate();
        streams.all(|(index, stream)| stream.script_done && (stream.end.is_some() || open(number, index)))
    });
    let stays_open = |name: &str| {
        let expected = if name == "upstream" { expect.upstream.as_ref() } else { expect.upstreams.get(name) };
        matches!(expected, Some(UpstreamExpect::Request(request)) if request.end == Some(UpstreamEnd::Open))
    };
    let requests_ended = state.upstreams.iter().all(|(name, upstream)| {
        stays_open(name)
            || upstream.requests.iter().all(|r| r.left || (r.end.is_some() && (r.done || r.response_cut)))
    });
    // Copies of requests may come after the response.
    let expected = expect.upstream.iter().map(|expect| ("upstream", expect));
    let expected = expected.chain(expect.upstreams.iter().map(|(name, expect)| (name.as_str(), expect)));
    let mut wanted = expected.map(|(name, expect)| match expect {
        UpstreamExpect::NotContacted => (name, 0),
        UpstreamExpect::Request(request) => (name, request.requests.unwrap_or(1)),
    });
    let requests_seen = wanted.all(|(name, count)| {
        state.upstreams.get(name).map_or(0, |upstream| upstream.requests.len()) >= count
    });
    streams_ended && requests_ended && requests_seen
}

const PATIENCE: Duration = Duration::from_secs(2);

/// Repeats a look until it finds no differences or patience ends.
async fn eventually<F: Future<Output = Vec<String>>>(mut look: impl FnMut() -> F) -> Vec<String> {
    let begin = tokio::time::Instant::now();
    loop {
        let differences = look().await;
        if differences.is_empty() || tokio::time::Instant::now().duration_since(begin) > PATIENCE {
            return differences;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn log(scenario: &Scenario, file: &std::path::Path) -> Vec<String> {
    let expect = &scenario.expect;
    if expect.log.is_empty() && expect.log_entries.is_none_or(|entries| entries == 0) {
        let text = tokio::fs::read_to_string(file).await.unwrap_or_default();
        let most = 1 + scenario.before.len();
        return entries(&text, expect.log_entries.unwrap_or_else(|| text.lines().count().min(most)));
    }
    eventually(|| async {
        let text = tokio::fs::read_to_string(file).await.unwrap_or_default();
        let Some(line) = text.lines().last() else { return vec!["log: no entry".to_owned()] };
        let entry: Value = match serde_json::from_str(line) {
            Ok(entry) => entry,
            Err(error) => return vec![format!("log: {error} in {line:?}")],
        };
        let fields = expect.log.iter().filter_map(|(name, expect)| {
            let got = entry.get(name).unwrap_or(&Value::Null);
            check::values::difference(&format!("log {name}"), &expect.0, got)
        });
        let expected = expect.log_entries.unwrap_or(1 + scenario.before.len());
        entries(&text, expected).into_iter().chain(fields).collect()
    })
    .await
}

/// How long a log that is not written yet may take to be written.
const FLUSHED: Duration = Duration::from_millis(300);

/// Waits until the request was logged, and what a filter lets through as well.
async fn logged(file: &std::path::Path) -> Vec<String> {
    let differences = eventually(|| async {
        let text = tokio::fs::read_to_string(file).await.unwrap_or_default();
        if text.is_empty() { vec!["unfiltered log: no entry".to_owned()] } else { Vec::new() }
    })
    .await;
    tokio::time::sleep(FLUSHED).await;
    differences
}

/// The one connection is logged once.
async fn connection_log(scenario: &Scenario, file: &std::path::Path) -> Vec<String> {
    let expect = &scenario.expect.connection_log;
    if expect.is_empty() {
        return Vec::new();
    }
    eventually(|| async {
        let text = tokio::fs::read_to_string(file).await.unwrap_or_default();
        let Some(line) = text.lines().last() else { return vec!["connection log: no entry".to_owned()] };
        let entry: Value = match serde_json::from_str(line) {
            Ok(entry) => entry,
            Err(error) => return vec![format!("connection log: {error} in {line:?}")],
        };
        let fields = expect.iter().filter_map(|(name, expect)| {
            let got = entry.get(name).unwrap_or(&Value::Null);
            check::values::difference(&format!("connection log {name}"), &expect.0, got)
        });
        entries(&text, 1).into_iter().chain(fields).collect()
    })
    .await
}

/// Each request is logged once.
fn entries(text: &str, expected: usize) -> Vec<String> {
    match text.lines().count() {
        count if count == expected => Vec::new(),
        count => vec![format!("log: expected {expected} entries, got {count}:\n{text}")],
    }
}

async fn counters(scenario: &Scenario, admin_port: u16, id: &str) -> Vec<String> {
    let expect = &scenario.expect;
    if expect.counters.is_empty() && !expect.counters_exact {
        return Vec::new();
    }
    eventually(|| async {
        let got = match admin::counters(admin_port, id).await {
            Ok(got) => got,
            Err(error) => return vec![format!("counters: {error}")],
        };
        let mut differences = Vec::new();
        for (name, value) in &expect.counters {
            match got.get(name) {
                Some(seen) if seen == value => {}
                Some(seen) => differences.push(format!("counter {name}: expected {value}, got {seen}")),
                None => differences.push(format!("counter {name}: expected {value}, there is none")),
            }
        }
        if expect.counters_exact {
            let others =
                got.iter().filter(|(name, value)| **value != 0 && !expect.counters.contains_key(*name));
            differences
                .extend(others.map(|(name, value)| format!("counter {name}: expected 0, got {value}")));
        }
        differences
    })
    .await
}

async fn stats(scenario: &Scenario, admin_port: u16, id: &str) -> Vec<String> {
    let expected = &scenario.expect.stats;
    if expected.is_empty() {
        return Vec::new();
    }
    eventually(|| async {
        let got = match admin::stats(admin_port, id).await {
            Ok(got) => got,
            Err(error) => return vec![format!("stats: {error}")],
        };
        let wrong = expected.iter().filter(|(name, value)| got.get(*name) != Some(*value));
        wrong.map(|(name, value)| format!("{name}: expected {value}, got {:?}", got.get(name))).collect()
    })
    .await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn a_second_log_entry_is_seen() {
        let file = std::env::temp_dir().join(format!("conformance-log-{}", std::process::id()));
        let differences = async |expect: Value, text: &str| {
            std::fs::write(&file, text).unwrap();
            let scenario: Scenario = serde_json::from_value(json!({"name": "a", "expect": expect})).unwrap();
            log(&scenario, &file).await.len()
        };
        let (one, two) = ("{\"a\": 1}\n", "{\"a\": 1}\n{\"a\": 1}\n");
        assert_eq!(differences(json!({}), "").await, 0);
        assert_eq!(differences(json!({}), one).await, 0);
        assert_eq!(differences(json!({}), two).await, 1);
        assert_eq!(differences(json!({"log": {"a": 1}}), one).await, 0);
        assert_eq!(differences(json!({"log": {"a": 1}}), two).await, 1);
        assert_eq!(differences(json!({"log": {"a": 1}, "log_entries": 2}), two).await, 0);
        assert_eq!(differences(json!({"log_entries": 0}), one).await, 1);
        std::fs::remove_file(&file).unwrap();
    }
}
