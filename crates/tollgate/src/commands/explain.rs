//! `tollgate explain`.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use tollgate_config::Options;

use crate::{
    cli::{self, Form},
    configuration::Configuration,
    explain::{Question, add_problems, explain, text},
    yaml,
};

/// Describes what happens to a request.
pub(crate) fn run(arguments: &cli::Explain) -> ExitCode {
    let question = match Question::parse(&arguments.request) {
        Ok(question) => question,
        Err(problem) => return unusable(&problem),
    };
    let configuration = Configuration::load(&arguments.paths.all(), &Options::from(&arguments.reading));
    let Some(snapshot) = &configuration.snapshot else {
        let _ = io::stderr().write_all(configuration.problems().as_bytes());
        return unusable(&format!("the configuration is {}", configuration.verdict(false)));
    };
    let mut answer = explain(snapshot, &configuration.explanations, &question, &arguments.reading);
    add_problems(&mut answer, &configuration.diagnostics, &configuration.objects);
    let report = match arguments.output {
        Form::Text => text(&answer),
        Form::Json => format!("{answer:#}\n"),
        Form::Yaml => yaml::to_string(&answer),
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
