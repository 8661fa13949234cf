//! The unified matcher.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use tollgate_model::{
    matching::{Conditions, MatchInput, Matcher, OnMatch, Predicate},
    route::DynamicMetadataCondition,
};

use super::{
    access_log::value_matcher,
    matchers::string_matcher,
    out::{Out, extension},
};
use crate::envoy::{
    cluster::TYPED_EXTENSION_CONFIG,
    matcher::{
        FIELD_MATCHER, MATCH_MAP, MATCHER, MATCHER_LIST, MATCHER_TREE, METADATA_INPUT,
        METADATA_INPUT_SEGMENT, METADATA_VALUE, ON_MATCH, PREDICATE, PREDICATE_LIST, QUERY_PARAMETER_INPUT,
        REQUEST_HEADER_INPUT, SINGLE_PREDICATE,
    },
};

/// A matcher whose actions `action` writes with their types.
pub(super) fn matcher<A>(matcher: &Matcher<A>, action: &dyn Fn(&A) -> Value) -> Value {
    let mut out = Out::new(&MATCHER);
    match &matcher.conditions {
        Conditions::None => {}
        Conditions::List(list) => {
            let matchers = list.iter().map(|(condition, follows)| {
                let mut field = Out::new(&FIELD_MATCHER);
                field.set("predicate", predicate(condition));
                field.set("on_match", on_match(follows, action));
                field.done()
            });
            let mut list = Out::new(&MATCHER_LIST);
            list.list("matchers", matchers.collect());
            out.set("matcher_list", list.done());
        }
        Conditions::Exact(input, map) => {
            out.set("matcher_tree", tree("exact_match_map", input, map, action));
        }
        Conditions::Prefix(input, map) => {
            out.set("matcher_tree", tree("prefix_match_map", input, map, action));
        }
    }
    out.some("on_no_match", matcher.on_no_match.as_ref().map(|follows| on_match(follows, action)));
    out.done()
}

fn on_match<A>(follows: &OnMatch<A>, action: &dyn Fn(&A) -> Value) -> Value {
    let mut out = Out::new(&ON_MATCH);
    match follows {
        OnMatch::Action(one) => out.set("action", extension(&TYPED_EXTENSION_CONFIG, "action", action(one))),
        OnMatch::Matcher(inner) => out.set("matcher", matcher(inner, action)),
    }
    out.done()
}

fn predicate(condition: &Predicate) -> Value {
    let several = |conditions: &[Predicate]| {
        let mut out = Out::new(&PREDICATE_LIST);
        out.list("predicate", conditions.iter().map(predicate).collect());
        out.done()
    };
    let mut out = Out::new(&PREDICATE);
    match condition {
        Predicate::Single(looked_at, matcher) => {
            let mut single = Out::new(&SINGLE_PREDICATE);
            single.set("input", input(looked_at));
            let mut wanted = string_matcher(matcher);
            if let Some(Value::Object(expression)) = wanted.get_mut("safe_regex") {
                // Required in this form of the message.
                expression.insert("google_re2".to_owned(), Value::Object(Map::new()));
            }
            single.set("value_match", wanted);
            out.set("single_predicate", single.done());
        }
        Predicate::Or(conditions) => out.set("or_matcher", several(conditions)),
        Predicate::And(conditions) => out.set("and_matcher", several(conditions)),
        Predicate::Not(condition) => out.set("not_matcher", predicate(condition)),
        Predicate::Metadata(condition) => out.set("single_predicate", metadata(condition)),
    }
    out.done()
}

fn metadata(condition: &DynamicMetadataCondition) -> Value {
    let DynamicMetadataCondition { matcher, invert } = condition;
    let segment = |key: &String| {
        let mut segment = Out::new(&METADATA_INPUT_SEGMENT);
        segment.set("key", &**key);
        segment.done()
    };
    let mut looked_at = Out::new(&METADATA_INPUT);
    looked_at.set("filter", &*matcher.namespace);
    looked_at.list("path", matcher.path.iter().map(segment).collect());
    let mut wanted = Out::new(&METADATA_VALUE);
    wanted.set("value", value_matcher(&matcher.value));
    wanted.unless("invert", *invert, false);
    let mut single = Out::new(&SINGLE_PREDICATE);
    single.set("input", extension(&TYPED_EXTENSION_CONFIG, "input", looked_at.any()));
    single.set("custom_match", extension(&TYPED_EXTENSION_CONFIG, "value", wanted.any()));
    single.done()
}

fn tree<A>(
    kind: &'static str,
    looked_at: &MatchInput,
    entries: &BTreeMap<String, OnMatch<A>>,
    action: &dyn Fn(&A) -> Value,
) -> Value {
    let entries = entries.iter().map(|(key, follows)| (key.clone(), on_match(follows, action)));
    let mut map = Out::new(&MATCH_MAP);
    map.set("map", entries.collect::<Map<_, _>>());
    let mut out = Out::new(&MATCHER_TREE);
    out.set("input", input(looked_at));
    out.set(kind, map.done());
    out.done()
}

fn input(input: &MatchInput) -> Value {
    let config = match input {
        MatchInput::RequestHeader(name) => {
            let mut out = Out::new(&REQUEST_HEADER_INPUT);
            out.set("header_name", name.as_str());
            out.any()
        }
        MatchInput::QueryParameter(name) => {
            let mut out = Out::new(&QUERY_PARAMETER_INPUT);
            out.set("query_param", &**name);
            out.any()
        }
    };
    extension(&TYPED_EXTENSION_CONFIG, "input", config)
}
