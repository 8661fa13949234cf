//! Problems found when objects are put together.

use std::{cell::RefCell, collections::HashSet};

use super::Place;
use crate::{Diagnostic, Options, Severity, diagnostic::Collected, place::Spot, suggestion::Suggestions};

/// Collects what is said about all sources.
#[derive(Debug, Default)]
pub(crate) struct Diagnostics {
    said: RefCell<Collected>,
    /// Where, and what was said: thousands of routes may have the same problem.
    known: RefCell<HashSet<(Spot, String)>>,
    suggestions: Suggestions,
    strict: bool,
}

impl Diagnostics {
    pub(crate) fn new(options: &Options) -> Self {
        Self { strict: options.strict, ..Self::default() }
    }

    /// Takes over what the reading of an object or a file reported.
    pub(crate) fn extend(&self, diagnostics: Vec<Diagnostic>) {
        let mut said = self.said.borrow_mut();
        diagnostics.into_iter().for_each(|diagnostic| said.push(diagnostic));
    }

    /// The one of many names that is most like this one.
    pub(crate) fn nearest<'n>(
        &self,
        name: &str,
        candidates: impl IntoIterator<Item = &'n str>,
    ) -> Option<&'n str> {
        self.suggestions.nearest(name, candidates)
    }

    /// What does not work.
    pub(crate) fn error(&self, place: &Place, message: impl Into<String>, help: Option<String>) {
        self.add(Severity::Error, place, message.into(), help);
    }

    /// An error because of which requests may pass what was to be put in front of them.
    pub(crate) fn exposing(&self, place: &Place, message: impl Into<String>, help: Option<String>) {
        self.push(Diagnostic { exposes: true, ..diagnostic(Severity::Error, place, message.into(), help) });
    }

    /// An error that follows from another one, which is written at `cause`.
    pub(crate) fn consequence(
        &self,
        place: &Place,
        message: impl Into<String>,
        help: Option<String>,
        cause: &Place,
    ) {
        let follows_from = Some(cause.clone());
        self.push(Diagnostic { follows_from, ..diagnostic(Severity::Error, place, message.into(), help) });
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
        self.push(diagnostic(severity, place, message, help));
    }

    fn push(&self, diagnostic: Diagnostic) {
        let key = (diagnostic.place.spot().clone(), diagnostic.message.clone());
        let mut known = self.known.borrow_mut();
        // What is not remembered may be said again, which costs no more than a number.
        if known.len() < MOST_KNOWN && !known.insert(key) {
            return;
        }
        self.said.borrow_mut().push(diagnostic);
    }

    /// Everything said, by file and line.
    pub(crate) fn finish(self) -> Vec<Diagnostic> {
        let mut said = self.said.into_inner().into_diagnostics();
        // What is at one position stays in the order in which it was said: causes come first.
        said.sort_by_cached_key(|said| (said.place.whole(), said.place.line(), said.place.column()));
        said.dedup();
        said
    }
}

/// Most problems that are recognized when they are found again.
const MOST_KNOWN: usize = 100_000;

fn diagnostic(severity: Severity, place: &Place, message: String, help: Option<String>) -> Diagnostic {
    Diagnostic { severity, help, ..Diagnostic::error(place.clone(), message) }
}
