//! What Tollgate is meant to reach, and whether it does.

use std::fmt::Write as _;

use super::{Results, median};
use crate::gateway::Gateway::{Envoy, Tollgate};

const SMALL: [&str; 5] = ["none", "headers", "buffered-4k", "streamed-4k", "duplex-4k"];
const LARGE: [&str; 4] = ["streamed-64k", "streamed-1m", "duplex-64k", "duplex-1m"];

/// Appends the table of targets, as far as what they need was measured.
pub(super) fn targets(out: &mut String, results: &Results) {
    out.push_str("| target | found | met |\n|---|---|---|\n");
    let mut row = |what: &str, found: Option<f64>, limit: f64, at_least: bool| {
        let Some(found) = found else { return };
        let met = if at_least { found >= limit } else { found <= limit };
        let relation = if at_least { "at least" } else { "at most" };
        let _ =
            writeln!(out, "| {what}: {relation} {limit} | {found:.3} | {} |", if met { "yes" } else { "no" });
    };
    let case = |name: &str| results.cases.get(name);
    for (names, limit) in [(&SMALL[..], 0.45), (&LARGE[..], 0.5)] {
        for name in names {
            let found = case(name).and_then(|case| case.ratio(|it| it.cpu));
            row(&format!("CPU for each request, {name}"), found, limit, false);
        }
    }
    for (name, case) in results.in_order() {
        row(&format!("requests per second, {name}"), case.ratio(|it| it.rate), 2.0, true);
    }
    for name in ["headers", "duplex-4k"] {
        let found = case(name).and_then(|case| case.latency_ratio(50, |it| it.p99));
        row(&format!("p99 at 50 % load, {name}"), found, 0.5, false);
    }
    let busy = case("headers-c256").and_then(|case| case.ratio(|it| it.memory_busy));
    row("memory at 256 busy connections", busy, 0.35, false);
    let idle = |gateway| median(results.idle.get(&gateway).cloned().unwrap_or_default());
    let found = idle(Tollgate).zip(idle(Envoy)).map(|(tollgate, envoy)| tollgate / envoy);
    row("memory for each idle connection", found, 0.35, false);

    let cpu = |name: &str| case(name).and_then(|case| case.figure(Tollgate, |it| it.cpu));
    let second = cpu("none").zip(cpu("headers")).zip(cpu("headers-x2"));
    let found = second.map(|((none, one), two)| (two - one) / (one - none));
    row("cost of a second processor, the first being 1", found, 0.9, false);
    let found = cpu("routes-10").zip(cpu("routes-10000")).map(|(few, many)| many / few);
    row("CPU with 10,000 routes of other hosts, with 10 being 1", found, 1.05, false);
}
