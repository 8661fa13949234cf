//! Which rules of the protocol no scenario is named after.

use std::collections::BTreeSet;

use regex::Regex;

/// The rules that a document defines and that none of the names has, in the order of the document.
pub(crate) fn missing<'a>(document: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let named: BTreeSet<String> =
        names.flat_map(|name| found(r"\b([A-Z]{1,2}-[0-9.]*[0-9])\b", name)).collect();
    let mut rules = found(r"\*\*([A-Z]{1,2}-[0-9.]*[0-9])\*\*", document);
    rules.retain(|rule| !named.contains(rule));
    rules
}

/// Everything that a pattern of ours finds.
fn found(pattern: &str, text: &str) -> Vec<String> {
    let Ok(pattern) = Regex::new(pattern) else { return Vec::new() };
    pattern.captures_iter(text).map(|found| found[1].to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_without_a_name_are_missing() {
        let document = "**B-4.9** and **B-4.10** (see M-2), **L-1**: ...";
        let names = ["B-4.9 a piece", "L-11, UTF-8: another"];
        assert_eq!(missing(document, names.into_iter()), ["B-4.10", "L-1"]);
    }
}
