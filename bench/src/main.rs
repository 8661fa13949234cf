//! Measures Envoy and Tollgate side by side; `bench/README.md` says how.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Duration,
};

use clap::{Parser, ValueEnum};
use tokio::runtime::LocalOptions;

mod bootstrap;
mod case;
mod drive;
mod environment;
mod find;
mod gateway;
mod histogram;
mod http1;
mod http2;
mod load;
mod measure;
mod processor;
mod report;
mod rounds;
mod scaling;
mod scratch;
mod upstream;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Measure Envoy and Tollgate side by side.
///
/// Both run the same file with one worker on core 0; clients, upstream and processors share core 1.
#[derive(Debug, Parser)]
struct Arguments {
    /// Only these cases: names, or beginnings of names that end with `*`.
    cases: Vec<String>,
    /// Rounds; in each of them every case is measured once with each gateway.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// One short round, no latencies: to see that everything works.
    #[arg(long)]
    quick: bool,
    /// Measure no latencies at fixed rates.
    #[arg(long)]
    no_latency: bool,
    /// Measure no memory of idle connections.
    #[arg(long)]
    no_idle: bool,
    /// Compare one worker with two, by what a request costs; nothing else is measured.
    #[arg(long, conflicts_with_all = ["save", "profile"])]
    scaling: bool,
    /// Which gateways.
    #[arg(long, value_enum, default_value = "both")]
    gateway: Which,
    /// Write the results there, beside those of cases that are not measured now.
    #[arg(long, value_name = "DIRECTORY")]
    save: Option<PathBuf>,
    /// Let perf sample the gateways and write its files there.
    #[arg(long, value_name = "DIRECTORY")]
    profile: Option<PathBuf>,
    /// Only name the cases.
    #[arg(long)]
    list: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Which {
    Envoy,
    Tollgate,
    Both,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            warn(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let cases: Vec<case::Case> =
        case::all().into_iter().filter(|case| chosen(case.name, &arguments.cases)).collect();
    if arguments.list {
        for case in case::all() {
            print(&format!("{:16} {}", case.name, case.title));
        }
        return Ok(());
    }
    if cases.is_empty() && !arguments.cases.iter().any(|name| name == "idle") {
        return Err("no such case; --list names them".into());
    }
    let gateways: Vec<(gateway::Gateway, PathBuf)> = gateway::Gateway::BOTH
        .into_iter()
        .filter(|gateway| match arguments.gateway {
            Which::Envoy => *gateway == gateway::Gateway::Envoy,
            Which::Tollgate => *gateway == gateway::Gateway::Tollgate,
            Which::Both => true,
        })
        .map(|gateway| Ok((gateway, find::binary(gateway)?)))
        .collect::<Result<_>>()?;
    pin_to_second_core()?;
    let directory = std::env::temp_dir().join(format!("bench-{}", std::process::id()));
    fs::create_dir_all(&directory)?;
    let (rounds, seconds) = if arguments.quick { (1, 0.5) } else { (arguments.rounds, arguments.seconds) };
    let settings = measure::Settings {
        workers: 1,
        warm_up: Duration::from_secs_f64((seconds / 2.0).min(0.5)),
        time: Duration::from_secs_f64(seconds),
        system_calls: false,
        profile: arguments.profile.clone(),
    };
    if arguments.scaling {
        let plan = scaling::Plan { cases, gateways, rounds, settings };
        let result = with_runtime(scaling::run(&plan, &directory));
        let _ = fs::remove_dir_all(&directory);
        return result;
    }
    let plan = rounds::Plan {
        cases,
        gateways,
        rounds,
        latency: !arguments.no_latency && !arguments.quick,
        idle: (!arguments.no_idle && chosen("idle", &arguments.cases)).then_some(if arguments.quick {
            1000
        } else {
            10_000
        }),
        settings,
    };
    let result = with_runtime(rounds::run(&plan, &directory, arguments.save.as_deref()));
    let _ = fs::remove_dir_all(&directory);
    result
}

fn with_runtime<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())?
        .block_on(future)
}

fn chosen(name: &str, wanted: &[String]) -> bool {
    wanted.is_empty()
        || wanted.iter().any(|wanted| match wanted.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => name == wanted,
        })
}

/// The gateway has the first core for itself.
fn pin_to_second_core() -> Result<()> {
    let output = Command::new("taskset").args(["-c", "-p", "1", &std::process::id().to_string()]).output()?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("cannot use core 1: {}", String::from_utf8_lossy(&output.stderr).trim()).into())
    }
}

/// The root of the repository.
fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn print(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn warn(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
