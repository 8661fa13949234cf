//! The tables, in Markdown.

use std::fmt::Write as _;

use super::{CaseResults, Results, median, targets};
use crate::{
    gateway::Gateway::{Envoy, Tollgate},
    rounds::LOADS,
};

/// Everything in tables.
pub(crate) fn table(results: &Results) -> String {
    let run = &results.run;
    let mut out = String::from("# Results\n\n");
    let _ = writeln!(out, "{}; Linux {}. Latest run {}:\n", run.processor, run.kernel, run.date);
    let _ = writeln!(out, "```sh\n{}\n```\n", run.command);
    for (gateway, version) in &run.versions {
        let _ = writeln!(out, "* {gateway}: {version}");
    }
    let _ = writeln!(out, "* commit {}, load average at the start {}\n", run.commit, run.load_average);
    saturation(&mut out, results);
    latency(&mut out, results);
    idle(&mut out, results);
    targets::targets(&mut out, results);
    out
}

fn saturation(out: &mut String, results: &Results) {
    out.push_str(
        "Figures are medians of the rounds, Envoy / Tollgate, and the ratio is the median of the rounds' own. CPU in \
         microseconds for each request; \"busy\" is the share of its core that Tollgate used (below 0.95 not the \
         gateway was the limit); memory in MB, at the end of the load and at its peak.\n\n\
         | case | CPU | ratio | requests/s | ratio | busy | memory | peak | system calls | messages | rounds |\n\
         |---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for (name, case) in results.in_order() {
        let pair = |figure: fn(&crate::measure::Saturation) -> f64, digits: usize| {
            let text = |value: Option<f64>| {
                value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
            };
            format!("{} / {}", text(case.figure(Envoy, figure)), text(case.figure(Tollgate, figure)))
        };
        let _ = writeln!(
            out,
            "| {name}: {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            case.title,
            pair(|it| it.cpu, 1),
            ratio(case.ratio(|it| it.cpu)),
            pair(|it| it.rate, 0),
            ratio(case.ratio(|it| it.rate)),
            ratio(case.figure(Tollgate, |it| it.busy)),
            pair(|it| it.memory_busy / 1e6, 1),
            pair(|it| it.memory_peak / 1e6, 1),
            system_calls(case),
            pair(|it| it.messages, 1),
            case.saturation.values().map(Vec::len).min().unwrap_or(0),
        );
    }
    out.push('\n');
}

fn system_calls(case: &CaseResults) -> String {
    [Envoy, Tollgate]
        .map(|gateway| {
            let rounds = case.saturation.get(&gateway).into_iter().flatten();
            let counted = median(rounds.filter_map(|round| round.system_calls).collect());
            counted.map_or_else(|| "-".to_owned(), |calls| format!("{calls:.2}"))
        })
        .join(" / ")
}

fn latency(out: &mut String, results: &Results) {
    out.push_str(
        "Latencies in microseconds at fixed rates, shares of the slower gateway's highest rate; requests begin at \
         random times that do not depend on answers, and 64 connections carry them.\n\n\
         | case | load | p50 | p90 | p99 | ratio | p99.9 | rounds |\n|---|---|---|---|---|---|---|---|\n",
    );
    for (name, case) in results.in_order() {
        for load in LOADS {
            let Some(rounds) = case.latency.get(&load) else { continue };
            let pair = |figure: fn(&crate::measure::Latency) -> f64| {
                let text =
                    |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.0}"));
                let (envoy, tollgate) =
                    (case.latency(load, Envoy, figure), case.latency(load, Tollgate, figure));
                format!("{} / {}", text(envoy), text(tollgate))
            };
            let rate = case.latency(load, Tollgate, |it| it.rate).unwrap_or(f64::NAN);
            let _ = writeln!(
                out,
                "| {name} | {load} %, {rate:.0}/s | {} | {} | {} | {} | {} | {} |",
                pair(|it| it.p50),
                pair(|it| it.p90),
                pair(|it| it.p99),
                ratio(case.latency_ratio(load, |it| it.p99)),
                pair(|it| it.p999),
                rounds.values().map(Vec::len).min().unwrap_or(0),
            );
        }
    }
    out.push('\n');
}

fn idle(out: &mut String, results: &Results) {
    let each =
        [Envoy, Tollgate].map(|gateway| median(results.idle.get(&gateway).cloned().unwrap_or_default()));
    if let [Some(envoy), Some(tollgate)] = each {
        let _ = writeln!(
            out,
            "Memory for each idle connection that had one answer, bytes: {envoy:.0} / {tollgate:.0}, ratio {:.2}.\n",
            tollgate / envoy
        );
    }
}

fn ratio(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"))
}
