//! `tollgate check`.

use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use serde_json::json;
use tollgate_config::render;

use crate::{
    cli::{Check, Report},
    configuration::Configuration,
};

/// Reports on standard output; the exit status says whether the file would run.
pub(crate) fn run(arguments: &Check) -> ExitCode {
    let configuration = Configuration::load(&arguments.file, &arguments.strictness.into());
    let report = match arguments.output {
        Report::Text => text(&configuration, &arguments.file),
        Report::Json => json(&configuration, &arguments.file),
    };
    match io::stdout().write_all(report.as_bytes()) {
        // A reader that has seen enough is no failure of the check.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ if configuration.snapshot.is_none() => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}

fn text(configuration: &Configuration, file: &Path) -> String {
    let mut report = String::new();
    for diagnostic in &configuration.diagnostics {
        report += &render(diagnostic, &configuration.sources);
        report += "\n";
    }
    report + &format!("{}: {}\n", file.display(), configuration.verdict())
}

fn json(configuration: &Configuration, file: &Path) -> String {
    let report = json!({
        "file": file.display().to_string(),
        "accepted": configuration.snapshot.is_some(),
        "diagnostics": configuration.diagnostics,
    });
    format!("{report:#}\n")
}
