//! The answer for people.

use std::fmt::Write as _;

use serde_json::Value;

/// The answer as text.
pub(crate) fn text(answer: &Value) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{}\n", say(&answer["request"]));
    if let Some(name) = answer["listener"]["name"].as_str() {
        let addresses = list(&answer["listener"]["addresses"]);
        let _ = writeln!(out, "listener      {name} at {addresses}");
    }
    if let Some(name) = answer["virtual_host"]["name"].as_str() {
        let _ = writeln!(out, "virtual host  {name} ({})", list(&answer["virtual_host"]["domains"]));
    }
    for reason in answer["why_not"].as_array().into_iter().flatten() {
        let _ = writeln!(out, "no route      {}", say(reason));
    }
    if answer["route"].is_null() {
        return out;
    }
    route(&mut out, "route         ", &answer["route"]);
    if answer["runner_up"].is_null() {
        let _ = writeln!(out, "runner-up     none: no other route applies");
    } else {
        route(&mut out, "runner-up     ", &answer["runner_up"]);
    }
    let processors = answer["processors"].as_array().map(Vec::as_slice).unwrap_or_default();
    if processors.is_empty() {
        let _ = writeln!(out, "\nno processor is asked");
    }
    for (index, described) in processors.iter().enumerate() {
        processor(&mut out, index + 1, described);
    }
    out
}

fn route(out: &mut String, title: &str, route: &Value) {
    let _ = writeln!(out, "{title}{}: {}", say(&route["name"]), say(&route["action"]));
    if let Some(object) = route["object"]["name"].as_str() {
        let rule = &route["rule"];
        let name = rule["name"].as_str().map(|name| format!(" \"{name}\"")).unwrap_or_default();
        let _ =
            writeln!(out, "              {object}, rule {}{name}, at {}", rule["index"], say(&rule["place"]));
    }
    let _ = writeln!(out, "              because of {}", route["match"]);
    if let Some(reason) = route["replaced"]["reason"].as_str() {
        let _ = writeln!(out, "              replaced: {reason} ({})", say(&route["replaced"]["place"]));
    }
}

fn processor(out: &mut String, number: usize, described: &Value) {
    let behind = if described["upstream"] == true { ", behind the router, for each attempt" } else { "" };
    let _ = writeln!(out, "\nprocessor {number}   {}{behind}", say(&described["filter"]));
    for (title, member) in [("defined by", "defined_by"), ("enabled by", "enabled_by")] {
        if let Some(name) = described[member]["name"].as_str() {
            let _ = writeln!(out, "  {title}  {name} at {}", say(&described[member]["place"]));
        }
    }
    let _ = writeln!(out, "  called      {} as {}", say(&described["target"]), say(&described["authority"]));
    for (title, member) in [("sent", "sent"), ("failures", "failures")] {
        let _ = writeln!(out, "  {title}");
        for (name, value) in described[member].as_object().into_iter().flatten() {
            let _ = writeln!(out, "    {:<24} {}", name.replace('_', " "), say(value));
        }
    }
    let _ = writeln!(out, "  settings");
    for setting in described["settings"].as_array().into_iter().flatten() {
        let (name, value) = (say(&setting["name"]), say(&setting["value"]));
        let from = setting["from"].as_str().map(|from| format!("  [{from}]")).unwrap_or_default();
        let _ = writeln!(out, "    {name:<28} {value}{from}");
    }
}

fn say(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn list(values: &Value) -> String {
    values.as_array().into_iter().flatten().map(say).collect::<Vec<_>>().join(", ")
}
