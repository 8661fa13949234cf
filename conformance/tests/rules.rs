//! The names of rules that code, scenarios and documents use exist: those of the protocol in `docs/protocol.md`, those of
//! configurations in `docs/rules`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use regex::Regex;

/// The families of rules of the protocol and of configurations; longer numbers are those of curves.
const NAME: &str = r"\b(?:[WLPEMBTROXFISDKVAHQZGUNY]|CF|EG|EN|HT|KG)-[0-9]{1,2}(?:\.[0-9]+)?\b";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory of the repository") {
        let path = entry.expect("an entry").path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if path.is_dir() && path.file_name().is_none_or(|name| name != "target") {
            files(&path, found);
        } else if matches!(extension, Some("rs" | "yaml" | "md")) {
            found.push(path);
        }
    }
}

fn names(text: &str) -> BTreeSet<String> {
    let name = Regex::new(NAME).expect("a pattern");
    name.find_iter(text).map(|found| found.as_str().to_owned()).collect()
}

fn rules() -> BTreeSet<String> {
    let mut paths = vec![root().join("docs/protocol.md")];
    files(&root().join("docs/rules"), &mut paths);
    let texts = paths.iter().map(|path| fs::read_to_string(path).expect("rules"));
    let text = texts.collect::<Vec<_>>().join("\n");
    let anchor = Regex::new(r#"<a id="([a-z]+-[0-9.]+)"></a>\*\*([A-Z]+-[0-9.]+)\*\*"#).expect("a pattern");
    let mut rules = BTreeSet::new();
    for found in anchor.captures_iter(&text) {
        assert_eq!(found[1].to_uppercase(), found[2], "an anchor bears the name of its rule");
        assert!(rules.insert(found[2].to_owned()), "{} is there twice", &found[2]);
    }
    rules
}

#[test]
fn every_name_of_a_rule_that_is_used_exists() {
    let rules = rules();
    assert!(rules.len() > 200, "{} rules", rules.len());
    // `B-3` stands for all of B-3.1, B-3.2 ...
    let exists = |name: &str| {
        rules.contains(name)
            || rules.iter().any(|rule| rule.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')))
    };
    let mut paths = Vec::new();
    for directory in ["crates", "conformance", "docs", "bench", "fuzz"] {
        files(&root().join(directory), &mut paths);
    }
    let mut unknown = BTreeMap::<String, PathBuf>::new();
    for path in paths {
        let text = fs::read_to_string(&path).expect("text");
        for name in names(&text).into_iter().filter(|name| !exists(name)) {
            unknown.insert(name, path.clone());
        }
    }
    assert!(unknown.is_empty(), "names of no rule in docs/protocol.md: {unknown:#?}");
}

/// Which rules no scenario plays and no test names, for people who look for what to write next:
/// `cargo test -p conformance --test rules -- --ignored --nocapture`.
#[test]
#[ignore = "a report, not a test"]
fn rules_without_a_scenario() {
    let used = |directory: &str| {
        let mut paths = Vec::new();
        files(&root().join(directory), &mut paths);
        let of_file = |path: &PathBuf| {
            // Scenarios and inputs of tests bear the names of their rules, too: `b_6_8_...`, `eg_12_...`.
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_uppercase();
            let parts: Vec<&str> = stem.split(['_', '-']).collect();
            let mut found = names(&fs::read_to_string(path).expect("text"));
            for length in 2..=parts.len().min(3) {
                found.insert(format!("{}-{}", parts[0], parts[1..length].join(".")));
            }
            found
        };
        paths.iter().flat_map(of_file).collect::<BTreeSet<String>>()
    };
    let (scenarios, code) = (used("conformance/scenarios"), used("crates"));
    let rules = rules();
    let without: Vec<&String> = rules.iter().filter(|rule| !scenarios.contains(*rule)).collect();
    println!("{} of {} rules are played by no scenario.", without.len(), rules.len());
    for rule in without {
        println!("{rule}{}", if code.contains(rule) { "" } else { ": and no code or test names it" });
    }
}
