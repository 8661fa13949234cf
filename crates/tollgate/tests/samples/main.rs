//! Processors behind Envoy and Tollgate: the result is the same, whatever the gateway, the transport and the mode.
//!
//! `ENVOY` has to name the binary of Envoy. `docs/processors/check` runs the processors in other languages.

#![allow(clippy::print_stdout, reason = "figures for whoever runs it with --nocapture")]

use tollgate_testing as support;

mod bootstrap;
mod cases;
mod gateway;
mod handlers;
mod processors;
mod upstream;

use std::{collections::BTreeMap, env};

use self::{
    bootstrap::{Endpoint, bootstrap},
    cases::{Case, HANDLERS, SAMPLES, marked},
    gateway::{Gateway, Kind},
    processors::{Processors, Transport},
    upstream::Seen,
};

/// Exchanges by what came of them.
type Results = BTreeMap<Seen, Vec<String>>;

/// Plays every case in each of its modes behind one gateway.
async fn play(test: &str, kind: Kind, endpoints: &[Endpoint], cases: &[Case], results: &mut [Results]) {
    let upstream = upstream::start().await;
    let gateway = Gateway::start(test, kind, &bootstrap(upstream, endpoints, cases)).await;
    for (case, results) in cases.iter().zip(results) {
        for &mode in case.modes {
            let seen = upstream::request(gateway.listener(&case.listener(mode)), case).await;
            results.entry(seen).or_default().push(format!("{test} {mode:?}"));
        }
    }
}

/// One result of each case, and the right one.
fn check(cases: &[Case], results: &[Results]) -> usize {
    for (case, results) in cases.iter().zip(results) {
        assert_eq!(results.len(), 1, "{}: {results:#?}", case.name);
        for seen in results.keys() {
            assert_eq!(seen.status, case.status, "{}: {seen:#?}", case.name);
            for text in case.contains {
                assert!(seen.text.contains(text), "{}: {text} is missing: {seen:#?}", case.name);
            }
        }
    }
    results.iter().flat_map(Results::values).map(Vec::len).sum()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Envoy: the variable ENVOY has to name its binary"]
async fn every_sample_does_the_same_everywhere() {
    let mut results = vec![Results::default(); SAMPLES.len()];
    for transport in [Transport::Tcp, Transport::Tls, Transport::Unix] {
        let processors = Processors::start(transport, SAMPLES).await;
        for kind in [Kind::Envoy, Kind::Tollgate] {
            let test = format!("samples_{transport:?}_{kind:?}").to_lowercase();
            play(&test, kind, processors.endpoints(), SAMPLES, &mut results).await;
        }
    }
    println!("{} exchanges with {} samples", check(SAMPLES, &results), SAMPLES.len());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Envoy: the variable ENVOY has to name its binary"]
async fn what_no_sample_does_is_the_same_everywhere() {
    let endpoints = handlers::start().await;
    let mut results = vec![Results::default(); HANDLERS.len()];
    for kind in [Kind::Envoy, Kind::Tollgate] {
        let test = format!("handlers_{kind:?}").to_lowercase();
        play(&test, kind, &endpoints, HANDLERS, &mut results).await;
    }
    println!("{} exchanges", check(HANDLERS, &results));
}

/// `PROCESSORS` has a line for each: a name, and a command that takes an address as its last argument. All of them do the same.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Envoy, and processors in other languages: docs/processors/check"]
async fn processors_in_other_languages_do_the_same_everywhere() {
    let text = env::var("PROCESSORS").expect("PROCESSORS has the commands");
    let commands: Vec<_> = text.lines().filter_map(|line| line.trim().split_once(' ')).collect();
    assert!(!commands.is_empty(), "no processor in {text:?}");
    let cases = marked(commands.iter().map(|(name, _)| *name));
    let processors = Processors::run(&commands).await;
    let mut results = vec![Results::default(); cases.len()];
    for kind in [Kind::Envoy, Kind::Tollgate] {
        let test = format!("languages_{kind:?}").to_lowercase();
        play(&test, kind, processors.endpoints(), &cases, &mut results).await;
    }
    let exchanges = check(&cases, &results);
    let all: Results = results.into_iter().flatten().collect();
    assert_eq!(all.len(), 1, "they differ: {all:#?}");
    for (endpoint, case) in processors.endpoints().iter().zip(&cases) {
        let arguments = ["--mode", "all", "-o", "markdown"];
        let arguments =
            [&[&*endpoint.address], &arguments[..]].concat().iter().map(ToString::to_string).collect();
        let (status, report) = processors::tried(arguments).await;
        assert_eq!(status, Some(0), "{}: {report}", case.name);
    }
    println!("{exchanges} exchanges with {} processors", commands.len());
}
