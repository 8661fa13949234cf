//! Matchers of metadata.

use tollgate_model::matching::{MetadataMatcher, ValueMatcher};

use super::matchers::read_string_matcher;
use crate::schema::{Schema, Value, read};

pub(super) static METADATA_MATCHER: Schema = Schema {
    name: "envoy.type.matcher.v3.MetadataMatcher",
    title: "",
    fields: &[
        read("filter", "", "The namespace. Required."),
        read("path", "", "Keys from outside in. Required."),
        read("value", "", "What the value must be. Required."),
        read(
            "invert",
            "false",
            "Holds where there is no such value; filters of access logs do not invert, as in Envoy.",
        ),
    ],
    unsupported: &[],
};

pub(super) static PATH_SEGMENT: Schema = Schema {
    name: "envoy.type.matcher.v3.MetadataMatcher.PathSegment",
    title: "",
    fields: &[read("key", "", "A key. Required.")],
    unsupported: &[],
};

pub(super) static VALUE_MATCHER: Schema = Schema {
    name: "envoy.type.matcher.v3.ValueMatcher",
    title: "",
    fields: &[
        read("null_match", "", "Null."),
        read("double_match", "", "A number."),
        read("string_match", "", "A string."),
        read("bool_match", "", "This boolean."),
        read("present_match", "", "true: anything but null. false matches nothing."),
        read("list_match", "", "A list with such an element."),
        read("or_match", "", "One of several."),
    ],
    unsupported: &[],
};

pub(super) static NULL_MATCH: Schema =
    Schema { name: "envoy.type.matcher.v3.ValueMatcher.NullMatch", title: "", fields: &[], unsupported: &[] };

pub(super) static DOUBLE_MATCHER: Schema = Schema {
    name: "envoy.type.matcher.v3.DoubleMatcher",
    title: "",
    fields: &[read("exact", "", "Exactly this."), read("range", "", "In this range.")],
    unsupported: &[],
};

pub(super) static DOUBLE_RANGE: Schema = Schema {
    name: "envoy.type.v3.DoubleRange",
    title: "",
    fields: &[read("start", "0", "The first in the range."), read("end", "0", "The first behind it.")],
    unsupported: &[],
};

pub(super) static LIST_MATCHER: Schema = Schema {
    name: "envoy.type.matcher.v3.ListMatcher",
    title: "",
    fields: &[read("one_of", "", "What an element must be. Required.")],
    unsupported: &[],
};

pub(super) static OR_MATCHER: Schema = Schema {
    name: "envoy.type.matcher.v3.OrMatcher",
    title: "",
    fields: &[read("value_matchers", "", "At least two.")],
    unsupported: &[],
};

/// The schemas of this module.
pub(super) static SCHEMAS: [&Schema; 8] = [
    &METADATA_MATCHER,
    &PATH_SEGMENT,
    &VALUE_MATCHER,
    &NULL_MATCH,
    &DOUBLE_MATCHER,
    &DOUBLE_RANGE,
    &LIST_MATCHER,
    &OR_MATCHER,
];

/// Reads a `MetadataMatcher` that does not invert.
pub(super) fn read_metadata_matcher(value: &Value<'_>) -> Option<MetadataMatcher> {
    let (matcher, invert) = read_invertible(value)?;
    if invert {
        value.no_effect("\"invert\"", "as in Envoy this matcher does not invert");
    }
    Some(matcher)
}

/// Reads a `MetadataMatcher`, and whether it inverts.
pub(super) fn read_invertible(value: &Value<'_>) -> Option<(MetadataMatcher, bool)> {
    let message = value.message(&METADATA_MATCHER)?;
    let namespace = message.required("filter")?.non_empty_string()?;
    let path = message.list("path");
    if path.is_empty() {
        value.error("\"path\" is missing: at least one key");
        return None;
    }
    let keys = path.iter().map(|segment| segment.message(&PATH_SEGMENT)?.required("key")?.non_empty_string());
    let matcher = MetadataMatcher {
        namespace,
        path: keys.collect::<Option<_>>()?,
        value: read_value_matcher(&message.required("value")?)?,
    };
    Some((matcher, message.boolean("invert", false)))
}

/// Reads what a value must be.
pub(super) fn read_value_matcher(value: &Value<'_>) -> Option<ValueMatcher> {
    let message = value.message(&VALUE_MATCHER)?;
    let kinds = &[
        "null_match",
        "double_match",
        "string_match",
        "bool_match",
        "present_match",
        "list_match",
        "or_match",
    ];
    let (kind, value) = message.required_one_of(kinds)?;
    Some(match kind {
        "null_match" => {
            value.message(&NULL_MATCH)?;
            ValueMatcher::Null
        }
        "double_match" => read_double_matcher(&value)?,
        "string_match" => ValueMatcher::String(read_string_matcher(&value)?),
        "bool_match" => ValueMatcher::Bool(value.boolean()?),
        "present_match" => ValueMatcher::Present(value.boolean()?),
        "list_match" => {
            let element = value.message(&LIST_MATCHER)?.required("one_of")?;
            ValueMatcher::OneOfList(Box::new(read_value_matcher(&element)?))
        }
        _ => {
            let matchers = value.message(&OR_MATCHER)?.list("value_matchers");
            if matchers.len() < 2 {
                value.error("at least two conditions are combined");
                return None;
            }
            ValueMatcher::Or(matchers.iter().map(read_value_matcher).collect::<Option<_>>()?)
        }
    })
}

fn read_double_matcher(value: &Value<'_>) -> Option<ValueMatcher> {
    let message = value.message(&DOUBLE_MATCHER)?;
    let (kind, value) = message.required_one_of(&["range", "exact"])?;
    if kind == "exact" {
        return Some(ValueMatcher::Number(value.number(f64::MIN..=f64::MAX)?));
    }
    let range = value.message(&DOUBLE_RANGE)?;
    let number = |name| match range.get(name) {
        Some(value) => value.number(f64::MIN..=f64::MAX),
        None => Some(0.0),
    };
    Some(ValueMatcher::Range(number("start")?..number("end")?))
}
