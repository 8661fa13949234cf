//! What is kept of many problems.

use super::{Diagnostic, Severity};

/// Problems of one severity that are kept with their text. A file with more of them is not read by people any more, and its
/// problems must not cost more than the file itself.
const MOST: usize = 1_000;

/// Problems, the first ones of each severity; of the rest their number.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    kept: Vec<Diagnostic>,
    of_severity: [OfSeverity; 3],
}

/// The problems of one severity.
#[derive(Debug, Default)]
struct OfSeverity {
    kept: usize,
    omitted: usize,
    /// The first one that is not kept, and whether one of them exposes something.
    first_omitted: Option<Diagnostic>,
}

impl Collected {
    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        let known = &mut self.of_severity[index(diagnostic.severity)];
        if known.kept < MOST {
            known.kept += 1;
            self.kept.push(diagnostic);
            return;
        }
        known.omitted += diagnostic.count;
        let exposes = diagnostic.exposes;
        known.first_omitted.get_or_insert(diagnostic).exposes |= exposes;
    }

    /// Those that are kept.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.kept.iter()
    }

    /// How many of a severity were reported.
    pub(crate) fn count(&self, severity: Severity) -> usize {
        let known = &self.of_severity[index(severity)];
        known.kept + known.omitted
    }

    /// All, in the order in which they were reported; what was omitted is one more at the end.
    pub(crate) fn into_diagnostics(self) -> Vec<Diagnostic> {
        let Self { mut kept, of_severity } = self;
        for OfSeverity { omitted, first_omitted, .. } in of_severity {
            let Some(first) = first_omitted else { continue };
            let what = match (first.severity, omitted) {
                (Severity::Error, 1) => "error is",
                (Severity::Error, _) => "errors are",
                (Severity::Warning, 1) => "warning is",
                (Severity::Warning, _) => "warnings are",
                (Severity::Info, 1) => "note is",
                (Severity::Info, _) => "notes are",
            };
            kept.push(Diagnostic {
                message: format!("{omitted} more {what} not listed"),
                help: None,
                place: first.place.elsewhere(first.place.location(), ""),
                follows_from: None,
                count: omitted,
                ..first
            });
        }
        kept
    }
}

fn index(severity: Severity) -> usize {
    match severity {
        Severity::Error => 0,
        Severity::Warning => 1,
        Severity::Info => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::{Location, Place};

    #[test]
    fn the_rest_of_many_problems_is_counted() {
        let mut collected = Collected::default();
        for line in 1..=50_000 {
            let place = Place::in_file("a.yaml", Location { line, column: 1, length: 1 }, "");
            let wrong = Diagnostic::error(place, "this is wrong".to_owned());
            collected.push(Diagnostic { exposes: line == 40_000, ..wrong });
        }
        let note =
            Diagnostic { severity: Severity::Info, ..Diagnostic::at("a.yaml", "this is said".to_owned()) };
        collected.push(note);
        assert_eq!((collected.count(Severity::Error), collected.count(Severity::Info)), (50_000, 1));
        let all = collected.into_diagnostics();
        assert_eq!(all.len(), MOST + 2);
        let last = all.last().unwrap();
        assert_eq!(
            (&*last.message, last.count, last.exposes),
            ("49000 more errors are not listed", 49_000, true)
        );
        assert_eq!(last.place.line(), MOST + 1);
    }
}
