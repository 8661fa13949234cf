//! The answer for people.

use std::fmt::Write as _;

use serde_json::Value;

use super::processor::{FAILURES, STEPS};

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
    for reason in elements(&answer["why_not"]) {
        let _ = writeln!(out, "no route      {}", say(reason));
    }
    if let Some(status) = answer["status"].as_u64() {
        let _ = writeln!(out, "answer        {status}");
    }
    if answer["route"].is_null() {
        return out;
    }
    route(&mut out, "route         ", &answer["route"]);
    for other in elements(&answer["passed_over"]) {
        let _ = writeln!(
            out,
            "passed over   {}: it would apply if {}",
            say(&other["name"]),
            say(&other["unmet"])
        );
    }
    if answer["runner_up"].is_null() {
        let _ = writeln!(out, "runner-up     none: no other route applies");
    } else {
        route(&mut out, "runner-up     ", &answer["runner_up"]);
    }
    let shares = elements(&answer["shares"]);
    let same = shares.iter().all(|share| share["processors"] == shares[0]["processors"]);
    for (index, share) in shares.iter().enumerate() {
        let endpoints = list(&share["endpoints"]);
        let at = if endpoints.is_empty() { String::new() } else { format!(" at {endpoints}") };
        let _ = writeln!(
            out,
            "share {}       weight {}: {}{at}",
            index + 1,
            share["weight"],
            say(&share["action"])
        );
    }
    match shares.first() {
        None => processors(&mut out, "", &answer["processors"]),
        Some(share) if same => processors(&mut out, "", &share["processors"]),
        Some(_) => {
            for (index, share) in shares.iter().enumerate() {
                processors(&mut out, &format!("share {}, ", index + 1), &share["processors"]);
            }
        }
    }
    out
}

fn route(out: &mut String, title: &str, route: &Value) {
    let name = match route["name"].as_str() {
        None | Some("") => "without a name",
        Some(name) => name,
    };
    let _ = writeln!(out, "{title}{name}: {}", say(&route["action"]));
    if let Some(object) = route["object"]["name"].as_str() {
        let rule = &route["rule"];
        let name = rule["name"].as_str().map(|name| format!(" \"{name}\"")).unwrap_or_default();
        let _ =
            writeln!(out, "              {object}, rule {}{name}, at {}", rule["index"], say(&rule["place"]));
    }
    let conditions: Vec<_> = elements(&route["conditions"]).iter().map(say).collect();
    let _ = match conditions.is_empty() {
        true => writeln!(out, "              applies to every request"),
        false => writeln!(out, "              applies if {}", conditions.join(", and ")),
    };
    let endpoints = list(&route["endpoints"]);
    if !endpoints.is_empty() {
        let _ = writeln!(out, "              endpoints {endpoints}");
    }
    if let Some(reason) = route["replaced"]["reason"].as_str() {
        let _ = writeln!(out, "              replaced: {reason} ({})", say(&route["replaced"]["place"]));
    }
}

fn processors(out: &mut String, of: &str, described: &Value) {
    let all = elements(described);
    if all.is_empty() {
        let _ = writeln!(out, "\n{of}no processor is asked");
    }
    for (index, described) in all.iter().enumerate() {
        processor(out, &format!("{of}processor {}", index + 1), described);
    }
}

fn processor(out: &mut String, title: &str, described: &Value) {
    let behind = if described["upstream"] == true { ", behind the router, for each attempt" } else { "" };
    let _ = writeln!(out, "\n{title}   {}{behind}", say(&described["filter"]));
    let mut known = false;
    for (title, member) in [("defined by", "defined_by"), ("enabled by", "enabled_by")] {
        if let Some(name) = described[member]["name"].as_str() {
            known = true;
            let _ = writeln!(out, "  {title}  {name} at {}", say(&described[member]["place"]));
        }
    }
    if !known {
        let _ = writeln!(out, "  defined by  the Envoy configuration, which has no objects");
    }
    let endpoints = list(&described["endpoints"]);
    let at = if endpoints.is_empty() { String::new() } else { format!(" at {endpoints}") };
    let _ =
        writeln!(out, "  called      {}{at} as {}", say(&described["target"]), say(&described["authority"]));
    for (title, member, order) in [("sent", "sent", &STEPS[..]), ("failures", "failures", &FAILURES[..])] {
        let _ = writeln!(out, "  {title}");
        for name in order {
            let _ = writeln!(out, "    {:<24} {}", name.replace('_', " "), say(&described[member][name]));
        }
    }
    let _ = writeln!(out, "  settings");
    let settings = elements(&described["settings"]);
    let width = settings.iter().map(|setting| say(&setting["name"]).len()).max().unwrap_or(0);
    for setting in settings {
        let (name, value) = (say(&setting["name"]), say(&setting["value"]));
        let _ = writeln!(out, "    {name:<width$}  {value}  [{}]", say(&setting["from"]));
    }
}

fn elements(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn say(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn list(values: &Value) -> String {
    elements(values).iter().map(say).collect::<Vec<_>>().join(", ")
}
