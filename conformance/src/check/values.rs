//! JSON values: attributes, metadata, log entries.

use regex::Regex;
use serde_json::Value;

/// The first place where a value is not as expected, in words; `at` names the value.
///
/// Maps are compared member by member: what is not mentioned may be anything, `null` means absent, and
/// `{matches: REGEX}` matches text. Numbers are compared as numbers.
pub(crate) fn difference(at: &str, expect: &Value, got: &Value) -> Option<String> {
    let differs = || Some(format!("{at}: expected {expect}, got {got}"));
    match (expect, got) {
        (Value::Object(map), _) if map.len() == 1 && map.contains_key("matches") => {
            let regex = map.get("matches").and_then(Value::as_str).and_then(|text| Regex::new(text).ok());
            let text = match got {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            if regex.is_some_and(|regex| regex.is_match(&text)) { None } else { differs() }
        }
        (Value::Object(expected), Value::Object(got)) => expected.iter().find_map(|(key, expect)| {
            let at = format!("{at}.{key}");
            match (expect, got.get(key)) {
                (Value::Null, None) => None,
                (expect, None) => Some(format!("{at}: expected {expect}, got nothing")),
                (expect, Some(got)) => difference(&at, expect, got),
            }
        }),
        (Value::Array(expected), Value::Array(values)) if expected.len() == values.len() => expected
            .iter()
            .zip(values)
            .enumerate()
            .find_map(|(index, (expect, got))| difference(&format!("{at}[{index}]"), expect, got)),
        (Value::Number(a), Value::Number(b)) if a.as_f64() == b.as_f64() => None,
        (expect, got) if expect == got => None,
        _ => differs(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn matching() {
        let got = json!({"a": 1.0, "b": {"c": "text", "d": [1, 2]}});
        assert_eq!(difference("v", &json!({"a": 1, "b": {"c": {"matches": "^te"}, "x": null}}), &got), None);
        assert_eq!(difference("v", &json!({"b": {"d": [1, 2]}}), &got), None);
        assert!(difference("v", &json!({"a": 2}), &got).is_some());
        assert!(difference("v", &json!({"a": null}), &got).is_some());
        assert!(difference("v", &json!({"b": {"c": {"matches": "^x"}}}), &got).is_some());
        assert!(difference("v", &json!({"b": {"d": [1]}}), &got).is_some());
        assert!(difference("v", &json!({"z": 1}), &got).is_some());
    }
}
