//! What is said about a configuration.

mod collected;
mod render;

use std::{
    cell::{Cell, RefCell},
    sync::Arc,
};

pub(crate) use collected::Collected;
pub use render::{Excerpts, render};
use serde::Serialize;

use crate::{
    place::{Location, Place, Whole},
    suggestion::Suggestions,
};

/// One thing to say about a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// What is wrong.
    pub message: String,
    /// How to fix it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// Because of it requests may pass what the configuration wants to put in front of them: a policy that cannot be found by
    /// its kind, or that protects something else than was meant. Such a configuration should not be served.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub exposes: bool,
    /// Where the problem is written that this one follows from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub follows_from: Option<Place>,
    /// How many problems this one stands for; more than 1 for those that are not listed.
    #[serde(skip)]
    pub count: usize,
}

impl Diagnostic {
    /// An error about a file as a whole.
    #[must_use]
    pub fn at(file: impl Into<Arc<str>>, message: String) -> Self {
        let location = Location { line: 1, column: 1, length: 1 };
        Self::error(Place::in_file(file, location, ""), message)
    }

    /// An error.
    pub(crate) fn error(place: Place, message: String) -> Self {
        Self {
            severity: Severity::Error,
            place,
            message,
            help: None,
            exposes: false,
            follows_from: None,
            count: 1,
        }
    }

    /// The message for a status, where there are no lines: with its path below `root`, unless it names it itself.
    pub(crate) fn message_with_path(&self, root: &str) -> String {
        let (path, message) = (self.place.path(), &self.message);
        if path.is_empty() || message.contains(&format!("\"{path}\"")) {
            return message.clone();
        }
        match path.strip_prefix(root).unwrap_or(path).trim_start_matches('.') {
            "" => message.clone(),
            path => format!("{path}: {message}"),
        }
    }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The configuration is refused.
    Error,
    /// It is accepted, and probably not what was meant.
    Warning,
    /// It is accepted; good to know.
    Info,
}

/// Collects what is said about one source.
#[derive(Debug)]
pub(crate) struct Report {
    whole: Whole,
    diagnostics: RefCell<Collected>,
    /// Something could not be read as its type at all.
    malformed: Cell<bool>,
    suggestions: Suggestions,
}

impl Report {
    /// About a file.
    pub(crate) fn new(file: impl Into<Arc<str>>) -> Self {
        Self::of(Whole::File(file.into()))
    }

    /// About a file, or an object that came without one.
    pub(crate) fn of(whole: Whole) -> Self {
        Self {
            whole,
            diagnostics: RefCell::default(),
            malformed: Cell::default(),
            suggestions: Suggestions::default(),
        }
    }

    /// What it is about.
    pub(crate) fn whole(&self) -> &Whole {
        &self.whole
    }

    pub(crate) fn add(
        &self,
        severity: Severity,
        location: Location,
        path: &str,
        message: String,
        help: Option<String>,
    ) {
        self.push(severity, location, path, message, help, false);
    }

    /// Adds an error because of which requests may pass what was to be put in front of them.
    pub(crate) fn add_exposing(&self, location: Location, path: &str, message: String, help: Option<String>) {
        self.push(Severity::Error, location, path, message, help, true);
    }

    fn push(
        &self,
        severity: Severity,
        location: Location,
        path: &str,
        message: String,
        help: Option<String>,
        exposes: bool,
    ) {
        self.diagnostics.borrow_mut().push(Diagnostic {
            severity,
            help,
            exposes,
            ..Diagnostic::error(self.whole.place(location, path), message)
        });
    }

    /// The one of many names that is most like this one.
    pub(crate) fn nearest<'n>(
        &self,
        name: &str,
        candidates: impl IntoIterator<Item = &'n str>,
    ) -> Option<&'n str> {
        self.suggestions.nearest(name, candidates)
    }

    /// Whether the very same message was reported before, anywhere.
    pub(crate) fn has_said(&self, message: &str) -> bool {
        self.diagnostics.borrow().iter().any(|diagnostic| diagnostic.message == message)
    }

    /// How many errors were reported.
    pub(crate) fn error_count(&self) -> usize {
        self.diagnostics.borrow().count(Severity::Error)
    }

    /// Whether an error was reported.
    pub(crate) fn has_errors(&self) -> bool {
        self.error_count() > 0
    }

    /// Takes what was said about another source that is a part of this one.
    pub(crate) fn absorb(&self, other: Self) {
        if other.is_malformed() {
            self.mark_malformed();
        }
        for diagnostic in other.finish() {
            self.diagnostics.borrow_mut().push(diagnostic);
        }
    }

    /// Says that something could not be read as its type at all, unlike what can be and is not allowed.
    pub(crate) fn mark_malformed(&self) {
        self.malformed.set(true);
    }

    /// Whether something could not be read as its type at all.
    pub(crate) fn is_malformed(&self) -> bool {
        self.malformed.get()
    }

    /// Everything said, in the order of lines, and what was said about other sources after it.
    pub(crate) fn finish(self) -> Vec<Diagnostic> {
        let mut diagnostics = self.diagnostics.into_inner().into_diagnostics();
        diagnostics.sort_by_key(|diagnostic| {
            let Diagnostic { place, .. } = diagnostic;
            (place.whole() != self.whole, place.line(), place.column())
        });
        diagnostics.dedup();
        diagnostics
    }
}
