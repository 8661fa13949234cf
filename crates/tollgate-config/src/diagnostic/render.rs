//! Diagnostics for people.

mod hidden;

use std::{cell::OnceCell, collections::HashMap, fmt::Write as _};

use self::hidden::{Hidden, shown_part};
use super::{Diagnostic, Severity};
use crate::Source;

/// Longest part of a source line that is shown, in characters.
const WIDTH: usize = 120;

/// Writes a diagnostic for people. For many of them [`Excerpts`] is quicker.
#[must_use]
pub fn render(diagnostic: &Diagnostic, sources: &[Source]) -> String {
    Excerpts::new(sources).render(diagnostic)
}

/// The lines of sources, for diagnostics about them.
#[derive(Debug)]
pub struct Excerpts<'s>(HashMap<&'s str, Lines<'s>>);

/// The lines of a source; they are looked for when the first one is shown.
#[derive(Debug)]
struct Lines<'s> {
    text: &'s str,
    found: OnceCell<(Vec<&'s str>, Hidden)>,
}

impl<'s> Excerpts<'s> {
    /// The lines of these sources.
    #[must_use]
    pub fn new(sources: &'s [Source]) -> Self {
        let lines = |source: &'s Source| Lines { text: &source.text, found: OnceCell::new() };
        Self(sources.iter().map(|source| (&*source.path, lines(source))).collect())
    }

    /// Writes a diagnostic for people: what is wrong, where, with the line and a mark under the place, and how to fix it. Ends
    /// with a newline. A source that is not there costs only the excerpt; secrets are not shown.
    #[must_use]
    pub fn render(&self, diagnostic: &Diagnostic) -> String {
        let severity = match diagnostic.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Info => "note",
        };
        let line = self.line(diagnostic);
        let place = &diagnostic.place;
        let number = place.line().to_string();
        let margin = " ".repeat(number.len());
        let mut text = format!("{severity}: {}\n{margin}--> ", diagnostic.message);
        // What is no text, a folder or a file that cannot be read, has no lines. Writing to a string cannot fail.
        let _ = match (place.file(), place.path(), place.line(), place.column()) {
            (Some(file), "", 1, 1) if line.is_none() => write!(text, "{file}"),
            _ => write!(text, "{place}"),
        };
        if !place.path().is_empty() {
            let _ = write!(text, " ({})", place.path());
        }
        text.push('\n');
        if let Some(line) = line {
            let (shown, column) = excerpt(&line, place.column() - 1);
            let length = place.location().length.min(shown.chars().count().saturating_sub(column)).max(1);
            let _ = writeln!(text, "{margin} |");
            let _ = writeln!(text, "{number} | {shown}");
            let _ = writeln!(text, "{margin} | {}{}", " ".repeat(column), "^".repeat(length));
        }
        if let Some(help) = &diagnostic.help {
            let _ = writeln!(text, "{margin} = help: {help}");
        }
        text
    }

    /// The line of a diagnostic, unless it holds nothing but a secret.
    fn line(&self, diagnostic: &Diagnostic) -> Option<String> {
        let Lines { text, found } = self.0.get(diagnostic.place.file()?)?;
        let (lines, hidden) = found.get_or_init(|| {
            let lines: Vec<&str> = text.lines().collect();
            let hidden = Hidden::of(&lines);
            (lines, hidden)
        });
        let index = diagnostic.place.line().checked_sub(1)?;
        let line = lines.get(index)?;
        if hidden.is_secret(index) {
            return None;
        }
        let before = index.checked_sub(1).and_then(|before| lines.get(before)).copied().unwrap_or_default();
        shown_part(line, before)
    }
}

/// The part of `line` around a column, and the column in it. Tabs become spaces, so that the mark stays below.
fn excerpt(line: &str, column: usize) -> (String, usize) {
    let length = line.chars().count();
    let start = if column > WIDTH - 20 { (column - WIDTH / 2).min(length) } else { 0 };
    let mut shown: String = if start > 0 { "…".to_owned() } else { String::new() };
    shown.extend(line.chars().skip(start).take(WIDTH).map(|c| if c.is_control() { ' ' } else { c }));
    let shown = shown.trim_end().to_owned();
    if start + WIDTH < length {
        (shown + "…", column - start + usize::from(start > 0))
    } else {
        (shown, column - start + usize::from(start > 0))
    }
}

#[cfg(test)]
mod tests {
    use tollgate_ir::ObjectName;

    use super::*;
    use crate::place::{Location, Place, Whole};

    fn diagnostic(line: usize, column: usize, length: usize) -> Diagnostic {
        let place = Place::in_file("a.yaml", Location { line, column, length }, "node.id");
        Diagnostic {
            help: Some("write it in quotes: \"3\"".into()),
            ..Diagnostic::error(place, "expected a string, found the number 3".into())
        }
    }

    #[test]
    fn the_place_is_marked() {
        let sources = [Source { path: "a.yaml".into(), text: "node:\n  id: 345\n".into() }];
        insta::assert_snapshot!(render(&diagnostic(2, 7, 3), &sources), @r#"
        error: expected a string, found the number 3
         --> a.yaml:2:7 (node.id)
          |
        2 |   id: 345
          |       ^^^
          = help: write it in quotes: "3"
        "#);
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let text = format!("{}x: 3{}", "a".repeat(300), "b".repeat(300));
        let sources = [Source { path: "a.yaml".into(), text }];
        let shown = render(&diagnostic(1, 304, 1), &sources);
        let lines: Vec<&str> = shown.lines().collect();
        let column = lines[4].find('^').unwrap() - lines[4].find('|').unwrap();
        assert_eq!(lines[3].chars().nth(lines[3].find('|').unwrap() + column), Some('3'));
        assert!(lines[3].chars().count() < 140);
    }

    #[test]
    fn places_that_do_not_exist_are_no_problem() {
        let sources = [Source { path: "a.yaml".into(), text: String::new() }];
        assert!(render(&diagnostic(7, 9, 1), &sources).contains("a.yaml:7:9"));
        assert!(render(&diagnostic(1, 200, 1), &[]).contains("a.yaml:1:200"));
        let file = Diagnostic::at("a.yaml", "it cannot be read".into());
        assert!(render(&file, &[]).ends_with("\n --> a.yaml\n"));
    }

    #[test]
    fn objects_without_a_file_have_a_name_and_no_lines() {
        let object = ObjectName { kind: "Cluster".into(), name: "app".into() };
        let place = Whole::Object(object).place(Location::default(), "connect_timeout");
        let shown = render(&Diagnostic::error(place, "this is wrong".into()), &[]);
        assert_eq!(shown, "error: this is wrong\n --> Cluster app (connect_timeout)\n");
    }
}
