//! Kubernetes objects at a glance: accepted, or why not.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tollgate_config::{Diagnostic, ObjectReport, Severity};

/// One line for each object, and for each listener; of Kubernetes' own objects only for those with a problem. Empty without any. Ends
/// with an empty line.
pub(crate) fn summary(objects: &[ObjectReport], diagnostics: &[Diagnostic]) -> String {
    let lines = Lines::new(objects, diagnostics);
    let mut rows = Vec::new();
    let mut sorted: Vec<_> = objects.iter().collect();
    sorted.sort_by_key(|object| rank(&object.kind));
    for object in sorted {
        let key = match object.namespace.as_str() {
            "" => object.name.clone(),
            namespace => format!("{namespace}/{}", object.name),
        };
        let Some(status) = &object.status else {
            if let Some(said) = said_of(object, &lines) {
                rows.push((object.kind.clone(), key, said));
            }
            continue;
        };
        let listeners = status["listeners"].as_array();
        rows.push((object.kind.clone(), key, verdict(status)));
        for listener in listeners.into_iter().flatten() {
            let routes = &listener["attachedRoutes"];
            let said = format!("{}, attached routes: {routes}", verdict(listener));
            rows.push(("  listener".to_owned(), text(&listener["name"]).to_owned(), said));
        }
    }
    if rows.is_empty() {
        return String::new();
    }
    let width =
        |column: fn(&(String, String, String)) -> &String| rows.iter().map(|row| column(row).len()).max();
    let (kinds, keys) = (width(|row| &row.0).unwrap_or(0), width(|row| &row.1).unwrap_or(0));
    let table = rows.iter().map(|(kind, key, said)| format!("{kind:kinds$}  {key:keys$}  {said}\n"));
    table.collect::<String>() + "\n"
}

/// Groups of Kubernetes itself, of which there may be thousands of objects.
const CORE_GROUPS: [&str; 3] = ["", "discovery.k8s.io", "certificates.k8s.io"];

/// Policies that get no status when nothing uses their targets.
const WITH_ANCESTORS: [&str; 2] = ["EnvoyExtensionPolicy", "BackendTLSPolicy"];

/// What is written where: for thousands of objects in one file nobody looks through all of them for each.
struct Lines<'a> {
    /// File and line of each object.
    objects: BTreeSet<(Option<&'a str>, usize)>,
    /// File, line and number of each diagnostic.
    diagnostics: BTreeMap<(Option<&'a str>, usize, usize), &'a Diagnostic>,
}

impl<'a> Lines<'a> {
    fn new(objects: &'a [ObjectReport], diagnostics: &'a [Diagnostic]) -> Self {
        let objects = objects.iter().map(|object| (object.place.file(), object.place.line()));
        let diagnostics = diagnostics.iter().enumerate();
        Self {
            objects: objects.collect(),
            diagnostics: diagnostics
                .map(|(number, said)| ((said.place.file(), said.place.line(), number), said))
                .collect(),
        }
    }

    /// What is said between the beginning of an object and the next one, in the order of the report.
    fn said_of(&self, object: &'a ObjectReport) -> Vec<&'a Diagnostic> {
        let (file, first) = (object.place.file(), object.place.line());
        let next = self.objects.range((file, first + 1)..=(file, usize::MAX)).next();
        let end = next.map_or(usize::MAX, |(_, line)| *line);
        let mut mine: Vec<_> = self.diagnostics.range((file, first, 0)..(file, end, 0)).collect();
        mine.sort_by_key(|((_, _, number), _)| *number);
        mine.into_iter().map(|(_, said)| *said).collect()
    }
}

/// What there is to say about an object without a status: what is said first where it is written, an error, else a warning.
fn said_of(object: &ObjectReport, lines: &Lines<'_>) -> Option<String> {
    let mine = lines.said_of(object);
    let summed = |severity| {
        let mut of_it = mine.iter().filter(|said| said.severity == severity);
        let first = of_it.next()?.message.replace('\n', " ");
        match of_it.count() {
            0 => Some(first),
            more => Some(format!("{first} (and {more} more)")),
        }
    };
    match (summed(Severity::Error), summed(Severity::Warning)) {
        (Some(errors), _) => Some(errors),
        (None, _) if WITH_ANCESTORS.contains(&&*object.kind) => Some("not in use".to_owned()),
        (None, Some(warnings)) => Some(format!("accepted: {warnings}")),
        (None, None) if CORE_GROUPS.contains(&&*object.group) => None,
        (None, None) => Some("accepted".to_owned()),
    }
}

/// From what listens to what is attached.
fn rank(kind: &str) -> usize {
    let order = [
        "GatewayClass",
        "Gateway",
        "ListenerSet",
        "HTTPRoute",
        "GRPCRoute",
        "VirtualService",
        "ServiceEntry",
    ];
    order.iter().position(|known| *known == kind).unwrap_or(order.len())
}

/// Conditions that are good when they do not hold.
const GOOD_WHEN_FALSE: [&str; 5] =
    ["Conflicted", "PartiallyInvalid", "Overridden", "OverlappingTLSConfig", "Warning"];

/// `accepted`, or the first conditions that say otherwise.
fn verdict(status: &Value) -> String {
    let mut problems = Vec::new();
    let mut seen = false;
    for condition in conditions(status) {
        let [kind, holds, reason, message] =
            ["type", "status", "reason", "message"].map(|field| text(&condition[field]));
        seen |= kind == "Accepted";
        if (holds == "True") == GOOD_WHEN_FALSE.contains(&kind) {
            let problem = if message.is_empty() { reason.to_owned() } else { format!("{reason}: {message}") };
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
    }
    match (problems.is_empty(), seen) {
        (true, true) => "accepted".to_owned(),
        (true, false) => "not in use".to_owned(),
        (false, _) => problems.join("; ").replace('\n', " "),
    }
}

/// The conditions of an object itself, and those about its parents or ancestors.
fn conditions(status: &Value) -> impl Iterator<Item = &Value> {
    let own = status["conditions"].as_array().into_iter().flatten();
    let relations = ["parents", "ancestors"].into_iter().filter_map(|name| status[name].as_array()).flatten();
    own.chain(relations.filter_map(|relation| relation["conditions"].as_array()).flatten())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_conditions_that_are_not_good_are_said() {
        let condition =
            |kind, status, reason| json!({"type": kind, "status": status, "reason": reason, "message": "m"});
        let good = json!({"conditions": [condition("Accepted", "True", "A"), condition("Conflicted", "False", "N")]});
        assert_eq!(verdict(&good), "accepted");
        let bad = json!({"parents": [{"conditions": [condition("Accepted", "True", "A"), condition("ResolvedRefs", "False", "RefNotPermitted")]}]});
        assert_eq!(verdict(&bad), "RefNotPermitted: m");
        assert_eq!(verdict(&json!({"ancestors": []})), "not in use");
    }
}
