//! What has come of it, for people and machines.

use std::fmt::Write;

use extproc_server::{ListenAddress, test::Played};
use serde_json::{Value, json};

use super::Outcome;
use crate::cli::TryMode;

/// Some plays of one kind.
#[derive(Debug)]
pub(super) struct Case {
    mode: TryMode,
    name: &'static str,
    played: Vec<Played>,
}

impl Case {
    pub(super) fn new(mode: TryMode, name: &'static str, played: Vec<Played>) -> Self {
        Self { mode, name, played }
    }

    pub(super) fn has_problems(&self) -> bool {
        self.played.iter().any(|played| !problems(played).is_empty())
    }

    /// The first play with a problem, or the first at all.
    fn example(&self) -> Option<&Played> {
        let problem = self.played.iter().find(|played| !problems(played).is_empty());
        problem.or_else(|| self.played.first())
    }

    /// Each problem once.
    fn problems(&self) -> Vec<String> {
        let mut problems: Vec<_> = self.played.iter().flat_map(problems).collect();
        problems.sort();
        problems.dedup();
        problems
    }

    fn slowest(&self) -> f64 {
        let slowest = self.played.iter().map(Played::slowest).max().unwrap_or_default();
        slowest.as_secs_f64() * 1000.0
    }

    fn mode(&self) -> &'static str {
        match self.mode {
            TryMode::Headers | TryMode::All => "NONE",
            TryMode::Buffered => "BUFFERED",
            TryMode::Partial => "BUFFERED_PARTIAL",
            TryMode::Streamed => "STREAMED",
            TryMode::Duplex => "FULL_DUPLEX_STREAMED",
            TryMode::Observe => "observability",
        }
    }
}

/// What was wrong with it. Here an error of the processor is something wrong, too: nobody wants one.
pub(super) fn problems(played: &Played) -> Vec<String> {
    let mut problems = played.problems();
    if let Some(status) = played.status() {
        problems.push(format!("the processor ends the stream: {status}"));
    } else if played.failed() && problems.is_empty() {
        let details = played.details().unwrap_or_default();
        problems.push(format!("a gateway says that the processor has failed: {details}"));
    }
    problems
}

/// Plays of all kinds that were asked for.
#[derive(Debug)]
pub(super) struct Cases {
    /// Who was asked.
    pub(super) address: ListenAddress,
    /// By kind.
    pub(super) cases: Vec<Case>,
}

impl Outcome for Cases {
    fn text(&self) -> String {
        let mut text = String::new();
        for case in &self.cases {
            let verdict = if case.has_problems() { "problems" } else { "ok" };
            let (plays, slowest) = (case.played.len(), case.slowest());
            let _ = writeln!(
                text,
                "{} {}: {verdict} ({plays} plays, slowest answer {slowest:.1} ms)",
                case.mode(),
                case.name
            );
            let shows = case.has_problems() || case.name == "as given";
            if let Some(played) = case.example().filter(|_| shows) {
                let _ = writeln!(text, "{played}");
            }
        }
        let problems: usize = self.cases.iter().map(|case| case.problems().len()).sum();
        let _ = writeln!(text, "{problems} problems");
        text
    }

    fn markdown(&self) -> String {
        let Self { address, cases } = self;
        let mut text = format!(
            "# The processor at {address}\n\n| mode | case | plays | slowest answer | problems |\n|---|---|---|---|---|\n"
        );
        for case in cases {
            let problems = case.problems();
            let problems = if problems.is_empty() { "none".to_owned() } else { problems.join("<br>") };
            let _ = writeln!(
                text,
                "| {} | {} | {} | {:.1} ms | {problems} |",
                case.mode(),
                case.name,
                case.played.len(),
                case.slowest()
            );
        }
        for case in cases.iter().filter(|case| case.has_problems()) {
            if let Some(played) = case.example() {
                let _ = writeln!(text, "\n## {}, {}\n\n```text\n{played}```", case.mode(), case.name);
            }
        }
        text
    }

    fn json(&self) -> String {
        let Self { address, cases } = self;
        let cases: Vec<Value> = cases.iter().map(case).collect();
        format!("{:#}\n", json!({ "address": address.to_string(), "cases": cases }))
    }

    fn has_problems(&self) -> bool {
        self.cases.iter().any(Case::has_problems)
    }
}

fn case(case: &Case) -> Value {
    let example = case.example();
    json!({
        "mode": case.mode(),
        "case": case.name,
        "plays": case.played.len(),
        "slowest_answer_ms": case.slowest(),
        "problems": case.problems(),
        "client_status": example.map(|played| played.client().status()),
        "exchange": example.map(|played| played.to_string().lines().map(ToOwned::to_owned).collect::<Vec<_>>()),
    })
}
