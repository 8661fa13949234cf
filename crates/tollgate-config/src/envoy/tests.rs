//! Whole configurations: what they become, and what is said about them.

use crate::{Files, Options, Outcome, Source, load_with, render};

mod worked_example;

/// No file, no variable, no system certificate.
struct Nothing;

impl Files for Nothing {
    fn read(&self, _: &std::path::Path) -> std::io::Result<Vec<u8>> {
        Err(std::io::ErrorKind::NotFound.into())
    }

    fn environment_variable(&self, _: &str) -> Option<String> {
        None
    }

    fn system_roots(&self) -> Vec<rustls::pki_types::CertificateDer<'static>> {
        Vec::new()
    }
}

fn source(text: &str) -> Vec<Source> {
    vec![Source { path: "gateway.yaml".into(), text: text.into() }]
}

fn load(text: &str) -> Outcome {
    load_with(&source(text), &Nothing, Options::default())
}

/// Everything that is said about a configuration.
fn diagnostics(text: &str) -> String {
    let sources = source(text);
    let outcome = load_with(&sources, &Nothing, Options::default());
    let said: Vec<String> = outcome.diagnostics.iter().map(|one| render(one, &sources)).collect();
    said.join("\n")
}

/// The snapshot in JSON; the diagnostics when there is none.
fn snapshot(text: &str) -> String {
    match load(text).snapshot {
        Some(snapshot) => {
            let value = serde_json::to_value(&snapshot).unwrap();
            serde_json::to_string_pretty(&value).unwrap()
        }
        None => panic!("{}", diagnostics(text)),
    }
}
