//! Problems of a configuration for people: causes first, and with each what follows from it.

use std::collections::BTreeMap;

use tollgate_config::{Diagnostic, Excerpts, ObjectReport, Place, Severity, Source};

/// Most places that are named of what follows from one problem.
const MOST_PLACES: usize = 5;

/// A problem, and the places of what follows from it.
pub(crate) struct Problem<'d> {
    pub(crate) cause: &'d Diagnostic,
    /// It is itself what follows from something that nobody reported.
    follows: bool,
    consequences: Vec<&'d Diagnostic>,
}

/// All problems, the worst first; what follows from another one is part of that.
pub(crate) fn problems<'d>(diagnostics: &'d [Diagnostic], objects: &[ObjectReport]) -> Vec<Problem<'d>> {
    let mut groups: BTreeMap<(Option<&str>, usize, usize), Vec<&Diagnostic>> = BTreeMap::new();
    let mut problems: Vec<Problem<'d>> = Vec::new();
    for diagnostic in diagnostics {
        match &diagnostic.follows_from {
            Some(cause) => {
                groups.entry((cause.file(), cause.line(), cause.column())).or_default().push(diagnostic);
            }
            None => problems.push(Problem { cause: diagnostic, follows: false, consequences: Vec::new() }),
        }
    }
    problems.sort_by_key(|problem| problem.cause.severity);
    let extents = Extents::of(objects);
    for ((file, line, column), group) in groups {
        // Of the problems at the place that is named, or else in the same object, the first one is the cause.
        let exact = problems.iter().position(|problem| {
            let place = &problem.cause.place;
            (place.file(), place.line(), place.column()) == (file, line, column)
        });
        let object = file.and_then(|file| extents.find(file, line));
        let same = || {
            problems.iter().position(|problem| {
                object.is_some()
                    && problem.cause.severity != Severity::Info
                    && extents.find_place(&problem.cause.place) == object
            })
        };
        match exact.or_else(same) {
            Some(cause) => problems[cause].consequences.extend(group),
            None => {
                let mut group = group.into_iter();
                let Some(cause) = group.next() else { continue };
                problems.push(Problem { cause, follows: true, consequences: group.collect() });
            }
        }
    }
    problems.sort_by_key(|problem| problem.cause.severity);
    problems
}

impl Problem<'_> {
    /// The problem with its excerpt, and what follows from it.
    pub(crate) fn render(&self, excerpts: &Excerpts<'_>) -> String {
        let mut text = excerpts.render(self.cause);
        if let Some(note) = self.note() {
            let margin = " ".repeat(self.cause.place.line().to_string().len());
            text.push_str(&format!("{margin} = note: {note}\n"));
        }
        text
    }

    /// What follows from it, in one line.
    pub(crate) fn note(&self) -> Option<String> {
        if self.consequences.is_empty() {
            return None;
        }
        let rules = self.consequences.iter().map(|consequence| consequence.count).sum::<usize>();
        let also = if self.follows { "also " } else { "" };
        let what =
            if rules == 1 { format!("1 rule {also}answers") } else { format!("{rules} rules {also}answer") };
        let mut places: Vec<String> = self
            .consequences
            .iter()
            .take(MOST_PLACES)
            .map(|consequence| consequence.place.to_string())
            .collect();
        if self.consequences.len() > MOST_PLACES {
            places.push("...".to_owned());
        }
        Some(format!("{what} 500 because of this: {}", places.join(", ")))
    }
}

/// Where objects begin, by file.
pub(crate) struct Extents<'o>(BTreeMap<&'o str, Vec<usize>>);

impl<'o> Extents<'o> {
    pub(crate) fn of(objects: &'o [ObjectReport]) -> Self {
        let mut begins: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for object in objects {
            let place: &Place = &object.place;
            if let Some(file) = place.file() {
                begins.entry(file).or_default().push(place.line());
            }
        }
        begins.values_mut().for_each(|lines| lines.sort_unstable());
        Self(begins)
    }

    /// The object that a place belongs to, by its own first line.
    pub(crate) fn find_place(&self, place: &Place) -> Option<(&'o str, usize)> {
        self.find(place.file()?, place.line())
    }

    /// The object that a line belongs to, by its own first line.
    pub(crate) fn find(&self, file: &str, line: usize) -> Option<(&'o str, usize)> {
        let (file, begins) = self.0.get_key_value(file)?;
        let after = begins.partition_point(|begin| *begin <= line);
        Some((*file, *begins.get(after.checked_sub(1)?)?))
    }
}

/// A text for `excerpts` of sources.
pub(crate) fn text(diagnostics: &[Diagnostic], objects: &[ObjectReport], sources: &[Source]) -> String {
    let excerpts = Excerpts::new(sources);
    problems(diagnostics, objects).iter().map(|problem| problem.render(&excerpts) + "\n").collect()
}

#[cfg(test)]
mod tests {
    use tollgate_config::{FileSystem, Options, load_with};

    use super::*;

    #[test]
    fn what_follows_from_a_problem_is_part_of_it() {
        let text = "\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge}
spec: {gatewayClassName: eg, listeners: [{name: http, protocol: HTTP, port: 80}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: app}
spec:
  parentRefs: [{name: edge}]
  rules:
  - {matches: [{path: {value: /a}}]}
  - {matches: [{path: {value: /b}}]}
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyExtensionPolicy
metadata: {name: policy}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: app}]
  extProc: [{backendRefs: [{name: nowhere, port: 9002}], processingMode: {request: {}}}]
";
        let sources = [Source { path: "a.yaml".to_owned(), text: text.to_owned() }];
        let outcome = load_with(&sources, &FileSystem, &Options::default());
        let found = problems(&outcome.diagnostics, &outcome.objects);
        assert_eq!(found.len(), 1, "{:?}", outcome.diagnostics);
        assert_eq!(found[0].cause.place.line(), 20);
        let note = "2 rules answer 500 because of this: a.yaml:12:5, a.yaml:13:5";
        assert_eq!(found[0].note().as_deref(), Some(note));
    }
}
