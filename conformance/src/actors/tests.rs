//! The scripted parties against each other, without a gateway between them.

use std::{path::Path, sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{client, upstream};
use crate::{
    board::Board,
    check,
    scenario::{Scenario, load::read},
};

/// Plays client and upstream directly and returns the differences.
async fn play(scenario: Value) -> Vec<String> {
    let scenario: Scenario = read(Path::new("test"), "test", scenario).expect("scenario");
    let board = Arc::new(Board::new(0, Duration::from_secs(2)));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("port");
    let port = listener.local_addr().expect("address").port();
    let server = tokio::spawn(upstream::run(
        Arc::clone(&board),
        "upstream".to_owned(),
        scenario.upstream.clone(),
        listener,
    ));
    client::run(&board, &scenario, &scenario.request, port).await;
    let ended = |state: &crate::board::State| {
        state.upstreams.values().flat_map(|seen| &seen.requests).all(|request| request.end.is_some())
    };
    board.until(Duration::from_secs(1), ended).await;
    server.abort();
    check::all(&scenario, &board.snapshot(), board.started())
}

fn everything(protocol: &str) -> Value {
    json!({
        "name": "everything",
        "request": {
            "protocol": protocol, "line": "POST /up", "chunked": true, "headers": ["x-a: 1", "x-a: 2"],
            "trailers": {"x-t": "v"},
            "send": ["head", {"body": "one"}, {"wait_for": "client body 2", "body": "two"}, "end"],
        },
        "upstream": {
            "protocol": protocol, "status": 201, "headers": {"x-b": "3"}, "trailers": {"x-u": "w"},
            "send": [{"wait_for": "upstream body 3"}, "head", {"body": "ok"}, {"wait_for": "upstream end"}, "end"],
        },
        "expect": {
            "upstream": {"method": "POST", "path": "/up", "headers": {"x-a": [1, 2]}, "body": "onetwo",
                "chunks": ["one", "two"], "trailers": {"x-t": "v"}, "end": "complete"},
            "client": {"status": 201, "headers": {"x-b": 3}, "body": "ok", "trailers": {"x-u": "w"}},
        },
    })
}

#[tokio::test]
async fn everything_arrives_over_http1() {
    assert_eq!(play(everything("http1")).await, Vec::<String>::new());
}

#[tokio::test]
async fn everything_arrives_over_http2() {
    assert_eq!(play(everything("http2")).await, Vec::<String>::new());
}

#[tokio::test]
async fn what_is_not_there_is_found() {
    let wrong = json!({
        "name": "wrong",
        "expect": {
            "upstream": {"path": "/other", "headers": {"x-a": "1"}, "requests": 2},
            "client": {"status": 404, "body": "no", "trailers": {"x-t": "v"}},
        },
    });
    assert_eq!(play(wrong).await.len(), 6);
}

#[tokio::test]
async fn cut_and_left_are_told_apart() {
    let cut = |protocol: &str, end: &str, step: &str| {
        json!({
            "name": "cut",
            "request": {"protocol": protocol},
            "upstream": {"protocol": protocol, "chunked": true, "send": ["head", {"body": "a"}, {"wait_for": "client body 1", (step): true}]},
            "expect": {"client": {"end": end}},
        })
    };
    for protocol in ["http1", "http2"] {
        assert_eq!(play(cut(protocol, "cut", "reset")).await, Vec::<String>::new(), "{protocol}");
        assert_eq!(play(cut(protocol, "complete", "reset")).await.len(), 1, "{protocol}");
    }
    let left = json!({
        "name": "left",
        "request": {"send": ["head", {"wait_for": "upstream head", "reset": true}]},
        "upstream": {"send": [{"wait_for": "signal never"}]},
        "expect": {"client": {"end": "left"}},
    });
    assert_eq!(play(left).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_wait_that_never_ends_is_a_failure() {
    let stuck = json!({
        "name": "stuck",
        "request": {"patience": "100ms", "send": ["head", {"wait_for": "upstream body 1"}]},
    });
    let differences = play(stuck).await;
    assert!(
        differences.iter().any(|difference| difference.contains("wait for `upstream body 1`")),
        "{differences:?}"
    );
}

/// Nobody reads what is sent: the client ends with its patience, not with the gateway's.
#[tokio::test]
async fn a_write_that_nobody_reads_is_given_up() {
    let scenario = json!({
        "name": "unread",
        "request": {"patience": "50ms", "body": {"repeat": "x", "count": 64_000_000}},
        "expect": {"client": {"end": "hangs"}},
    });
    let scenario: Scenario = read(Path::new("test"), "test", scenario).expect("scenario");
    let board = Board::new(0, Duration::from_millis(100));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("port");
    let port = listener.local_addr().expect("address").port();
    let (playing, unread) = tokio::join!(
        tokio::time::timeout(
            Duration::from_secs(20),
            client::run(&board, &scenario, &scenario.request, port)
        ),
        listener.accept(),
    );
    playing.expect("the client gives up");
    assert!(board.transcript().iter().any(|line| line.contains("takes no more within 100ms")));
    drop(unread);
}
