//! Matchers, header changes and metadata.

use extproc::messages::{Metadata, Struct};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use tollgate_model::{
    cluster::SUBSET_NAMESPACE,
    format::Format,
    header::{AppendAction, HeaderAddition, HeaderMutations},
    matching::{FullRegex, HeaderMatcher, HeaderValueMatch, QueryParameterMatcher, StringMatcher},
    metadata::MetadataKey,
};

use super::out::Out;
use crate::envoy::{
    format::HEADER_VALUE,
    header::{APPEND_ACTION, HEADER_VALUE_OPTION},
    matchers::{HEADER_MATCHER, INT64_RANGE, QUERY_PARAMETER_MATCHER, REGEX_MATCHER, STRING_MATCHER},
    metadata::METADATA,
    metadata_key::{METADATA_KEY, PATH_SEGMENT},
};

pub(super) fn metadata_key(key: &MetadataKey) -> Value {
    let path = key.path.iter().map(|key| {
        let mut segment = Out::new(&PATH_SEGMENT);
        segment.set("key", key.as_str());
        segment.done()
    });
    let mut out = Out::new(&METADATA_KEY);
    out.set("key", key.namespace.as_str());
    out.list("path", path.collect());
    out.done()
}

pub(super) fn regex(regex: &FullRegex) -> Value {
    pattern(regex.written())
}

pub(super) fn pattern(written: &str) -> Value {
    let mut out = Out::new(&REGEX_MATCHER);
    out.set("regex", written);
    out.done()
}

pub(super) fn string_matcher(matcher: &StringMatcher) -> Value {
    let mut out = Out::new(&STRING_MATCHER);
    let ignore_case = match matcher {
        StringMatcher::Exact(text) => {
            out.set("exact", &**text);
            false
        }
        StringMatcher::ExactIgnoreCase(text) => {
            out.set("exact", &**text);
            true
        }
        StringMatcher::Prefix(text, ignore_case) => {
            out.set("prefix", &**text);
            *ignore_case
        }
        StringMatcher::Suffix(text, ignore_case) => {
            out.set("suffix", &**text);
            *ignore_case
        }
        StringMatcher::Contains(text, ignore_case) => {
            out.set("contains", &**text);
            *ignore_case
        }
        StringMatcher::SafeRegex(expression) => {
            out.set("safe_regex", regex(expression));
            false
        }
    };
    out.unless("ignore_case", ignore_case, false);
    out.done()
}

pub(super) fn header_matcher(matcher: &HeaderMatcher) -> Value {
    let mut out = Out::new(&HEADER_MATCHER);
    out.set("name", matcher.name.as_str());
    match &matcher.value {
        HeaderValueMatch::Present(present) => out.set("present_match", *present),
        HeaderValueMatch::String(matcher) => out.set("string_match", string_matcher(matcher)),
        HeaderValueMatch::Range { start, end } => {
            let mut range = Out::new(&INT64_RANGE);
            range.set("start", start.to_string());
            range.set("end", end.to_string());
            out.set("range_match", range.done());
        }
    }
    out.unless("invert_match", matcher.invert_match, false);
    out.unless("treat_missing_header_as_empty", matcher.treat_missing_header_as_empty, false);
    out.done()
}

pub(super) fn query_parameter(matcher: &QueryParameterMatcher) -> Value {
    let mut out = Out::new(&QUERY_PARAMETER_MATCHER);
    out.set("name", &*matcher.name);
    match &matcher.value {
        Some(matcher) => out.set("string_match", string_matcher(matcher)),
        None => out.set("present_match", true),
    }
    out.done()
}

/// The four lists of header changes that every level has.
pub(super) fn header_mutations(out: &mut Out, headers: &HeaderMutations) {
    for (name, additions) in
        [("request_headers_to_add", &headers.request_add), ("response_headers_to_add", &headers.response_add)]
    {
        out.list(name, additions.iter().map(header_addition).collect());
    }
    for (name, removed) in [
        ("request_headers_to_remove", &headers.request_remove),
        ("response_headers_to_remove", &headers.response_remove),
    ] {
        out.list(name, removed.iter().map(|name| Value::from(name.as_str())).collect());
    }
}

pub(super) fn header_addition(addition: &HeaderAddition) -> Value {
    let mut option = Out::new(&HEADER_VALUE_OPTION);
    option.set("header", header_value(addition.name.as_str(), &addition.value));
    let usual = AppendAction::AppendIfExistsOrAdd;
    option.name("append_action", &APPEND_ACTION, &addition.append_action, &usual);
    option.unless("keep_empty_value", addition.keep_empty_value, false);
    option.done()
}

pub(super) fn header_value(name: &str, value: &Format) -> Value {
    let mut out = Out::new(&HEADER_VALUE);
    out.set("key", name);
    out.set("value", value.source());
    out.done()
}

/// Static metadata.
pub(super) fn metadata(out: &mut Out, metadata: &Metadata) {
    struct Namespaces<'m>(&'m Metadata);
    impl Serialize for Namespaces<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            tollgate_model::metadata::serialize(self.0, serializer)
        }
    }
    // Text, numbers and lists cannot fail to be written.
    let mut namespaces =
        serde_json::to_value(Namespaces(metadata)).unwrap_or_else(|_| Value::Object(Map::new()));
    whole_numbers(&mut namespaces);
    if namespaces.as_object().is_some_and(|namespaces| !namespaces.is_empty()) {
        let mut message = Out::new(&METADATA);
        message.set("filter_metadata", namespaces);
        out.set("metadata", message.done());
    }
}

/// What a route says about the subset of its cluster.
pub(super) fn metadata_match(out: &mut Out, fields: &Struct) {
    if !fields.fields.is_empty() {
        let mut namespaces = Map::new();
        namespaces.insert(SUBSET_NAMESPACE.to_owned(), structure(fields));
        let mut message = Out::new(&METADATA);
        message.set("filter_metadata", namespaces);
        out.set("metadata_match", message.done());
    }
}

/// A `google.protobuf.Struct`.
pub(super) fn structure(value: &Struct) -> Value {
    struct Object<'m>(&'m Struct);
    impl Serialize for Object<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            tollgate_model::metadata::serialize_struct(self.0, serializer)
        }
    }
    let mut object = serde_json::to_value(Object(value)).unwrap_or_else(|_| Value::Object(Map::new()));
    whole_numbers(&mut object);
    object
}

/// Writes whole numbers without a fraction: as YAML a text with one is no number for Envoy.
#[expect(clippy::cast_possible_truncation, reason = "larger ones stay as they are")]
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Number(number) => {
            if let Some(float) = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 9e15) {
                *value = Value::from(float as i64);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Object(members) => members.values_mut().for_each(whole_numbers),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}
