//! `tollgate check`.

mod fetched;

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
    let options = Options::from(&arguments.reading);
    let configuration = Configuration::load(&paths, &options);
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
    let mut report = report;
    let readable = configuration.readable;
    let mut has_errors = configuration.diagnostics.iter().any(|said| said.severity == Severity::Error);
    if arguments.bootstrap {
        let (text, is_good) = fetched(configuration, arguments, &options);
        report += &text;
        has_errors |= !is_good;
    }
    match io::stdout().write_all(report.as_bytes()) {
        // A reader that has seen enough is no failure of the check.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ if !readable => ExitCode::from(2),
        _ if has_errors => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}

/// What the management servers have, and whether all of it could be served.
fn fetched(configuration: Configuration, arguments: &Check, options: &Options) -> (String, bool) {
    match fetched::fetch(configuration, options, arguments.wait) {
        Ok(fetched) if arguments.output == Report::Json => {
            (format!("{:#}\n", json!({ "refused": fetched.problems })), fetched.problems.is_empty())
        }
        Ok(fetched) => {
            let problems: String =
                fetched.problems.iter().map(|problem| format!("error: {problem}\n")).collect();
            (format!("\n{}\n{problems}", fetched.table), fetched.problems.is_empty())
        }
        Err(reason) => (format!("error: management servers were not asked: {reason}\n"), false),
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
