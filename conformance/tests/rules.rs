//! The names of rules that code, scenarios and documents use exist in `docs/protocol.md`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use regex::Regex;

/// The families of rules of the protocol; other names (of dialects) have documents of their own, and
/// longer numbers are those of curves.
const NAME: &str = r"\b(?:[WLPEMBTROXFISDKVAHQZGUNY])-[0-9]{1,2}(?:\.[0-9]+)?\b";

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
    let text = fs::read_to_string(root().join("docs/protocol.md")).expect("the rules");
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
