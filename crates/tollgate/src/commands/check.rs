//! `tollgate check`.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use serde_json::{Value, json};
use tollgate_config::{Options, Severity};

use crate::{
    cli::{Check, Report},
    configuration::Configuration,
    sources::name,
    summary::summary,
    yaml,
};

/// Reports on standard output; the exit status says whether there is something to fix.
pub(crate) fn run(arguments: &Check) -> ExitCode {
    let paths = arguments.paths.all();
    let configuration = Configuration::load(&paths, &Options::from(&arguments.reading));
    let report = match arguments.output {
        Report::Text => text(&configuration, &name(&paths)),
        Report::Json => json(&configuration, &name(&paths)),
        Report::Yaml => {
            objects(&configuration).iter().map(|object| format!("---\n{}", yaml::to_string(object))).collect()
        }
    };
    if arguments.output == Report::Yaml {
        // Standard output is for the objects.
        let _ = io::stderr().write_all(configuration.problems().as_bytes());
    }
    let has_errors = configuration.diagnostics.iter().any(|said| said.severity == Severity::Error);
    match io::stdout().write_all(report.as_bytes()) {
        // A reader that has seen enough is no failure of the check.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ if !configuration.readable => ExitCode::from(2),
        _ if has_errors => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}

fn text(configuration: &Configuration, name: &str) -> String {
    let verdict = configuration.verdict(false);
    format!(
        "{}{}{name}: {verdict}\n",
        configuration.problems(),
        summary(&configuration.objects, &configuration.diagnostics)
    )
}

fn json(configuration: &Configuration, name: &str) -> String {
    let report = json!({
        "file": name,
        "accepted": configuration.snapshot.is_some() && configuration.count(Severity::Error) == 0,
        "diagnostics": configuration.diagnostics,
        "objects": objects(configuration),
    });
    format!("{report:#}\n")
}

/// Every object as it was written, with the status that its controller would write.
fn objects(configuration: &Configuration) -> Vec<Value> {
    let objects = configuration.objects.iter().map(|object| {
        let mut document = object.document();
        if let (Value::Object(members), Some(status)) = (&mut document, &object.status) {
            members.insert("status".to_owned(), status.clone());
        }
        document
    });
    objects.collect()
}
