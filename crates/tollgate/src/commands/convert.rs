//! `tollgate convert`.

use std::{
    fmt::Write as _,
    io::{self, Write},
    process::ExitCode,
};

use tollgate_config::{FileSystem, Inexpressible, Options, Severity, read_with, write_bootstrap};

use crate::{
    cli::{Bootstrap, Convert},
    problems,
    sources::Sources,
    yaml,
};

/// The exit status when the bootstrap does not say everything.
const INCOMPLETE: u8 = 3;

/// Writes a bootstrap on standard output, and what there is to say about it on standard error.
pub(crate) fn run(arguments: &Convert) -> ExitCode {
    let sources = Sources::read(&arguments.paths.all());
    let unreadable = sources.problems();
    if !unreadable.is_empty() {
        say(&problems::text(&unreadable, &[], &sources.texts));
        return ExitCode::from(2);
    }
    let reading = read_with(&sources.texts, &FileSystem, &Options::from(&arguments.reading));
    say(&problems::text(&reading.diagnostics, &reading.objects, &sources.texts));
    // What may leave routes without their processors is not served, and must not be written either.
    let exposes = reading.diagnostics.iter().any(|said| said.exposes);
    let has_errors = reading.diagnostics.iter().any(|said| said.severity == Severity::Error);
    let Some(resources) = reading.resources.filter(|_| !exposes) else {
        say("nothing is written: the configuration is refused\n");
        return if reading.readable { ExitCode::FAILURE } else { ExitCode::from(2) };
    };
    let written = write_bootstrap(&resources);
    say(&list(&written.inexpressible));
    let bytes = match arguments.output {
        Bootstrap::Envoy => yaml::to_string(&written.bootstrap).into_bytes(),
        Bootstrap::Json => format!("{:#}\n", written.bootstrap).into_bytes(),
        Bootstrap::Protobuf => match written.to_protobuf() {
            Ok(bytes) => bytes,
            Err(problem) => {
                say(&format!("nothing is written: {problem}\n"));
                return ExitCode::FAILURE;
            }
        },
    };
    match io::stdout().write_all(&bytes) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ if has_errors => ExitCode::FAILURE,
        _ if !written.inexpressible.is_empty() => ExitCode::from(INCOMPLETE),
        _ => ExitCode::SUCCESS,
    }
}

fn list(inexpressible: &[Inexpressible]) -> String {
    let mut text = String::new();
    for Inexpressible { origin, what } in inexpressible {
        // Writing to a string cannot fail.
        let _ = match (origin.line, &origin.object) {
            (0, None) => writeln!(text, "not in Envoy: {what}"),
            _ => writeln!(text, "not in Envoy: {origin}: {what}"),
        };
    }
    text
}

fn say(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}
