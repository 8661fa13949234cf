//! Matchers of metadata, as Envoy's `MetadataMatcher` and `ValueMatcher`.

use std::ops::Range;

use extproc::messages::{Struct, Value, value::Kind};
use serde::Serialize;

use super::StringMatcher;

/// A condition on a value of metadata.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MetadataMatcher {
    /// The namespace.
    pub namespace: String,
    /// Keys from outside in; never empty.
    pub path: Vec<String>,
    /// What the value must be.
    pub value: ValueMatcher,
}

/// What a value must be.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum ValueMatcher {
    /// Null.
    Null,
    /// Exactly this number.
    Number(f64),
    /// A number of this range.
    Range(Range<f64>),
    /// A string that passes the matcher.
    String(StringMatcher),
    /// This boolean.
    Bool(bool),
    /// Anything but null: present (true). With false nothing matches.
    Present(bool),
    /// A list of which one element passes.
    OneOfList(Box<Self>),
    /// One of these passes.
    Or(Vec<Self>),
}

impl MetadataMatcher {
    /// The value that it is about; `None` when there is none. `namespace` gives the values of a namespace.
    pub fn find<'a>(&self, namespace: impl Fn(&str) -> Option<&'a Struct>) -> Option<&'a Value> {
        let (last, outer) = self.path.split_last()?;
        let mut members = namespace(&self.namespace)?;
        for key in outer {
            members = match members.fields.get(key)?.kind.as_ref()? {
                Kind::StructValue(inner) => inner,
                _ => return None,
            };
        }
        members.fields.get(last).filter(|value| value.kind.is_some())
    }

    /// Whether a value passes.
    #[must_use]
    pub fn matches(&self, value: &Value) -> bool {
        self.value.matches(value)
    }
}

impl ValueMatcher {
    fn matches(&self, value: &Value) -> bool {
        match (self, value.kind.as_ref()) {
            (Self::Or(matchers), _) => matchers.iter().any(|matcher| matcher.matches(value)),
            (Self::Null, Some(Kind::NullValue(_))) => true,
            #[expect(clippy::float_cmp, reason = "Envoy compares exactly")]
            (Self::Number(wanted), Some(Kind::NumberValue(number))) => wanted == number,
            (Self::Range(range), Some(Kind::NumberValue(number))) => range.contains(number),
            (Self::String(matcher), Some(Kind::StringValue(text))) => matcher.matches(text.as_bytes()),
            (Self::Bool(wanted), Some(Kind::BoolValue(value))) => wanted == value,
            (Self::Present(wanted), Some(kind)) => *wanted && !matches!(kind, Kind::NullValue(_)),
            (Self::OneOfList(matcher), Some(Kind::ListValue(list))) => {
                list.values.iter().any(|element| matcher.matches(element))
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(kind: Kind) -> Value {
        Value { kind: Some(kind) }
    }

    #[test]
    fn values() {
        let number = value(Kind::NumberValue(5.0));
        assert!(ValueMatcher::Number(5.0).matches(&number));
        assert!(ValueMatcher::Range(5.0..6.0).matches(&number));
        assert!(!ValueMatcher::Range(4.0..5.0).matches(&number));
        assert!(!ValueMatcher::Bool(true).matches(&number));
        assert!(ValueMatcher::Present(true).matches(&number));
        assert!(!ValueMatcher::Present(false).matches(&number));
        let null = value(Kind::NullValue(0));
        assert!(ValueMatcher::Null.matches(&null) && !ValueMatcher::Present(true).matches(&null));
        let text = ValueMatcher::String(StringMatcher::Exact("a".into()));
        let list =
            extproc::messages::ListValue { values: vec![number, value(Kind::StringValue("a".into()))] };
        let list = value(Kind::ListValue(list));
        assert!(!text.matches(&list) && ValueMatcher::OneOfList(Box::new(text.clone())).matches(&list));
        assert!(
            ValueMatcher::Or(vec![ValueMatcher::Null, ValueMatcher::OneOfList(Box::new(text))])
                .matches(&list)
        );
    }

    #[test]
    fn paths() {
        let object = |key: &str, inner: Value| Struct { fields: [(key.to_owned(), inner)].into() };
        let inner = object("b", value(Kind::BoolValue(true)));
        let outer = object("a", value(Kind::StructValue(inner)));
        let matcher = |path: &[&str]| MetadataMatcher {
            namespace: "ns".into(),
            path: path.iter().map(|key| (*key).to_owned()).collect(),
            value: ValueMatcher::Bool(true),
        };
        let find = |path: &[&str]| matcher(path).find(|name| (name == "ns").then_some(&outer)).cloned();
        let found = find(&["a", "b"]).unwrap();
        assert!(matcher(&["a", "b"]).matches(&found));
        assert_eq!((find(&["a", "c"]), find(&["a", "b", "c"]), find(&["x"])), (None, None, None));
    }
}
