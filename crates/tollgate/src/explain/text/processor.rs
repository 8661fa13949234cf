//! Processors for people.

use std::fmt::Write as _;

use serde_json::Value;

use super::{at, elements, endpoints, list, say};
use crate::explain::{failure::FAILURES, steps::STEPS};

/// Width of names in the tables.
const NAME: usize = 22;
/// Widest column of values.
const VALUE: usize = 40;

/// All processors, in the order of the request.
pub(super) fn processors(out: &mut String, of: &str, all: &[Value]) {
    if all.is_empty() {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "\n{of}no processor is asked");
    }
    for (index, described) in all.iter().enumerate() {
        processor(out, &format!("{of}processor {}", index + 1), described);
    }
}

fn processor(out: &mut String, title: &str, described: &Value) {
    let behind = if described["upstream"] == true { ", behind the router: for each attempt" } else { "" };
    let _ = writeln!(out, "\n{title}   {}{behind}", say(&described["filter"]));
    for (title, member) in [("defined by", "defined_by"), ("enabled by", "enabled_by")] {
        let origin = &described[member];
        if let Some(name) = origin["name"].as_str() {
            let _ = writeln!(out, "  {title}  {name}{}", at(&origin["place"]));
        }
    }
    let called =
        format!("{}{} as {}", say(&described["target"]), endpoints(described), say(&described["authority"]));
    let _ = writeln!(out, "  called      {called}");
    if let Some(problem) = described["problem"].as_str() {
        let _ = writeln!(out, "              {problem}");
    }
    sent(out, &described["sent"]);
    let _ = writeln!(
        out,
        "  failures    {}",
        match described["failure_mode"].as_str() {
            Some("open") => "it fails open",
            Some("closed") => "it fails closed",
            _ => "it only observes",
        }
    );
    for kind in FAILURES {
        if let Some(does) = described["failures"][kind].as_str() {
            let _ = writeln!(out, "    {:<NAME$} {does}", kind.replace('_', " "));
        }
    }
    settings(out, elements(&described["settings"]));
}

fn sent(out: &mut String, sent: &Value) {
    let _ = writeln!(out, "  sent");
    for step in STEPS {
        let told = &sent[step];
        let attributes = list(&told["attributes"]);
        let with = if attributes.is_empty() { String::new() } else { format!(", with {attributes}") };
        let _ = writeln!(out, "    {:<NAME$} {}{with}", step.replace('_', " "), say(&told["what"]));
    }
    for (member, of) in [("metadata", "metadata"), ("metadata_of_cluster", "metadata of the cluster")] {
        let namespaces = list(&sent[member]);
        if !namespaces.is_empty() {
            let _ = writeln!(out, "    {:<NAME$} {of}: {namespaces}", "with each message");
        }
    }
    if sent["mode_override"] == true {
        let _ =
            writeln!(out, "    {:<NAME$} the processor may change what is sent after it", "mode override");
    }
}

/// What somebody has written comes first.
fn settings(out: &mut String, settings: &[Value]) {
    let _ = writeln!(out, "  settings");
    let name_width = settings.iter().map(|setting| say(&setting["name"]).len()).max().unwrap_or(0);
    let values = settings.iter().map(|setting| say(&setting["value"]).chars().count());
    let value_width = values.filter(|width| *width <= VALUE).max().unwrap_or(0);
    let (defaults, written): (Vec<_>, Vec<_>) =
        settings.iter().partition(|setting| setting["from"] == "default");
    for setting in written.into_iter().chain(defaults) {
        let (name, value) = (say(&setting["name"]), say(&setting["value"]));
        let level = setting["level"].as_str().map(|level| format!("{level}, ")).unwrap_or_default();
        let from = say(&setting["from"]);
        let _ = writeln!(out, "    {name:<name_width$}  {value:<value_width$}  [{level}{from}]");
    }
}
