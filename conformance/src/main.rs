//! Plays the same scenarios against real Envoy and against Tollgate, and compares what client, upstream and
//! processor see with what each scenario expects. `conformance/README.md` says how scenarios are written.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, ValueEnum};

mod actors;
mod batch;
mod board;
mod check;
mod coverage;
mod gateway;
mod hostile;
mod http1;
mod management;
mod message;
mod play;
mod prepare;
mod scenario;

use gateway::Gateway;
use play::Outcome;
use scenario::load::{Written, read_all};

/// The rules of the protocol.
const RULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/protocol.md");

/// Play conformance scenarios against Envoy and Tollgate.
#[derive(Debug, Parser)]
struct Arguments {
    /// The gateways to play against.
    #[arg(long, value_enum, default_value = "both")]
    gateway: Which,
    /// Only scenarios whose name or file contains this.
    #[arg(long, default_value = "")]
    filter: String,
    /// Play everything so many times.
    #[arg(long, default_value_t = 1)]
    repeat: usize,
    /// Scenarios played at once.
    #[arg(long, default_value_t = 4)]
    jobs: usize,
    /// Only name the scenarios.
    #[arg(long)]
    list: bool,
    /// Print the transcript of every scenario, not only of failed ones.
    #[arg(long)]
    verbose: bool,
    /// Keep configurations and logs of the gateways.
    #[arg(long)]
    keep: bool,
    /// Play the corpus of hostile parties (`hostile/`) instead of the scenarios.
    #[arg(long)]
    hostile: bool,
    /// Play the cases with a management server (`management/`) instead of the scenarios.
    #[arg(long, conflicts_with = "hostile")]
    management: bool,
    /// Print what was seen in each case of the corpus.
    #[arg(long, requires = "hostile")]
    seen: bool,
    /// Only name the rules of the protocol that no scenario is named after.
    #[arg(long)]
    coverage: bool,
    /// Directory of the scenarios.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios"))]
    scenarios: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Which {
    Envoy,
    Tollgate,
    Both,
}

impl Which {
    fn gateways(self) -> &'static [Gateway] {
        match self {
            Self::Envoy => &[Gateway::Envoy],
            Self::Tollgate => &[Gateway::Tollgate],
            Self::Both => &[Gateway::Envoy, Gateway::Tollgate],
        }
    }
}

/// Passed and failed plays of one gateway, and how often each failed scenario failed.
#[derive(Debug, Default)]
struct Tally {
    passed: usize,
    failed: usize,
    names: BTreeMap<String, usize>,
}

impl Tally {
    fn count(&mut self, name: &str, passed: bool) {
        if passed {
            self.passed += 1;
        } else {
            self.failed += 1;
            *self.names.entry(name.to_owned()).or_default() += 1;
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.to_string()),
    };
    match runtime.block_on(run(&arguments)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => failed(&error),
    }
}

fn failed(error: &str) -> ExitCode {
    say(&format!("error: {error}"));
    ExitCode::FAILURE
}

fn say(line: &str) {
    // A closed standard output is nobody's failure.
    let _ = writeln!(io::stdout().lock(), "{line}");
}

async fn run(arguments: &Arguments) -> Result<bool, String> {
    let wanted = |written: &Written| {
        written.name.contains(&arguments.filter) || written.file.to_string_lossy().contains(&arguments.filter)
    };
    let corpus = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/hostile"));
    let management = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/management"));
    let directory = match (arguments.hostile, arguments.management) {
        (true, _) => &corpus,
        (_, true) => &management,
        _ => &arguments.scenarios,
    };
    let all: Vec<Written> = read_all(directory)?.into_iter().filter(wanted).collect();
    // Every scenario must be readable for both gateways, whichever is played.
    for written in &all {
        if arguments.hostile {
            hostile::check(written)?;
            continue;
        }
        if arguments.management {
            management::check(written)?;
            continue;
        }
        written.for_gateway(Gateway::Envoy)?;
        written.for_gateway(Gateway::Tollgate)?;
    }
    if arguments.list {
        for written in &all {
            say(&written.name);
        }
        say(&format!("{} scenarios", all.len()));
        return Ok(true);
    }
    if arguments.coverage {
        let text = std::fs::read_to_string(RULES).map_err(|error| format!("{RULES}: {error}"))?;
        let missing = coverage::missing(&text, all.iter().map(|written| written.name.as_str()));
        missing.iter().for_each(|rule| say(rule));
        say(&format!("{} rules without a scenario", missing.len()));
        return Ok(true);
    }
    if all.is_empty() {
        return Err(format!("no scenario matches {:?}", arguments.filter));
    }
    let mut tallies = Vec::new();
    for gateway in arguments.gateway.gateways() {
        tallies.push((*gateway, play_all(arguments, *gateway, &all).await?));
    }
    for (gateway, tally) in &tallies {
        for (name, times) in &tally.names {
            say(&format!("{}: FAILED {times} times: {name}", gateway.name()));
        }
    }
    for (gateway, tally) in &tallies {
        say(&format!("{}: {} passed, {} failed", gateway.name(), tally.passed, tally.failed));
    }
    Ok(tallies.iter().all(|(_, tally)| tally.failed == 0))
}

async fn play_all(arguments: &Arguments, gateway: Gateway, all: &[Written]) -> Result<Tally, String> {
    let binary = gateway::find::binary(gateway)?;
    let directory = batch::directory(gateway)?;
    if arguments.hostile {
        let tally = play_hostile(arguments, gateway, &binary, &directory, all).await;
        let _ = std::fs::remove_dir_all(&directory);
        return tally;
    }
    if arguments.management {
        let tally = play_management(arguments, gateway, &binary, &directory, all).await;
        if !arguments.keep {
            let _ = std::fs::remove_dir_all(&directory);
        }
        return tally;
    }
    let run = batch::Run::new(gateway, binary, directory.clone(), arguments.jobs.max(1));
    let mut tally = Tally::default();
    for _ in 0..arguments.repeat.max(1) {
        run.all(all, |outcome| report(arguments, gateway, &mut tally, &outcome)).await?;
    }
    if arguments.keep {
        say(&format!("{}: configurations and logs are in {}", gateway.name(), directory.display()));
    } else {
        let _ = std::fs::remove_dir_all(&directory);
    }
    Ok(tally)
}

async fn play_management(
    arguments: &Arguments,
    gateway: Gateway,
    binary: &Path,
    directory: &Path,
    all: &[Written],
) -> Result<Tally, String> {
    let mut tally = Tally::default();
    for _ in 0..arguments.repeat.max(1) {
        management::play_all(gateway, binary, directory, all, |outcome| {
            let passed = outcome.differences.is_empty();
            say_name(gateway, &outcome.name, passed);
            say_differences(&outcome.differences);
            tally.count(&outcome.name, passed);
        })
        .await?;
    }
    Ok(tally)
}

async fn play_hostile(
    arguments: &Arguments,
    gateway: Gateway,
    binary: &Path,
    directory: &Path,
    all: &[Written],
) -> Result<Tally, String> {
    let mut tally = Tally::default();
    for _ in 0..arguments.repeat.max(1) {
        hostile::play_all(gateway, binary, directory, all, |outcome| {
            let passed = outcome.differences.is_empty();
            say_name(gateway, &outcome.name, passed);
            say_differences(&outcome.differences);
            if arguments.seen {
                say(&format!("SEEN {}\t{}\t{}", gateway.name(), outcome.name, outcome.seen));
            }
            tally.count(&outcome.name, passed);
        })
        .await?;
    }
    Ok(tally)
}

fn say_name(gateway: Gateway, name: &str, passed: bool) {
    say(&format!("{} {:<8} {name}", if passed { "ok    " } else { "FAILED" }, gateway.name()));
}

fn say_differences(differences: &[String]) {
    for difference in differences {
        say(&format!("    {}", difference.replace('\n', "\n    ")));
    }
}

fn report(arguments: &Arguments, gateway: Gateway, tally: &mut Tally, outcome: &Outcome) {
    let passed = outcome.differences.is_empty();
    say_name(gateway, &outcome.name, passed);
    if !passed {
        let file = outcome.file.strip_prefix(&arguments.scenarios).unwrap_or(&outcome.file);
        say(&format!("    in {}", file.display()));
    }
    say_differences(&outcome.differences);
    if !passed || arguments.verbose {
        for line in &outcome.transcript {
            say(&format!("      | {line}"));
        }
    }
    tally.count(&outcome.name, passed);
}
