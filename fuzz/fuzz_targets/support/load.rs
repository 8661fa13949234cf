//! Loads a text as a configuration.

use std::{io, path::Path};

use rustls::pki_types::CertificateDer;
use tollgate_config::{Files, Options, Severity, Source, load_with};

/// No file, no environment, no certificates.
struct Nothing;

impl Files for Nothing {
    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn environment_variable(&self, _: &str) -> Option<String> {
        None
    }

    fn system_roots(&self) -> Vec<CertificateDer<'static>> {
        Vec::new()
    }

    fn has_address(&self, _: std::net::IpAddr) -> bool {
        true
    }
}

/// Loads a text; what is refused is refused for a reason.
pub fn load(text: &str) {
    let sources = [Source { path: "file.yaml".to_owned(), text: text.to_owned() }];
    let outcome = load_with(&sources, &Nothing, &Options::default());
    let has_errors = outcome.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    assert!(outcome.snapshot.is_some() || has_errors, "refused without a reason");
    assert!(outcome.diagnostics.iter().all(|diagnostic| !diagnostic.message.is_empty()));
}
