//! Many objects: the work grows with their number and not with its square.
//!
//! Whole sizes take a release build: `cargo test --release -p tollgate-config --test scale -- --nocapture` prints figures.
//! Without optimization everything is a fifth of that. For the command line, `SCALE=folder cargo test -p tollgate-config --test scale
//! -- --ignored` writes the inputs into a folder: `time tollgate check folder/routes.yaml`.

#![allow(clippy::print_stdout, reason = "figures for whoever runs it with --nocapture")]

mod shapes;

use std::{path::PathBuf, time::Duration};

use rustix::time::{ClockId, clock_gettime};
use tollgate_config::{Outcome, Severity, Source, load};

/// A part of the whole sizes.
const PART: usize = if cfg!(debug_assertions) { 5 } else { 1 };

/// The processor time of this thread: what else the machine does is of no matter.
fn now() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).expect("nanoseconds"))
}

/// The time that loading takes, the best of a few; what came of it has to be right.
fn time(text: String, check: impl Fn(&Outcome)) -> Duration {
    let source = Source { path: "scale.yaml".to_owned(), text };
    let once = || {
        let start = now();
        let outcome = load(std::slice::from_ref(&source));
        let took = now() - start;
        let errors = outcome.diagnostics.iter().filter(|said| said.severity == Severity::Error);
        assert_eq!(errors.map(|said| &said.message).next(), None);
        check(&outcome);
        took
    };
    (0..2).map(|_| once()).min().expect("a time")
}

/// Ten times as much takes ten times as long; a square would take a hundred times.
fn grows_with_the_number(
    name: &str,
    whole: usize,
    shape: impl Fn(usize) -> String,
    check: impl Fn(&Outcome, usize),
) {
    let whole = whole / PART;
    let [small, large] =
        [whole / 10, whole].map(|number| time(shape(number), |outcome| check(outcome, number)));
    println!("{name}: {small:?} for {}, {large:?} for {whole}", whole / 10);
    assert!(large < small * 30, "{name}: {small:?} for a tenth, {large:?} for all");
}

#[test]
#[ignore = "writes whole inputs into the folder that SCALE names"]
fn inputs_of_whole_size() {
    let folder = PathBuf::from(std::env::var("SCALE").expect("SCALE names a folder"));
    std::fs::create_dir_all(&folder).expect("a folder");
    for (name, text) in [
        ("routes", shapes::routes(5_000, 0)),
        ("selected", shapes::selected(5_000)),
        ("policies", shapes::routes(500, 500)),
        ("listener_sets", shapes::listener_sets(1_000)),
        ("backend_tls", shapes::backend_tls(5_000)),
        ("istio", shapes::istio(10_000)),
    ] {
        std::fs::write(folder.join(name).with_extension("yaml"), text).expect("a file");
    }
}

fn clusters(outcome: &Outcome) -> usize {
    outcome.snapshot.as_ref().expect("a snapshot").clusters.len()
}

/// Virtual hosts of all listeners.
fn virtual_hosts(outcome: &Outcome) -> usize {
    let listeners = &outcome.snapshot.as_ref().expect("a snapshot").listeners;
    let chains = listeners.iter().flat_map(|listener| &listener.filter_chains);
    chains.map(|chain| chain.http.route_config.virtual_hosts.iter().count()).sum()
}

#[test]
fn routes_with_policies() {
    grows_with_the_number(
        "routes",
        5_000,
        |n| shapes::routes(n, n / 10),
        |outcome, n| {
            assert_eq!(clusters(outcome), n + n / 10);
            assert_eq!(virtual_hosts(outcome), n + 1);
        },
    );
}

#[test]
fn listener_sets_with_tls() {
    grows_with_the_number("ListenerSets", 1_000, shapes::listener_sets, |outcome, n| {
        let listeners = &outcome.snapshot.as_ref().expect("a snapshot").listeners;
        assert_eq!(listeners.iter().map(|listener| listener.filter_chains.len()).sum::<usize>(), n + 1);
        assert_eq!(virtual_hosts(outcome), n + 1);
    });
}

#[test]
fn routes_that_policies_select() {
    grows_with_the_number("selected by Envoy Gateway", 5_000, shapes::selected, |outcome, n| {
        assert_eq!(virtual_hosts(outcome), n + 1);
    });
    grows_with_the_number("selected by kgateway", 5_000, shapes::selected_by_kgateway, |outcome, n| {
        assert_eq!(virtual_hosts(outcome), n + 1);
    });
}

#[test]
fn policies_on_distinct_routes() {
    // Some hundreds, whatever the build: a part of them would show nothing.
    grows_with_the_number(
        "policies",
        500 * PART,
        |n| shapes::routes(n, n),
        |outcome, n| {
            assert_eq!(clusters(outcome), 2 * n);
        },
    );
}

#[test]
fn backend_tls_policies() {
    grows_with_the_number("BackendTLSPolicies", 5_000, shapes::backend_tls, |outcome, n| {
        let clusters = &outcome.snapshot.as_ref().expect("a snapshot").clusters;
        assert_eq!(clusters.values().filter(|cluster| cluster.tls.is_some()).count(), n);
    });
}

#[test]
fn objects_of_istio() {
    grows_with_the_number("objects of Istio", 10_000, shapes::istio, |outcome, n| {
        assert_eq!(clusters(outcome), n / 2);
    });
}
