//! Problems found when objects are put together.

use std::{cell::RefCell, collections::HashSet};

use super::Place;
use crate::{Diagnostic, Options, Severity};

/// Collects what is said about all sources.
#[derive(Debug, Default)]
pub(crate) struct Diagnostics {
    said: RefCell<Vec<Diagnostic>>,
    /// File, line, column and message of what was said: thousands of routes may have the same problem.
    known: RefCell<HashSet<(String, usize, usize, String)>>,
    strict: bool,
}

impl Diagnostics {
    pub(crate) fn new(options: &Options) -> Self {
        Self { said: RefCell::default(), known: RefCell::default(), strict: options.strict }
    }

    /// Takes over what the reading of an object or a file reported.
    pub(crate) fn extend(&self, diagnostics: Vec<Diagnostic>) {
        self.said.borrow_mut().extend(diagnostics);
    }

    /// What does not work.
    pub(crate) fn error(&self, place: &Place, message: impl Into<String>, help: Option<String>) {
        self.add(Severity::Error, place, message.into(), help);
    }

    /// What works, and is probably not what was meant.
    pub(crate) fn warning(&self, place: &Place, message: impl Into<String>, help: Option<String>) {
        self.add(Severity::Warning, place, message.into(), help);
    }

    /// What is good to know.
    pub(crate) fn info(&self, place: &Place, message: impl Into<String>, help: Option<String>) {
        self.add(Severity::Info, place, message.into(), help);
    }

    /// What we accept beyond the original system (CF-34): a warning, or an error when reading is strict. Returns whether
    /// it is accepted.
    pub(crate) fn tolerated(&self, place: &Place, message: impl Into<String>, help: Option<String>) -> bool {
        self.add(if self.strict { Severity::Error } else { Severity::Warning }, place, message.into(), help);
        !self.strict
    }

    fn add(&self, severity: Severity, place: &Place, message: String, help: Option<String>) {
        let diagnostic = Diagnostic {
            severity,
            file: place.file.to_string(),
            line: place.location.line,
            column: place.location.column,
            length: place.location.length.max(1),
            path: place.path.to_string(),
            message,
            help,
        };
        let key = (diagnostic.file.clone(), diagnostic.line, diagnostic.column, diagnostic.message.clone());
        if self.known.borrow_mut().insert(key) {
            self.said.borrow_mut().push(diagnostic);
        }
    }

    /// Everything said, by file and line.
    pub(crate) fn finish(self) -> Vec<Diagnostic> {
        let mut said = self.said.into_inner();
        said.sort_by(|left, right| {
            (&left.file, left.line, left.column).cmp(&(&right.file, right.line, right.column))
        });
        said.dedup();
        said
    }
}
