//! The configuration file a command was given.

use std::path::Path;

use tollgate_config::{Diagnostic, FileSystem, Options, Outcome, Severity, Source, load_with};
use tollgate_model::Snapshot;

use crate::cli::Strictness;

/// A file and what became of it.
#[derive(Debug)]
pub(crate) struct Configuration {
    /// The texts that diagnostics point into.
    pub(crate) sources: Vec<Source>,
    /// The configuration, if it is accepted.
    pub(crate) snapshot: Option<Snapshot>,
    /// Everything there is to say about it.
    pub(crate) diagnostics: Vec<Diagnostic>,
}

impl Configuration {
    /// Reads and translates a file. A file that cannot be read is refused with a diagnostic, like one that is wrong.
    pub(crate) fn load(path: &Path, options: &Options) -> Self {
        match Source::read(path) {
            Ok(source) => Self::from_source(source, options),
            Err(error) => {
                let unreadable = Diagnostic {
                    severity: Severity::Error,
                    file: path.display().to_string(),
                    line: 1,
                    column: 1,
                    length: 1,
                    path: String::new(),
                    message: format!("the file cannot be read: {error}"),
                    help: None,
                };
                Self { sources: Vec::new(), snapshot: None, diagnostics: vec![unreadable] }
            }
        }
    }

    /// Translates a text.
    pub(crate) fn from_source(source: Source, options: &Options) -> Self {
        let sources = vec![source];
        let Outcome { snapshot, diagnostics, .. } = load_with(&sources, &FileSystem, options);
        Self { sources, snapshot, diagnostics }
    }

    /// `refused: 2 errors, 1 warning`.
    pub(crate) fn verdict(&self) -> String {
        let verdict = if self.snapshot.is_some() { "accepted" } else { "refused" };
        let counts: Vec<String> =
            [(Severity::Error, "error"), (Severity::Warning, "warning"), (Severity::Info, "note")]
                .into_iter()
                .filter_map(|(severity, noun)| {
                    let of_it = |diagnostic: &&Diagnostic| diagnostic.severity == severity;
                    match self.diagnostics.iter().filter(of_it).count() {
                        0 => None,
                        1 => Some(format!("1 {noun}")),
                        count => Some(format!("{count} {noun}s")),
                    }
                })
                .collect();
        if counts.is_empty() { verdict.to_owned() } else { format!("{verdict}: {}", counts.join(", ")) }
    }
}

impl From<Strictness> for Options {
    fn from(Strictness { strict }: Strictness) -> Self {
        Self { strict, ..Self::default() }
    }
}
