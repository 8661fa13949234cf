//! `tollgate explain`.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use tollgate_config::Options;

use crate::{
    cli::{self, Report},
    configuration::Configuration,
    explain::{Question, explain, text},
    yaml,
};

/// Tells what happens to a request.
pub(crate) fn run(arguments: &cli::Explain) -> ExitCode {
    let question = match Question::parse(&arguments.request) {
        Ok(question) => question,
        Err(problem) => return unusable(&problem),
    };
    let configuration = Configuration::load(&arguments.paths, &Options::from(&arguments.reading));
    let Some(snapshot) = &configuration.snapshot else {
        return unusable(&format!("the configuration is {}: see tollgate check", configuration.verdict()));
    };
    let answer = explain(snapshot, &configuration.explanations, &question, &arguments.reading);
    let report = match arguments.output {
        Report::Text => text(&answer),
        Report::Json => format!("{answer:#}\n"),
        Report::Yaml => yaml::to_string(&answer),
    };
    match io::stdout().write_all(report.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ if answer["route"].is_null() => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}

fn unusable(problem: &str) -> ExitCode {
    // Who closed standard error does not want to know.
    let _ = writeln!(io::stderr(), "error: {problem}");
    ExitCode::from(2)
}
