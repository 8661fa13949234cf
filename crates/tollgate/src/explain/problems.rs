//! Problems of the configuration that concern a route.

use serde_json::{Value, json};
use tollgate_config::{Diagnostic, ObjectReport, Severity};

use crate::problems::Extents;

/// Errors and warnings in the objects, or at the places, that an answer names.
pub(super) fn concerning(answer: &Value, diagnostics: &[Diagnostic], objects: &[ObjectReport]) -> Vec<Value> {
    let mut places = Vec::new();
    collect(answer, &mut places);
    let extents = Extents::of(objects);
    let named: Vec<_> = places.iter().filter_map(|(file, line)| extents.find(file, *line)).collect();
    let concerns = |diagnostic: &&Diagnostic| {
        // What follows from another problem is what the answer tells already.
        diagnostic.severity != Severity::Info
            && diagnostic.follows_from.is_none()
            && match extents.find_place(&diagnostic.place) {
                Some(object) => named.contains(&object) && !is_of_another(diagnostic, object.1),
                None => {
                    let file = diagnostic.place.file().unwrap_or_default();
                    places.contains(&(file.to_owned(), diagnostic.place.line()))
                }
            }
    };
    let told = diagnostics.iter().filter(concerns).map(|Diagnostic { severity, place, message, help, .. }| {
        json!({ "severity": severity, "message": message, "place": place.to_string(), "help": help })
    });
    told.collect()
}

/// Whether a problem about the name of a kind is too far from where this object begins to be about it: objects of unknown kinds
/// are in no list.
fn is_of_another(diagnostic: &Diagnostic, first_line: usize) -> bool {
    matches!(diagnostic.place.path(), "kind" | "apiVersion") && diagnostic.place.line() > first_line + 2
}

/// Every place in an answer, as file and line.
fn collect(answer: &Value, places: &mut Vec<(String, usize)>) {
    match answer {
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(place) if name == "place" => places.extend(parse(place)),
                    other => collect(other, places),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, places)),
        _ => {}
    }
}

/// `file:line:column`.
fn parse(place: &str) -> Option<(String, usize)> {
    let (rest, _column) = place.rsplit_once(':')?;
    let (file, line) = rest.rsplit_once(':')?;
    Some((file.to_owned(), line.parse().ok()?))
}
