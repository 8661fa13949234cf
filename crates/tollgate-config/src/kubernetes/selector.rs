//! Label selectors: which objects are meant by their labels.

use std::collections::BTreeMap;

use crate::schema::{Enumeration, Message, Schema, Value, read};

/// Which objects are meant, by their labels. One that asks for nothing means all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LabelSelector {
    labels: Vec<(String, String)>,
    expressions: Vec<Expression>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Expression {
    key: String,
    operator: Operator,
    values: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

pub(crate) static SELECTOR: Schema = Schema {
    name: "LabelSelector",
    title: "",
    fields: &[
        read("matchLabels", "{}", "Labels that have to have these values."),
        read("matchExpressions", "[]", "Conditions, all of which have to hold."),
    ],
    unsupported: &[],
};

static EXPRESSION: Schema = Schema {
    name: "LabelSelectorRequirement",
    title: "",
    fields: &[
        read("key", "", "The label. Required."),
        read("operator", "", "In, NotIn, Exists or DoesNotExist. Required."),
        read("values", "[]", "For In and NotIn."),
    ],
    unsupported: &[],
};

static OPERATOR: Enumeration<Operator> = Enumeration {
    values: &[
        ("In", 0, Some(Operator::In)),
        ("NotIn", 1, Some(Operator::NotIn)),
        ("Exists", 2, Some(Operator::Exists)),
        ("DoesNotExist", 3, Some(Operator::DoesNotExist)),
    ],
};

/// Reads `matchLabels` and `matchExpressions` of a message that has both.
pub(crate) fn read_selector(message: &Message<'_>) -> LabelSelector {
    let labels = message.map("matchLabels").into_iter();
    let labels = labels.filter_map(|(key, value)| Some((key.to_owned(), value.string()?)));
    let expressions = message.list("matchExpressions");
    LabelSelector {
        labels: labels.collect(),
        expressions: expressions.iter().filter_map(read_expression).collect(),
    }
}

fn read_expression(value: &Value<'_>) -> Option<Expression> {
    let message = value.message(&EXPRESSION)?;
    let operator = message.required("operator")?.enumeration(&OPERATOR)?;
    let values = message.strings("values");
    match operator {
        Operator::In | Operator::NotIn if values.is_empty() => value.error("In and NotIn need values"),
        Operator::Exists | Operator::DoesNotExist if !values.is_empty() => {
            value.error("Exists and DoesNotExist take no values");
        }
        _ => {}
    }
    Some(Expression { key: message.required_string("key"), operator, values })
}

impl LabelSelector {
    /// Objects that have all of these labels.
    pub(crate) fn of_labels(labels: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { labels: labels.into_iter().collect(), expressions: Vec::new() }
    }

    /// Whether an object with these labels is meant.
    pub(crate) fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.matches_by(|label| labels.get(label).map(String::as_str))
    }

    /// Whether an object is meant whose labels have the values that `get` gives.
    pub(crate) fn matches_by<'l>(&self, get: impl Fn(&str) -> Option<&'l str>) -> bool {
        self.labels.iter().all(|(key, value)| get(key) == Some(value))
            && self.expressions.iter().all(|expression| {
                let found = get(&expression.key);
                let listed = found.is_some_and(|found| expression.values.iter().any(|value| value == found));
                match expression.operator {
                    Operator::In => listed,
                    Operator::NotIn => !listed,
                    Operator::Exists => found.is_some(),
                    Operator::DoesNotExist => found.is_none(),
                }
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selector(operator: Operator, values: &[&str]) -> LabelSelector {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        LabelSelector {
            labels: vec![("app".into(), "shop".into())],
            expressions: vec![Expression { key: "tier".into(), operator, values }],
        }
    }

    #[test]
    fn every_part_of_a_selector_has_to_hold() {
        let labels = |labels: &[(&str, &str)]| {
            labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let shop: BTreeMap<_, _> = labels(&[("app", "shop"), ("tier", "edge")]);
        let plain: BTreeMap<_, _> = labels(&[("app", "shop")]);
        let other: BTreeMap<_, _> = labels(&[("app", "mail"), ("tier", "edge")]);
        for (operator, values, matched) in [
            (Operator::In, &["edge"][..], [true, false, false]),
            (Operator::NotIn, &["edge"], [false, true, false]),
            (Operator::Exists, &[], [true, false, false]),
            (Operator::DoesNotExist, &[], [false, true, false]),
        ] {
            let selector = selector(operator, values);
            let found = [&shop, &plain, &other].map(|labels| selector.matches(labels));
            assert_eq!(found, matched, "{operator:?}");
        }
        assert!(LabelSelector::default().matches(&other));
    }
}
