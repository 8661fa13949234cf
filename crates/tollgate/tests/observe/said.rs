//! Each failure has a line in the log at its default level.

use std::io::Write as _;

use crate::{
    peers,
    support::http::{connect, get, receive},
    world::World,
};

/// A path, what the processor is asked to do, the status, and what the line has to say.
const FAILURES: &[(&str, &str, u16, &[&str])] = &[
    (
        "/processor/down",
        "",
        500,
        &[
            "ended its stream with an error",
            "down-processor",
            "Connection_refused",
            "step=request_headers",
            "status 500",
        ],
    ),
    (
        "/processor/x",
        "silence",
        504,
        &[
            "did not answer in time",
            "puppet",
            "127.0.0.1:",
            "step=request_headers",
            "limit_ms=200",
            "status 504",
        ],
    ),
    (
        "/processor/x",
        "wrong-kind",
        500,
        &[
            "does not fit",
            "puppet",
            "step=request_headers",
            "received=\"response_body\"",
            "status 500",
            "request_id=",
        ],
    ),
    ("/processor/x", "error", 500, &["ended its stream with an error", "puppet", "database_is_down"]),
    (
        "/processor/tls",
        "",
        500,
        &["cannot connect", "tls-processor", "the-name-it-has.test", "asked-for.test"],
    ),
    ("/processor/x", "bad-header", 500, &["header change", "refused", "header=\"x-bad name\"", "status 500"]),
    ("/processor/x", "host", 200, &["had no effect", "header=\"host\"", "puppet"]),
    ("/upstream/down", "", 503, &["cannot connect", "cluster=\"down\"", "127.0.0.1:", "Connection refused"]),
    (
        "/upstream/tls",
        "",
        503,
        &["cannot connect", "cluster=\"tls\"", "the-name-it-has.test", "asked-for.test"],
    ),
    ("/upstream/name", "", 503, &["found no endpoint", "does-not-exist.invalid"]),
    ("/nowhere", "", 404, &["no route", "path=\"/nowhere\"", "host="]),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_failure_has_its_line() {
    let World { process, listener, .. } = World::start("observe_said", peers::down()).await;
    let work = tokio::task::spawn_blocking(move || {
        for (path, task, status, _) in FAILURES {
            let response = get(&listener, path, &[("do", task)]);
            assert_eq!(response.status, *status, "{path} {task}: {response:?}");
        }
        // Failed open, on a processor whose failures of this kind have been told of: another one.
        let open = get(&listener, "/processor/open", &[("do", "silence")]);
        assert_eq!(open.status, 200, "{open:?}");
        let mut stream = connect(&listener);
        let body = "x".repeat(100_000);
        let head = "POST /processor/buffered HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 100000\r\n\r\n";
        // It may be refused before all of it is there.
        let _ = stream.write_all(&[head, &body].concat().into_bytes());
        assert_eq!(receive(stream).status, 413);
        process.signal("TERM");
        process.wait()
    });
    let (status, text) = work.await.expect("answers");
    assert!(status.success(), "{text}");
    let warnings: Vec<&str> = text.lines().filter(|line| line.contains(" WARN ")).collect();
    let find = |wanted: &[&str]| {
        let found = warnings.iter().any(|line| wanted.iter().all(|part| line.contains(part)));
        assert!(found, "{wanted:?}\n{text}");
    };
    FAILURES.iter().for_each(|(_, _, _, wanted)| find(wanted));
    find(&["no address", "does-not-exist.invalid"]);
    find(&["larger than", "32768"]);
    assert!(!text.contains("panicked"), "{text}");
}

/// A failure that every request meets is told of once, and later how often it was left out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_failure_is_told_once() {
    let World { process, listener, .. } = World::start("observe_once", peers::down()).await;
    let work = tokio::task::spawn_blocking(move || {
        for _ in 0..20 {
            assert_eq!(get(&listener, "/processor/open", &[("do", "wrong-kind")]).status, 200);
        }
        process.signal("TERM");
        process.wait()
    });
    let (_, text) = work.await.expect("answers");
    let told: Vec<&str> = text.lines().filter(|line| line.contains("does not fit")).collect();
    assert_eq!(told.len(), 1, "{text}");
    assert!(told[0].contains("failed open"), "{text}");
}

/// Whoever meets a detail in a log finds it on the page that says what to do.
#[test]
fn the_page_knows_every_detail() {
    let page = include_str!("../../../../docs/troubleshooting.md");
    for detail in [
        "ext_proc_error_gRPC_error_14{",
        "ext_proc_error_per-message_timeout_exceeded",
        "spurious_message",
        "unhandled_message",
        "unhandled_immediate_response_due_to_config_disabled_it",
        "header_mutation_set_contains_invalid_character",
        "header_mutation_remove_contains_invalid_character",
        "header_mutation_set_headers_failed",
        "header_mutation_remove_headers_failed",
        "header_mutation_operation_count_exceeds_limit",
        "header_mutation_result_exceeds_limit",
        "mismatch_between_content_length_and_the_length_of_the_mutated_body",
        "processor_closed_mid_body",
        "processor_idle",
        "no_healthy_upstream",
        "response_timeout",
        "route_not_found",
        "cluster_not_found",
        "request_payload_too_large",
        "response_payload_too_large",
        "path_normalization_failed",
    ] {
        assert!(page.contains(detail), "{detail}");
    }
}
