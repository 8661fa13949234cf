//! Processors that are wrong on purpose, in Rust and in Python: `tollgate try` names each mistake, and nothing else.

use tollgate_testing as support;

mod processor;

use std::{collections::BTreeSet, env, process::Command};

use extproc_server::Server;
use serde_json::Value;
use support::{process::Running, root, texts, tollgate};

/// A mistake, arguments of `try` with which it is made, and what has to be said. The processor finds the name in the path.
type Mistake = (&'static str, &'static [&'static str], &'static [&'static str]);

const MISTAKES: &[Mistake] = &[
    ("none", &["--mode", "all"], &[]),
    ("wrong-kind", &[], &["wrong-kind"]),
    ("second-reply", &[], &["second-reply"]),
    ("missing-reply", &[], &["missing-reply"]),
    ("silence", &[], &["the exchange hangs", "missing-reply"]),
    // The response has begun by then.
    ("unfinished", DUPLEX, &["missing-reply", "unfinished"]),
    ("no-end", DUPLEX, &["the exchange hangs", "unfinished"]),
    ("behind-the-end", DUPLEX, &["behind-the-end"]),
    ("empty-message", &[], &["empty-message"]),
    ("after-the-end", &[], &["after-the-end"]),
    ("answer-to-copy", &["--mode", "observe"], &["answer-to-copy"]),
    ("streamed-response", &["--mode", "streamed", "-d", "body"], &["streamed-response"]),
    ("plain-body", DUPLEX, &["plain-body"]),
    ("body-in-headers", &[], &["body-in-headers"]),
    ("length", &["--mode", "buffered", "-d", "body"], &["length"]),
    ("late-headers", &["--mode", "streamed", "-d", "body"], &["late-headers"]),
    ("refused-header", &[], &["refused-header"]),
    ("invalid-header", &[], &["invalid-header"]),
    ("value-member", &[], &["value-member"]),
    ("trailers-member", &[], &["trailers-member"]),
    ("reroute", &[], &["reroute"]),
    ("override", &[], &["override"]),
    ("timeout", &[], &["timeout"]),
    ("streamed-immediate", &["--mode", "streamed", "-d", "body"], &["streamed-immediate"]),
    ("status", &[], &["status"]),
    ("error", &[], &["the processor ends the stream"]),
];
const DUPLEX: &[&str] = &["--mode", "duplex", "-d", "body"];

/// What `try` says about a mistake: the beginning of each problem.
fn problems(address: &str, (name, arguments, _): Mistake) -> BTreeSet<String> {
    let path = format!("/{name}");
    let mut command = tollgate();
    command.args(["try", address, &path, "-o", "json", "--timeout", "0.5"]).args(arguments);
    let output = command.output().expect("it runs");
    let (out, errors) = texts(&output);
    let report: Value =
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{name}: {error}: {out}{errors}"));
    let cases = report["cases"].as_array().expect("cases");
    let problems = cases.iter().flat_map(|case| case["problems"].as_array().expect("problems"));
    let problems: BTreeSet<_> = problems
        .map(|problem| {
            let text = problem.as_str().expect("text");
            text.split([':', '(']).next().unwrap_or_default().trim().to_owned()
        })
        .collect();
    assert_eq!(output.status.code(), Some(i32::from(!problems.is_empty())), "{name}: {out}{errors}");
    problems
}

fn check(address: &str, mistakes: impl Iterator<Item = Mistake>) {
    let mut wrong = Vec::new();
    for mistake in mistakes {
        let (name, _, expected) = mistake;
        let expected: BTreeSet<_> = expected.iter().map(ToString::to_string).collect();
        let found = problems(address, mistake);
        if found != expected {
            wrong.push(format!("{name}: {found:?} instead of {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_in_rust_are_named() {
    let server = Server::raw(|_| processor::Wrong).bind("127.0.0.1:0").await.expect("a port");
    let address = server.local_address().to_string();
    tokio::spawn(server.serve(std::future::pending()));
    tokio::task::spawn_blocking(move || check(&address, MISTAKES.iter().copied()))
        .await
        .expect("every mistake is named");
}

/// `PYTHON` has to name an interpreter that has the packages of `docs/processors/python/requirements.txt`.
#[test]
#[ignore = "needs Python with grpcio: the variable PYTHON has to name it"]
fn mistakes_in_python_are_named() {
    let python = env::var_os("PYTHON").expect("PYTHON names the interpreter");
    let program = root().join("crates/tollgate/tests/wrong/processor.py");
    let mut process = Running::spawn(Command::new(python).arg(program));
    // The messages of the package are older than that one.
    let known = MISTAKES.iter().copied().filter(|(name, ..)| *name != "streamed-immediate");
    check(&process.wait_for("listens on "), known);
}
