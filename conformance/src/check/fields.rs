//! Header fields and bodies.

use super::values_of;
use crate::scenario::{
    expect::{BodyExpect, FieldExpect, HeadersExpect},
    text::{Field, from_latin1, show},
    wire,
};

/// Differences of the named fields; `kind` says what they are.
pub(crate) fn headers(kind: &str, expect: &HeadersExpect, got: &[Field]) -> Vec<String> {
    let mut differences = Vec::new();
    for (name, expect) in &expect.0 {
        let values: Vec<&[u8]> = got
            .iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_slice())
            .collect();
        let fits = match expect {
            FieldExpect::Absent => values.is_empty(),
            FieldExpect::Present => !values.is_empty(),
            FieldExpect::Values(expected) => expected.iter().map(Vec::as_slice).eq(values.iter().copied()),
            FieldExpect::Matches(regex) => values.len() == 1 && regex.is_match(&from_latin1(values[0])),
        };
        if !fits {
            let expected = match expect {
                FieldExpect::Absent => "absent".to_owned(),
                FieldExpect::Present => "present".to_owned(),
                FieldExpect::Values(expected) => {
                    format!("{:?}", expected.iter().map(|v| show(v)).collect::<Vec<_>>())
                }
                FieldExpect::Matches(regex) => format!("one value matching {regex}"),
            };
            let values: Vec<String> =
                values_of(name, got).iter().map(|value| show(value.as_bytes())).collect();
            differences.push(format!("{kind} {name}: expected {expected}, got {values:?}"));
        }
    }
    differences
}

/// Whether these names appear, in this order.
pub(crate) fn order(expect: &[String], got: &[Field]) -> Option<String> {
    let mut names = got.iter().map(|(name, _)| name.to_ascii_lowercase());
    for wanted in expect {
        let wanted = wanted.to_ascii_lowercase();
        if !names.any(|name| name == wanted) {
            let names: Vec<&String> = got.iter().map(|(name, _)| name).collect();
            return Some(format!("expected the order {expect:?}, got {names:?}"));
        }
    }
    None
}

/// Difference of a body.
pub(crate) fn body(expect: &BodyExpect, got: &[u8]) -> Option<String> {
    let expected = match expect {
        BodyExpect::Grpc(message) => {
            return wire::difference(message, got).map(|difference| format!("body: {difference}"));
        }
        BodyExpect::Exact(bytes) if bytes == got => return None,
        BodyExpect::Size(size) if *size == got.len() => return None,
        BodyExpect::Matches(regex) if regex.is_match(&from_latin1(got)) => return None,
        BodyExpect::Exact(bytes) => show(bytes),
        BodyExpect::Size(size) => format!("{size} bytes"),
        BodyExpect::Matches(regex) => format!("a match of {regex}"),
    };
    Some(format!("body: expected {expected}, got {}", show(got)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn got() -> Vec<Field> {
        [("X-A", "1"), ("x-b", "2"), ("x-a", "3")]
            .map(|(n, v)| (n.to_owned(), v.as_bytes().to_vec()))
            .to_vec()
    }

    fn differences(expect: serde_json::Value) -> usize {
        let expect = serde_json::from_value(expect).expect("headers");
        headers("header", &expect, &got()).len()
    }

    #[test]
    fn every_form_can_fail() {
        assert_eq!(differences(json!({"x-a": [1, 3], "x-b": 2, "x-c": null})), 0);
        assert_eq!(differences(json!({"x-b": {"matches": "^2$"}, "x-a": {"present": true}})), 0);
        assert_eq!(differences(json!({"x-a": 1})), 1);
        assert_eq!(differences(json!({"x-b": null})), 1);
        assert_eq!(differences(json!({"x-c": {"present": true}})), 1);
        assert_eq!(differences(json!({"x-b": {"matches": "3"}})), 1);
    }

    #[test]
    fn order_is_a_subsequence() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(order(&names(&["x-a", "x-b", "x-a"]), &got()), None);
        assert!(order(&names(&["x-b", "x-b"]), &got()).is_some());
    }

    #[test]
    fn bodies() {
        assert_eq!(body(&BodyExpect::Exact(b"a".to_vec()), b"a"), None);
        assert!(body(&BodyExpect::Exact(b"a".to_vec()), b"b").is_some());
        assert!(body(&BodyExpect::Size(2), b"b").is_some());
    }
}
