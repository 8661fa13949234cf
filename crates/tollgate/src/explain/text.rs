//! The answer for people.

mod processor;

use std::fmt::Write as _;

use serde_json::Value;

use self::processor::processors;

/// Width of the titles.
const TITLE: usize = 14;

/// The answer as text.
pub(crate) fn text(answer: &Value) -> String {
    let mut out = Lines(format!("{}\n\n", say(&answer["request"])));
    if let Some(name) = answer["listener"]["name"].as_str() {
        let listener = &answer["listener"];
        out.line("listener", &format!("{name}, {}{}", list(&listener["addresses"]), at(&listener["place"])));
        for other in elements(&listener["others_at_this_port"]) {
            out.line("", &format!("at other addresses of this port: {}", say(other)));
        }
    }
    filter_chain(&mut out, &answer["filter_chain"]);
    if let Some(path) = answer["becomes"]["path"].as_str() {
        out.line("becomes", &format!("{path} of the host {}", say(&answer["becomes"]["host"])));
    }
    if let Some(name) = answer["virtual_host"]["name"].as_str() {
        let host = &answer["virtual_host"];
        out.line("virtual host", &format!("{name} ({}){}", list(&host["domains"]), at(&host["place"])));
    }
    let reasons = elements(&answer["why_not"]);
    for (index, reason) in reasons.iter().enumerate() {
        out.line(if index == 0 { "no route" } else { "" }, &say(reason));
    }
    if answer["route"].is_null() {
        misses(&mut out, &answer["nearest"], "nearest");
        not_served(&mut out, answer);
        problems(&mut out, answer);
        return out.0;
    }
    route(&mut out, "route", "because", &answer["route"]);
    match answer["runner_up"].is_null() {
        true => out.line("runner-up", "none: no other route applies"),
        false => route(&mut out, "runner-up", "it would apply, too, because", &answer["runner_up"]),
    }
    misses(&mut out, &answer["nearest"], "nearest miss");
    shares(&mut out, answer);
    problems(&mut out, answer);
    out.0
}

/// What is wrong with the objects that the answer is about.
fn problems(out: &mut Lines, answer: &Value) {
    for (index, problem) in elements(&answer["problems"]).iter().enumerate() {
        let title = if index == 0 { "problems" } else { "" };
        let help = problem["help"].as_str().map(|help| format!("; {help}")).unwrap_or_default();
        let (severity, message) = (say(&problem["severity"]), say(&problem["message"]));
        out.line(title, &format!("{severity}: {message}{help}{}", at(&problem["place"])));
    }
}

fn filter_chain(out: &mut Lines, chain: &Value) {
    if chain["tls"] != true {
        return;
    }
    let names = list(&chain["server_names"]);
    let of = if names.is_empty() { "of any name".to_owned() } else { format!("of {names}") };
    let name = chain["name"].as_str().filter(|name| !name.is_empty());
    out.line(
        "filter chain",
        &format!("TLS {of}{}", name.map(|name| format!(", {name}")).unwrap_or_default()),
    );
}

/// What is answered where no route applies.
fn not_served(out: &mut Lines, answer: &Value) {
    let Some(status) = answer["status"].as_u64() else { return };
    let location = answer["location"].as_str().map(|to| format!(", on to {to}")).unwrap_or_default();
    out.line("answer", &format!("{status}{location}"));
    let all = elements(&answer["processors"]);
    if !all.is_empty() {
        out.line("", "after the processors that are on without a route");
        processors(&mut out.0, "", all);
    }
}

fn route(out: &mut Lines, title: &str, because: &str, route: &Value) {
    let name = match route["name"].as_str() {
        None | Some("") => "without a name",
        Some(name) => name,
    };
    let place = if route["object"].is_null() { at(&route["place"]) } else { String::new() };
    out.line(title, &format!("{name}{place}"));
    out.rule(route);
    if let Some(gateway) = route["attached_to"]["name"].as_str() {
        let place = at(&route["attached_to"]["place"]);
        out.line("", &format!("attached to {gateway}, listener {}{place}", say(&route["section"])));
    }
    let conditions: Vec<_> = elements(&route["conditions"]).iter().map(say).collect();
    match conditions.is_empty() {
        true => out.line("", &format!("{because} it takes every request")),
        false => out.line("", &format!("{because} {}", conditions.join(", and "))),
    }
    action(out, route);
    if let Some(reason) = route["replaced"]["reason"].as_str() {
        out.line(
            "",
            &format!("this is instead of what is written: {reason}{}", at(&route["replaced"]["place"])),
        );
    }
}

fn action(out: &mut Lines, described: &Value) {
    out.line("", &format!("{}{}", say(&described["action"]), endpoints(described)));
    let upstream = elements(&described["upstream"]);
    if !upstream.is_empty() {
        let told: Vec<String> = upstream.iter().map(say).collect();
        out.line("", &format!("for the upstream {}", told.join(", and ")));
    }
    for change in elements(&described["headers"]) {
        out.line("", &say(change));
    }
    if let Some(timeout) = described["timeout"].as_str() {
        let retries = match described["retries"].as_u64() {
            None => String::new(),
            Some(1) => "; tried once more where the retry policy says so".to_owned(),
            Some(retries) => format!("; tried up to {retries} more times where the retry policy says so"),
        };
        out.line("", &format!("504 if there is no answer within {timeout}{retries}"));
    }
    for mirror in elements(&described["mirrors"]) {
        out.line("", &format!("copies of {}", say(mirror)));
    }
}

fn endpoints(described: &Value) -> String {
    let endpoints = list(&described["endpoints"]);
    if endpoints.is_empty() { String::new() } else { format!(" at {endpoints}") }
}

/// Routes that do not apply. Where one applies only the nearest of the others is of interest.
fn misses(out: &mut Lines, nearest: &Value, title: &str) {
    let most = if title == "nearest" { usize::MAX } else { 1 };
    for (index, miss) in elements(nearest).iter().take(most).enumerate() {
        let name = miss["name"].as_str().filter(|name| !name.is_empty()).unwrap_or("without a name");
        let place = if miss["object"].is_null() { at(&miss["place"]) } else { String::new() };
        out.line(if index == 0 { title } else { "" }, &format!("{name}{place}"));
        out.rule(miss);
        let unmet: Vec<String> = elements(&miss["unmet"]).iter().map(say).collect();
        out.line("", &format!("it would apply if {}", unmet.join(", and ")));
        let met: Vec<String> = elements(&miss["met"]).iter().map(say).collect();
        if !met.is_empty() {
            out.line("", &format!("what holds: {}", met.join(", and ")));
        }
    }
}

fn shares(out: &mut Lines, answer: &Value) {
    let shares = elements(&answer["shares"]);
    for (index, share) in shares.iter().enumerate() {
        let (weight, total) = (share["weight"].as_u64().unwrap_or(0), share["total"].as_u64().unwrap_or(0));
        out.line(&format!("share {}", index + 1), &format!("{weight} of {total} requests"));
        action(out, share);
    }
    let same = shares.iter().all(|share| share["processors"] == shares[0]["processors"]);
    match shares.first() {
        None => processors(&mut out.0, "", elements(&answer["processors"])),
        Some(share) if same => processors(&mut out.0, "", elements(&share["processors"])),
        Some(_) => {
            for (index, share) in shares.iter().enumerate() {
                processors(&mut out.0, &format!("share {}, ", index + 1), elements(&share["processors"]));
            }
        }
    }
}

/// Text in two columns.
struct Lines(String);

impl Lines {
    fn line(&mut self, title: &str, text: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "{title:<TITLE$}{text}");
    }

    /// The rule that a route is made of.
    fn rule(&mut self, route: &Value) {
        let Some(object) = route["object"]["name"].as_str() else { return };
        let rule = &route["rule"];
        let name = rule["name"].as_str().map(|name| format!(" \"{name}\"")).unwrap_or_default();
        self.line("", &format!("{object}, rule {}{name}{}", rule["index"], at(&rule["place"])));
    }
}

/// A place behind what is written there.
fn at(place: &Value) -> String {
    place.as_str().map(|place| format!("  [{place}]")).unwrap_or_default()
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
