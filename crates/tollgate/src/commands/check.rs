//! `tollgate check`.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use serde_json::json;
use tollgate_config::{Options, render};

use crate::{
    cli::{Check, Report},
    configuration::Configuration,
    sources::name,
};

/// Reports on standard output; the exit status says whether the file would run.
pub(crate) fn run(arguments: &Check) -> ExitCode {
    let configuration = Configuration::load(&arguments.paths, &Options::from(&arguments.reading));
    let report = match arguments.output {
        Report::Text => text(&configuration, &name(&arguments.paths)),
        Report::Json => json(&configuration, &name(&arguments.paths)),
    };
    match io::stdout().write_all(report.as_bytes()) {
        // A reader that has seen enough is no failure of the check.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ if configuration.snapshot.is_none() => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}

fn text(configuration: &Configuration, name: &str) -> String {
    let mut report = String::new();
    for diagnostic in &configuration.diagnostics {
        report += &render(diagnostic, &configuration.input.sources.texts);
        report += "\n";
    }
    report + &format!("{name}: {}\n", configuration.verdict())
}

fn json(configuration: &Configuration, name: &str) -> String {
    let report = json!({
        "file": name,
        "accepted": configuration.snapshot.is_some(),
        "diagnostics": configuration.diagnostics,
    });
    format!("{report:#}\n")
}
